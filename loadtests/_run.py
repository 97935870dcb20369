"""One load test from start to end: the stack, Locust against it, the faults, what everything used, the report.

Locust's result.json does not know what was around it; here it is completed by faults, usage, settings and command.
Files in the folder given by --out, beside those that Locust writes there:

- `faults.json`: [{"name", "start_s", "end_s"}], rewritten whenever a fault is over;
- `usage.json`: [{"t_s", "cpu": {name: share of one core}, "memory_bytes": {name: n}, "redis_bytes": n or null}],
  one each second, complete JSON at any time;
- `logs/`: what the parts of the stack said.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from loadtests._chaos import Chaos, Fault, FaultTimes
from loadtests._result import thinned
from loadtests._stack import Stack, StackSettings, Usage

OK, MISSED, USAGE, INVALID = 0, 1, 2, 3
"""Exit codes; those of Locust are the same."""
LOOK_EVERY_S = 0.1
SAMPLE_EVERY_S = 1.0
WRITTEN = ("started", "result.json", "faults.json", "usage.json", "report.html")
"""Left by an earlier run in the same folder, these would be taken for ours."""


@dataclass(frozen=True, slots=True)
class LoadRun:
    """What is to be done. `locust`: the load generator's command; the addresses and `out` are added to it."""

    stack: StackSettings
    plan: tuple[Fault, ...]
    out: Path
    locust: tuple[str, ...]
    locust_options: tuple[str, ...]
    command: str
    settings: Mapping[str, str]


def carry_out(run: LoadRun, environ: Mapping[str, str]) -> int:
    """Does it and returns the exit code: Locust's, or INVALID when faults of the plan did not take place.

    Raises StackError and EmbeddedRedisError when the stack does not start or a part of it ends by itself.
    """
    out = run.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    for name in WRITTEN:
        out.joinpath(name).unlink(missing_ok=True)
    for log in (out / "logs").glob("*.log"):
        log.unlink()
    with Stack(run.stack, environ, out / "logs") as stack:
        chaos = Chaos(run.plan, stack, changed=lambda over: _write_json(out / "faults.json", over))
        _write_json(out / "faults.json", list[FaultTimes]())
        version = stack.redis_version
        try:
            code = _watch(run, stack, chaos, out)
        finally:
            chaos.stop()
    problems = [f"could not be carried out: {error}" for error in chaos.errors]
    problems += [f"never took place, the load was over before: {fault}" for fault in chaos.missed]
    for problem in problems:
        sys.stderr.write(f"loadtests: a fault {problem}\n")
    if _complete(out, run, version):
        _report(out)
    return INVALID if problems and code == OK else code


def _watch(run: LoadRun, stack: Stack, chaos: Chaos, out: Path) -> int:
    """Runs Locust to its end. Raises StackError when a part of the stack ends before it."""
    addresses = ["--host", stack.host, "--sink", stack.sink, "--out", str(out)]
    exit_code = stack.spawn("locust", [*run.locust, *addresses, *run.locust_options], {})
    started_at: float | None = None
    with UsageLog(out / "usage.json") as usage:
        while (code := exit_code()) is None:
            stack.check()
            if started_at is None:
                started_at = _started_at(out / "started")
                if started_at is not None:
                    chaos.start(started_at)
            elif usage.is_due(t_s := time.time() - started_at):
                usage.add(t_s, stack.usage())
            time.sleep(LOOK_EVERY_S)
    return code if code >= 0 else 128 - code


def _started_at(path: Path) -> float | None:
    """Unix time of the start of the load, or None before it. An unfinished file is read again."""
    try:
        at = float(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return at if math.isfinite(at) else None


class UsageLog:
    """Samples as one JSON array that is complete after each of them, however long it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._count = 0
        self._next_s = 0.0
        self._last: tuple[float, Usage] | None = None

    def is_due(self, t_s: float) -> bool:
        """Whether it is time for the next sample, t_s seconds after the start."""
        return t_s >= self._next_s

    def add(self, t_s: float, usage: Usage) -> None:
        """Appends a sample; CPU shares are those since the sample before, so the first one only sets the mark."""
        self._next_s = (t_s // SAMPLE_EVERY_S + 1) * SAMPLE_EVERY_S
        last, self._last = self._last, (t_s, usage)
        if last is None:
            return
        sample = {
            "t_s": round(t_s, 3),
            "cpu": {
                name: round(max(0.0, used.cpu_s - last[1].processes[name].cpu_s) / (t_s - last[0]), 4)
                for name, used in usage.processes.items()
                if name in last[1].processes
            },
            "memory_bytes": {name: used.memory_bytes for name, used in usage.processes.items()},
            "redis_bytes": usage.redis_bytes,
        }
        assert self._file is not None
        self._file.seek(-2, os.SEEK_END)
        self._file.write((",\n" if self._count else "\n").encode() + json.dumps(sample).encode() + b"\n]")
        self._file.flush()
        self._count += 1

    def __enter__(self) -> Self:
        self._file = self._path.open("w+b")
        self._file.write(b"[\n]")
        self._file.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()


def _write_json(path: Path, value: object) -> None:
    """Whole or not at all: Locust may be reading it."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")
    unfinished.replace(path)


def _complete(out: Path, run: LoadRun, redis_version: str) -> bool:
    """Puts into the result what Locust cannot know. False, and said, when there is no result."""
    try:
        result = json.loads((out / "result.json").read_text("utf-8"))
    except FileNotFoundError:
        sys.stderr.write("loadtests: no report: Locust left no result.json\n")
        return False
    usage = {
        round(sample["t_s"]) - 1: sample for sample in json.loads((out / "usage.json").read_text("utf-8"))
    }
    for second in result["timeline"]:  # a sample at the end of a second tells of that second
        if sample := usage.get(second["t_s"]):
            second["cpu"] = sample["cpu"]
            if second["redis_bytes"] is None:
                second["redis_bytes"] = sample["redis_bytes"]
    result["faults"] = json.loads((out / "faults.json").read_text("utf-8"))
    result["settings"] = {**result["settings"], **run.settings}
    result["system"] = {**result["system"], "redis": redis_version}
    result["command"] = run.command
    _write_json(out / "result.json", result)
    return True


def add_prediction(out: Path, predicted_ms: Sequence[float]) -> list[float]:
    """Puts the simulator's reply times into result and report; returns the measured ones, in ms."""
    result = json.loads((out / "result.json").read_text("utf-8"))
    result["predicted_ms"] = thinned(predicted_ms)
    _write_json(out / "result.json", result)
    _report(out)
    measured: list[float] = result["latency_ms"]["reply"]
    return measured


def _report(out: Path) -> None:
    try:
        from reports.pages.load.page import write_load_report  # noqa: PLC0415 - matplotlib takes a second to import
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"loadtests: no report: {error.name} is missing; install the extra burstqueue[reports]\n"
        )
        return
    write_load_report(json.loads((out / "result.json").read_text("utf-8")), out / "report.html")
    sys.stdout.write(f"Report: {_shown(out / 'report.html')}\n")


def _shown(path: Path) -> str:
    """Short where that is possible."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def locust_command() -> Sequence[str]:
    """How Locust is run here; its working directory is the repository, where it finds its settings."""
    return [sys.executable, "-m", "locust", "-f", "loadtests", "--headless"]
