"""The result file of a load test: the contract between `loadtests`, which writes it, and everything that reads it.

Times are milliseconds where a name ends in `_ms` and seconds from the start of the load where it ends in `_s`.
`schema` is raised whenever a key changes its meaning or goes away; new keys may appear without that.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

LOAD_SCHEMA_VERSION = 1


class Threshold(TypedDict):
    """What had to hold, and what came out; `unit` may be empty."""

    name: str
    target: str
    actual: str
    ok: bool
    unit: str


class LoadLedger(TypedDict):
    """Of acknowledged messages: sent = answered + dead + waiting + lost. `unsure` ones were never acknowledged."""

    sent: int
    answered: int
    dead: int
    waiting: int
    lost: int
    unsure: int
    duplicates: int
    out_of_order: int
    failed_requests: int


class Batches(TypedDict):
    """Turns the AI was asked for: how many, by what made them due, and by their messages (a number as text)."""

    count: int
    by_trigger: dict[str, int]
    sizes: dict[str, int]


class LoadLatency(TypedDict):
    """Ascending raw samples in ms, evenly thinned when there were very many."""

    acknowledgement: list[float]
    dispatch_lag: list[float]
    ai: list[float]
    reply: list[float]
    reply_from_first: list[float]
    generator_lag: list[float]


class Second(TypedDict):
    """One second of the run. None: not known. `cpu` is the share of one core by process."""

    t_s: int
    sent: int
    acknowledged: int
    replied: int
    failed: int
    depth: int | None
    redis_bytes: int | None
    cpu: dict[str, float] | None


class FaultTimes(TypedDict):
    """One fault that was made to happen."""

    name: str
    start_s: float
    end_s: float


class RampStep(TypedDict):
    """One step of a ramp: messages a minute, seconds, and p99 in milliseconds; `missed` names what was."""

    rate: int
    from_s: float
    to_s: float
    sent: int
    acknowledgement_p99: float | None
    dispatch_lag_p99: float | None
    generator_lag_p99: float | None
    missed: list[str]


class LoadResult(TypedDict):
    """The whole result of a load test."""

    schema: int
    kind: Literal["load"]
    verdict: str
    ok: bool
    valid: bool
    seed: int
    scenario: str
    started_at: str
    duration_s: float
    drain_s: float
    settings: dict[str, str]
    system: dict[str, str]
    command: str
    thresholds: list[Threshold]
    ledger: LoadLedger
    lost_ids: list[str]
    duplicate_ids: list[str]
    batches: Batches
    latency_ms: LoadLatency
    timeline: list[Second]
    faults: list[FaultTimes]
    ramp: NotRequired[list[RampStep]]
    """Of the scenario `ramp`: what each step came to."""
    predicted_ms: NotRequired[list[float]]
    """Reply times that the simulator predicted for the same arrivals, like `latency_ms["reply"]`."""
