"""Why a message in a buffer gets lost, told at the moment it happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from sim.ledger import Conversation
from sim.rest import RestRedis
from sim.systems._custody import Custody, Message
from sim.world import World

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


class Buffer(msgspec.Struct, frozen=True):
    """The value of a buffer's key: never empty, in the order of the writes."""

    messages: tuple[BufferedMessage, ...]
    processed: bool = False

    @property
    def first_ms(self) -> int:
        """When the message came that the buffer was created for."""
        return self.messages[0].at_ms

    @property
    def timespan_ms(self) -> int:
        """From the first to the last message."""
        return self.messages[-1].at_ms - self.first_ms


def decode(value: str | None) -> Buffer | None:
    """The buffer that Redis holds as `value`; None stays None."""
    return None if value is None else msgspec.json.decode(value, type=Buffer)


def encode(buffer: Buffer) -> str:
    """What Redis stores for a buffer."""
    return msgspec.json.encode(buffer).decode()


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
        held = _contents(decode(self._redis.peek("GET", key)))
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
        new = msgspec.json.decode(after, type=Buffer)
        known, has = _contents(decode(before)), _contents(new)
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

    def _overwritten(self, new: Buffer, added: list[Message]) -> str:
        at = f"overwritten by a concurrent write at {self._world.now_ms()} ms: "
        if new.processed:
            return at + "the processor marked the buffer as processed, and wrote it back as it was before"
        writers = ", ".join(message.id for message in added)
        return at + f"the webhook of {writers} had read the buffer before this message was in it"

    def _marked(self) -> str:
        at = f"in a buffer that was marked processed at {self._world.now_ms()} ms: "
        return at + "it came after the processor had read the buffer"


def _contents(buffer: Buffer | None) -> dict[Message, None]:
    return {} if buffer is None else dict.fromkeys(message.identity for message in buffer.messages)
