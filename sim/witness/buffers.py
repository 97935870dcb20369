"""Why a message in a buffer gets lost, told at the moment it happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from queue_core.legacy.buffer import Buffer
from sim.engine.ledger import Conversation
from sim.engine.rest import RestRedis
from sim.engine.world import World
from sim.witness.custody import Custody, Message

KEY_PREFIX = "msg_buffer:"
NO_TIMER = "in a buffer that was written back as unprocessed after its timer had run: none is left to read it"


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
        self._world = world
        self._ttl_s = ttl_s
        self._attention: dict[str, int] = {}
        self._broken: dict[str, str] = {}
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
        self.custody.lose(key, [one for one in waiting if one in held], self._broken.get(key, NO_TIMER))

    def nobody_reads(self, key: str, cause: str) -> None:
        """The timer of the present buffer is gone, for the reason given."""
        self._broken[key] = cause

    def _expired(self) -> str:
        return f"its buffer expired, {self._ttl_s} s after the last write, before anybody read the message"

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
            self.custody.lose(key, [one for one in waited if one in has], self._marked())
            return
        if not known.keys() & has.keys():
            self._broken.pop(key, None)
        for message in added:
            self.custody.store(key, message)

    def _overwritten(self, new: Buffer[BufferedMessage], added: list[Message]) -> str:
        at = f"overwritten by a concurrent write at {self._world.now_ms()} ms: "
        if new.processed:
            return at + "the processor marked the buffer as processed, and wrote it back as it was before"
        writers = ", ".join(message.id for message in added)
        return at + f"the webhook of {writers} had read the buffer before this message was in it"

    def _marked(self) -> str:
        at = f"in a buffer that was marked processed at {self._world.now_ms()} ms: "
        return at + "it came after the processor had read the buffer"


def _contents(value: str | None) -> dict[Message, None]:
    """The messages in what Redis holds as a buffer."""
    return {} if value is None else dict.fromkeys(one.identity for one in DECODER.decode(value).messages)
