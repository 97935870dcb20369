"""Custody: the stored messages of a system other than the queue that no batch has taken yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from reports.results.causes import Cause
from sim.engine.ledger import Conversation, Ledger

SHARED_KEY = Cause(code="shared_key")


class Message(NamedTuple):
    """One delivery of a message, with the conversation that it belongs to, even under another's key."""

    conversation: Conversation
    id: str
    delivery: int
    """Number of the webhook call, which differs between two deliveries of an id."""


class Custody:
    """The stored messages that wait for the AI, by their keys in Redis, or in the memory of a system without Redis.

    A message is in custody from the write that stored it until a batch claims it or it is lost.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: dict[str, dict[Message, None]] = {}

    def store(self, key: str, message: Message) -> None:
        """Record that the message was stored under `key`."""
        self._waiting.setdefault(key, {})[message] = None
        self._ledger.stored(message.conversation, message.id)

    def take_back(self, key: str, messages: Iterable[Message]) -> None:
        """Record that claimed messages are still in Redis after their processor has died."""
        self._waiting.setdefault(key, {}).update(dict.fromkeys(messages))

    def claim(
        self,
        key: str,
        conversation: Conversation,
        messages: Sequence[Message],
        trigger: str,
        due_ms: int | None,
        *,
        others_lost: Cause = SHARED_KEY,
    ) -> list[str]:
        """Record that a handler answers the messages in `conversation`; returns the ids that belong to it.

        `due_ms` is the due time by the system's rule. Messages of another conversation that shares the key are lost
        for the reason `others_lost`, because their answer goes elsewhere.
        """
        for message in messages:
            self._waiting.get(key, {}).pop(message, None)
        ids = [message.id for message in messages if message.conversation == conversation]
        if ids:
            self._ledger.claimed(conversation, ids, trigger, due_ms)
        others = [message for message in messages if message.conversation != conversation]
        self.lose(key, others, others_lost)
        return ids

    def lose(self, key: str, messages: Iterable[Message], cause: Cause) -> None:
        """Record that these messages are lost, and why.

        A message is not lost while another delivery of it waits.
        """
        for message in messages:
            waiting = self._waiting.get(key, {})
            waiting.pop(message, None)
            if all(other[:2] != message[:2] for other in waiting):
                self._ledger.lose(message.conversation, message.id, cause)

    def waiting(self, key: str) -> tuple[Message, ...]:
        """Return the messages in custody under a key, in the order in which they were stored."""
        return tuple(self._waiting.get(key, {}))

    def storage_keys(self) -> tuple[str, ...]:
        """Return the keys under which messages were stored."""
        return tuple(self._waiting)

    def all_waiting(self) -> dict[Conversation, list[str]]:
        """Return every conversation that has messages in custody, with their ids."""
        waiting: dict[Conversation, list[str]] = {}
        for messages in self._waiting.values():
            for message in messages:
                waiting.setdefault(message.conversation, []).append(message.id)
        return waiting
