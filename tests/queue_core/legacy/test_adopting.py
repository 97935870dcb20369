"""Buffers of a process that was killed, taken over into the queue."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from queue_core import (
    InvalidMessageError,
    MessageQueue,
    QueueMessage,
    QueueUnavailableError,
)
from queue_core.legacy.switch_back import LegacyIntake, adopt_all_leftovers
from tests.queue_core.bot import happens, message, on_newest, quick
from tests.queue_core.legacy.world import KEY, Gate, World


async def test_buffers_of_a_killed_process_are_adopted_after_the_last_timer(redis_client: Redis) -> None:
    world = World(redis_client)
    await world.receive("m1")
    await world.receive("", phone="2")
    await world.kill_process()
    world.time.move(19_999)
    assert await world.adopt() == 0
    world.time.move(1)
    assert await world.adopt() == 2
    assert (await world.queued(), len(await world.queued("2"))) == (["m1"], 1)
    assert [key async for key in redis_client.scan_iter("wa:legacy_*")] == []
    assert await world.adopt() == 0


@on_newest
async def test_a_buffer_that_a_live_process_is_answering_is_not_adopted(redis_client: Redis) -> None:
    ai = Gate()
    world = World(redis_client, ai)
    await world.receive("m1")
    world.time.move(8_000)
    await happens(ai.asked)
    world.time.move(25_000)
    assert await world.adopt() == 0
    ai.may_answer.set()
    await world.at_rest()
    assert (await world.adopt(), world.bot.sent_ids) == (0, ["m1"])


@on_newest
async def test_a_buffer_being_answered_by_a_killed_process_is_adopted_later(redis_client: Redis) -> None:
    ai = Gate()
    world = World(redis_client, ai, grace_s=0.0)
    await world.receive("m1")
    world.time.move(8_000)
    await happens(ai.asked)
    await world.kill_process()
    world.time.move(30_000)
    assert await world.adopt() == 0
    (answering,) = [key async for key in redis_client.scan_iter("wa:legacy_answering:*")]
    assert 0 < await redis_client.pttl(answering) <= 30_000
    await redis_client.delete(answering)  # as its expiry does
    assert (await world.adopt(), await world.queued()) == (1, ["m1"])


@on_newest
async def test_a_buffer_is_deleted_only_when_all_its_messages_are_in_the_queue(redis_client: Redis) -> None:
    world = World(redis_client)
    await world.receive("m1", "m2")
    await world.kill_process()
    world.time.move(20_000)

    async def fails_on_m2(taken: QueueMessage) -> None:
        if taken.id == "m2":
            raise QueueUnavailableError("away")
        await world.queue.enqueue(taken)

    with pytest.raises(QueueUnavailableError):
        await world.adopt(fails_on_m2)
    assert await redis_client.exists(KEY) == 1
    assert (await world.adopt(), await world.queued()) == (2, ["m1", "m2"])


@on_newest
async def test_a_message_that_the_queue_refuses_does_not_hold_up_the_others(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(redis_client)
    await world.receive("m1", "m2")
    await world.kill_process()
    world.time.move(20_000)

    async def refuses_m1(taken: QueueMessage) -> None:
        if taken.id == "m1":
            raise InvalidMessageError("too large")
        await world.queue.enqueue(taken)

    await world.adopt(refuses_m1)
    assert await world.queued() == ["m2"]
    assert "refuses a message of the legacy buffer for good: too large" in caplog.text


@on_newest
@pytest.mark.newest_redis
async def test_many_leftovers_of_two_deployments_are_not_mixed_up(redis_client: Redis) -> None:
    world = World(redis_client)
    other = LegacyIntake(
        MessageQueue(redis_client, quick(prefix="other")),
        world.bot.handle,
        world.bot.send,
        clock=world.time.clock,
        sleep=world.time.sleep,
    )
    await other.receive(message("not ours"))
    for user in range(1_500):  # more than one step of a SCAN
        await world.receive(f"m{user}", phone=str(user))
    await world.kill_process()
    await other.close(None)
    world.time.move(20_000)
    adopted: list[str] = []

    async def enqueue(taken: QueueMessage) -> None:
        adopted.append(taken.id)

    assert await world.adopt(enqueue) == 1_500
    assert sorted(adopted) == sorted(f"m{user}" for user in range(1_500))


@on_newest
async def test_adopting_goes_on_until_no_buffer_is_too_young_and_waits_for_redis(redis_client: Redis) -> None:
    world = World(redis_client)
    await world.receive("m1")
    await world.kill_process()
    world.unreliable.is_away = True
    adopting = asyncio.create_task(
        adopt_all_leftovers(world.queue_of_a_process(), clock=world.time.clock, sleep=world.time.sleep)
    )
    for _ in range(4):
        await world.time.until_somebody_sleeps(5_000)
        assert await world.queued() == []
        world.unreliable.is_away = False
        world.time.move(5_000)
    assert await adopting == 1
    assert await world.queued() == ["m1"]
