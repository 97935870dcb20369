"""Custody: the messages that Redis holds for the old systems and that no batch has taken yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from reports.results.causes import Cause
from sim.engine.ledger import Conversation, Ledger


class Message(NamedTuple):
    """One delivery of a message, by the conversation that it belongs to, whatever key it lies under."""

    conversation: Conversation
    id: str
    delivery: int
    """Number of the webhook call: a second delivery of an id has another."""


class Custody:
    """The stored messages that still wait, by key, to be handed to the AI.

    A message is in custody from the write that put it into Redis until a batch claims it or it is lost.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: dict[str, dict[Message, None]] = {}

    def store(self, key: str, message: Message) -> None:
        """Note that Redis holds the message under `key` from now on."""
        self._waiting.setdefault(key, {})[message] = None
        self._ledger.stored(message.conversation, message.id)

    def take_back(self, key: str, messages: Iterable[Message]) -> None:
        """Note that these claimed messages are still in Redis after their processor has died."""
        self._waiting.setdefault(key, {}).update(dict.fromkeys(messages))

    def claim(
        self,
        key: str,
        conversation: Conversation,
        messages: Sequence[Message],
        trigger: str,
        due_ms: int | None,
    ) -> list[str]:
        """Note that a handler has taken the messages to answer `conversation`; returns the ids that are really of it.

        `due_ms` is when they were due by the system's own rule. Where two conversations share a key, the other's
        messages are answered to the wrong user: lost.
        """
        for message in messages:
            self._waiting.get(key, {}).pop(message, None)
        ids = [message.id for message in messages if message.conversation == conversation]
        if ids:
            self._ledger.claimed(conversation, ids, trigger, due_ms)
        foreign = [message for message in messages if message.conversation != conversation]
        self.lose(key, foreign, Cause(code="shared_key"))
        return ids

    def lose(self, key: str, messages: Iterable[Message], cause: Cause) -> None:
        """Note that nobody will read these messages again, and why.

        A message of which another delivery still waits is not lost.
        """
        for message in messages:
            waiting = self._waiting.get(key, {})
            waiting.pop(message, None)
            if all(other[:2] != message[:2] for other in waiting):
                self._ledger.lose(message.conversation, message.id, cause)

    def waiting(self, key: str) -> tuple[Message, ...]:
        """Return the messages in custody under a key, in the order in which they were stored."""
        return tuple(self._waiting.get(key, {}))

    def all_waiting(self) -> dict[Conversation, list[str]]:
        """Return every conversation that has messages in custody, with their ids."""
        waiting: dict[Conversation, list[str]] = {}
        for messages in self._waiting.values():
            for message in messages:
                waiting.setdefault(message.conversation, []).append(message.id)
        return waiting
