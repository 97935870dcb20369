"""The witness of a buffer, which records each loss and its cause at the moment it happens."""

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
"""Ids that this task's processor has passed to the AI."""


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
    """An observer of all writes to buffers. It counts each buffer's readers: webhooks, timers and processors.

    A message is stored when a write adds it. It is lost when a write drops it, when its buffer is marked as
    processed, when its buffer expires, and when the last reader of its buffer has gone.
    """

    def __init__(self, world: World, redis: RestRedis, ttl_s: int) -> None:
        self._ttl_s = ttl_s
        self._readers: dict[str, int] = {}
        self._timer_failures: dict[str, Cause] = {}
        self._redis = redis
        self._redis.watch(self._observe)
        self.custody = Custody(world.ledger)

    @contextmanager
    def reading(self, key: str) -> Iterator[None]:
        """Count one more reader during the block, which may read the buffer or start its timer."""
        self.add_reader(key)
        try:
            yield
        finally:
            self.remove_reader(key)

    def add_reader(self, key: str) -> None:
        """Count one more reader of the buffer: a webhook, timer or processor."""
        self._readers[key] = self._readers.get(key, 0) + 1

    def remove_reader(self, key: str) -> None:
        """Count one reader less. After the last reader, the messages that still wait in the buffer are lost."""
        self._readers[key] -= 1
        waiting = self.custody.waiting(key)
        if self._readers[key] > 0 or not waiting:
            return
        held = _contents(self._redis.peek("GET", key))
        self.custody.lose(key, [message for message in waiting if message not in held], self._expired())
        cause = self._timer_failures.get(key, Cause(code="written_back_unread"))
        self.custody.lose(key, [message for message in waiting if message in held], cause)

    def died(self) -> None:
        """Record that all readers are gone with their process, and what waits in their buffers is lost."""
        cause = Cause(code="process_died")
        for key in self._readers:
            self.custody.lose(key, self.custody.waiting(key), cause)
        self._timer_failures.update(dict.fromkeys(self._readers, cause))
        self._readers.clear()

    def lost_writes(self) -> None:
        """Record the messages that Redis no longer has."""
        for key in self.custody.storage_keys():
            held = _contents(self._redis.peek("GET", key))
            gone = [message for message in self.custody.waiting(key) if message not in held]
            self.custody.lose(key, gone, Cause(code="redis_lost_writes"))

    def timer_failed(self, key: str, cause: Cause) -> None:
        """Record why the buffer's timer will not read it."""
        self._timer_failures[key] = cause

    def claim(self, key: str, user: Conversation, messages: Sequence[Message], due_ms: int) -> list[str]:
        """Record that the processor answers the messages to `user`; returns the ids that belong to the user."""
        ids = self.custody.claim(key, user, messages, "timer", due_ms)
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
            self._timer_failures.pop(key, None)
        for message in added:
            self.custody.store(key, message)

    def _overwritten(self, new: Buffer[BufferedMessage], added: list[Message]) -> Cause:
        if new.processed:
            return Cause(code="overwritten_by_mark", answering=list(_answering.get()))
        return Cause(code="overwritten_by_webhook", writers=[message.id for message in added])


def _contents(value: str | None) -> dict[Message, None]:
    """Return the messages in a buffer's value in Redis."""
    return {} if value is None else dict.fromkeys(entry.identity for entry in DECODER.decode(value).messages)
