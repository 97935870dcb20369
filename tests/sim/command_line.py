"""The command line of the simulator, as tests call it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sim import study
from sim.cli import main
from sim.engine import processes

REPOSITORY = Path(__file__).parents[2]
INCIDENT = REPOSITORY / "logs" / "incident.jsonl"


@dataclass(frozen=True)
class Ended:
    """Exit code and output of a command."""

    returncode: int
    stdout: str
    stderr: str


def sim(*arguments: str | Path, cwd: Path, **environment: str) -> Ended:
    """Run a command in this process, in a folder: a process of its own takes a second to begin."""
    with _pipe() as output, _pipe() as errors, pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "stdout", output)
        patch.setattr(sys, "stderr", errors)
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            code = main([*map(str, arguments)])
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Ended(code, _written(output), _written(errors))


def sim_process(*arguments: str | Path, cwd: Path, **environment: str) -> Ended:
    """Run a command in a process of its own, as a person does."""
    done = subprocess.run(
        [sys.executable, "-m", "sim", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=100,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def record_processes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let small studies start processes too, and return a list to which each appends their number."""
    started: list[int] = []

    def spread(*arguments: Any, jobs: int) -> Any:
        started.append(jobs)
        return processes.spread(*arguments, jobs=jobs)

    monkeypatch.setattr(study, "SMALL_STUDY_MESSAGES", 0)
    monkeypatch.setattr(study, "spread", spread)
    return started


@contextlib.contextmanager
def _pipe() -> Iterator[io.TextIOWrapper[io.BytesIO]]:
    """Open a stream like a pipe: not a terminal, and with bytes behind the text."""
    with io.TextIOWrapper(io.BytesIO(), encoding="utf-8") as stream:
        yield stream


def _written(stream: io.TextIOWrapper[io.BytesIO]) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode()
