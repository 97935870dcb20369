"""The switch forward: a process that closes hands its buffers over to the queue."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from queue_core import (
    QueueMessage,
    QueueUnavailableError,
)
from tests.queue_core.bot import PATIENCE_S, happens, on_newest
from tests.queue_core.legacy.world import KEY, PHONE, Gate, World


async def test_closing_hands_over_messages_that_wait_for_a_timer(redis_client: Redis) -> None:
    world = World(redis_client)
    kept = QueueMessage(
        id="m1", instance_name="bot", user_phone=PHONE, message="text", message_data={"webhook": {"a": 1}}
    )
    await world.intake.receive(kept)
    await world.receive("m2")
    await world.receive("other", phone="2")
    await world.intake.close(world.queue.enqueue)
    assert world.intake.waiting == 0
    assert (await world.queued(), await world.queued("2")) == (["m1", "m2"], ["other"])
    assert (await world.queue.pending("bot", PHONE))[0].message_data == {"webhook": {"a": 1}}
    assert [key async for key in redis_client.scan_iter("wa:legacy_*")] == []
    assert world.bot.asked == []
    with pytest.raises(QueueUnavailableError, match="ending"):
        await world.receive("m3")


@on_newest
async def test_closing_lets_an_answer_finish_and_hands_over_later_messages(redis_client: Redis) -> None:
    ai = Gate()
    world = World(redis_client, ai)
    await world.receive("m1", "m2")
    world.time.move(8_000)
    await happens(ai.asked)
    world.time.move(1_000)
    await world.receive("m3")
    closing = asyncio.create_task(world.intake.close(world.queue.enqueue))
    await asyncio.sleep(0)
    with pytest.raises(QueueUnavailableError, match="ending"):
        await world.receive("m4")
    ai.may_answer.set()
    await closing
    assert world.bot.sent_ids == ["m1", "m2"]
    assert await world.queued() == ["m3"]


@on_newest
@pytest.mark.parametrize("how", ["takes too long", "fails"])
async def test_an_answer_that_does_not_come_in_time_is_left_to_the_queue(
    redis_client: Redis, how: str
) -> None:
    ai = Gate()
    world = World(redis_client, ai, grace_s=0.0 if how == "takes too long" else PATIENCE_S)
    await world.receive("m1", "m2")
    world.time.move(8_000)
    await happens(ai.asked)
    ai.error = ConnectionError("down")
    closing = asyncio.create_task(world.intake.close(world.queue.enqueue))
    await asyncio.sleep(0)
    if how == "fails":
        ai.may_answer.set()
    await closing
    assert (world.bot.sent, await world.queued()) == ([], ["m1", "m2"])
    assert await redis_client.exists(KEY) == 0


@on_newest
async def test_messages_added_during_the_hand_over_are_handed_over_too(
    redis_client: Redis,
) -> None:
    world, other = World(redis_client), World(redis_client)
    await world.receive("m1")
    seen: list[str] = []

    async def enqueue(taken: QueueMessage) -> None:
        if not seen:
            await other.receive("m2")
        seen.append(taken.id)

    await world.intake.close(enqueue)
    assert seen == ["m1", "m2"]
    assert await redis_client.exists(KEY) == 0


@on_newest
async def test_closing_while_redis_is_away_leaves_the_buffers_to_the_next_process(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(redis_client)
    for user in range(100):
        await world.receive(f"m{user}", phone=str(user))
    world.unreliable.is_away = True
    await world.intake.close(world.queue.enqueue)
    assert "not everything" in caplog.text
    world.unreliable.is_away = False
    world.time.move(20_000)
    assert await world.adopt() == 100
    assert await world.queued("42") == ["m42"]
