"""Witness of a buffer: notes why a message gets lost, at the moment it happens."""

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
"""Ids that the processor at work has handed to the AI."""


class BufferedMessage(msgspec.Struct, frozen=True):
    """A message inside a buffer; `at_ms` is the time at its webhook, `delivery` a number of its own."""

    delivery: int
    instance: str
    phone: str
    id: str
    text: str
    at_ms: int

    @property
    def identity(self) -> Message:
        """Which delivery of whose message it is."""
        return Message(Conversation(self.instance, self.phone), self.id, self.delivery)


DECODER = msgspec.json.Decoder(Buffer[BufferedMessage])


class BufferWitness:
    """Sees every write of a buffer and knows who will still look at it.

    Duties: say when a message is stored; say that it is lost when a write drops it, when its buffer is marked
    as processed, when its buffer expires, and when the last one who could have read its buffer is gone.
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
        """Inside, something is at work that may yet read the buffer or start a timer that will."""
        self.attend(key)
        try:
            yield
        finally:
            self.leave(key)

    def attend(self, key: str) -> None:
        """One more webhook, timer or processor is at work on the buffer."""
        self._attention[key] = self._attention.get(key, 0) + 1

    def leave(self, key: str) -> None:
        """One less; when it was the last, what still waits in the buffer waits for nobody."""
        self._attention[key] -= 1
        waiting = self.custody.waiting(key)
        if self._attention[key] > 0 or not waiting:
            return
        held = _contents(self._redis.peek("GET", key))
        self.custody.lose(key, [one for one in waiting if one not in held], self._expired())
        cause = self._broken.get(key, Cause(code="written_back_unread"))
        self.custody.lose(key, [one for one in waiting if one in held], cause)

    def nobody_reads(self, key: str, cause: Cause) -> None:
        """The timer of the present buffer is gone, for the reason given."""
        self._broken[key] = cause

    def claim(self, key: str, asked: Conversation, messages: Sequence[Message], due_ms: int) -> list[str]:
        """The processor has the messages in hand, to answer `asked`. Returns the ids that are really of it."""
        ids = self.custody.claim(key, asked, messages, "timer", due_ms)
        _answering.set(tuple(dict.fromkeys(ids)))
        return ids

    def _expired(self) -> Cause:
        return Cause(code="buffer_expired", ttl_s=self._ttl_s)

    def _observe(self, key: str, before: Any, after: Any, client: object) -> None:
        if not key.startswith(KEY_PREFIX) or after is None:
            return
        new = DECODER.decode(after)
        known, has = _contents(before), _contents(after)
        added = [message for message in has if message not in known]
        waited = self.custody.waiting(key)
        gone = [message for message in waited if message not in has]
        self.custody.lose(key, [one for one in gone if one not in known], self._expired())
        self.custody.lose(key, [one for one in gone if one in known], self._overwritten(new, added))
        if new.processed:
            marked = Cause(code="marked_unread", answering=list(_answering.get()))
            self.custody.lose(key, [one for one in waited if one in has], marked)
            return
        if not known.keys() & has.keys():
            self._broken.pop(key, None)
        for message in added:
            self.custody.store(key, message)

    def _overwritten(self, new: Buffer[BufferedMessage], added: list[Message]) -> Cause:
        if new.processed:
            return Cause(code="overwritten_by_mark", answering=list(_answering.get()))
        return Cause(code="overwritten_by_webhook", writers=[message.id for message in added])


def _contents(value: str | None) -> dict[Message, None]:
    """The messages in what Redis holds as a buffer."""
    return {} if value is None else dict.fromkeys(one.identity for one in DECODER.decode(value).messages)
