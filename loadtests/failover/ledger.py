"""Ledger kept outside of Redis: which messages were acknowledged, and which were in replies."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from loadtests.stalls import Stalls
from queue_core import Batch, MessageQueue

DIRECT_TOKEN = 0
"""Token of batches that the intake answers without the queue."""


@dataclass(slots=True)
class Sent:
    """Reply that went out."""

    ids: tuple[str, ...]
    at_s: float
    user_phone: str
    recorded_s: float | None
    """Time at which Redis acknowledged the record of the reply; None if an earlier worker recorded it."""
    was_recorded: bool
    """True if Redis knew at the claim that a reply to this batch was recorded before."""
    is_direct: bool
    """True if the intake answered without the queue."""
    is_completed: bool = False
    """True once Redis acknowledged that the batch is done."""


class Ledger:
    """Notes of one run. Times are those of `time.monotonic`; durations are without stalls of the machine."""

    def __init__(self) -> None:
        self.stalls = Stalls()
        self.acknowledged: dict[str, float] = {}
        """Time at which each message was acknowledged."""
        self.sent: list[Sent] = []
        self.errors = 0
        """Number of errors "unavailable" that the producer got."""
        self.other_errors: list[str] = []
        """Errors of any other kind, which no caller should get."""
        self._by_token: dict[tuple[str, int], Sent] = {}
        self._recorded: dict[tuple[str, int], float] = {}

    def note_sent(self, batch: Batch) -> None:
        """Note that the reply to a batch went out."""
        sent = Sent(
            batch.ids,
            time.monotonic(),
            batch.user_phone,
            self._recorded.get((batch.user_phone, batch.token)),
            batch.reply is not None,
            batch.token == DIRECT_TOKEN,
        )
        self.sent.append(sent)
        self._by_token[batch.user_phone, batch.token] = sent

    def note_recorded(self, batch: Batch) -> None:
        """Note that Redis acknowledged the record of a reply, which is sent after that."""
        self._recorded[batch.user_phone, batch.token] = time.monotonic()

    def note_completed(self, batch: Batch) -> None:
        """Note that Redis acknowledged the end of a batch."""
        if sent := self._by_token.get((batch.user_phone, batch.token)):
            sent.is_completed = True

    def times_sent(self) -> Counter[str]:
        """Return how often each message was in a reply."""
        return Counter(message_id for sent in self.sent for message_id in sent.ids)

    def unanswered(self) -> set[str]:
        """Return the acknowledged messages that were in no reply."""
        return self.acknowledged.keys() - self.times_sent().keys()

    def doubles(self) -> dict[str, bool]:
        """Return the messages that were in several replies, and whether Redis lost what it had acknowledged before.

        A worker asks Redis right before each send, so Redis has acknowledged the reply by then. If a later claim does
        not show that reply, or hands out a batch whose end Redis acknowledged, then Redis lost a write.
        """
        replies: dict[str, list[Sent]] = {}
        for sent in self.sent:
            for message_id in sent.ids:
                replies.setdefault(message_id, []).append(sent)
        return {
            message_id: all(
                (first.is_completed or not second.was_recorded) and not (first.is_direct or second.is_direct)
                for first, second in pairwise(sent)
            )
            for message_id, sent in replies.items()
            if len(sent) > 1
        }

    def longest_pause_s(self, phones: set[str], began_s: float, ended_s: float) -> float:
        """Return the longest time without a send to any of these users between two moments."""
        times = [sent.at_s for sent in self.sent if sent.user_phone in phones]
        inside = [began_s, *(at_s for at_s in times if began_s < at_s < ended_s), ended_s]
        running = map(self.stalls.running_s, inside)
        return max(later - earlier for earlier, later in pairwise(running))

    def traffic_after_s(self, phones: set[str], elected_s: float) -> float | None:
        """Return the time from an election to the first reply that was recorded and sent after it; None if none was.

        Only replies to these users count, and no direct answers: they need no primary.
        """
        replies = [
            sent.at_s
            for sent in self.sent
            if sent.user_phone in phones and sent.recorded_s is not None and sent.recorded_s >= elected_s
        ]
        if not replies:
            return None
        return self.stalls.running_s(min(replies)) - self.stalls.running_s(elected_s)


class LedgerQueue(MessageQueue):
    """Queue that notes recorded replies and finished batches."""

    ledger: Ledger

    async def record_reply(self, batch: Batch, reply: str) -> bool:
        """Record the reply, and note it."""
        is_current = await super().record_reply(batch, reply)
        self.ledger.note_recorded(batch)
        return is_current

    async def complete(self, batch: Batch) -> None:
        """Finish the batch, and note it."""
        await super().complete(batch)
        self.ledger.note_completed(batch)
