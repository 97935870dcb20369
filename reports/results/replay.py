"""The result file of a replay: the contract between `sim`, which writes it, and everything that reads it.

Times are integer milliseconds from the start of the recording. Ids are the recording's own.
`schema` is raised whenever a key changes its meaning or goes away; new keys may appear without that.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from reports.results.causes import Cause

SCHEMA_VERSION = 2

Fate: TypeAlias = Literal["answered", "lost", "dead_lettered", "pending"]
Outcome: TypeAlias = Literal["lost", "duplicated", "reordered", "dead_lettered", "logged"]
Refusal: TypeAlias = Literal["unavailable", "invalid", "ai_failed", "http_failed"]
StepCode: TypeAlias = Literal[
    "sent",
    "sent_again",
    "stored",
    "known",
    "late",
    "acknowledged",
    "refused",
    "claimed",
    "answered",
    "dead_lettered",
    "lost",
]


class Quantiles(TypedDict):
    """Nearest-rank quantiles in milliseconds; None where there was nothing to measure."""

    p50: int | None
    p95: int | None
    max: int | None


class Latency(TypedDict):
    """Reply time of each answered batch, from its `first` and from its `last` message to the reply."""

    first: Quantiles
    last: Quantiles


class BatchRecord(TypedDict):
    """The messages that one handler was given at once; `replied_at_ms` is None when no reply came of it.

    `ai_ms` are the AI's calls for it as [from, to].
    """

    instance: str
    phone: str
    ids: list[str]
    trigger: str
    claimed_at_ms: int
    due_at_ms: int | None
    replied_at_ms: int | None
    ai_ms: NotRequired[list[tuple[int, int]]]


class StepValues(TypedDict, total=False):
    """Values that some steps have."""

    reason: Refusal
    batch: int
    copies: int
    trigger: str
    attempts: int


class Step(StepValues):
    """One step of a message's way through a system.

    `known` is a delivery that was not stored again, `late` one that came too late to be. `reason` is why a webhook was
    `refused`; `batch`, `copies` and `trigger` are the messages of the batch that it was `claimed` in, how often it is
    among them, and what made the batch due; `attempts` were made before it was `dead_lettered`.
    """

    at_ms: int
    code: StepCode


class LedgerEntry(TypedDict):
    """One message and its fate; `story` has its steps in the order of time.

    `lost_at_ms` is when it was lost, None where only the end showed it.
    """

    instance: str
    phone: str
    id: str
    fate: Fate
    stored_at_ms: int | None
    claimed_at_ms: int | None
    answered_at_ms: int | None
    lost_at_ms: NotRequired[int | None]
    story: list[Step]


class Run(TypedDict):
    """One recording, replayed against one system, once.

    Lists of messages hold their ids, as `instance/phone/id` where conversations share one; `causes` has one for each
    of `lost`. `log` is what the system itself wrote into its log.
    """

    recording: str
    system: str
    run: int
    seed: int
    sent: int
    answered: int
    lost: list[str]
    duplicated: list[str]
    reordered: list[str]
    dead_lettered: list[str]
    pending: list[str]
    causes: dict[str, Cause]
    ai_calls: int
    batches: list[BatchRecord]
    log: list[dict[str, Any]]
    latency_ms: Latency
    dispatch_lag_ms: Quantiles
    faults: dict[str, int]
    ledger: list[LedgerEntry]
    at_rest_ms: int
    came_to_rest: bool


class RecordedMessage(TypedDict):
    """One delivery as the recording has it; an id delivered twice stands here twice."""

    instance: str
    phone: str
    id: str
    at_ms: int
    kind: str
    text: str


class RecordingInfo(TypedDict):
    """The recording itself, so that a report needs no other file."""

    name: str
    title: str
    source: str
    notes: str
    settings: dict[str, str]
    skipped_lines: int
    messages: list[RecordedMessage]


class SettingChange(TypedDict):
    """One setting that the command line changed: what it was set to, and what the recording was made with."""

    setting: str
    now: str | float
    then: str | float


class ExpectationResult(TypedDict):
    """One expected outcome of a recording, checked in all its runs.

    `held` is None where it was not checked, as `changes` touch what the system does. `expected` and `actual` are ids;
    of the outcome `logged` they are empty, `line` is its number among the expected lines of the log, and `fields` is
    what such a line holds. `run` and `seed` are of the first run in which it did not hold.
    """

    recording: str
    system: str
    outcome: Outcome
    held: bool | None
    expected: list[str]
    actual: list[str]
    changes: list[SettingChange]
    line: NotRequired[int]
    fields: NotRequired[dict[str, Any]]
    run: NotRequired[int]
    seed: NotRequired[int]


class LossEstimate(TypedDict):
    """Over all runs of one recording on one system (`--runs`): share of messages lost, with its 95 % interval."""

    recording: str
    system: str
    runs: int
    runs_with_loss: int
    sent: int
    lost: int
    probability: float
    low: float
    high: float


class ReplayResult(TypedDict):
    """The whole result of `python -m sim replay`.

    `ok` says that the queue lost, duplicated and reordered nothing, came to rest, and every expected outcome that was
    checked matched.
    """

    schema: int
    kind: Literal["replay"]
    seed: int
    settings: dict[str, Any]
    systems: list[str]
    recordings: list[RecordingInfo]
    runs: list[Run]
    loss: list[LossEstimate]
    expectations: list[ExpectationResult]
    ok: bool
    command: NotRequired[str]
