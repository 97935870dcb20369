"""Witness of a list: notes why a message gets lost, at the moment it happens."""

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
"""The scheduler leaves out a key that does not split into so many parts at its colons."""
LIST_TTL_S = 3600

_step: ContextVar[RewriteStep | None] = ContextVar("list_rewrite_step", default=None)


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One element of a list, one delivery of a message. `entry_id` is the list's own, `id` the provider's."""

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
        """Which delivery of whose message it is."""
        return Message(Conversation(self.instance, self.phone), self.id, self.entry_id)


def decode(values: Sequence[str] | None) -> list[Entry]:
    """The entries of a list, in the order in which Redis holds them; none when the key is absent."""
    return [msgspec.json.decode(value, type=Entry) for value in values or ()]


def encode(entry: Entry) -> str:
    """What Redis stores for an entry."""
    return msgspec.json.encode(entry).decode()


class ListWitness:
    """Sees every write of a list.

    Duties: say when a message is stored; say that it is lost when a rewrite drops it before any handler had
    it in hand, and when its list has expired.
    """

    def __init__(self, world: World, redis: RestRedis) -> None:
        self._keys: dict[str, None] = {}
        self._crashed: set[Message] = set()
        self._redis = redis
        self._redis.watch(self._observe)
        self.custody = Custody(world.ledger)

    @contextmanager
    def rewriting(self, step: RewriteStep) -> Iterator[None]:
        """Writes of this task inside the block belong to `step`."""
        token = _step.set(step)
        try:
            yield
        finally:
            _step.reset(token)

    def crashed(self, key: str, messages: Sequence[Message]) -> None:
        """The processor that had these messages in hand is dead; they stay in the list as `processing`."""
        self._crashed.update(messages)
        self.custody.take_back(key, messages)

    def sweep(self) -> None:
        """Say what has expired since anybody wrote to the lists."""
        for key in self._keys:
            waiting = self.custody.waiting(key)
            if waiting:
                held = _contents(self._redis.peek("LRANGE", key, 0, -1))
                self.custody.lose(key, [one for one in waiting if one not in held], _expired(key))

    def _observe(self, key: str, before: Any, after: Any, client: object) -> None:
        if not key.startswith(KEY_PREFIX):
            return
        self._keys[key] = None
        known, has = _contents(before), _contents(after)
        gone = [message for message in self.custody.waiting(key) if message not in has]
        self.custody.lose(key, [one for one in gone if one not in known], _expired(key))
        step = _step.get()
        for message in gone:
            if message in known and step is not None:
                self.custody.lose(key, [message], self._dropped(message, step))
        if step is None:
            for message in has:
                if message not in known:
                    self.custody.store(key, message)

    def _dropped(self, message: Message, step: RewriteStep) -> Cause:
        return Cause(code="dropped_after_crash" if message in self._crashed else "dropped_unread", step=step)


def _contents(values: Sequence[str] | None) -> dict[Message, None]:
    return dict.fromkeys(entry.identity for entry in decode(values))


def _expired(key: str) -> Cause:
    is_hidden = len(key.split(":")) != KEY_PARTS
    return Cause(code="list_hidden" if is_hidden else "list_expired", ttl_s=LIST_TTL_S)
