"""One pass over one conversation."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from queue_core import Batch, MessageQueue, Processor, QueueUnavailableError, connect
from queue_core.redis.scripts import Claim
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import (
    Bot,
    at_rest,
    check_ledger,
    enqueue,
    eventually,
    happens,
    let_leases_run_out,
    on_newest,
    quick,
    running,
    transport_of,
)
from tests.queue_core.faults.proxy import Proxy

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize("partitions", [1, 4])
async def test_nobody_else_is_answered(redis_client: Redis, partitions: int) -> None:
    queue = MessageQueue(redis_client, quick(window_ms=0, partitions=partitions), clock=lambda: NOW_MS)
    bot = Bot()
    ids = [f"m{number}" for number in range(12)]
    for number, message_id in enumerate(ids):
        await enqueue(queue, [message_id, f"{message_id}-more"], f"user-{number}")
    processor = Processor(queue, bot.handle, bot.send)
    report = await processor.process_conversation("bot", "user-7")
    assert bot.asked_ids == [("m7", "m7-more")]
    assert (report.conversations, report.messages, report.completed) == (1, 2, 1)
    assert report.next_due_ms == NOW_MS + queue.settings.lock_ttl_ms // 2, (
        "not the time of others, which are due"
    )
    assert await queue.depth() == 22


async def test_a_turn_that_is_not_due_waits_and_the_report_says_until_when(redis_client: Redis) -> None:
    now = NOW_MS
    queue, bot = MessageQueue(redis_client, quick(window_ms=1_000), clock=lambda: now), Bot()
    await enqueue(queue, ["m1"], "ali")
    now += 999
    processor = Processor(queue, bot.handle, bot.send)
    report = await processor.process_conversation("bot", "ali")
    assert (report.conversations, report.next_due_ms) == (0, NOW_MS + 1_000)
    now += 1
    assert (await processor.process_conversation("bot", "ali")).completed == 1
    assert bot.sent_ids == ["m1"]


async def test_an_unknown_conversation(redis_client: Redis) -> None:
    report = await Processor(MessageQueue(redis_client, quick()), Bot().handle).process_conversation(
        "bot", "x"
    )
    assert (report.conversations, report.next_due_ms) == (0, None)


async def test_a_conversation_that_another_worker_holds_is_left_alone(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick(window_ms=0)), Bot()
    await enqueue(queue, ["m1"], "ali")
    (held,) = (await queue.claim("other")).batches
    assert (await Processor(queue, bot.handle).process_conversation("bot", "ali")).conversations == 0
    await queue.complete(held)
    assert bot.asked == []


@on_newest
async def test_beside_a_run_of_the_same_processor(redis_client: Redis) -> None:
    """Both go on; each conversation is answered once, and the end of the pass hands back nothing that the run has."""
    gate, reached = asyncio.Event(), asyncio.Event()

    async def hold_ali(batch: Batch) -> None:
        if batch.user_phone == "ali":
            reached.set()
            await gate.wait()

    queue, bot = MessageQueue(redis_client, quick()), Bot(hold_ali)
    processor = Processor(queue, bot.handle, bot.send)
    async with running(processor):
        await enqueue(queue, ["m1"], "ali")
        await happens(reached)
        assert (await processor.process_conversation("bot", "ali")).conversations == 0
        assert processor.in_progress == 1
        await enqueue(queue, ["m2"], "mona")
        await asyncio.gather(*(processor.process_conversation("bot", "mona") for _ in range(5)))
        await eventually(lambda: "m2" in bot.sent_ids, "mona answered")
        assert bot.sent_ids == ["m2"]
        gate.set()
        await at_rest(queue)
    assert [batch.attempt for batch in bot.asked] == [1, 1]
    await check_ledger(queue, ["m1", "m2"], bot.sent_ids)


@on_newest
async def test_a_batch_that_was_sent_is_completed_by_the_next_pass(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pass ends, since Redis is away; the processor knows what it sent and does not send it again."""
    settings = quick(window_ms=0, lock_ttl_ms=200, lock_renew_ms=50)
    queue, bot = MessageQueue(redis_client, settings), Bot()
    complete, is_away = queue.complete, True

    async def complete_when_redis_is_back(batch: Batch) -> None:
        if is_away:
            raise QueueUnavailableError("away")
        await complete(batch)

    monkeypatch.setattr(queue, "complete", complete_when_redis_is_back)
    await enqueue(queue, ["m1"], "ali")
    processor = Processor(queue, bot.handle, bot.send)
    for _ in range(2):
        with pytest.raises(QueueUnavailableError, match="away"):
            await processor.process_conversation("bot", "ali")
    is_away = False
    report = await processor.process_conversation("bot", "ali")
    assert (report.conversations, await queue.depth()) == (0, 0)
    assert bot.sent_ids == ["m1"]


@on_newest
async def test_a_batch_that_was_sent_is_not_sent_again_when_its_lease_was_lost(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick(window_ms=0))

    async def lose_the_lease(batch: Batch) -> None:
        if len(bot.sent) == 0:
            await let_leases_run_out(queue)
            (taken,) = (await queue.claim("dies at once")).batches
            assert taken.reply
            await let_leases_run_out(queue)

    bot = Bot(on_send=lose_the_lease)
    await enqueue(queue, ["m1"], "ali")
    processor = Processor(queue, bot.handle, bot.send)
    assert (await processor.process_conversation("bot", "ali")).lost_leases == 1
    assert (await processor.process_conversation("bot", "ali")).completed == 1
    assert bot.sent_ids == ["m1"]


async def test_a_claim_whose_answer_was_lost_is_repeated_first(redis_server: EmbeddedRedis) -> None:
    async with Proxy(redis_server.url) as proxy, connect(proxy.url) as redis:
        queue, bot = MessageQueue(redis, quick(window_ms=0, redis_deadline_ms=300)), Bot()
        await enqueue(queue, ["m1"], "ali")
        await enqueue(queue, ["m2"], "mona")
        await queue.claim("nobody", limit=0)  # loads the script, so that a claim's answer is lost next
        proxy.arm("lose the answer", Claim)
        processor = Processor(queue, bot.handle, bot.send)
        with pytest.raises(QueueUnavailableError):
            await processor.process_conversation("bot", "ali")
        report = await processor.process_conversation("bot", "mona")
        assert (report.completed, sorted(bot.sent_ids)) == (2, ["m1", "m2"])
        assert [batch.attempt for batch in bot.asked] == [1, 1]


@on_newest
async def test_a_stopped_processor_raises_and_leases_nothing(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick(window_ms=0)), Bot()
    await enqueue(queue, ["m1"], "ali")
    processor = Processor(queue, bot.handle, bot.send)
    round_trips = transport_of(queue).round_trips
    await processor.stop()
    with pytest.raises(RuntimeError, match="stopped"):
        await processor.process_conversation("bot", "ali")
    with pytest.raises(RuntimeError, match="stopped"):
        await processor.process_all_queues()
    assert transport_of(queue).round_trips == round_trips
    assert (await queue.claim("other")).batches[0].attempt == 1
