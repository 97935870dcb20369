"""The legacy buffer while Redis is away, hangs, loses an answer, or holds something else."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from queue_core import (
    Batch,
    MessageQueue,
    QueueUnavailableError,
    connect,
)
from queue_core.legacy.switch_back import LegacyIntake
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import Bot, message, on_newest, quick
from tests.queue_core.legacy.world import KEY, LOCK, PHONE, World


async def test_without_redis_no_message_is_accepted(redis_server: EmbeddedRedis) -> None:
    async with connect(redis_server.url) as redis:
        bot = Bot()
        intake = LegacyIntake(MessageQueue(redis, quick(redis_deadline_ms=500)), bot.handle, bot.send)
        redis_server.kill()
        with pytest.raises(QueueUnavailableError):
            await intake.receive(message("m1"))
        assert intake.waiting == 0
        await intake.close(None)


async def test_a_redis_that_hangs_is_not_waited_for(redis_server: EmbeddedRedis) -> None:
    async with connect(redis_server.url) as redis:
        bot = Bot()
        intake = LegacyIntake(MessageQueue(redis, quick(redis_deadline_ms=100)), bot.handle, bot.send)
        redis_server.pause()
        try:
            with pytest.raises(QueueUnavailableError, match="did not answer in time"):
                await intake.receive(message("m1"))
        finally:
            redis_server.resume()
        assert intake.waiting == 0


@on_newest
async def test_an_error_of_redis_shows_no_phone(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with renamed commands quotes the whole command."""

    async def get(key: str) -> None:
        raise ResponseError(f"unknown or disabled GET, with args beginning with: '{key}'")

    world = World(redis_client)
    monkeypatch.setattr(redis_client, "get", get)
    with pytest.raises(
        QueueUnavailableError, match="refused a call of the legacy buffer: ResponseError"
    ) as it:
        await world.receive("m1")
    assert PHONE not in str(it.value)


@on_newest
async def test_a_value_that_is_not_a_buffer_is_replaced(redis_client: Redis) -> None:
    world = World(redis_client)
    for garbage in (b"{", b'{"messages":[]}', b"\xff"):
        await redis_client.set(KEY, garbage)
        assert await world.adopt() == 0
        await world.receive("m1")
        world.time.move(8_000)
        await world.at_rest()
    assert world.bot.sent_ids == ["m1", "m1", "m1"]


@on_newest
async def test_a_write_whose_answer_was_lost_starts_its_timer_all_the_same(redis_client: Redis) -> None:
    """Otherwise a message delivered again would be added to a buffer without a timer, and never be read."""
    world = World(redis_client)
    world.unreliable.loses_answers_to = ("set", KEY)
    with pytest.raises(QueueUnavailableError):
        await world.receive("m1")
    world.unreliable.loses_answers_to = None
    await redis_client.delete(LOCK)  # as its expiry does after 3 s
    await world.receive("m1", "m2")
    world.time.move(8_000)
    await world.at_rest()
    assert world.bot.asked_ids == [("m1", "m1", "m2")], "the buffer does not know a message again"


@on_newest
async def test_a_lock_that_could_not_be_released_costs_no_timer(redis_client: Redis) -> None:
    world = World(redis_client)
    world.unreliable.loses_answers_to = ("delete", LOCK)
    await world.receive("m1")
    world.time.move(8_000)
    await world.at_rest()
    assert world.bot.sent_ids == ["m1"]


@on_newest
async def test_a_timer_that_finds_redis_away_tries_again_1_2_and_4_s_later(redis_client: Redis) -> None:
    world = World(redis_client)
    await world.receive("m1")
    world.unreliable.is_away = True
    world.time.move(8_000)
    for wait_ms in (1_000, 2_000, 4_000):
        await world.time.until_somebody_sleeps(wait_ms)
        world.unreliable.is_away = wait_ms < 4_000
        world.time.move(wait_ms)
    await world.at_rest()
    assert world.bot.sent_ids == ["m1"]


@on_newest
async def test_a_timer_that_never_finds_redis_leaves_the_buffer_to_be_adopted(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(redis_client)
    await world.receive("m1")
    world.unreliable.is_away = True
    for wait_ms in (8_000, 1_000, 2_000, 4_000):
        await world.time.until_somebody_sleeps(wait_ms)
        world.time.move(wait_ms)
    await world.at_rest()
    assert "could not be read in 4 tries" in caplog.text
    world.unreliable.is_away = False
    world.time.move(5_000)
    assert (await world.adopt(), await world.queued()) == (1, ["m1"])


@on_newest
async def test_a_mark_that_fails_does_not_cause_a_second_answer(redis_client: Redis) -> None:
    async def goes_away(batch: Batch) -> None:
        world.unreliable.is_away = True

    world = World(redis_client, goes_away)
    await world.receive("m1")
    world.time.move(8_000)
    await world.at_rest()
    assert (world.bot.sent_ids, world.time.sleeping_ms) == (["m1"], [])
