"""The series of trials, with progress and a result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from loadtests.account.result import machine
from loadtests.stack.queue_settings import queue_settings
from loadtests.validation.runs import (
    LOOPBACK_REDIS,
    REDELIVER,
    Deployment,
    measure,
    measurements_of,
    settings_of,
    simulate,
)
from loadtests.validation.trials import TRIALS, Load, faults_of, recording_of
from reports.analysis.agreement import AIM, judged_trial
from reports.results.validation import (
    LIVE_RUNS,
    VALIDATION_SCHEMA_VERSION,
    TrialName,
    TrialRun,
    ValidationResult,
)
from sim.systems.queue import CONCURRENCY, WORKERS

LIVE_OVERHEAD_S = 21.0
"""Time of a live run beyond that of its load: start, the last replies, end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Trials to carry out; `out` gets a folder for each. `say` shows a line of progress."""

    names: Sequence[TrialName]
    load: Load
    deployment: Deployment
    out: Path
    command: str
    say: Callable[[str], None]


def carry_out_series(series: Series) -> ValidationResult:
    """Run each trial live LIVE_RUNS times, simulate it once, and return the result.

    Raises ScheduleError for settings that cannot be simulated, before anything runs live, and the errors of `measure`.
    """
    started = time.time()
    recordings = {
        name: recording_of(TRIALS[name], series.load, _folder(series, name) / "arrivals.jsonl")
        for name in series.names
    }
    for name in series.names:
        settings_of(name, series.deployment, series.load)  # raises for settings that cannot be simulated
    count = LIVE_RUNS * len(series.names)
    minutes = count * (series.load.duration_s + LIVE_OVERHEAD_S) / 60
    series.say(
        f"trials: {len(series.names)}, each simulated once; live runs: {count}, about {minutes:.0f} min"
    )
    trials = []
    for index, (name, recording) in enumerate(recordings.items()):
        live = []
        for number in range(1, LIVE_RUNS + 1):
            began = time.monotonic()
            folder = _folder(series, name)
            run = measure(
                folder / "arrivals.jsonl", name, series.deployment, series.load, folder / f"live-{number}"
            )
            took_s = time.monotonic() - began
            series.say(_line(LIVE_RUNS * index + number, count, name, number, run, took_s))
            live.append(run)
        faults = faults_of(TRIALS[name], series.load)
        measured = measurements_of(live, faults)
        simulated = simulate(recording, name, series.deployment, series.load, measured)
        trials.append(judged_trial(name, list(map(str, faults)), len(recording.arrivals), live, simulated))
    return ValidationResult(
        schema=VALIDATION_SCHEMA_VERSION,
        kind="validation",
        ok=all(trial["verdict"] == "within" for trial in trials),
        aim=AIM,
        started_at=f"{datetime.fromtimestamp(started, UTC):%Y-%m-%dT%H:%M:%SZ}",
        took_s=round(time.time() - started, 1),
        settings=_settings(series),
        system=machine(),
        trials=trials,
        command=series.command,
    )


def _folder(series: Series, name: TrialName) -> Path:
    return series.out / name


def _line(number: int, count: int, name: TrialName, live: int, run: TrialRun, took_s: float) -> str:
    replies = f"replies: {len(run['reply_ms']):,}, lost: {run['lost']:,}"
    return f"{number:>2} of {count}  {name:<11}live {live}  {replies}  ({took_s:.0f} s)"


def _settings(series: Series) -> dict[str, str | int | float]:
    return {
        "rate_per_min": series.load.rate,
        "duration_s": series.load.duration_s,
        "seed": series.load.seed,
        "ai": series.deployment.ai,
        "workers": WORKERS,
        "concurrency": CONCURRENCY,
        "redeliver": REDELIVER,
        "simulated_redis_latency": LOOPBACK_REDIS,
        **queue_settings(series.deployment.environ),
    }
