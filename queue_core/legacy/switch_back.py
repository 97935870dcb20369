"""Switch back to the legacy buffer, on this deployment's Redis, and the ways from there into the queue.

With `USE_QUEUE_SYSTEM=false` new messages go to `LegacyIntake`, which runs buffer-v2 of `buffer.py`, with
its known losses. This module adds the way forward: `close` hands over to the queue what the process has
not answered, and `adopt_leftovers` takes over what a killed process left behind.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import msgspec

from queue_core.errors import InvalidMessageError, QueueError, QueueUnavailableError
from queue_core.legacy.buffer import (
    BUFFER_V2,
    CallFailedError,
    Conversation,
    LegacyBuffer,
    TurnFailedError,
)
from queue_core.legacy.store import DECODER, HandOver, LegacyStore, StoredMessage, decoded
from queue_core.message import Batch, QueueMessage, check_names, decode, encode
from queue_core.queue.changes import with_changes
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.replying import Handler, Sender, call_recorded, reply_of, send_reply
from queue_core.sent import SentPart
from queue_core.settings import QueueSettings
from queue_core.waiting import cancel_all, within

ORPHAN_AGE_MS = 20_000
"""Age of a buffer whose timer (8 s) and retries (7 s in all) are over, with 5 s to spare."""
ANSWERING_S = 30
"""Time for which a buffer is marked as being answered, even if the process that answers it is killed."""
ADOPTION_EVERY_S = 5.0
ADOPTION_PASSES_MAX = 15
"""Number of passes, 75 s in all, which is longer than a buffer lives (60 s)."""
HAND_OVERS_AT_ONCE = 64

Clock = Callable[[], int]
Sleep = Callable[[float], Awaitable[None]]

_WARNINGS = frozenset({"ai.failed", "buffer.mark_failed", "buffer.unreadable", "timer.call_failed"})

_log = logging.getLogger(__name__)


def unix_ms() -> int:
    """Return the time of this machine's clock."""
    return time.time_ns() // 1_000_000


class LegacyIntake:
    """Intake of messages into the legacy buffer; `handle` and `send` are those of the Processor.

    Messages are lost here as they were in the incident; `buffer.py` lists how. No messages are lost in other ways:
    `receive` raises unless the message is in Redis, and `close` hands over messages that were not answered.

    The buffer is in the Redis of `queue`, with its settings. `grace_s` is the longest time that `close` waits for turns
    that are being answered; tests replace `clock` (Unix ms) and `sleep` (seconds).
    """

    def __init__(
        self,
        queue: MessageQueue,
        handle: Handler,
        send: Sender,
        *,
        grace_s: float = 20.0,
        clock: Clock = unix_ms,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._settings = queue.settings
        self._grace_s = grace_s
        self._clock = clock
        self._store = LegacyStore(queue)
        self._host = _Host(self._store, self._settings, handle, send, clock, sleep)
        self._buffer = LegacyBuffer(self._host, BUFFER_V2, DECODER)
        self._adding: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """Count the conversations whose buffer waits for a timer of this process, or is being answered."""
        return len({turn.conversation for turn in self._host.turns.values()})

    async def receive(self, message: QueueMessage) -> Literal["buffered"]:
        """Put a message into its conversation's buffer.

        Raises InvalidMessageError for a message that can never be stored, and QueueUnavailableError when Redis fails or
        this process is ending: then deliver it again. It is answered twice if it was in the buffer after all: unlike
        the queue, the buffer does not detect duplicates.
        """
        check_names(message)
        message = msgspec.structs.replace(message, id=message.id or f"own-{uuid.uuid4().hex}")
        readable = decode(encode(message, self._settings.max_message_bytes))
        if readable is None:
            raise InvalidMessageError("the message cannot be read back from its stored form")
        if self._is_closed:
            raise QueueUnavailableError("this process is ending and takes no more messages")
        conversation = message.instance_name, message.user_phone
        stored = StoredMessage(readable, self._clock())
        adding = asyncio.create_task(self._buffer.add(conversation, stored), name="legacy-add")
        self._adding.add(adding)
        adding.add_done_callback(self._added)
        # A webhook that is cancelled must not leave a buffer without a timer.
        await asyncio.shield(adding)
        return "buffered"

    async def close(self, hand_over: HandOver | None) -> None:
        """End this process's part; call it once, when no more messages come. Does not raise for Redis.

        Turns that are being answered may finish, for `grace_s`. Timers are cancelled. Messages of their conversations
        that were not answered are handed over, and their buffers deleted: also messages that came during an answer, and
        turns whose answer failed or took too long (of these the user may see the reply twice). With None, or while
        Redis is away, the buffers stay for `adopt_leftovers`.
        """
        self._is_closed = True
        if self._adding:
            await asyncio.wait(self._adding)
        turns = await self._host.end(self._grace_s)
        if hand_over is None or not turns:
            return
        answered: dict[Conversation, set[str]] = {}
        for turn in turns:
            answered.setdefault(turn.conversation, set()).update(turn.answered)
        await self._hand_all_over(answered, hand_over)

    async def _hand_all_over(self, answered: dict[Conversation, set[str]], hand_over: HandOver) -> None:
        slots = asyncio.Semaphore(HAND_OVERS_AT_ONCE)
        failures: list[QueueError] = []

        async def move(conversation: Conversation, ids: set[str]) -> int:
            async with slots:
                if failures:  # Redis is away: no need to wait for it in every conversation
                    return 0
                try:
                    return await self._store.move(self._store.key("buffer", conversation), hand_over, ids)
                except QueueError as error:
                    failures.append(error)
                    return 0

        moved = await asyncio.gather(*(move(name, ids) for name, ids in answered.items()))
        _log.info("legacy buffer closed: messages handed over to the queue", extra={"messages": sum(moved)})
        if failures:
            _log.error(
                "not everything in the legacy buffer could be handed over; "
                "the next process that starts within a minute adopts it: %s",
                failures[0],
            )

    def _added(self, adding: asyncio.Task[None]) -> None:
        self._adding.discard(adding)
        if not adding.cancelled():
            adding.exception()  # read for asyncio: a cancelled webhook does not raise it


@dataclass(slots=True, eq=False)
class _Turn:
    """A turn that a timer task works on."""

    conversation: Conversation
    has_fired: bool = False
    answered: tuple[str, ...] = ()
    """Ids of the messages that the user got a reply to."""


class _Host:
    """BufferHost of a process: its Redis, its clock, its tasks, and the processor called directly."""

    def __init__(
        self,
        store: LegacyStore,
        settings: QueueSettings,
        handle: Handler,
        send: Sender,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._store = store
        self._settings = settings
        self._handle = handle
        self._send = send
        self._clock = clock
        self._sleep = sleep
        self._is_ending = False
        self.buffer_key = partial(store.key, "buffer")
        self.lock_key = partial(store.key, "lock")
        self.get = store.get
        self.set_with_expiry = store.set_with_expiry
        self.set_if_absent = store.set_if_absent
        self.delete = store.delete
        self.now_ms = clock
        self.turns: dict[asyncio.Task[None], _Turn] = {}

    async def end(self, grace_s: float) -> list[_Turn]:
        """End all timers, those that have fired after `grace_s` at the latest. Returns their turns."""
        self._is_ending = True
        turns = dict(self.turns)
        for task, turn in turns.items():
            if not turn.has_fired:
                task.cancel()
        fired = [task for task, turn in turns.items() if turn.has_fired]
        if fired:
            await asyncio.wait(fired, timeout=grace_s)
        await cancel_all(turns)
        return list(turns.values())

    async def sleep_ms(self, wait_ms: int) -> None:
        await self._sleep(wait_ms / 1000)

    def start_timer(
        self, conversation: Conversation, timer: Callable[[], Coroutine[Any, Any, None]], attempt: int
    ) -> None:
        """Start a timer, unless this process is ending: the buffer is handed over then."""
        if not self._is_ending:
            task = asyncio.create_task(timer(), name="legacy-timer")
            self.turns[task] = _Turn(conversation)
            task.add_done_callback(self._ended)

    async def call_processor(self, process: Callable[[], Awaitable[None]]) -> None:
        self._turn().has_fired = True
        try:
            await process()
        except QueueUnavailableError as error:
            raise CallFailedError(str(error)) from error

    async def answer(
        self, conversation: Conversation, messages: Sequence[StoredMessage], due_ms: int
    ) -> None:
        """Have the turn answered by handler and sender. Raises TurnFailedError.

        While the process ends, raises CallFailedError instead, so that the buffer stays and is handed over.
        """
        await self._mark_as_being_answered(conversation)
        batch = self._batch(conversation, messages, due_ms)
        ids = tuple(stored.message.id for stored in messages)
        if not batch.messages:  # the user deleted all of them
            self._turn().answered = ids
            return
        try:
            reply = reply_of(await within(self._settings.handler_timeout_ms, self._handle(batch)))
            if reply.text:
                limit_ms, sent_parts = self._settings.send_timeout_ms, list[SentPart]()
                await send_reply(self._send, batch, reply.text, limit_ms=limit_ms, sent_parts=sent_parts)
                await self._store.note_sent(batch, sent_parts)
            await call_recorded(reply, limit_ms=self._settings.handler_timeout_ms)
        except Exception as error:
            _log.warning("a turn of the legacy buffer was not answered: %s", type(error).__name__)
            if self._is_ending:
                raise CallFailedError(type(error).__name__) from error
            raise TurnFailedError(type(error).__name__) from error
        self._turn().answered = ids

    def gave_up(self, conversation: Conversation, calls: int) -> None:
        _log.error("a buffer could not be read in %d tries, and its messages are lost", calls)

    def log(self, event: str, **fields: int | str) -> None:
        _log.log(logging.WARNING if event in _WARNINGS else logging.INFO, "legacy %s", event, extra=fields)

    def _turn(self) -> _Turn:
        """Return the turn of the timer that calls this."""
        task = asyncio.current_task()
        assert task is not None
        return self.turns[task]

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self.turns[task]
        if not task.cancelled() and (error := task.exception()):
            _log.error("a timer of the legacy buffer ended with an error", exc_info=error)

    async def _mark_as_being_answered(self, conversation: Conversation) -> None:
        """Set a key that keeps other processes from adopting the buffer."""
        try:
            await self._store.set_with_expiry(self._store.key("answering", conversation), "1", ANSWERING_S)
        except QueueUnavailableError as error:
            _log.debug("not marked as being answered: %s", error)

    def _batch(self, conversation: Conversation, messages: Sequence[StoredMessage], due_ms: int) -> Batch:
        instance, phone = conversation
        return Batch(
            instance_name=instance,
            user_phone=phone,
            messages=with_changes([stored.message for stored in messages]),
            token=0,
            processor_id="legacy-buffer",
            attempt=1,
            trigger="direct",
            due_at_ms=due_ms,
            claimed_at_ms=self._clock(),
        )


async def adopt_leftovers(queue: MessageQueue, *, clock: Clock = unix_ms) -> int:
    """Move messages that killed processes left in the legacy buffer into the queue. Returns their number.

    One pass over all keys of the server, a page at a time. Buffers that a live process may still answer stay: those
    younger than `ORPHAN_AGE_MS`, or given to the AI less than `ANSWERING_S` ago (a turn that takes the AI longer may be
    answered twice). Buffers live for 60 s, so call it soon; `adopt_all_leftovers` does so until there can be none.
    Raises QueueUnavailableError; messages that were moved before that are in the queue.
    """
    moved, _ = await _adopt(LegacyStore(queue), queue.enqueue, clock())
    return moved


async def adopt_all_leftovers(
    queue: MessageQueue, *, clock: Clock = unix_ms, sleep: Sleep = asyncio.sleep
) -> int:
    """Adopt at the start of a process, and again until no buffer is too young to be adopted.

    Ends after 75 s at the latest, when buffers older than the process are gone. Waits for a Redis that is away.
    Returns the number of messages moved.
    """
    store = LegacyStore(queue)
    total = 0
    for _ in range(ADOPTION_PASSES_MAX):
        try:
            moved, young = await _adopt(store, queue.enqueue, clock())
        except QueueError as error:
            _log.warning("the legacy buffer cannot be looked at now: %s", error)
        else:
            total += moved
            if not young:
                break
        await sleep(ADOPTION_EVERY_S)
    if total:
        _log.warning("adopted from the legacy buffer of a killed process", extra={"messages": total})
    return total


async def _adopt(store: LegacyStore, enqueue: HandOver, now_ms: int) -> tuple[int, int]:
    """Return the number of messages moved, and of buffers that are too young."""
    moved = young = 0
    async with aclosing(store.pages()) as pages:
        async for page in pages:
            adopted = [await _adopt_buffer(store, key, enqueue, now_ms) for key in page]
            moved += sum(filter(None, adopted))
            young += adopted.count(None)
    return moved, young


async def _adopt_buffer(store: LegacyStore, key: str, enqueue: HandOver, now_ms: int) -> int | None:
    """Return the number of messages moved; None when a live process may still answer the buffer."""
    buffer = decoded(await store.get(key))
    if buffer is None or buffer.processed:
        return 0
    first = buffer.messages[0].message
    answering = store.key("answering", (first.instance_name, first.user_phone))
    if now_ms - buffer.first_ms < ORPHAN_AGE_MS or await store.get(answering) is not None:
        return None
    return await store.move(key, enqueue)
