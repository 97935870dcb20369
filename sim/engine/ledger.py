"""Ledger of every step of every message, including steps that the system itself cannot see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Unpack

from queue_core.recording.format import Arrival
from reports.results.causes import Cause
from reports.results.replay import Refusal, Step, StepCode, StepValues


class Conversation(NamedTuple):
    """One user talking to one bot."""

    instance: str
    phone: str


class LedgerError(Exception):
    """Raised for a bug in a system, which reported a message that nobody sent, or an empty batch."""


@dataclass(slots=True)
class Batch:
    """Messages that were handed to a handler together. Times in ms from the start of the recording."""

    conversation: Conversation
    ids: tuple[str, ...]
    trigger: str
    claimed_at_ms: int
    due_at_ms: int | None
    replied_at_ms: int | None = None
    superseded_at_ms: int | None = None
    """Time at which the answer was dropped because a newer message joined the turn; None if it was not dropped."""
    asked: list[tuple[int, int]] = field(default_factory=list)
    """Start and end of each call of the AI for this batch."""


@dataclass(slots=True)
class Reply:
    """Reply that a user saw, and the messages that it answers, in the order in which they were handed over."""

    conversation: Conversation
    ids: tuple[str, ...]
    at_ms: int


@dataclass(slots=True)
class Entry:
    """Message, which is one id of one conversation, with all its deliveries."""

    conversation: Conversation
    id: str
    arrived_at_ms: int
    timestamp_ms: int
    rank: int
    """Position of its first delivery in the order of arrival over the whole recording."""
    position: int
    """Position, among all deliveries, of the one that counts for the order: refused ones do not."""
    stored_at_ms: int | None = None
    claimed_at_ms: int | None = None
    answered_at_ms: list[int] = field(default_factory=list)
    is_dead: bool = False
    """True for a dead letter."""
    loss: Cause | None = None
    story: list[Step] = field(default_factory=list)


class Ledger:
    """An Entry for each message, and the batches and replies in the order they happened.

    Each method reads the time from the clock. A message that was never sent raises LedgerError.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._entries: dict[Conversation, dict[str, Entry]] = {}
        self._ranks = 0
        self._deliveries = 0
        self.batches: list[Batch] = []
        self._batches_of: dict[Conversation, list[Batch]] = {}
        self.replies: list[Reply] = []
        self.changed_at_ms = 0
        """Time of the last recorded step."""

    def entries(self) -> Iterable[Entry]:
        """Return all messages, conversation by conversation, each in the order of arrival."""
        for messages in self._entries.values():
            yield from messages.values()

    def find(self, conversation: Conversation, message_id: str) -> Entry | None:
        """Return the entry of a message; None when this conversation has no such message."""
        return self._entries.get(conversation, {}).get(message_id)

    def entry(self, conversation: Conversation, message_id: str) -> Entry:
        """Return the entry of a message that a system handles under this conversation.

        If two conversations share a key, it may be a message of the other one, found by its id. Raises LedgerError if
        nobody sent it.
        """
        entry = self.find(conversation, message_id)
        if entry is not None:
            return entry
        for messages in self._entries.values():
            if message_id in messages:
                return messages[message_id]
        raise LedgerError(f"{message_id!r} of {conversation} was reported, but nobody ever sent it")

    def sent(self, arrival: Arrival) -> None:
        """Note that the provider delivers a message, perhaps not for the first time."""
        conversation = Conversation(arrival.instance, arrival.phone)
        messages = self._entries.setdefault(conversation, {})
        entry = messages.get(arrival.id)
        if entry is None:
            messages[arrival.id] = Entry(
                self._known(conversation),
                arrival.id,
                arrival.at_ms,
                arrival.timestamp_ms,
                rank=self._ranks,
                position=self._deliveries,
            )
            self._ranks += 1
        elif entry.stored_at_ms is None and entry.story[-1]["code"] == "refused":
            entry.position = self._deliveries
        self._deliveries += 1
        self.note(conversation, arrival.id, "sent" if entry is None else "sent_again")

    def stored(self, conversation: Conversation, message_id: str) -> None:
        """Note that the system has stored the message."""
        entry = self.entry(conversation, message_id)
        if entry.stored_at_ms is None:
            entry.stored_at_ms = self._now_ms()
        self.note(conversation, message_id, "stored")

    def acknowledged(self, conversation: Conversation, message_id: str) -> None:
        """Note that the webhook answered 2xx."""
        self.note(conversation, message_id, "acknowledged")

    def refused(self, conversation: Conversation, message_id: str, reason: Refusal) -> None:
        """Note that the webhook answered with an error."""
        self.note(conversation, message_id, "refused", reason=reason)

    def claimed(
        self,
        conversation: Conversation,
        ids: Sequence[str],
        trigger: str,
        due_ms: int | None = None,
        *,
        claimed_at_ms: int | None = None,
    ) -> Batch:
        """Note that a handler was given these messages, in this order; `claimed_at_ms` replaces the clock's time."""
        if not ids:
            raise LedgerError(f"an empty batch of {conversation} was reported")
        at_ms = self._now_ms() if claimed_at_ms is None else claimed_at_ms
        batch = Batch(self._known(conversation), tuple(ids), trigger, at_ms, due_ms)
        self.batches.append(batch)
        self._batches_of.setdefault(batch.conversation, []).append(batch)
        for message_id in dict.fromkeys(ids):
            entry = self.entry(conversation, message_id)
            if entry.claimed_at_ms is None:
                entry.claimed_at_ms = at_ms
            values = StepValues(batch=len(ids), trigger=trigger)
            if (copies := ids.count(message_id)) > 1:
                values["copies"] = copies
            self.note(conversation, message_id, "claimed", **values)
        return batch

    def asked(self, conversation: Conversation, ids: Sequence[str], from_ms: int) -> None:
        """Note that the AI was asked about these messages at `from_ms`, and that the call is over now."""
        batch = self._latest_batch(conversation, ids)
        if batch is not None:
            batch.asked.append((from_ms, self._now_ms()))

    def answered(self, conversation: Conversation, ids: Sequence[str]) -> None:
        """Note that the user saw a reply to these messages."""
        at_ms = self._now_ms()
        batch = self._latest_batch(conversation, ids)
        answered = batch.ids if batch and batch.ids == tuple(ids) else tuple(ids)
        self.replies.append(Reply(self._known(conversation), answered, at_ms))
        if batch is not None and batch.replied_at_ms is None:
            batch.replied_at_ms = at_ms
        for message_id in dict.fromkeys(ids):
            entry = self.find(conversation, message_id)
            if entry is None:
                self.lose(conversation, message_id, Cause(code="answered_elsewhere"))
            else:
                entry.answered_at_ms.append(at_ms)
                self.note(conversation, message_id, "answered")

    def superseded(self, conversation: Conversation, ids: Sequence[str]) -> None:
        """Note that the answer to these messages was dropped, because a newer message joined the turn."""
        for batch in reversed(self._batches_of.get(conversation, ())):
            if batch.ids == tuple(ids):  # a later batch has more
                batch.superseded_at_ms = self._now_ms()
                break
        for message_id in dict.fromkeys(ids):
            self.note(conversation, message_id, "superseded")

    def dead_lettered(self, conversation: Conversation, message_id: str, attempts: int) -> None:
        """Note that the system gave up on the message and keeps it as a dead letter."""
        self.entry(conversation, message_id).is_dead = True
        self.note(conversation, message_id, "dead_lettered", attempts=attempts)

    def lose(self, conversation: Conversation, message_id: str, cause: Cause) -> None:
        """Note that the message vanished. The first cause stays; a message answered later is not lost."""
        entry = self.entry(conversation, message_id)
        if entry.loss is None:
            entry.loss = cause.copy()
            entry.loss["at_ms"] = self._now_ms()
            self.note(conversation, message_id, "lost")

    def lose_at_end(self, conversation: Conversation, message_id: str, cause: Cause) -> None:
        """Note that the message waits where nothing reads it, as the end of the run shows. The first cause stays."""
        entry = self.entry(conversation, message_id)
        if entry.loss is None and not entry.answered_at_ms:
            entry.loss = cause.copy()
            self.note(conversation, message_id, "lost")

    def note(
        self, conversation: Conversation, message_id: str, code: StepCode, **values: Unpack[StepValues]
    ) -> None:
        """Add a step to a message's story."""
        self.changed_at_ms = now_ms = self._now_ms()
        self.entry(conversation, message_id).story.append(Step(at_ms=now_ms, code=code, **values))

    def _known(self, conversation: Conversation) -> Conversation:
        """Return an equal conversation that the ledger has already, so that it takes memory only once."""
        messages = self._entries.get(conversation)
        return next(iter(messages.values())).conversation if messages else conversation

    def _latest_batch(self, conversation: Conversation, ids: Sequence[str]) -> Batch | None:
        wanted = set(ids)
        batches = reversed(self._batches_of.get(conversation, ()))
        return next((batch for batch in batches if not wanted.isdisjoint(batch.ids)), None)
