"""What both buffers have in common: one JSON value per conversation, read, changed in memory, written back.

Behaviour read off the bot's public source (AbdelrahimE/convgo, commits b5064e9 and f0f2b68).
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import ClassVar

import msgspec

from sim.ledger import Conversation
from sim.recording import Arrival
from sim.systems._buffer_witness import KEY_PREFIX, Buffer, BufferedMessage, BufferWitness, decode, encode
from sim.systems.base import System
from sim.world import AiError, HttpError, World

DELAY_MS = 8000
"""From the webhook that created a buffer to the HTTP call that processes it."""


class BufferSystem(System):
    """Webhooks gather a turn in a buffer; a timer in the webhook's own process has it answered 8 s later."""

    buffer_ttl_s: ClassVar[int]
    processed_ttl_s: ClassVar[int]
    call_retries_ms: ClassVar[Sequence[int]] = ()
    """Waits before the timer's failed HTTP call is made again."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.redis = world.rest_redis()
        self._deliveries = 0
        self.witness = BufferWitness(world, self.redis, self.buffer_ttl_s)

    def at_rest(self) -> bool:
        """Every activity is a foreground task, and none is alive when this is asked."""
        return True

    def pending_ids(self) -> dict[Conversation, list[str]]:
        """Messages in a buffer that somebody will still look at."""
        return self.witness.custody.all_waiting()

    def cause(self, conversation: Conversation, message_id: str) -> str:
        """Words for a message that no write, timer or expiry explains."""
        return "its webhook never wrote it into a buffer"

    async def webhook(self, arrival: Arrival) -> None:
        """Add the message to the buffer; only the one that created the buffer starts a timer."""
        now_ms = self.world.now_ms()
        conversation = Conversation(arrival.instance, arrival.phone)
        key = buffer_key(conversation)
        self._deliveries += 1
        message = BufferedMessage(
            self._deliveries, arrival.instance, arrival.phone, arrival.id, arrival.text, now_ms
        )
        with self.witness.attending(key):
            async with self.exclusive_add(conversation):
                created = await self._add(key, message)
            if created:
                self._start_timer(conversation, now_ms + DELAY_MS, DELAY_MS, attempt=1)

    def exclusive_add(self, conversation: Conversation) -> AbstractAsyncContextManager[None]:
        """What keeps two additions to a conversation's buffer apart: nothing."""
        return nullcontext()

    def exclusive_mark(self, conversation: Conversation) -> AbstractAsyncContextManager[None]:
        """What keeps marking a conversation's buffer apart from additions: nothing."""
        return nullcontext()

    @abstractmethod
    async def read_for_add(self, key: str) -> Buffer | None:
        """The buffer that a new message is to be appended to."""

    async def read(self, key: str) -> Buffer | None:
        """The buffer as it is by now."""
        return decode(await self.redis.call("GET", key))

    async def _add(self, key: str, message: BufferedMessage) -> bool:
        found = await self.read_for_add(key)
        created = found is None or found.processed
        if found is None or found.processed:
            buffer = Buffer((message,))
            self.world.log("buffer.created", totalMessages=1)
        else:
            buffer = Buffer((*found.messages, message))
            timespan_ms = message.at_ms - found.first_ms
            self.world.log("buffer.appended", totalMessages=len(buffer.messages), timespan=timespan_ms)
        await self.redis.call("SETEX", key, self.buffer_ttl_s, encode(buffer))
        return created

    def _start_timer(self, conversation: Conversation, due_ms: int, delay_ms: int, attempt: int) -> None:
        key = buffer_key(conversation)
        if self.world.fault("timer-dies"):
            timer = (
                "the timer of its buffer" if attempt == 1 else f"the timer for call {attempt} of its buffer"
            )
            cause = f"{timer} died with the function instance that had started it: nobody reads the buffer"
            self.witness.nobody_reads(key, cause)
            return
        self.witness.attend(key)
        self.world.spawn(self._timer(conversation, due_ms, delay_ms, attempt), name="buffer timer")

    async def _timer(self, conversation: Conversation, due_ms: int, delay_ms: int, attempt: int) -> None:
        key = buffer_key(conversation)
        try:
            await asyncio.sleep(delay_ms / 1000)
            await self.world.http_call(lambda: self._process(conversation, due_ms))
        except HttpError:
            self.world.log("timer.call_failed", attempt=attempt)
            if attempt <= len(self.call_retries_ms):
                self._start_timer(conversation, due_ms, self.call_retries_ms[attempt - 1], attempt + 1)
            else:
                tries = f"{attempt} times" if attempt > 1 else "and was not tried again"
                cause = f"the HTTP call of its buffer's timer failed {tries}: nobody reads the buffer"
                self.witness.nobody_reads(key, cause)
        finally:
            self.witness.leave(key)

    async def _process(self, conversation: Conversation, due_ms: int) -> None:
        key = buffer_key(conversation)
        buffer = await self.read(key)
        if buffer is None or buffer.processed:
            self.world.log("buffer.nothing_to_do", reason="none" if buffer is None else "processed")
            return
        self.world.log("buffer.read", messageCount=len(buffer.messages), timespan=buffer.timespan_ms)
        messages = sorted(buffer.messages, key=lambda message: message.at_ms)
        batch = [message.identity for message in messages]
        text = " ".join(message.text for message in messages)
        ids = self.witness.custody.claim(key, conversation, batch, "timer", due_ms)
        try:
            reply = await self.world.ai.answer(conversation, ids, text)
            await self.world.whatsapp.send(conversation, ids, reply)
        except AiError:
            self.world.log("ai.failed", messageCount=len(messages))
            cause = "the AI failed, and its buffer was marked processed all the same"
            self.witness.custody.lose(key, batch, cause)
        async with self.exclusive_mark(conversation):
            await self._mark_processed(key)

    async def _mark_processed(self, key: str) -> None:
        buffer = await self.read(key)
        if buffer is None:
            self.world.log("buffer.expired_before_mark")
            return
        marked = msgspec.structs.replace(buffer, processed=True)
        await self.redis.call("SETEX", key, self.processed_ttl_s, encode(marked))
        self.world.log("buffer.marked_processed", totalMessages=len(buffer.messages))


def buffer_key(conversation: Conversation) -> str:
    """The key of a conversation's buffer."""
    return f"{KEY_PREFIX}{conversation.instance}:{conversation.phone}"
