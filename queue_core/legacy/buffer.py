"""Legacy buffer, which the queue replaces. It is kept for replays and for the switch back, and it loses messages.

Taken from the public source of the bot that the incident happened in (AbdelrahimE/convgo, commits b5064e9, buffer-v1,
and f0f2b68, buffer-v2): the order of its Redis calls, its constants, timers, retries and log lines. The simulator
replays recordings against this code, and a deployment with `USE_QUEUE_SYSTEM=false` runs it (`switch_back.py`).

Its known losses are kept on purpose:

- a message that comes while the AI is answering: it goes into the buffer, which is then marked as processed;
- a message whose write is overwritten by another write at the same moment;
- a turn on which the AI or the sending fails: its buffer is marked as processed nevertheless;
- a buffer whose timer died with its process, or could not reach the processor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar

import msgspec

from queue_core.errors import QueueUnavailableError

Conversation = tuple[str, str]
"""Instance and phone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferRules:
    """Constants of one version of the buffer."""

    buffer_ttl_s: int
    """Time from the last write to a buffer until it expires."""
    processed_ttl_s: int
    """Time from the mark as processed until the buffer expires."""
    delay_ms: int = 8_000
    """Time from the webhook that created a buffer to the call that has it processed."""
    call_retries_ms: tuple[int, ...] = ()
    """Waits before a timer's failed call of the processor is made again."""
    lock_ms: int = 0
    """Time after which the lock of additions and marks expires; 0 means no lock."""
    add_waits_ms: tuple[int, ...] = ()
    """Waits between the tries to get the lock for an addition; after the last try it is done without the lock."""
    mark_waits_ms: tuple[int, ...] = ()
    """Waits between the tries to get the lock for a mark; after the last try it is done without the lock."""
    grace_ms: tuple[int, int] = (0, 0)
    """Ages of a buffer between which an addition first waits `grace_wait_ms` and reads the buffer again."""
    grace_wait_ms: int = 0
    """Length of that wait; 0 means no wait."""


BUFFER_V1 = BufferRules(buffer_ttl_s=15, processed_ttl_s=30)
BUFFER_V2 = BufferRules(
    buffer_ttl_s=60,
    processed_ttl_s=300,
    call_retries_ms=(1_000, 2_000, 4_000),
    lock_ms=3_000,
    add_waits_ms=(50, 100),
    mark_waits_ms=(100,),
    grace_ms=(7_500, 8_500),
    grace_wait_ms=200,
)


class Arrived(Protocol):
    """Message as the buffer sees it."""

    @property
    def at_ms(self) -> int:
        """Return the time at which the webhook came."""
        ...


MessageType = TypeVar("MessageType", bound=Arrived)
MessageType_contra = TypeVar("MessageType_contra", bound=Arrived, contravariant=True)


class Buffer(msgspec.Struct, Generic[MessageType], frozen=True):
    """Value of a buffer's key: never empty, in the order of the writes."""

    messages: Annotated[tuple[MessageType, ...], msgspec.Meta(min_length=1)]
    processed: bool = False

    @property
    def first_ms(self) -> int:
        """Return the time at which the first message came."""
        return self.messages[0].at_ms

    @property
    def timespan_ms(self) -> int:
        """Return the time from the first to the last message."""
        return self.messages[-1].at_ms - self.first_ms


class CallFailedError(Exception):
    """Raised by `BufferHost.call_processor`: the processor was not reached, or did not finish."""


class TurnFailedError(Exception):
    """Raised by `BufferHost.answer`: the user got no reply."""


class BufferHost(Protocol[MessageType_contra]):
    """Environment of the buffer: Redis, clock, timers, AI and log, all of which may be simulated.

    The calls of Redis raise QueueUnavailableError when it does not answer.
    """

    def buffer_key(self, conversation: Conversation) -> str:
        """Return the key of the conversation's buffer."""
        ...

    def lock_key(self, conversation: Conversation) -> str:
        """Return the key of the conversation's lock."""
        ...

    async def get(self, key: str) -> bytes | str | None:
        """Run GET."""
        ...

    async def set_with_expiry(self, key: str, value: bytes, ttl_s: int) -> None:
        """Run SETEX."""
        ...

    async def set_if_absent(self, key: str, value: str, ttl_ms: int) -> bool:
        """Run SET NX PX. Returns True when the key was set."""
        ...

    async def delete(self, key: str) -> None:
        """Run DEL."""
        ...

    def now_ms(self) -> int:
        """Return the time, on the scale of `Arrived.at_ms`."""
        ...

    async def sleep_ms(self, wait_ms: int) -> None:
        """Return after the wait."""
        ...

    def start_timer(
        self, conversation: Conversation, timer: Callable[[], Coroutine[Any, Any, None]], attempt: int
    ) -> None:
        """Run a timer in the background of this process; `attempt` is the number of the call it will make."""
        ...

    async def call_processor(self, process: Callable[[], Awaitable[None]]) -> None:
        """Have a buffer processed. Raises CallFailedError."""
        ...

    async def answer(
        self, conversation: Conversation, messages: Sequence[MessageType_contra], due_ms: int
    ) -> None:
        """Ask the AI and send its reply; `messages` are sorted by arrival. Raises TurnFailedError."""
        ...

    def gave_up(self, conversation: Conversation, calls: int) -> None:
        """Note that the last call for a buffer failed: nobody will read it."""
        ...

    def log(self, event: str, **fields: int | str) -> None:
        """Write a line into the log."""
        ...


class LegacyBuffer(Generic[MessageType]):
    """Buffer that gathers a turn; a timer in the webhook's own process has it answered 8 s later."""

    def __init__(
        self,
        host: BufferHost[MessageType],
        rules: BufferRules,
        decoder: msgspec.json.Decoder[Buffer[MessageType]],
    ) -> None:
        self._host = host
        self._rules = rules
        self._decoder = decoder

    async def add(self, conversation: Conversation, message: MessageType) -> None:
        """Add a message that came just now. If this creates the buffer, start the timer.

        Raises QueueUnavailableError; the message may be in the buffer nevertheless.
        """
        async with self._lock(conversation, self._rules.add_waits_ms):
            created = await self._append(conversation, message)
        if created:
            self._start_first_timer(conversation, message)

    async def read(self, conversation: Conversation) -> Buffer[MessageType] | None:
        """Return the buffer of a conversation; None when there is no value, or it is not a buffer."""
        value = await self._host.get(self._host.buffer_key(conversation))
        if value is None:
            return None
        try:
            return self._decoder.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._host.log("buffer.unreadable")
            return None

    async def _append(self, conversation: Conversation, message: MessageType) -> bool:
        before = await self._read_for_add(conversation)
        created = before is None or before.processed
        if before is None or before.processed:
            buffer = Buffer((message,))
            self._host.log("buffer.created", totalMessages=1)
        else:
            buffer = Buffer((*before.messages, message))
            timespan_ms = message.at_ms - before.first_ms
            self._host.log("buffer.appended", totalMessages=len(buffer.messages), timespan=timespan_ms)
        try:
            await self._write(conversation, buffer, self._rules.buffer_ttl_s)
        except QueueUnavailableError:
            # If the write was carried out, the message, delivered again, finds a buffer and starts no timer.
            if created:
                self._start_first_timer(conversation, message)
            raise
        return created

    async def _read_for_add(self, conversation: Conversation) -> Buffer[MessageType] | None:
        """Return the buffer; from v2 on, a buffer that is about to be processed is read again a moment later."""
        buffer = await self.read(conversation)
        if buffer is None or buffer.processed or not self._rules.grace_wait_ms:
            return buffer
        age_ms = self._host.now_ms() - buffer.first_ms
        from_ms, to_ms = self._rules.grace_ms
        if not from_ms <= age_ms <= to_ms:
            return buffer
        self._host.log("buffer.grace_wait", age=age_ms)
        await self._host.sleep_ms(self._rules.grace_wait_ms)
        return await self.read(conversation)

    async def _write(self, conversation: Conversation, buffer: Buffer[MessageType], ttl_s: int) -> None:
        key = self._host.buffer_key(conversation)
        await self._host.set_with_expiry(key, msgspec.json.encode(buffer), ttl_s)

    # The timer.

    def _start_first_timer(self, conversation: Conversation, message: MessageType) -> None:
        delay_ms = self._rules.delay_ms
        self._start_timer(conversation, message.at_ms + delay_ms, delay_ms, attempt=1)

    def _start_timer(self, conversation: Conversation, due_ms: int, delay_ms: int, attempt: int) -> None:
        self._host.start_timer(
            conversation, lambda: self._timer(conversation, due_ms, delay_ms, attempt), attempt
        )

    async def _timer(self, conversation: Conversation, due_ms: int, delay_ms: int, attempt: int) -> None:
        await self._host.sleep_ms(delay_ms)
        try:
            await self._host.call_processor(lambda: self._process(conversation, due_ms))
        except CallFailedError:
            self._host.log("timer.call_failed", attempt=attempt)
            retries_ms = self._rules.call_retries_ms
            if attempt <= len(retries_ms):
                self._start_timer(conversation, due_ms, retries_ms[attempt - 1], attempt + 1)
            else:
                self._host.gave_up(conversation, attempt)

    # The processor.

    async def _process(self, conversation: Conversation, due_ms: int) -> None:
        buffer = await self.read(conversation)
        if buffer is None or buffer.processed:
            self._host.log("buffer.nothing_to_do", reason="none" if buffer is None else "processed")
            return
        self._host.log("buffer.read", messageCount=len(buffer.messages), timespan=buffer.timespan_ms)
        messages = sorted(buffer.messages, key=lambda message: message.at_ms)
        try:
            await self._host.answer(conversation, messages, due_ms)
        except TurnFailedError:
            self._host.log("ai.failed", messageCount=len(messages))
        try:
            async with self._lock(conversation, self._rules.mark_waits_ms):
                await self._mark_processed(conversation)
        except QueueUnavailableError:
            # Not reported as a failed call: another call would answer a second time.
            self._host.log("buffer.mark_failed")

    async def _mark_processed(self, conversation: Conversation) -> None:
        """Mark the buffer as processed, with the messages that came while the AI was answering."""
        buffer = await self.read(conversation)
        if buffer is None:
            self._host.log("buffer.expired_before_mark")
            return
        marked = msgspec.structs.replace(buffer, processed=True)
        await self._write(conversation, marked, self._rules.processed_ttl_s)
        self._host.log("buffer.marked_processed", totalMessages=len(buffer.messages))

    # The lock.

    @asynccontextmanager
    async def _lock(self, conversation: Conversation, waits_ms: Sequence[int]) -> AsyncIterator[None]:
        """Try to get the lock, `waits_ms` apart, and continue without it when all tries failed."""
        if not self._rules.lock_ms:
            yield
            return
        key = self._host.lock_key(conversation)
        held = await self._try_lock(key)
        for wait_ms in waits_ms:
            if held:
                break
            await self._host.sleep_ms(wait_ms)
            held = await self._try_lock(key)
        if not held:
            self._host.log("lock.given_up", tries=len(waits_ms) + 1)
        yield
        if held:
            await self._unlock(key)

    async def _try_lock(self, key: str) -> bool:
        return await self._host.set_if_absent(key, "locked", self._rules.lock_ms)

    async def _unlock(self, key: str) -> None:
        """Delete the lock, which may have expired and belong to another process by now."""
        try:
            await self._host.delete(key)
        except QueueUnavailableError:
            self._host.log("lock.not_released")  # the work under it is done; the lock expires by itself
