"""The witness of a list, which records each loss and its cause at the moment it happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import msgspec

from reports.results.causes import Cause, RewriteStep
from sim.engine.ledger import Conversation
from sim.engine.rest import RestRedis
from sim.engine.world import World
from sim.witness.custody import Custody, Message

KEY_PREFIX = "msg_queue:"
KEY_PARTS = 3
"""Number of parts of a key, separated by colons; the scheduler ignores keys with more."""
LIST_TTL_S = 3600

_step: ContextVar[RewriteStep | None] = ContextVar("list_rewrite_step", default=None)


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """An element of a list: one delivery of a message. The list makes `entry_id`, the provider makes `id`."""

    entry_id: int
    instance: str
    phone: str
    id: str
    text: str
    added_ms: int
    status: Literal["pending", "processing"] = "pending"
    processing_since_ms: int | None = None
    retry_count: int = 0

    @property
    def identity(self) -> Message:
        """Return the conversation, id and delivery of the message."""
        return Message(Conversation(self.instance, self.phone), self.id, self.entry_id)


def decode(values: Sequence[str] | None) -> list[Entry]:
    """Decode the entries of a list, in Redis's order; a missing key has none."""
    return [msgspec.json.decode(value, type=Entry) for value in values or ()]


def encode(entry: Entry) -> str:
    """Encode an entry for Redis."""
    return msgspec.json.encode(entry).decode()


class ListWitness:
    """An observer of all writes to lists.

    A message is stored when a write adds it. It is lost when a rewrite drops it before a handler has taken it, and
    when its list expires.
    """

    def __init__(self, world: World, redis: RestRedis) -> None:
        self._keys: dict[str, None] = {}
        self._crashed: set[Message] = set()
        self._redis = redis
        self._redis.watch(self._observe)
        self.custody = Custody(world.ledger)

    @contextmanager
    def rewriting(self, step: RewriteStep) -> Iterator[None]:
        """Mark the writes of this task inside the block as part of `step`."""
        token = _step.set(step)
        try:
            yield
        finally:
            _step.reset(token)

    def crashed(self, key: str, messages: Sequence[Message]) -> None:
        """Record that the processor of these messages has died; they stay in the list as `processing`."""
        self._crashed.update(messages)
        self.custody.take_back(key, messages)

    def lost_writes(self) -> None:
        """Record the messages that Redis no longer has, and those that it has again."""
        for key in self._keys:
            held = _contents(self._redis.peek("LRANGE", key, 0, -1))
            gone = [message for message in self.custody.waiting(key) if message not in held]
            self.custody.lose(key, gone, Cause(code="redis_lost_writes"))
            self.custody.take_back(key, held)

    def sweep(self) -> None:
        """Record messages that have expired since the last write to their lists."""
        for key in self._keys:
            waiting = self.custody.waiting(key)
            if waiting:
                held = _contents(self._redis.peek("LRANGE", key, 0, -1))
                self.custody.lose(key, [message for message in waiting if message not in held], _expired(key))

    def _observe(self, key: str, before: Any, after: Any, client: object) -> None:
        if not key.startswith(KEY_PREFIX):
            return
        self._keys[key] = None
        old, new = _contents(before), _contents(after)
        gone = [message for message in self.custody.waiting(key) if message not in new]
        self.custody.lose(key, [message for message in gone if message not in old], _expired(key))
        step = _step.get()
        for message in gone:
            if message in old and step is not None:
                self.custody.lose(key, [message], self._dropped(message, step))
        if step is None:
            for message in new:
                if message not in old:
                    self.custody.store(key, message)

    def _dropped(self, message: Message, step: RewriteStep) -> Cause:
        return Cause(code="dropped_after_crash" if message in self._crashed else "dropped_unread", step=step)


def _contents(values: Sequence[str] | None) -> dict[Message, None]:
    return dict.fromkeys(entry.identity for entry in decode(values))


def _expired(key: str) -> Cause:
    is_hidden = len(key.split(":")) != KEY_PARTS
    return Cause(code="list_hidden" if is_hidden else "list_expired", ttl_s=LIST_TTL_S)
