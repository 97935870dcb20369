"""The result file of a replay: the contract between `sim`, which writes it, and everything that reads it.

Times are integer milliseconds from the start of the recording. Ids are the recording's own.
`schema` is raised whenever a key changes its meaning or goes away; new keys may appear without that.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from reports.results.causes import Cause
from reports.results.faults import StruckFault

SCHEMA_VERSION = 3
SKIPPED_MAX = 10
"""Maximum number of broken lines that a result names for each recording."""
REASON_LENGTH_MAX = 200

Fate: TypeAlias = Literal["answered", "lost", "dead_lettered", "pending"]
Outcome: TypeAlias = Literal["lost", "duplicated", "reordered", "dead_lettered", "logged"]
Refusal: TypeAlias = Literal[
    "unavailable", "invalid", "ai_failed", "http_failed", "channel_failed", "process_died"
]
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
    "superseded",
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
    """A batch: the messages that one handler was given at once. `replied_at_ms` is None if there was no reply.

    `ai_ms` has the AI calls for the batch as [start, end]. `superseded_at_ms` is there if its answer was dropped:
    a newer message joined the turn, and a later batch has all its messages.
    """

    instance: str
    phone: str
    ids: list[str]
    trigger: str
    claimed_at_ms: int
    due_at_ms: int | None
    replied_at_ms: int | None
    ai_ms: NotRequired[list[tuple[int, int]]]
    superseded_at_ms: NotRequired[int]


class StepValues(TypedDict, total=False):
    """Values that some steps have."""

    reason: Refusal
    batch: int
    copies: int
    trigger: str
    attempts: int


class Step(StepValues):
    """One step of a message through a system.

    `known` and `late` are deliveries that were not stored: a repeated one, and one that came too late. `reason` is why
    a webhook was `refused`. Of a `claimed` message, `batch` is the size of its batch, `copies` how often the message
    is in it, and `trigger` what made it due. `superseded` is the drop of an answer because a newer message joined
    the turn. `attempts` were made before a message was `dead_lettered`.
    """

    at_ms: int
    code: StepCode


class LedgerEntry(TypedDict):
    """One message and its fate; `story` has its steps by time.

    `lost_at_ms` is the time of its loss, None if only the end of the run showed it.
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


class FoldedRun(TypedDict):
    """Figures of the turns of a run that is folded: their number, and the mean time from first message to reply."""

    turns: int
    mean_first_ms: float | None


class PooledTimes(TypedDict):
    """Times of the turns in all runs of one recording on one system, each with the number of turns that took it.

    `first_ms` and `last_ms` count from a turn's first and last message to its reply, `lag_ms` from its due time to its
    hand-over.
    """

    recording: str
    system: str
    first_ms: list[tuple[int, int]]
    last_ms: list[tuple[int, int]]
    lag_ms: list[tuple[int, int]]


class Run(TypedDict):
    """One replay of one recording against one system.

    Lists of messages hold ids, or `instance/phone/id` if conversations share an id; `causes` has a cause for each id in
    `lost`. `log` has the lines that the system itself logged. `superseded` counts answers that were dropped because a
    newer message joined the turn, and `superseded_ai_ms` is the time of their AI calls, which are among `ai_calls`.

    If a recording is replayed several times, only one run is kept whole on all systems: the first in which one of them
    lost something, or else the first of all. The others are folded: `folded` has figures of their turns, `batches` is
    empty, and `ledger` has the lost messages only, without their stories.
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
    superseded: NotRequired[int]
    superseded_ai_ms: NotRequired[int]
    batches: list[BatchRecord]
    log: list[dict[str, Any]]
    latency_ms: Latency
    dispatch_lag_ms: Quantiles
    faults: list[StruckFault]
    ledger: list[LedgerEntry]
    folded: NotRequired[FoldedRun]
    at_rest_ms: int
    came_to_rest: bool


class RecordedMessage(TypedDict):
    """One delivery in the recording; a message that was delivered twice has two."""

    instance: str
    phone: str
    id: str
    at_ms: int
    kind: str
    text: str


class SkippedLine(TypedDict):
    """A broken line of the file: its number from 1, and the reason in at most REASON_LENGTH_MAX characters."""

    line: int
    reason: str


class RecordingInfo(TypedDict):
    """The recording itself, so that a report needs no other file.

    `skipped_lines` counts all broken lines that were left out; `skipped`, missing if there are none, has the first
    SKIPPED_MAX of them.
    """

    name: str
    title: str
    source: str
    notes: str
    settings: dict[str, str]
    skipped_lines: int
    skipped: NotRequired[list[SkippedLine]]
    messages: list[RecordedMessage]


class SettingChange(TypedDict):
    """One setting that the command line changed: `now` is its value in the replay, `then` that in the recording."""

    setting: str
    now: str | float
    then: str | float


class ExpectationResult(TypedDict):
    """One expected outcome of a recording, checked in all its runs.

    `held` is None if it was not checked, because `changes` alter what the system does. `expected` and `actual` are ids.
    For the outcome `logged` they are empty, `line` is its number among the expected log lines, and `fields` are the
    fields of that line. `run` and `seed` are those of the first run that did not match.
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
    """Share of messages lost over all runs (`--runs`) of one recording on one system, with its 95 % interval."""

    recording: str
    system: str
    runs: int
    runs_with_loss: int
    sent: int
    lost: int
    probability: float
    low: float
    high: float


class Overlap(TypedDict):
    """Messages that really had a fate, those that a system predicts for it, and those in `both`.

    If the predicted messages were drawn at random from all, `by_chance` is the number to expect in both, and
    `probability` is how likely `both` or more would be.
    """

    actual: int
    predicted: int
    both: int
    by_chance: float
    probability: float


class Explanation(TypedDict):
    """Comparison of a system with what really happened in a recording that holds the replies (`--explain-loss`).

    `messages` are those that an audit judges: answered, or left without a reply. `unanswered` are messages that got no
    reply, or one too soon to be theirs; the system predicts those that it loses. `cut` are messages that came right
    after a reply to their turn; the system predicts those that come while it makes a reply, or right after it.
    """

    recording: str
    system: str
    messages: int
    unanswered: Overlap
    cut: Overlap


class ReplayResult(TypedDict):
    """The whole result of `python -m sim replay`.

    `times` has the times of turns where runs are folded. `ok` says that the queue lost, duplicated and reordered
    nothing, came to rest, and every expected outcome that was checked matched.
    """

    schema: int
    kind: Literal["replay"]
    seed: int
    settings: dict[str, Any]
    systems: list[str]
    recordings: list[RecordingInfo]
    runs: list[Run]
    times: NotRequired[list[PooledTimes]]
    loss: list[LossEstimate]
    expectations: list[ExpectationResult]
    explanations: NotRequired[list[Explanation]]
    ok: bool
    command: NotRequired[str]
