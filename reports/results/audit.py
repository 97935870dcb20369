"""The result file of an audit: what really became of the messages in recordings that hold the replies.

Times are integer milliseconds from the start of their recording. `schema` is raised whenever a key changes its meaning
or goes away.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from reports.results.replay import Quantiles

AUDIT_SCHEMA_VERSION = 1

Writer: TypeAlias = Literal["bot", "human", "unknown"]
State: TypeAlias = Literal["answered", "unanswered", "open", "exempt"]
"""State of a message: `open` ones came so near the end of the recording that a reply may follow it, and `exempt` ones
need no reply: reactions, and messages that the user deleted before they were answered."""
Unknowable: TypeAlias = Literal["order_within", "cut_turns", "twice", "order", "writers"]
"""Question that the recordings cannot answer: the order of what happened within a second or a minute (`order_within`),
turns cut in two, certain double answers, replies out of order, and who wrote the replies."""


class Counts(TypedDict):
    """Counts of one instance, or of all.

    `messages` counts each message once, however often it was delivered; `deliveries` counts all. Of the messages,
    `answered` got a reply: `late` of these after more than `within_ms`, and `too_soon` of these so quickly that the
    reply was hardly made for them. `unanswered`, `open` and `exempt` are the others.
    `users_unanswered` counts the users with an unanswered message. `by_bot`, `by_human` and `by_unknown` say who
    answered. `twice` counts messages with two answers for certain, `further` replies without a new message before
    them, which may be second answers, and `order` messages whose reply came after that to a newer one.
    Of the turns, `several` have several messages, and `cut` were interrupted by a reply. `first_ms` and `last_ms` are
    the times to a reply from the first and from the last message that it answers.
    """

    users: int
    users_unanswered: int
    deliveries: int
    messages: int
    answered: int
    late: int
    too_soon: int
    unanswered: int
    open: int
    exempt: int
    by_bot: int
    by_human: int
    by_unknown: int
    replies: int
    twice: int
    further: int
    order: int
    turns: int
    several: int
    cut: int
    first_ms: Quantiles
    last_ms: Quantiles


class InstanceCounts(TypedDict):
    """Counts of one instance of the bot."""

    instance: str
    counts: Counts


class Minute(TypedDict):
    """A minute in which many messages came; `at_ms` is its start, in Unix milliseconds."""

    at_ms: int
    messages: int
    unanswered: int


class AuditedMessage(TypedDict):
    """One message; `reply` is the index of the reply that answered it, None without one."""

    id: str
    at_ms: int
    kind: str
    text: str
    characters: int | None
    state: State
    reply: int | None
    twice: bool
    too_soon: bool
    order: bool


class AuditedReply(TypedDict):
    """One reply; `is_further` says that it followed another reply, without a new message before it."""

    at_ms: int
    who: Writer
    text: str
    is_further: bool


class AuditedConversation(TypedDict):
    """One of the worst conversations."""

    recording: str
    instance: str
    phone: str
    messages: list[AuditedMessage]
    replies: list[AuditedReply]


class AuditedRecording(TypedDict):
    """A recording that was audited. `epoch_ms` is the Unix time of its start, `end_ms` the time of its last event.

    `left_out` counts by reason what the source held and the recording does not.
    """

    name: str
    title: str
    source: str
    precision: Literal["ms", "s", "min"]
    epoch_ms: int
    end_ms: int
    messages: int
    skipped_lines: int
    left_out: dict[str, int]


class AuditResult(TypedDict):
    """The whole result of `python -m sim audit`.

    `within_ms` is the time after which a reply is late; None if there is no such limit. A reply sooner than
    `ai_takes_ms` after a message is `too_soon`. `zone` is the time zone in which times are shown. `worst` has the
    conversations in which most went wrong, the worst first. `ok` says that nothing was unanswered, probably not
    read, late, answered twice for certain, or out of order.
    """

    schema: int
    kind: Literal["audit"]
    recordings: list[AuditedRecording]
    within_ms: int | None
    ai_takes_ms: int
    zone: str
    total: Counts
    instances: list[InstanceCounts]
    busiest: list[Minute]
    unknowable: list[Unknowable]
    worst: list[AuditedConversation]
    conversations_troubled: int
    ok: bool
    command: str
