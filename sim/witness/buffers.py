"""The witness of a buffer: notes each loss, with its cause, at the moment it happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec

from queue_core.legacy.buffer import Buffer
from reports.results.causes import Cause
from sim.engine.ledger import Conversation
from sim.engine.rest import RestRedis
from sim.engine.world import World
from sim.witness.custody import Custody, Message

KEY_PREFIX = "msg_buffer:"

_answering: ContextVar[tuple[str, ...]] = ContextVar("answering", default=())
"""Ids that the present processor has handed to the AI."""


class BufferedMessage(msgspec.Struct, frozen=True):
    """A message inside a buffer; `at_ms` is the time at its webhook, `delivery` the number of the webhook call."""

    delivery: int
    instance: str
    phone: str
    id: str
    text: str
    at_ms: int

    @property
    def identity(self) -> Message:
        """Return the conversation, id and delivery of the message."""
        return Message(Conversation(self.instance, self.phone), self.id, self.delivery)


DECODER = msgspec.json.Decoder(Buffer[BufferedMessage])


class BufferWitness:
    """An observer of every write of a buffer, which counts the webhooks, timers and processors that may still read it.

    It notes that a message is stored, and that it is lost: when a write drops it, when its buffer is marked as
    processed, when its buffer expires, and when the last reader of its buffer has gone.
    """

    def __init__(self, world: World, redis: RestRedis, ttl_s: int) -> None:
        self._ttl_s = ttl_s
        self._attention: dict[str, int] = {}
        self._broken: dict[str, Cause] = {}
        self._redis = redis
        self._redis.watch(self._observe)
        self.custody = Custody(world.ledger)

    @contextmanager
    def attending(self, key: str) -> Iterator[None]:
        """Count a reader for the time of the block: it may read the buffer, or start a timer that will."""
        self.attend(key)
        try:
            yield
        finally:
            self.leave(key)

    def attend(self, key: str) -> None:
        """Count one more reader of the buffer: a webhook, timer or processor."""
        self._attention[key] = self._attention.get(key, 0) + 1

    def leave(self, key: str) -> None:
        """Count one reader less; after the last, the messages that still wait in the buffer are lost."""
        self._attention[key] -= 1
        waiting = self.custody.waiting(key)
        if self._attention[key] > 0 or not waiting:
            return
        held = _contents(self._redis.peek("GET", key))
        self.custody.lose(key, [message for message in waiting if message not in held], self._expired())
        cause = self._broken.get(key, Cause(code="written_back_unread"))
        self.custody.lose(key, [message for message in waiting if message in held], cause)

    def nobody_reads(self, key: str, cause: Cause) -> None:
        """Note that the timer of the present buffer has gone, and why."""
        self._broken[key] = cause

    def claim(self, key: str, asked: Conversation, messages: Sequence[Message], due_ms: int) -> list[str]:
        """Note that the processor has taken the messages to answer `asked`; returns the ids that are really of it."""
        ids = self.custody.claim(key, asked, messages, "timer", due_ms)
        _answering.set(tuple(dict.fromkeys(ids)))
        return ids

    def _expired(self) -> Cause:
        return Cause(code="buffer_expired", ttl_s=self._ttl_s)

    def _observe(self, key: str, before: Any, after: Any, client: object) -> None:
        if not key.startswith(KEY_PREFIX) or after is None:
            return
        new = DECODER.decode(after)
        old, now = _contents(before), _contents(after)
        added = [message for message in now if message not in old]
        waiting = self.custody.waiting(key)
        gone = [message for message in waiting if message not in now]
        self.custody.lose(key, [message for message in gone if message not in old], self._expired())
        overwritten = [message for message in gone if message in old]
        self.custody.lose(key, overwritten, self._overwritten(new, added))
        if new.processed:
            marked = Cause(code="marked_unread", answering=list(_answering.get()))
            self.custody.lose(key, [message for message in waiting if message in now], marked)
            return
        if not old.keys() & now.keys():
            self._broken.pop(key, None)
        for message in added:
            self.custody.store(key, message)

    def _overwritten(self, new: Buffer[BufferedMessage], added: list[Message]) -> Cause:
        if new.processed:
            return Cause(code="overwritten_by_mark", answering=list(_answering.get()))
        return Cause(code="overwritten_by_webhook", writers=[message.id for message in added])


def _contents(value: str | None) -> dict[Message, None]:
    """Return the messages of a buffer as Redis holds it."""
    return {} if value is None else dict.fromkeys(entry.identity for entry in DECODER.decode(value).messages)
