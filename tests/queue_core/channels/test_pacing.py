"""Pace of a process in simulated time: sending without asking Redis, waiting, putting off, slowing down."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, QueueError, QueueUnavailableError, RetryLaterError, UnsupportedRedisError
from queue_core.channels import pacing
from queue_core.channels.base import NumberLimitError
from queue_core.channels.pacing import Pacer
from queue_core.queue.pacing import Pacing
from queue_core.redis.scripts.answers import PaceAnswer


class Time:
    """Time that goes on only when somebody waits, in seconds."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        """Return the time of a process."""
        return self.now_s

    def ms(self) -> int:
        """Return the time of Redis."""
        return 1_790_000_000_000 + int(self.now_s * 1000)


class World:
    """Processes that send in turn, each with a pace of its own, and the moments at which messages went."""

    def __init__(self, redis: Redis, *, processes: int = 1, per_s: int = 80) -> None:
        self.time = Time()
        self.queue = MessageQueue(redis, clock=self.time.ms, rng=random.Random(1))
        self.asked = 0
        self.went_at: list[float] = []
        self.refuses = 0
        self.pause_ms = 3_000
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        """Happens at the beginning of the next wait."""
        world = self

        class Counted(Pacing):
            async def take(self, number: str, **options: Any) -> PaceAnswer:
                world.asked += 1
                return await super().take(number, **options)

        counted = Counted(self.queue.pacing._access)
        self.pacers = [
            Pacer(counted, {"cloud": per_s}, clock=self.time, sleep=self.sleep) for _ in range(processes)
        ]

    async def sleep(self, seconds: float) -> None:
        end_s = self.time.now_s + seconds
        if meanwhile := self.meanwhile:
            self.meanwhile = None
            await meanwhile()
        self.time.now_s = end_s

    async def parts(self, count: int) -> AsyncGenerator[None, None]:
        """Send so many parts, as a channel does."""
        for number in range(count):
            if number:
                yield
            if self.refuses:
                self.refuses -= 1
                raise NumberLimitError("not sent: too many", after_ms=self.pause_ms)
            self.went_at.append(self.time.now_s)

    async def send(self, process: int = 0, parts: int = 1, number: str = "1", channel: str = "cloud") -> int:
        """Send a reply, and return the number of stops between its parts."""
        paced = self.pacers[process].paced(channel, number, self.parts(parts))
        return len([stop async for stop in paced])

    async def begin_refused(self, process: int = 0) -> Callable[[], Awaitable[None]]:
        """Begin a send that the provider refuses when the returned function is called."""
        begun, answers = asyncio.Event(), asyncio.Event()

        async def parts() -> AsyncGenerator[None, None]:
            begun.set()
            await answers.wait()
            self.refuses += 1
            async for _ in self.parts(1):
                yield

        async def send() -> None:
            async for _ in self.pacers[process].paced("cloud", "1", parts()):
                pass

        async def refuse() -> None:
            answers.set()
            with pytest.raises(NumberLimitError):
                await sending

        sending = asyncio.create_task(send())
        await begun.wait()
        return refuse

    def most_in_a_second(self) -> int:
        """Return the largest number of messages that went within a second."""
        times = sorted(self.went_at)
        return max(sum(time - 1 < other <= time for other in times) for time in times)


async def test_far_below_the_rate_redis_is_not_asked(redis_client: Redis) -> None:
    world = World(redis_client, processes=3)
    for number in range(60):
        await world.send(number % 3)
        world.time.now_s += 0.08
    assert world.asked == 0
    assert await redis_client.keys() == []
    assert world.time.now_s == pytest.approx(1_000 + 60 * 0.08), "and nothing waited"


async def test_a_long_reply_keeps_its_parts_and_waits_between_them(redis_client: Redis) -> None:
    world = World(redis_client, per_s=16)
    assert await world.send(parts=40) == 39
    assert len(world.went_at) == 40
    assert world.most_in_a_second() <= 16
    assert world.time.now_s >= 1_001.5


async def test_processes_share_the_rate(redis_client: Redis) -> None:
    """All of them send as fast as they can; five messages each go before they ask."""
    world = World(redis_client, processes=4)
    for number in range(600):
        await world.send(number % 4)
    assert world.most_in_a_second() <= 80
    assert world.time.now_s - 1_000 >= 600 / 80 - 1.1
    assert world.time.now_s - 1_000 <= 600 / 80 + 0.5, "the rate is used"


async def test_a_process_that_does_not_ask_adds_a_sixteenth_at_most(redis_client: Redis) -> None:
    world = World(redis_client, processes=4)
    for number in range(400):
        await world.send(number % 3)
        if number % 20 == 0:
            await world.send(3)
    assert 80 <= world.most_in_a_second() <= 80 + 5 * 4


@pytest.mark.parametrize("per_s", [1, 2, 15])
async def test_a_low_rate_is_kept_by_all_processes_together(redis_client: Redis, per_s: int) -> None:
    world = World(redis_client, processes=8, per_s=per_s)
    for number in range(40):
        await world.send(number % 8)
    assert world.most_in_a_second() <= per_s


async def test_a_wait_that_is_too_long_puts_the_turn_off(redis_client: Redis) -> None:
    """The attempt does not count, no part is lost, and nothing went."""
    world = World(redis_client, per_s=1)
    await world.send()
    await world.queue.pacing.take("cloud:1", per_s=1, count=1, wait_ms_max=9_000)
    await world.queue.pacing.take("cloud:1", per_s=1, count=1, wait_ms_max=9_000)
    await world.queue.pacing.take("cloud:1", per_s=1, count=1, wait_ms_max=9_000)
    with pytest.raises(RetryLaterError, match="rate of 1 message a second") as raised:
        await world.send()
    assert raised.value.blames == "limit"
    assert (raised.value.after_ms or 0) > 2_000
    assert len(world.went_at) == 1


async def test_a_refusal_slows_all_processes_down(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(redis_client, processes=2)
    world.refuses = 1
    with pytest.raises(NumberLimitError):
        await world.send(0)
    assert "cloud of 1 slows down" in caplog.text
    with pytest.raises(RetryLaterError, match="slows down"):
        await world.send(0)
    for _ in range(5):
        await world.send(1)
    with pytest.raises(RetryLaterError, match="slows down"):
        await world.send(1)
    world.time.now_s += 3
    world.went_at.clear()
    for number in range(80):
        await world.send(number % 2)
    assert 30 <= world.most_in_a_second() <= 40


async def test_a_message_that_was_given_its_moment_before_a_pause_keeps_the_pause(
    redis_client: Redis,
) -> None:
    world = World(redis_client, per_s=16)
    world.pause_ms = 1_500
    world.meanwhile = await world.begin_refused()
    await world.send(parts=15)
    asked = world.asked
    await world.send(parts=2)
    assert world.went_at[15:] == [1_001.5, 1_001.5], "its moment was at 1,001"
    assert world.asked == asked + 3, "the first part asks twice"


async def test_a_message_that_waits_longer_through_a_pause_than_any_may_is_put_off(
    redis_client: Redis,
) -> None:
    world = World(redis_client, per_s=16)
    world.pause_ms = 2_500
    world.meanwhile = await world.begin_refused()
    await world.send(parts=15)
    with pytest.raises(RetryLaterError, match="slows down") as raised:
        await world.send()
    assert raised.value.after_ms == 1_500, "it has waited for 1 s of the pause"
    assert len(world.went_at) == 15


async def test_a_pause_that_another_process_brought_about_is_kept_once_it_is_known(
    redis_client: Redis,
) -> None:
    world = World(redis_client, processes=2, per_s=16)
    refuse = await world.begin_refused(1)

    async def learn() -> None:
        await refuse()
        with pytest.raises(RetryLaterError, match="slows down"):
            await world.send()

    await world.send(parts=16)
    world.meanwhile = learn
    with pytest.raises(RetryLaterError, match="slows down"):
        await world.send()
    assert len(world.went_at) == 16


async def test_a_pause_that_redis_forgot_is_asked_for_once(redis_client: Redis) -> None:
    world = World(redis_client, per_s=16)
    refuse = await world.begin_refused()

    async def refuse_and_forget() -> None:
        await refuse()
        await redis_client.delete(world.queue.keys.partitions[0].slowdown_of("cloud:1"))

    await world.send(parts=15)
    asked, world.meanwhile = world.asked, refuse_and_forget
    await world.send()
    assert (len(world.went_at), world.asked) == (16, asked + 2)


async def test_sends_that_began_before_a_pause_halve_the_rate_once(redis_client: Redis) -> None:
    """The provider takes its time to refuse them: each refusal comes after the pause that the one before began."""
    world = World(redis_client, processes=2)
    world.pause_ms = 2_000

    async def halvings() -> int:
        return (await world.queue.pacing.take("cloud:1", per_s=80, count=1, wait_ms_max=0)).halvings

    refusals = [await world.begin_refused(number % 2) for number in range(5)]
    for refuse in refusals:
        await refuse()
        assert await halvings() == 1
        world.time.now_s += 2.4
    refuse_another = await world.begin_refused()
    await refuse_another()
    assert await halvings() == 2, "this send began after the pause"


@pytest.mark.parametrize("channel", ["cloud", "waha"])
async def test_a_quiet_process_keeps_a_long_pause(redis_client: Redis, channel: str) -> None:
    """A process that sends nothing for a while must not go on without asking before the pause is over."""
    world = World(redis_client)
    world.refuses, world.pause_ms = 1, 60_000
    with pytest.raises(NumberLimitError):
        await world.send(channel=channel)
    for _ in range(3):
        world.time.now_s += 15
        with pytest.raises(RetryLaterError, match="slows down"):
            await world.send(channel=channel)
    world.time.now_s += 15
    asked = world.asked
    await world.send(channel=channel)
    assert world.asked == asked + 1, "its rate has not come back yet"


async def test_a_number_without_a_rate_slows_down_too(redis_client: Redis) -> None:
    world = World(redis_client)
    for _ in range(200):
        await world.send(channel="waha")
    assert world.asked == 0
    world.refuses = 1
    with pytest.raises(NumberLimitError):
        await world.send(channel="waha")
    world.time.now_s += 3
    world.went_at.clear()
    for _ in range(30):
        await world.send(channel="waha")
    assert world.most_in_a_second() <= 10
    world.time.now_s += 60
    asked = world.asked
    for _ in range(200):
        await world.send(channel="waha")
    assert world.asked - asked <= 1, "it is fast again, and nobody is asked"


async def test_another_number_is_not_slowed_down(redis_client: Redis) -> None:
    world = World(redis_client)
    world.refuses = 1
    with pytest.raises(NumberLimitError):
        await world.send(number="1")
    await world.send(number="2")
    assert len(world.went_at) == 1


@pytest.mark.parametrize("kind", [QueueUnavailableError, UnsupportedRedisError, QueueError])
async def test_messages_go_while_redis_is_away_or_refuses(
    redis_client: Redis, kind: type[QueueError]
) -> None:
    """A limit of our own must not stop what the provider would take."""
    world = World(redis_client, per_s=16)

    class Away(Pacing):
        async def take(self, number: str, **options: Any) -> PaceAnswer:
            world.asked += 1
            raise kind("away")

        async def slow_down(self, number: str, **options: Any) -> PaceAnswer:
            raise kind("away")

    world.pacers = [
        Pacer(Away(world.queue.pacing._access), {"cloud": 16}, clock=world.time, sleep=world.sleep)
    ]
    await world.send(parts=30)
    world.refuses = 1
    with pytest.raises(NumberLimitError):
        await world.send()
    assert len(world.went_at) == 30
    assert world.most_in_a_second() <= 16, "the process keeps the rate by itself"
    assert world.asked == 1, "the next message does not wait for Redis again"
    world.time.now_s += 5
    await world.send(parts=2)
    assert world.asked == 2


async def test_messages_at_the_same_time_keep_the_rate_while_redis_is_away(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each message takes the moment after those that wait already; without that, all would go after one second."""
    world, waits_s = World(redis_client, per_s=16), list[float]()

    async def fail(*_: object, **_more: object) -> PaceAnswer:
        raise QueueUnavailableError("away")

    async def wait(seconds: float) -> None:
        waits_s.append(seconds)

    monkeypatch.setattr(world.pacers[0]._shared, "take", fail)
    monkeypatch.setattr(world.pacers[0], "_sleep", wait)
    for _ in range(3 * 16):
        await world.send()
    assert waits_s == [1.0] * 16 + [2.0] * 16
    with pytest.raises(RetryLaterError, match="rate of 16 messages a second") as raised:
        await world.send()
    assert raised.value.after_ms == 3_000


@pytest.mark.parametrize("pause_ms", [math.nan, "soon", [1]], ids=repr)
async def test_a_pause_that_is_not_a_number_is_not_kept(redis_client: Redis, pause_ms: Any) -> None:
    world = World(redis_client)
    world.refuses, world.pause_ms = 1, pause_ms
    with pytest.raises(NumberLimitError):
        await world.send(parts=2)
    began_s = world.time.now_s
    await world.send()
    assert world.time.now_s - began_s <= 1, "slower, without a pause"


async def test_the_channel_is_closed_when_the_sending_ends_early(redis_client: Redis) -> None:
    world, closed = World(redis_client), asyncio.Event()

    async def parts() -> AsyncGenerator[None, None]:
        try:
            yield
            yield
        finally:
            closed.set()

    paced = world.pacers[0].paced("cloud", "1", parts())
    await anext(paced)
    await paced.aclose()
    assert closed.is_set()


@pytest.mark.parametrize(("how", "counts"), [("cancelled", [6, 6]), ("away", [6, 7])])
async def test_an_ask_that_fails_forgets_no_message(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, how: str, counts: list[int]
) -> None:
    """Messages that went unasked are told to Redis with the next ask, and so is one that went while it was away."""
    world, asked, begun = World(redis_client), list[int](), asyncio.Event()

    async def fail(*_: object, count: int, **_more: object) -> PaceAnswer:
        asked.append(count)
        begun.set()
        if how == "cancelled":
            await asyncio.Event().wait()
        raise QueueUnavailableError("away")

    for _ in range(5):
        await world.send()
    take = Pacing.take

    async def note(self: Pacing, number: str, *, count: int, **options: Any) -> PaceAnswer:
        asked.append(count)
        return await take(self, number, count=count, **options)

    shared = world.pacers[0]._shared
    monkeypatch.setattr(shared, "take", fail)
    sending = asyncio.create_task(world.send())
    await begun.wait()
    if how == "cancelled":
        sending.cancel()
    await asyncio.wait([sending])
    monkeypatch.setattr(shared, "take", note.__get__(shared))
    world.pacers[0]._away_until = 0.0
    await world.send()
    assert asked == counts


async def test_a_busy_number_is_not_forgotten_among_many(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process forgets the number that sent nothing for the longest time."""
    monkeypatch.setattr(pacing, "NUMBERS_MAX", 3)
    world = World(redis_client)
    for other in range(10):
        await world.send(number="busy")
        await world.send(number=f"other {other}")
    assert world.asked == 5, "ten messages at once, five of them unasked"
    assert len(world.pacers[0]._numbers) == 3
