"""The result file of `python -m loadtests validate`: the simulator's predictions beside measurements.

Times are milliseconds. `schema` is raised whenever a key changes its meaning or goes away.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from reports.results.load import Delays, FaultTimes

VALIDATION_SCHEMA_VERSION = 1
LIVE_RUNS = 2
"""Number of live runs of a trial."""

TrialName: TypeAlias = Literal["steady", "bursts", "storm", "legacy", "redis-away", "ai-fails"]
CountName: TypeAlias = Literal["lost", "twice", "dead"]
TrialVerdict: TypeAlias = Literal["within", "curves_differ", "counts_differ", "invalid"]
"""Outcome of a trial: all agrees; the curves of reply times are too far apart; the curves agree, and counts do not; or
a live run was not the planned one."""


class TrialRun(TypedDict):
    """One run of a trial, live or simulated.

    `sent` counts messages that were acknowledged: sent = answered + dead + waiting + lost. `twice` counts messages that
    were answered more than once, for whatever reason. `reply_ms` has the times from each turn's last message to its
    reply, ascending. `delays_ms` has the deployment's own delays in a live run, and `faults` the times at which
    faults really struck (Redis is away until it has started again). The simulated run is given the means of both, and
    has None and no faults here. `problems` says why a live run was not the planned one.
    """

    sent: int
    answered: int
    lost: int
    dead: int
    waiting: int
    twice: int
    reply_ms: list[float]
    delays_ms: Delays | None
    faults: list[FaultTimes]
    problems: list[RunProblem]


RunProblem: TypeAlias = Literal["generator_late", "fault_missing", "no_reply"]


class Trial(TypedDict):
    """A load on a system, with faults as they are typed; two live runs, and a simulated one of the same messages.

    Distances are those of Kolmogorov and Smirnov, from 0 to 1. `floor` is the distance of the two live runs to each
    other, `distances` has those of the simulated run to each, `distance` is that to both together, and `allowed` the
    largest that counts as agreement.
    `apart_ms` is the mean difference between the ordered reply times of the simulated run and those of both live runs,
    and `apart_live_ms` that of the live runs to each other (the distance of Wasserstein).
    """

    name: TrialName
    faults: list[str]
    messages: int
    live: list[TrialRun]
    simulated: TrialRun
    floor: float
    distances: list[float]
    distance: float
    allowed: float
    apart_ms: float
    apart_live_ms: float
    counts_differ: list[CountName]
    verdict: TrialVerdict


class ValidationResult(TypedDict):
    """The whole result. `ok` is true if every trial's verdict is `within`.

    `aim` is the distance that is allowed beyond the floor. Names in `settings` end in the unit. `system` has versions
    and the machine.
    """

    schema: int
    kind: Literal["validation"]
    ok: bool
    aim: float
    started_at: str
    took_s: float
    settings: dict[str, str | int | float]
    system: dict[str, str]
    trials: list[Trial]
    command: str
