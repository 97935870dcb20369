"""Contenders of the benchmark: the programs that are measured side by side."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

REPOSITORY = Path(__file__).parents[3]
HERE = Path(__file__).parent
PEERS = HERE.parent / "peers"
FLOOR = "the limit"
OURS = "this commit"
Case = Literal["enqueue", "turns of one", "turns of three", "pickup"]
TURNS: dict[Case, int] = {"enqueue": 1, "turns of one": 1, "turns of three": 3, "pickup": 1}
"""Messages in each turn."""


@dataclass(frozen=True)
class Contender:
    """A queue, or the limit of all queues, with its cases."""

    name: str
    command: tuple[str, ...]
    cases: tuple[Case, ...]
    environment: dict[str, str] = field(default_factory=dict)
    is_peer: bool = False


def ours(name: str, checkout: Path, *, loop: str = "") -> Contender:
    """Return the queue of a checkout, measured by the programs of this one."""
    environment = {"PYTHONPATH": str(checkout), "BENCH_LOOP": loop}
    return Contender(name, (sys.executable, str(HERE / "program.py")), tuple(TURNS), environment)


def floor() -> Contender:
    """Return the limit: script calls that do almost nothing."""
    command = (sys.executable, "-m", "tests.bench.speed.floor")
    return Contender(FLOOR, command, ("enqueue", "turns of one", "pickup"), {"PYTHONPATH": str(REPOSITORY)})


def peers() -> list[Contender]:
    """Return the queues of others that are installed."""
    node = shutil.which("node")
    names = {"BullMQ": "bullmq", "groupmq": "groupmq"}
    return [
        Contender(
            name, (node, str(PEERS / f"{module}.js")), ("enqueue", "turns of one", "pickup"), is_peer=True
        )
        for name, module in names.items()
        if node and (PEERS / "node_modules" / module).is_dir()
    ]


def contenders(against: tuple[str, Path] | None) -> list[Contender]:
    """Return all that take part, in the order of the table."""
    chosen = [ours(OURS, REPOSITORY)]
    if importlib.util.find_spec("uvloop"):
        chosen.append(ours(f"{OURS}, uvloop", REPOSITORY, loop="uvloop"))
    if against:
        chosen.append(ours(*against))
    return [*chosen, *peers(), floor()]
