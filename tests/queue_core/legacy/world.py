"""A process with the legacy buffer, a clock that is moved by hand, and a Redis that can be away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from queue_core import (
    Batch,
    MessageQueue,
)
from queue_core.legacy.store import HandOver
from queue_core.legacy.switch_back import LegacyIntake, adopt_leftovers
from tests.queue_core.bot import PATIENCE_S, Bot, eventually, message, quick

PHONE = "201000000001"
KEY = f"wa:legacy_buffer:bot:{PHONE}"
LOCK = f"wa:legacy_lock:bot:{PHONE}"


class Time:
    """A clock that stands still until it is moved, and sleepers that wake by it."""

    def __init__(self) -> None:
        self.now_ms = 1_767_225_600_000
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def clock(self) -> int:
        return self.now_ms

    async def sleep(self, seconds: float) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now_ms + round(seconds * 1000), sleeper))
        await sleeper

    @property
    def sleeping_ms(self) -> list[int]:
        """Remaining time of each sleeper."""
        return sorted(at_ms - self.now_ms for at_ms, sleeper in self._sleepers if not sleeper.done())

    def move(self, by_ms: int) -> None:
        """Move the clock, and wake the sleepers whose time is over."""
        self.now_ms += by_ms
        for at_ms, sleeper in self._sleepers:
            if at_ms <= self.now_ms and not sleeper.done():
                sleeper.set_result(None)

    async def until_somebody_sleeps(self, *sleeping_ms: int) -> None:
        """Wait until the sleepers have exactly these remaining times."""
        await eventually(lambda: self.sleeping_ms == list(sleeping_ms), f"sleepers of {sleeping_ms} ms")


class Gate:
    """An AI that answers when it may, with an error if one is set."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, batch: Batch) -> None:
        self.asked.set()
        await self.may_answer.wait()
        if self.error:
            raise self.error


class Unreliable:
    """A client whose Redis can be away, or carry out a call and lose the answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.is_away = False
        self.loses_answers_to: tuple[str, str] | None = None
        """Command and key."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **options: Any) -> Any:
            if self.is_away:
                raise RedisConnectionError("away")
            answer = await getattr(self._redis, name)(*arguments, **options)
            if (name, arguments[0]) == self.loses_answers_to:
                raise RedisConnectionError("the answer was lost")
            return answer

        return call


class World:
    """A process that is switched back to the legacy buffer, and the queue beside it."""

    def __init__(
        self,
        redis: Redis,
        on_handle: Callable[[Batch], Awaitable[None]] | None = None,
        *,
        grace_s: float = PATIENCE_S,
    ) -> None:
        unreliable: Any = Unreliable(redis)
        self.unreliable = unreliable
        self.time = Time()
        self.bot = Bot(on_handle)
        self.queue = MessageQueue(redis, quick())
        self.intake = LegacyIntake(
            self.queue_of_a_process(),
            self.bot.handle,
            self.bot.send,
            grace_s=grace_s,
            clock=self.time.clock,
            sleep=self.time.sleep,
        )

    async def receive(self, *ids: str, phone: str = PHONE) -> None:
        for message_id in ids:
            assert await self.intake.receive(message(message_id, phone)) == "buffered"

    async def kill_process(self) -> None:
        """End the process without grace and without another call to Redis."""
        self.unreliable.is_away = True
        await self.intake.close(None)
        self.unreliable.is_away = False

    def queue_of_a_process(self, enqueue: Any = None) -> MessageQueue:
        """Return the queue over the unreliable client, with a reliable enqueue, or with the one given."""
        queue = MessageQueue(self.unreliable, quick())
        queue.enqueue = enqueue or self.queue.enqueue  # type: ignore[method-assign]
        return queue

    async def adopt(self, enqueue: HandOver | None = None) -> int:
        """Make one adoption pass of another process."""
        return await adopt_leftovers(self.queue_of_a_process(enqueue), clock=self.time.clock)

    async def at_rest(self) -> None:
        await eventually(lambda: self.intake.waiting == 0, "every timer ended")

    async def queued(self, phone: str = PHONE) -> list[str]:
        return [pending.id for pending in await self.queue.pending("bot", phone)]
