"""The result file of a replay: the contract between `sim`, which writes it, and everything that reads it.

Times are integer milliseconds from the start of the recording. Ids are the recording's own.
`schema` is raised whenever a key changes its meaning or goes away; new keys may appear without that.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

SCHEMA_VERSION = 1

Fate = Literal["answered", "lost", "dead_lettered", "pending"]


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
    """What one handler was given at once; `replied_at_ms` is None when no reply came of it.

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


class LedgerEntry(TypedDict):
    """What became of one message; `story` tells it in words, step by step.

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
    story: list[str]


class Run(TypedDict):
    """One recording, replayed against one system, once."""

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
    causes: dict[str, str]
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


class ExpectationResult(TypedDict):
    """One outcome on record, checked. `held` is None when the command line overrode what the recording fixes."""

    recording: str
    system: str
    held: bool | None
    detail: str


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
    """The whole result of `python -m sim replay`."""

    schema: int
    kind: Literal["replay"]
    seed: int
    settings: dict[str, Any]
    systems: dict[str, str]
    recordings: list[RecordingInfo]
    runs: list[Run]
    loss: list[LossEstimate]
    expectations: list[ExpectationResult]
    verdict: str
    ok: bool
    command: NotRequired[str]
