"""Limits on the harm of an outage of the AI or a channel: nothing expires, nobody waits for another's fault."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, QueueSettings
from queue_core.errors import DeadLettersFullError
from queue_core.keys import KeySpace
from tests.queue_core.queue.backends import HOUR_MS, MINUTE_MS, claim, enqueue, fail, take_ai_away
from tests.queue_core.queue.conftest import Clock

SHARED = KeySpace("wa", 1).partitions[0]


async def ids_of_dead(queue: MessageQueue) -> list[str]:
    return [letter.message.id for letter in await queue.dead_letters() if letter.message]


async def work_until(queue: MessageQueue, clock: Clock, end_ms: int, *, kind: str = "ai") -> None:
    """Claim what is due, and let it fail, until `end_ms`."""
    while clock.now_ms < end_ms:
        claimed = await queue.claim("p", limit=10)
        for batch in claimed.batches:
            if kind == "channel":
                await queue.record_reply(batch, "hello")
            await fail(queue, batch, "channel" if kind == "channel" else "ai")
        step_ms = 50 if claimed.batches else max(1, (claimed.next_due_ms or end_ms) - clock.now_ms)
        clock.now_ms += step_ms


@pytest.mark.newest_redis
async def test_what_waits_for_a_backend_does_not_expire_before_its_probe(
    queue: MessageQueue, clock: Clock
) -> None:
    await take_ai_away(queue, clock, ["ali", "bea"])
    users = [f"user-{number}" for number in range(60)]
    await enqueue(queue, users)
    await work_until(queue, clock, clock.now_ms + 2 * HOUR_MS)
    assert await queue.dead_letters() == []
    (outage,) = await queue.outages()
    assert outage.waiting == 62


@pytest.mark.newest_redis
async def test_what_comes_behind_a_turn_that_fails_alone_does_not_expire(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["ali"])
    clock.now_ms += 8_000
    (batch,) = await claim(queue)
    await queue.record_reply(batch, "hello")
    await fail(queue, batch, "channel")
    clock.now_ms += MINUTE_MS
    await enqueue(queue, ["ali"], number=2)
    await work_until(queue, clock, clock.now_ms + 3 * HOUR_MS, kind="channel")
    clock.now_ms += MINUTE_MS
    (batch,) = await claim(queue)
    await queue.complete(batch)
    (batch,) = await claim(queue)
    assert batch.ids == ("ali-2",)
    assert await queue.dead_letters() == []


@pytest.mark.newest_redis
async def test_a_turn_that_always_fails_fast_among_others_gets_few_attempts(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["bad"])
    asked = 0
    for second in range(10 * 60):
        if second % 5 == 0:
            await enqueue(queue, [f"good-{second % 50}"], number=second)
        for batch in await claim(queue):
            if batch.user_phone == "bad":
                asked += 1
                await fail(queue, batch, took_ms=50)
            else:
                await queue.complete(batch)
        clock.now_ms += 1_000
    assert await ids_of_dead(queue) == ["bad-1"]
    assert asked <= 8


@pytest.mark.parametrize("number_bad", [2, 5])
@pytest.mark.newest_redis
async def test_turns_that_always_fail_hold_up_nobody_for_long(
    queue: MessageQueue, clock: Clock, number_bad: int
) -> None:
    bad = [f"bad-{number}" for number in range(number_bad)]
    await enqueue(queue, bad)
    began: dict[str, int] = {}
    delays = []
    for second in range(15 * 60):
        if second % 5 == 0:
            user = f"good-{second}"
            await enqueue(queue, [user])
            began[user] = clock.now_ms
        for batch in await claim(queue):
            if batch.user_phone in bad:
                await fail(queue, batch)
            else:
                delays.append(clock.now_ms - began[batch.user_phone] - 8_000)
                await queue.complete(batch)
        clock.now_ms += 1_000
    assert max(delays) <= 5_000
    assert len(await queue.dead_letters()) == number_bad


async def test_the_time_of_a_hold_is_no_wait_for_a_backend(queue: MessageQueue, clock: Clock) -> None:
    await enqueue(queue, ["ali"])
    clock.now_ms += 8_000
    (batch,) = await claim(queue)
    await fail(queue, batch)
    await queue.holding.hold()
    clock.now_ms += 21 * HOUR_MS
    await queue.holding.resume()
    (batch,) = await claim(queue)
    assert batch.ids == ("ali-1",)
    assert await queue.dead_letters() == []


async def test_the_patience_ends_though_it_is_as_long_as_the_wait_for_a_worker(
    redis_client: Redis, clock: Clock
) -> None:
    queue = MessageQueue(redis_client, QueueSettings(outage_patience_s=600, queue_ttl_s=600), clock=clock)
    await enqueue(queue, ["ali"])
    clock.now_ms += 8_000
    (batch,) = await claim(queue)
    await fail(queue, batch)
    await redis_client.hset(SHARED.looks, "counts_from", clock.now_ms + 590_000)  # another outage ended then
    clock.now_ms += 600_000
    assert await claim(queue) == []
    assert await ids_of_dead(queue) == ["ali-1"]


@pytest.mark.newest_redis
async def test_one_claim_gives_up_some_messages_and_the_next_goes_on(
    redis_client: Redis, clock: Clock
) -> None:
    queue = MessageQueue(redis_client, QueueSettings(outage_patience_s=600), clock=clock)
    await take_ai_away(queue, clock, ["ali", "bea"])
    for number in range(1, 101):
        await enqueue(queue, [f"user-{user}" for user in range(6)], number=number)
    clock.now_ms += 601_000
    given_up = [(await queue.claim("p", limit=50)).given_up for _ in range(6)]
    assert max(given_up) <= 300, "a claim that gives up more takes Redis too long"
    assert sum(given_up) == len(await queue.dead_letters()) >= 600


async def test_where_there_is_no_room_for_dead_letters_newer_messages_keep_their_attempts(
    redis_client: Redis, clock: Clock
) -> None:
    full = MessageQueue(redis_client, QueueSettings(dead_letters_max=1), clock=clock)
    await enqueue(full, ["zoe"])
    clock.now_ms += 8_000
    (batch,) = await claim(full)
    await full.fail(batch, "bad", dead=True)
    await enqueue(full, ["ali"])
    clock.now_ms += 8_000
    for attempt in range(4):
        if attempt == 3:
            await enqueue(full, ["ali"], number=2)
        (batch,) = await claim(full)
        await full.fail(batch, "no luck", after_ms=1_000)
        clock.now_ms += 1_000
    roomy = MessageQueue(redis_client, QueueSettings(dead_letters_max=100), clock=clock)
    clock.now_ms += MINUTE_MS
    (batch,) = await claim(roomy)
    assert batch.ids == ("ali-2",)
    assert await ids_of_dead(roomy) == ["zoe-1", "ali-1"]


async def test_old_messages_are_not_dropped_where_there_is_no_room_for_them(
    redis_client: Redis, clock: Clock
) -> None:
    queue = MessageQueue(redis_client, QueueSettings(dead_letters_max=3), clock=clock)
    await queue.holding.hold()
    for number in range(1, 6):
        await enqueue(queue, ["ali"], number=number)
    clock.now_ms += HOUR_MS
    with pytest.raises(DeadLettersFullError, match="can be kept"):
        await queue.holding.drop_older(MINUTE_MS, "old")
    assert len(await queue.dead_letters()) == 3
    assert (await queue.depth()) == 2
