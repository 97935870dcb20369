"""Trials: what is sent to which system, and which faults strike it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from loadtests.scenarios import Scenario
from loadtests.schedule import Arrival, Plan, arrivals_of
from queue_core.recording.format import Arrival as RecordedArrival
from queue_core.recording.format import Recording
from queue_core.recording.writer import dump
from reports.results.faults import FaultName
from reports.results.validation import TrialName
from reports.results.writing import write_whole
from sim.faults import Fault

STORM_EVERY_S = 5.0
"""Time between the starts of two storms: a single storm has too few turns for a curve."""
EVEN_AI = "lognormal:2s:2500ms"
"""Times of the AI in the trial in which it fails. A few turns try the AI first when it is back, so their times decide
when the others are answered. With the usual times chance would decide that."""
FAULT_AFTER = 1 / 2
"""Share of the load after which a fault strikes. By then turns must have been answered: when the AI fails before its
first success, a few milliseconds decide how long its turns wait."""


@dataclass(frozen=True, slots=True)
class TrialKind:
    """A kind of trial. `fault_s` is how long its fault lasts; `ai` replaces the AI's usual times."""

    scenario: Scenario
    system: Literal["queue", "legacy"] = "queue"
    fault: FaultName | None = None
    fault_s: float = 0.0
    ai: str = ""


TRIALS: Mapping[TrialName, TrialKind] = {
    "steady": TrialKind("steady"),
    "bursts": TrialKind("bursts"),
    "storm": TrialKind("storm"),
    "legacy": TrialKind("bursts", system="legacy"),
    "redis-away": TrialKind("steady", fault="redis-away", fault_s=5),
    "ai-fails": TrialKind("steady", fault="ai-fails", fault_s=10, ai=EVEN_AI),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Size of each trial's load; `rate` is in messages a minute."""

    rate: float
    duration_s: float
    seed: int


def faults_of(kind: TrialKind, load: Load) -> tuple[Fault, ...]:
    """Return the faults of a trial, at their times."""
    if kind.fault is None:
        return ()
    at_ms = round(1000 * load.duration_s * FAULT_AFTER)
    return (Fault(kind.fault, at_ms, 1000 * kind.fault_s),)


def recording_of(kind: TrialKind, load: Load, path: Path) -> Recording:
    """Draw the messages of a trial, write them as a recording, and return it. Raises ScheduleError, OSError.

    The id of each message is its number, so that its turn takes the AI as long as in a load test. The first comes at 0:
    a load test begins with it, and counts the times of faults from there.
    """
    recorded = []
    arrivals = _arrivals(kind.scenario, load)
    for number, arrival in enumerate(arrivals):
        at_ms = round(1000 * (arrival.at_s - arrivals[0].at_s))
        instance, _, phone = arrival.user.rpartition("/")
        recorded.append(
            RecordedArrival(at_ms, instance or "load", phone, str(number), arrival.text, "text", at_ms)
        )
    recording = Recording(path.name, tuple(recorded))
    write_whole("".join(dump(recording)), path)
    return recording


def _arrivals(scenario: Scenario, load: Load) -> list[Arrival]:
    plan = Plan(scenario=scenario, rate=load.rate, duration_s=load.duration_s, seed=load.seed)
    if scenario != "storm":
        return arrivals_of(plan)
    storms = max(1, int(load.duration_s / STORM_EVERY_S))
    arrivals = [
        replace(arrival, at_s=arrival.at_s + number * STORM_EVERY_S, user=f"{number}{arrival.user}")
        for number in range(storms)
        for arrival in arrivals_of(replace(plan, seed=load.seed + number))
    ]
    return sorted(arrivals, key=lambda arrival: arrival.at_s)
