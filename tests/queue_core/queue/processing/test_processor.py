"""The processor, from a due turn to its answer: limits, order, and when it wakes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import Batch, MessageQueue, Processor
from tests.queue_core.bot import (
    Bot,
    at_rest,
    check_ledger,
    enqueue,
    eventually,
    happens,
    message,
    on_newest,
    quick,
    running,
    transport_of,
)


async def test_a_turn_is_answered_once_and_finished(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1", "m2", "m3"])
        await at_rest(queue)
    assert bot.asked_ids == [("m1", "m2", "m3")]
    assert [reply for _, reply in bot.sent] == ["re m1 m2 m3"]
    assert [it.id for it in await queue.completed("bot", "201000000001")] == ["m1", "m2", "m3"]
    await check_ledger(queue, ["m1", "m2", "m3"], bot.sent_ids)


@on_newest
@pytest.mark.parametrize("reply", [None, ""])
async def test_without_a_reply_nothing_is_sent(redis_client: Redis, reply: str | None) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()

    async def handle(batch: Batch) -> str | None:
        return reply

    async with running(Processor(queue, handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert bot.sent == []
    assert [it.id for it in await queue.completed("bot", "201000000001")] == ["m1"]


@on_newest
async def test_without_a_sender_the_handler_does_all(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    async with running(Processor(queue, bot.handle)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert bot.asked_ids == [("m1",)]
    assert [it.id for it in await queue.completed("bot", "201000000001")] == ["m1"]


@on_newest
def test_a_concurrency_of_0_is_refused(redis_client: Redis) -> None:
    with pytest.raises(ValueError, match="concurrency is 0, but must be at least 1"):
        Processor(MessageQueue(redis_client), Bot().handle, concurrency=0)


# Limits and order.


@on_newest
@pytest.mark.parametrize("partitions", [1, 4])
async def test_no_more_conversations_in_progress_than_allowed(redis_client: Redis, partitions: int) -> None:
    gate = asyncio.Event()

    async def wait(batch: Batch) -> None:
        await gate.wait()

    settings = quick(
        partitions=partitions, lock_ttl_ms=60_000, lock_renew_ms=30_000
    )  # a renewal would be a round trip
    queue, bot = MessageQueue(redis_client, settings), Bot(wait)
    processor = Processor(queue, bot.handle, bot.send, concurrency=3)
    ids = [f"m{number}" for number in range(20)]
    for number, message_id in enumerate(ids):
        await enqueue(queue, [message_id], f"user-{number}")
    async with running(processor):
        await eventually(lambda: processor.in_progress == 3, "three in progress")
        round_trips = transport_of(queue).round_trips
        await asyncio.sleep(0.2)  # what must not happen has this time to happen
        assert processor.in_progress == 3
        assert transport_of(queue).round_trips == round_trips, "asks for work that it could not take"
        gate.set()
        await at_rest(queue)
    assert bot.at_once_max == 3
    await check_ledger(queue, ids, bot.sent_ids)


@on_newest
async def test_tokens_of_two_partitions_may_be_the_same(redis_client: Redis) -> None:
    """Each partition counts its own tokens from the clock: at the same millisecond they are equal."""
    queue = MessageQueue(redis_client, quick(partitions=8, window_ms=0), clock=lambda: 1_700_000_000_000)
    bot = Bot()
    ids = [f"m{number}" for number in range(40)]
    for number, message_id in enumerate(ids):
        await enqueue(queue, [message_id], f"user-{number}")
    report = await Processor(queue, bot.handle, bot.send).process_all_queues()
    assert report.completed == 40
    tokens = [batch.token for batch in bot.asked]
    assert len(set(tokens)) < len(tokens)
    await check_ledger(queue, ids, bot.sent_ids)


async def test_one_handler_at_a_time_for_a_conversation_and_in_order(redis_client: Redis) -> None:
    async def take_a_moment(batch: Batch) -> None:
        await asyncio.sleep(0.003)

    bot = Bot(take_a_moment)
    settings = quick(window_ms=5, max_messages=3)
    queue = MessageQueue(redis_client, settings)
    workers = [
        Processor(MessageQueue(redis_client, settings), bot.handle, bot.send, processor_id=f"worker-{number}")
        for number in range(4)
    ]
    phones = ["ali", "mona"]
    async with running(*workers):
        for number in range(60):
            for phone in phones:
                await enqueue(queue, [f"{phone}-{number}"], phone)
        await at_rest(queue)
    assert bot.overlaps == []
    for phone in phones:
        assert [it for it in bot.sent_ids if it.startswith(phone)] == [f"{phone}-{n}" for n in range(60)]


@on_newest
async def test_a_slow_user_delays_nobody(redis_client: Redis) -> None:
    gate = asyncio.Event()

    async def wait_for_the_slow_one(batch: Batch) -> None:
        if batch.user_phone == "slow":
            await gate.wait()

    queue, bot = MessageQueue(redis_client, quick()), Bot(wait_for_the_slow_one)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["slow"], "slow")
        await eventually(lambda: bot.asked, "the slow one in progress")
        for number in range(20):
            await enqueue(queue, [f"m{number}"], f"user-{number}")
        await eventually(lambda: len(bot.sent) == 20, "everybody else answered")
        assert bot.at_once == 1
        gate.set()
        await at_rest(queue)


@on_newest
async def test_finished_batches_are_not_kept_in_memory(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick(window_ms=0)), Bot()
    processor = Processor(queue, bot.handle, bot.send)
    async with running(processor):
        await enqueue(queue, ["m"])
        await eventually(lambda: bot.sent and processor.in_progress == 0, "the first one done")
        before = len(asyncio.all_tasks())
        for number in range(100):
            await enqueue(queue, [f"m{number}"], f"user-{number}")
        await eventually(lambda: len(bot.sent) == 101 and processor.in_progress == 0, "all done")
        # A few tasks come and go, such as a read that is answered, a claim under way.
        await eventually(lambda: len(asyncio.all_tasks()) < before + 10, "no task is left over")


# When it wakes.


async def test_wakes_at_once_when_enough_messages_wait(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick(window_ms=600_000, max_messages=5)), Bot()
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1", "m2", "m3", "m4"])
        await asyncio.sleep(0.1)
        assert bot.asked == []
        await enqueue(queue, ["m5"])
        await eventually(lambda: bot.sent, "an answer")
    assert bot.asked_ids == [("m1", "m2", "m3", "m4", "m5")]
    assert bot.asked[0].trigger == "size"


async def test_sleeps_until_something_is_due_without_polling(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick(window_ms=700)), Bot()
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await asyncio.sleep(0.2)  # what the ring brought about is over
        before = transport_of(queue).round_trips
        await asyncio.sleep(0.3)
        assert transport_of(queue).round_trips == before, "asked Redis while nothing was due"
        await at_rest(queue)
    (batch,) = bot.asked
    assert 0 <= batch.claimed_at_ms - batch.due_at_ms < 2_000


@on_newest
async def test_an_idle_worker_sends_redis_almost_nothing(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    async with running(Processor(queue, bot.handle, bot.send)):
        await eventually(lambda: transport_of(queue).round_trips >= 1, "a first look")
        await asyncio.sleep(0.1)
        before = (await redis_client.info("stats"))["total_commands_processed"]
        await asyncio.sleep(0.5)
        after = (await redis_client.info("stats"))["total_commands_processed"]
    assert after - before <= 2, "INFO itself, and perhaps one renewed blocking read"


@on_newest
async def test_a_ring_while_a_claim_is_under_way_is_not_missed(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, bot = MessageQueue(redis_client, quick(window_ms=600_000, max_messages=1)), Bot()
    claim, answered, go_on = queue.claim, asyncio.Event(), asyncio.Event()
    claims = 0

    async def slow_claim(processor_id: str, **asked: Any) -> object:
        nonlocal claims
        claims += 1
        claimed = await claim(processor_id, **asked)
        if claims == 2:  # the first is the one at the start, before the doorbell listens
            answered.set()
            await go_on.wait()
        return claimed

    monkeypatch.setattr(queue, "claim", slow_claim)
    processor = Processor(queue, bot.handle, bot.send)
    async with running(processor):
        await happens(answered)
        await queue.enqueue(message("m1"))
        (watch,) = processor._watches.values()
        await eventually(watch.is_due, "a ring")
        go_on.set()
        await eventually(lambda: bot.sent, "an answer")
