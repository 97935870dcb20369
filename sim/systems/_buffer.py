"""The base of both buffers: `queue_core.legacy.buffer`, unmodified, in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, ClassVar

from queue_core.errors import QueueUnavailableError
from queue_core.legacy import buffer as legacy_buffer
from queue_core.legacy.buffer import BufferRules, CallFailedError, LegacyBuffer, TurnFailedError
from queue_core.recording.format import Arrival
from reports.results.causes import Cause, CauseCode
from sim.engine.ledger import Conversation
from sim.engine.system import System, WebhookFailedError
from sim.engine.world import REDIS_AWAY, AiError, ChannelError, HttpError, World
from sim.witness.buffers import DECODER, KEY_PREFIX, BufferedMessage, BufferWitness


class BufferSystem(System):
    """A buffer in which webhooks collect a turn. A timer in the first webhook's process answers it 8 s later."""

    rules: ClassVar[BufferRules]

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.redis = world.rest_redis()
        self.witness = BufferWitness(world, self.redis, self.rules.buffer_ttl_s)
        self._deliveries = 0
        self._buffer = LegacyBuffer(_Host(self), self.rules, DECODER)

    def died(self, process: str) -> None:
        """Report that all timers are gone: nobody reads the buffers that wait for them."""
        self.witness.died()

    def at_rest(self) -> bool:
        """Return True: every activity is a foreground task, and none is alive when this is called."""
        return True

    def pending_ids(self) -> dict[Conversation, list[str]]:
        """Return the ids in buffers that a timer or processor will still read."""
        return self.witness.custody.all_waiting()

    def cause(self, conversation: Conversation, message_id: str) -> Cause:
        """Return the cause of a loss that no write, timer or expiry explains."""
        return Cause(code="never_written")

    async def webhook(self, arrival: Arrival) -> None:
        """Add the message to the buffer. The message that creates the buffer also starts its timer."""
        conversation = Conversation(arrival.instance, arrival.phone)
        self._deliveries += 1
        message = BufferedMessage(
            self._deliveries, *conversation, arrival.id, arrival.text, self.world.now_ms()
        )
        with self.witness.reading(buffer_key(conversation)):
            try:
                await self._buffer.add(conversation, message)
            except QueueUnavailableError as error:
                raise WebhookFailedError("unavailable") from error

    def redis_lost_writes(self) -> None:
        """Report the messages that are gone with the writes."""
        self.witness.lost_writes()


class _Host:
    """A simulated BufferHost: the buffer's Redis, clock, timers and AI, watched by the witness."""

    def __init__(self, system: BufferSystem) -> None:
        self._world = system.world
        self._redis = system.redis
        self._witness = system.witness

    def buffer_key(self, conversation: legacy_buffer.Conversation) -> str:
        return buffer_key(conversation)

    def lock_key(self, conversation: legacy_buffer.Conversation) -> str:
        return f"lock:buffer:{conversation[0]}:{conversation[1]}"

    async def get(self, key: str) -> str | None:
        value: str | None = await self._call("GET", key)
        return value

    async def set_with_expiry(self, key: str, value: bytes, ttl_s: int) -> None:
        await self._call("SETEX", key, ttl_s, value.decode())

    async def set_if_absent(self, key: str, value: str, ttl_ms: int) -> bool:
        return bool(await self._call("SET", key, value, "NX", "PX", ttl_ms) == "OK")

    async def delete(self, key: str) -> None:
        await self._call("DEL", key)

    async def _call(self, *command: str | int) -> Any:
        """Call Redis. Raises QueueUnavailableError."""
        try:
            return await self._redis.call(*command)
        except REDIS_AWAY as error:
            raise QueueUnavailableError(str(error)) from error

    def now_ms(self) -> int:
        return self._world.now_ms()

    async def sleep_ms(self, wait_ms: int) -> None:
        await asyncio.sleep(wait_ms / 1000)

    def start_timer(
        self,
        conversation: legacy_buffer.Conversation,
        timer: Callable[[], Coroutine[Any, Any, None]],
        attempt: int,
    ) -> None:
        """Start the timer, unless its function instance dies."""
        key = buffer_key(conversation)
        if self._world.fault("timer-dies"):
            self._witness.timer_failed(key, Cause(code="timer_died", call=attempt))
            return
        self._witness.add_reader(key)
        self._world.spawn(self._counted(key, timer), name="buffer timer")

    async def _counted(self, key: str, timer: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await timer()
        finally:
            self._witness.remove_reader(key)

    async def call_processor(self, process: Callable[[], Awaitable[None]]) -> None:
        async def processed() -> None:
            try:
                await process()
            except QueueUnavailableError as error:
                raise HttpError(str(error)) from error

        try:
            await self._world.http_call(processed)
        except HttpError as error:
            raise CallFailedError(str(error)) from error

    async def answer(
        self, conversation: legacy_buffer.Conversation, messages: Sequence[BufferedMessage], due_ms: int
    ) -> None:
        """Ask the AI about the messages, joined by spaces, and send its reply."""
        user, key = Conversation(*conversation), buffer_key(conversation)
        batch = [message.identity for message in messages]
        text = " ".join(message.text for message in messages)
        ids = self._witness.claim(key, user, batch, due_ms)
        try:
            reply = await self._world.ai.answer(user, ids, text)
            await self._world.whatsapp.send(user, ids, reply)
        except (AiError, ChannelError) as error:
            code: CauseCode = "ai_failed" if isinstance(error, AiError) else "channel_failed"
            self._witness.custody.lose(key, batch, Cause(code=code))
            raise TurnFailedError(str(error)) from error

    def gave_up(self, conversation: legacy_buffer.Conversation, calls: int) -> None:
        self._witness.timer_failed(buffer_key(conversation), Cause(code="calls_failed", calls=calls))

    def log(self, event: str, **fields: int | str) -> None:
        self._world.log(event, **fields)


def buffer_key(conversation: legacy_buffer.Conversation) -> str:
    """Return the key of a conversation's buffer. A colon in a name can make two conversations share it."""
    instance, phone = conversation
    return f"{KEY_PREFIX}{instance}:{phone}"
