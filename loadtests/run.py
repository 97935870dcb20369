"""Load test from start to end: the stack, Locust, the faults, and the usage of CPU and memory.

A temporary folder passes facts between this process and Locust's: see `account.stack_facts`. Nothing in `out` changes
until Locust's process writes the result and the report there.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests.account.stack_facts import STARTED, USAGE_LOG, StackFacts, write_faults
from loadtests.stack.chaos import Chaos
from loadtests.stack.deployment import Stack, StackError, StackSettings
from loadtests.stack.usage import UsageLog
from sim.faults import Fault

OK, MISSED, USAGE, INVALID = 0, 1, 2, 3
"""Exit codes, which are also those of Locust's process."""
CHECK_EVERY_S = 0.1
LOCUST = (sys.executable, "-m", "locust", "-f", "loadtests", "--headless", "--only-summary")
"""The command of the load generator. Its working directory is the repository, where it finds its settings."""


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder, and remove it at the end, unless a StackError refers to the logs in it."""
    folder = Path(tempfile.mkdtemp(prefix="loadtests-"))
    try:
        yield folder
    except StackError:
        raise
    except BaseException:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


@dataclass(frozen=True, slots=True)
class LoadRun:
    """Load test to carry out. `locust` is the command; it also gets `locust_options`, addresses and folders."""

    stack: StackSettings
    plan: tuple[Fault, ...]
    out: Path
    locust_options: tuple[str, ...]
    command: str
    settings: Mapping[str, str | int | float]
    is_quiet: bool = False
    """True if the output of Locust goes to a log beside those of the stack."""
    locust: tuple[str, ...] = LOCUST


def carry_out(run: LoadRun, environ: Mapping[str, str]) -> int:
    """Carry out a load test and return Locust's exit code, or INVALID when a fault of the plan did not happen.

    The logs of the stack are moved to `out`, unless Locust refused its options. Raises StackError, which says where the
    logs are, when a part of the stack does not start or ends by itself; and EmbeddedRedisError, ServersError or
    ListenError when the stack cannot start.
    """
    out = run.out.absolute()
    with temporary_folder() as folder:
        with Stack(run.stack, environ, folder / "logs") as stack:
            system = {"redis": stack.redis_version}
            StackFacts(run.command, dict(run.settings), system, list(run.plan)).write(folder)
            chaos = Chaos(run.plan, stack, changed=lambda faults: write_faults(faults, folder))
            try:
                code = _watch(run, stack, chaos, folder)
            finally:
                chaos.stop()
        if code == USAGE:
            return code
        has_started = (folder / STARTED).exists()
        _move_logs(folder / "logs", out / "logs")
    problems = [f"a fault could not be carried out: {error}" for error in chaos.errors]
    problems += [
        f"a fault did not happen, since the load ended before its time: {fault}" for fault in chaos.missed
    ]
    if not has_started:
        problems = [f"Locust ended with code {code} before the load began"]
    for problem in problems:
        sys.stderr.write(f"loadtests: {problem}\n")
    return INVALID if problems else code


def _move_logs(source: Path, target: Path) -> None:
    """Replace the logs of the last run. Other files in the folder stay: with `--out .` it has the recordings."""
    target.mkdir(parents=True, exist_ok=True)
    for log in target.glob("*.log"):
        log.unlink()
    for log in source.glob("*.log"):
        shutil.move(log, target / log.name)


def _watch(run: LoadRun, stack: Stack, chaos: Chaos, folder: Path) -> int:
    """Run Locust to its end and return its exit code. Raises StackError when a part of the stack ends before it."""
    values = {"host": stack.host, "sink": stack.sink, "out": run.out.absolute(), "stack-facts": folder}
    options = [f"--{name}={value}" for name, value in values.items()]
    exit_code = stack.spawn(
        "locust", [*run.locust, *options, *run.locust_options], {}, is_logged=run.is_quiet
    )
    started_at: float | None = None
    usage = UsageLog(folder / USAGE_LOG)
    while (code := exit_code()) is None:
        stack.check()
        if started_at is None:
            if (folder / STARTED).exists():
                started_at = float((folder / STARTED).read_text("ascii"))
                chaos.start(started_at)
        elif usage.is_due(t_s := time.time() - started_at):
            usage.add(t_s, stack.usage())
        time.sleep(CHECK_EVERY_S)
    return code if code >= 0 else 128 - code
