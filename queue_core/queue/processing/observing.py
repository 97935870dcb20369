"""Reports of a Processor: counts of a pass, and the interface of an observer of its work."""

from __future__ import annotations

from typing import Protocol

import msgspec

from queue_core.message import Batch
from queue_core.queue.outages import OutageNews
from queue_core.queue.processing.attempt import Outcome


class ProcessingReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts of one pass over the conversations that were due."""

    conversations: int
    messages: int
    completed: int
    superseded: int
    """Turns that changed while they were answered, mostly by a newer message; they are due again."""
    failed: int
    """Attempts that failed; their messages are tried again or are dead letters."""
    lost_leases: int
    handed_back: int
    dead_lettered: int
    """Messages that became dead letters in this pass."""
    next_due_ms: int | None
    """Time (Unix ms) at which a conversation next needs attention, as of the end of the pass; None if none waits."""


class ProcessingObserver(Protocol):
    """Observer of a Processor, for metrics and records. Its functions must not block.

    An error that they raise is logged and changes nothing. For each batch, `claimed` and later `ended` are called once;
    a batch that is claimed while the processor stops is handed back and not reported.
    """

    def claimed(self, batch: Batch) -> None:
        """Note that a batch goes into work."""

    def ended(self, batch: Batch, outcome: Outcome, reason: str, dead_lettered: int) -> None:
        """Note that an attempt is over; `reason` is "" when completed. `dead_lettered` counts messages."""

    def given_up(self, messages: int) -> None:
        """Note that messages became dead letters inside a claim: expired, out of attempts, or unreadable."""

    def backend_changed(self, news: OutageNews) -> None:
        """Note that the AI or a channel went away, or came back. Only one processor is told of each change."""
