"""The result file of a load test: the contract between `loadtests`, which writes it, and everything that reads it.

It holds codes and values, which `reports.words.load` turns into words. Times are milliseconds where a name ends in
`_ms` and seconds from the start of the load where it ends in `_s`. `schema` is raised whenever a key changes its
meaning or goes away; new keys may appear without that.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from reports.results.faults import FaultName

LOAD_SCHEMA_VERSION = 4
SAMPLES_KEPT_MAX = 20_000
"""Maximum number of samples of each latency; more are thinned evenly."""

ThresholdCode = Literal[
    "lost",
    "dead",
    "duplicates",
    "out_of_order",
    "failed_requests",
    "unanswered",
    "answered",
    "acknowledgement_p99",
    "acknowledgement_max",
    "dispatch_lag_p99",
    "dispatch_lag_max",
    "generator_lag_p99",
    "generator_lag_max",
    "redis_memory",
    "highest_rate",
]
"""Codes of thresholds. The p99 of fewer than 100 samples is their maximum, which has a code of its own."""

Unit = Literal["", "ms", "%", "MB", "/min"]


class Threshold(TypedDict):
    """A limit and the measured value. If nothing was measured, `measured` is None and `ok` is true.

    The limit of `answered` and `highest_rate` is a minimum, all others are maximums.
    """

    code: ThresholdCode
    limit: float
    measured: float | None
    unit: Unit
    ok: bool


class LoadLedger(TypedDict):
    """Counts of messages: sent = answered + dead + waiting + lost. `unsure` messages were never acknowledged.

    A message whose reply was sent more than once counts as `worker_died` if the death of a worker explains each
    repeated send, and as a duplicate otherwise.
    """

    sent: int
    answered: int
    dead: int
    waiting: int
    lost: int
    unsure: int
    duplicates: int
    worker_died: int
    out_of_order: int
    failed_requests: int


class Send(TypedDict):
    """A send: when it reached WhatsApp, when it was answered, and which process sent it ("" if that is not known).

    `is_caller_gone` is true if that process had hung up before the answer, for whatever reason. `died_s` is the moment
    at which it was killed, at any time of the run; None if it was not killed.
    """

    at_s: float
    answered_s: float
    caller: str
    is_caller_gone: bool
    died_s: float | None


class Double(TypedDict):
    """A message whose reply was sent more than once, with the sends. `worker_died` is as in the ledger."""

    id: str
    worker_died: bool
    sends: list[Send]


class Batches(TypedDict):
    """Turns that the AI was asked about: how many, how many by trigger, and by number of messages (as text)."""

    count: int
    by_trigger: dict[str, int]
    sizes: dict[str, int]


class LoadLatency(TypedDict):
    """Ascending samples in ms, evenly thinned if there were very many."""

    acknowledgement: list[float]
    dispatch_lag: list[float]
    ai: list[float]
    reply: list[float]
    reply_from_first: list[float]
    generator_lag: list[float]


class Delays(TypedDict):
    """Medians of the deployment's own delays, in ms.

    `webhook` is half of the time of an acknowledgement. `ai` is the time from the claim of a turn to its reply, without
    the time that the load test's AI took.
    """

    webhook: float
    ai: float


class Second(TypedDict):
    """A second of the run; None for an unknown value. `cpu` is the share of one core that each process used."""

    t_s: int
    sent: int
    acknowledged: int
    replied: int
    failed: int
    depth: int | None
    redis_bytes: int | None
    cpu: dict[str, float] | None


class FaultTimes(TypedDict):
    """A fault, from its start until the faulty part worked again or the run ended."""

    code: FaultName
    start_s: float
    end_s: float


class MissedFault(TypedDict):
    """A fault of the plan that did not happen.

    `at_s` is its time in the plan. `error` says why it could not be carried out; None if the run ended before.
    """

    code: FaultName
    at_s: float
    error: str | None


class BusyMachine(TypedDict):
    """Machine on which other programs left the load test almost no CPU time for `busy_s` of the run.

    `others` is the share of all CPU time that those programs used meanwhile.
    """

    busy_s: float
    others: float


class RampStep(TypedDict):
    """A step of a ramp: messages a minute, seconds, messages sent, and thresholds.

    The thresholds are those of acknowledgement, dispatch, generator, and unanswered messages.
    """

    rate: int
    from_s: float
    to_s: float
    sent: int
    thresholds: list[Threshold]


class LoadResult(TypedDict):
    """The whole result of a load test.

    `valid` is true if the generator kept its schedule (see `generator_lag`), every planned fault happened, and no
    threshold was missed only because the machine was busy (see `busy_machine`). Names in `settings`
    end in the unit (`drain_s`); names in capital letters are environment variables. `system` has versions and the
    machine. `lost_ids` has unanswered messages if any were lost: dead letters and waiting ones are among them. It and
    `doubles` have at most 100 messages; doubles that no death explains come first.
    """

    schema: int
    kind: Literal["load"]
    ok: bool
    valid: bool
    generator_lag: Threshold
    seed: int
    scenario: str
    started_at: str
    duration_s: float
    drain_s: float
    settings: dict[str, str | int | float]
    system: dict[str, str]
    command: str
    thresholds: list[Threshold]
    ledger: LoadLedger
    lost_ids: list[str]
    doubles: list[Double]
    batches: Batches
    latency_ms: LoadLatency
    timeline: list[Second]
    faults: list[FaultTimes]
    delays_ms: NotRequired[Delays]
    """Delays of the deployment; missing in a run without a reply."""
    missed_faults: NotRequired[list[MissedFault]]
    """Faults of the plan that did not happen."""
    busy_machine: NotRequired[BusyMachine]
    """Use of the machine by other programs, if nothing but that made times miss their thresholds."""
    ramp: NotRequired[list[RampStep]]
    """Steps of the scenario `ramp`."""
    unsent: NotRequired[int]
    """Messages of the schedule that were not sent, because the load ended early."""


def are_all_lost(ledger: LoadLedger) -> bool:
    """Return True if all unanswered messages were lost: none became a dead letter, and none waits."""
    return not (ledger["dead"] or ledger["waiting"])
