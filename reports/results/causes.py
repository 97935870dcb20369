"""Causes of loss: a code for each way in which a system loses messages, with the values that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NotRequired, TypeAlias, TypedDict

CauseCode: TypeAlias = Literal[
    "marked_unread",
    "overwritten_by_webhook",
    "overwritten_by_mark",
    "written_back_unread",
    "timer_died",
    "calls_failed",
    "buffer_expired",
    "never_written",
    "dropped_unread",
    "dropped_after_crash",
    "list_expired",
    "list_hidden",
    "never_pushed",
    "ai_failed",
    "direct_failed",
    "shared_key",
    "answered_elsewhere",
    "ai_failed_once",
    "deleted_unread",
    "ignored_duplicate",
    "shared_timer",
    "dropped_while_busy",
    "queue_full",
    "queued_unread",
    "entry_expired",
    "skipped",
    "job_overwritten",
    "job_existed",
    "job_started",
    "process_died",
    "redis_lost_writes",
    "redis_failed",
    "channel_failed",
    "vanished",
]
RewriteStep: TypeAlias = Literal["mark_processing", "mark_completed", "recovery"]


class Cause(TypedDict):
    """Cause of a loss. Messages of a conversation that were lost in one event have equal causes.

    `code` says how the message was lost, and which other values are present (see VALUES). `at_ms` is the time of the
    loss, missing if only the end of the run showed it. `answering` has the ids of the messages that the AI was
    answering, `writers` of those whose webhooks overwrote the message. `step` is the rewrite of a list that dropped it.
    `call` is the number of the call that a timer should have made, `calls` the number of failed calls, `ttl_s` the
    time after which something that waits is thrown away, and `limit` the largest number of messages that wait.
    """

    code: CauseCode
    at_ms: NotRequired[int]
    answering: NotRequired[list[str]]
    writers: NotRequired[list[str]]
    step: NotRequired[RewriteStep]
    call: NotRequired[int]
    calls: NotRequired[int]
    ttl_s: NotRequired[int]
    limit: NotRequired[int]


VALUES: Mapping[CauseCode, frozenset[str]] = {
    "marked_unread": frozenset({"answering"}),
    "overwritten_by_webhook": frozenset({"writers"}),
    "overwritten_by_mark": frozenset({"answering"}),
    "written_back_unread": frozenset(),
    "timer_died": frozenset({"call"}),
    "calls_failed": frozenset({"calls"}),
    "buffer_expired": frozenset({"ttl_s"}),
    "never_written": frozenset(),
    "dropped_unread": frozenset({"step"}),
    "dropped_after_crash": frozenset({"step"}),
    "list_expired": frozenset({"ttl_s"}),
    "list_hidden": frozenset({"ttl_s"}),
    "never_pushed": frozenset(),
    "ai_failed": frozenset(),
    "direct_failed": frozenset(),
    "shared_key": frozenset(),
    "answered_elsewhere": frozenset(),
    "ai_failed_once": frozenset(),
    "deleted_unread": frozenset(),
    "ignored_duplicate": frozenset(),
    "shared_timer": frozenset(),
    "dropped_while_busy": frozenset(),
    "queue_full": frozenset({"limit"}),
    "queued_unread": frozenset({"ttl_s"}),
    "entry_expired": frozenset({"ttl_s"}),
    "skipped": frozenset(),
    "job_overwritten": frozenset({"writers"}),
    "job_existed": frozenset(),
    "job_started": frozenset(),
    "process_died": frozenset(),
    "redis_lost_writes": frozenset(),
    "redis_failed": frozenset(),
    "channel_failed": frozenset(),
    "vanished": frozenset(),
}
"""Values of a cause besides `at_ms`, by its code."""


def kind_of(cause: Cause) -> Cause:
    """Return the kind of a cause: the cause without its time and the ids of other messages."""
    kind = cause.copy()
    kind.pop("at_ms", None)
    kind.pop("answering", None)
    kind.pop("writers", None)
    return kind
