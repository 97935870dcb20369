"""Results of validations, made up: six trials of every outcome, one of hostile text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from reports.analysis.agreement import AIM, judged_trial
from reports.results.validation import (
    VALIDATION_SCHEMA_VERSION,
    Trial,
    TrialName,
    TrialRun,
    ValidationResult,
)
from tests.reports.example import HOSTILE

_LATER: Mapping[TrialName, tuple[int, int, list[str]]] = {
    "steady": (4, 8, []),
    "bursts": (6, -4, []),
    "storm": (9, 120, []),
    "legacy": (5, 6, []),
    "redis-away": (30, 35, ["redis-away@8s:5s"]),
    "ai-fails": (7, 9, ["ai-fails@8s:10s"]),
}
"""Delays of the second live run and of the simulated one against the first, in ms, and the faults."""


def run(later_ms: float, **facts: Any) -> TrialRun:
    counts = {
        "sent": 400,
        "answered": 400,
        "lost": 0,
        "dead": 0,
        "waiting": 0,
        "twice": 0,
        "delays_ms": {"webhook": 2.5, "ai": 6.5},
        "faults": [],
        "problems": [],
    }
    times = [9_000 + 12.5 * number + later_ms for number in range(400)]
    return cast("TrialRun", {**counts, **facts, "reply_ms": times})


def trial(name: TrialName, **facts: Any) -> Trial:
    live_ms, simulated_ms, faults = _LATER[name]
    lost = {"lost": 23, "answered": 377} if name == "legacy" else {}
    return judged_trial(
        name, faults, 400, [run(0, **lost), run(live_ms, **lost, **facts)], run(simulated_ms, **lost)
    )


def result_of(*trials: Trial, command: str = "python -m loadtests validate") -> ValidationResult:
    return ValidationResult(
        schema=VALIDATION_SCHEMA_VERSION,
        kind="validation",
        ok=all(each["verdict"] == "within" for each in trials),
        aim=AIM,
        started_at="2026-03-06T10:00:00Z",
        took_s=540.5,
        settings={
            "rate_per_min": 900.0,
            "duration_s": 25.0,
            "seed": 1,
            "ai": "lognormal:2s:4s",
            "workers": 2,
        },
        system={"python": "3.13.1", "machine": "x86_64", "cores": "2", "locust": "2.32"},
        trials=list(trials),
        command=command,
    )


def six() -> ValidationResult:
    """Return six trials: of one the curves differ, of one the counts, and one is not valid."""
    trials = {name: trial(name) for name in _LATER}
    trials["redis-away"] = trial("redis-away", dead=40, answered=360, problems=[])
    trials["redis-away"]["live"][0]["dead"] = 31
    trials["redis-away"]["counts_differ"] = ["dead"]
    trials["redis-away"]["verdict"] = "counts_differ"
    trials["ai-fails"] = trial("ai-fails", problems=["generator_late", "fault_missing"])
    return result_of(*trials.values())


def good() -> ValidationResult:
    """Return two trials in which the simulator agrees."""
    return result_of(trial("steady"), trial("legacy"))


def hostile() -> ValidationResult:
    """Return a trial whose every text is hostile."""
    words = "".join(HOSTILE)
    steady = trial("steady")
    steady["faults"] = [words]
    made = result_of(steady, command=words)
    made["settings"] = {words: words}
    made["system"] = {words: words}
    made["started_at"] = words
    return made
