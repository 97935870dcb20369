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
    "vanished",
]
RewriteStep: TypeAlias = Literal["mark_processing", "mark_completed", "recovery"]


class Cause(TypedDict):
    """Cause of a loss. Messages of a conversation that one event took have equal causes.

    `code` says how, and which of the other values are there (see VALUES). `at_ms` is when it was lost; it is missing
    where only the end of the run showed that. `answering` are the ids that the AI was answering, `writers` those whose
    webhooks wrote over the message, all of the same conversation. `step` is the rewrite of a list that dropped it.
    `call` is the number of the call that a timer was to make, `calls` how many calls failed, `ttl_s` how long Redis
    keeps what nobody writes to.
    """

    code: CauseCode
    at_ms: NotRequired[int]
    answering: NotRequired[list[str]]
    writers: NotRequired[list[str]]
    step: NotRequired[RewriteStep]
    call: NotRequired[int]
    calls: NotRequired[int]
    ttl_s: NotRequired[int]


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
    "vanished": frozenset(),
}
"""Values that a cause of each code has beside `at_ms`."""


def kind_of(cause: Cause) -> Cause:
    """Return the cause without what differs from event to event: its moment and the other messages in it."""
    kind = cause.copy()
    kind.pop("at_ms", None)
    kind.pop("answering", None)
    kind.pop("writers", None)
    return kind
