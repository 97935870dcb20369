"""A load test from start to end: the stack, Locust against it, the faults, what everything used, the report.

What is around the load is noted in the folder given by --out (see `surroundings`), from which Locust's process takes it
into the result. `logs/` has what the parts of the stack said.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.account.surroundings import FILES, Surroundings, write_faults
from loadtests.stack.chaos import Chaos, Fault
from loadtests.stack.deployment import Stack, StackSettings
from loadtests.stack.usage import UsageLog
from reports.results.files import ResultError, read_result

OK, MISSED, USAGE, INVALID = 0, 1, 2, 3
"""Exit codes; those of Locust are the same."""
LOOK_EVERY_S = 0.1
WRITTEN = ("started", "result.json", "report.html", *FILES)
"""Left by an earlier run in the same folder, these would be taken for ours."""


@dataclass(frozen=True, slots=True)
class LoadRun:
    """A load test to be made. `locust`: the load generator's command; the addresses and `out` are added to it."""

    stack: StackSettings
    plan: tuple[Fault, ...]
    out: Path
    locust: tuple[str, ...]
    locust_options: tuple[str, ...]
    command: str
    settings: Mapping[str, str | int | float]
    predicted_ms: Sequence[float] = ()


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
        around = Surroundings(
            run.command, dict(run.settings), {"redis": stack.redis_version}, list(run.predicted_ms)
        )
        around.write(out)
        chaos = Chaos(run.plan, stack, changed=lambda felt: write_faults(felt, out))
        try:
            code = _watch(run, stack, chaos, out)
        finally:
            chaos.stop()
    problems = [f"could not be carried out: {error}" for error in chaos.errors]
    problems += [f"never took place, the load was over before: {fault}" for fault in chaos.missed]
    for problem in problems:
        sys.stderr.write(f"loadtests: a fault {problem}\n")
    _report(out)
    return INVALID if problems and code == OK else code


def _watch(run: LoadRun, stack: Stack, chaos: Chaos, out: Path) -> int:
    """Runs Locust to its end. Raises StackError when a part of the stack ends before it."""
    addresses = ["--host", stack.host, "--sink", stack.sink, "--out", str(out), "--surroundings", str(out)]
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


def _report(out: Path) -> None:
    """Make the page; say why there is none."""
    from reports.pages.load.page import write_load_report  # noqa: PLC0415 - matplotlib takes a second to import

    try:
        result = read_result(out / "result.json")
    except ResultError as error:
        sys.stderr.write(f"loadtests: no report: {error}\n")
        return
    assert result["kind"] == "load"
    write_load_report(result, out / "report.html")
    sys.stdout.write(f"Report: {_shown(out / 'report.html')}\n")


def _shown(path: Path) -> str:
    """Short where that is possible."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def locust_command() -> Sequence[str]:
    """How Locust is run here; its working directory is the repository, where it finds its settings."""
    return [sys.executable, "-m", "locust", "-f", "loadtests", "--headless"]
