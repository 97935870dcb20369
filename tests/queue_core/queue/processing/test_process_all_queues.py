"""One pass over all conversations that are due, as cron would start it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from redis.asyncio import Redis

from queue_core import (
    Batch,
    GiveUpError,
    MessageQueue,
    ProcessingReport,
    Processor,
    QueueError,
    QueueUnavailableError,
    connect,
)
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import (
    PATIENCE_S,
    Bot,
    check_ledger,
    enqueue,
    happens,
    let_leases_run_out,
    on_newest,
    quick,
)


async def test_a_pass_reports_its_counts(redis_client: Redis) -> None:
    now = 1_700_000_000_000

    async def as_the_user_is(batch: Batch) -> None:
        if batch.user_phone == "crashes":
            raise RuntimeError
        if batch.user_phone == "gives up":
            raise GiveUpError("blocked")

    queue = MessageQueue(
        redis_client, quick(window_ms=1_000, backoff_base_ms=50, backoff_max_ms=50), clock=lambda: now
    )
    bot = Bot(as_the_user_is)
    await enqueue(queue, ["m1", "m2"], "ali")
    await enqueue(queue, ["m3"], "mona")
    await enqueue(queue, ["m4"], "crashes")
    await enqueue(queue, ["m5", "m6"], "gives up")
    now += 1_000
    await enqueue(queue, ["m7"], "not due yet")
    report = await Processor(queue, bot.handle, bot.send).process_all_queues()
    (after_backoff, not_due) = await queue.active_conversations()
    assert 25 <= after_backoff.attention_at_ms - now <= 50
    assert not_due.attention_at_ms == now + 1_000
    assert report == ProcessingReport(
        conversations=4,
        messages=6,
        superseded=0,
        completed=2,
        failed=2,
        lost_leases=0,
        handed_back=0,
        dead_lettered=2,
        next_due_ms=after_backoff.attention_at_ms,
    )
    await check_ledger(queue, [f"m{number}" for number in range(1, 8)], bot.sent_ids)


async def test_a_pass_over_nothing(redis_client: Redis) -> None:
    report = await Processor(MessageQueue(redis_client, quick()), Bot().handle).process_all_queues()
    assert (report.conversations, report.messages, report.next_due_ms) == (0, 0, None)


@on_newest
async def test_the_report_says_when_to_come_again(redis_client: Redis) -> None:
    now = 1_700_000_000_000
    queue = MessageQueue(redis_client, quick(window_ms=1_000, partitions=4), clock=lambda: now)
    for number in range(8):
        await enqueue(queue, [f"m{number}"], f"user-{number}")
        now += 1
    report = await Processor(queue, Bot().handle).process_all_queues()
    assert report.next_due_ms == 1_700_000_001_000


@on_newest
async def test_a_pass_that_empties_the_queue_names_no_time(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick(window_ms=0)), Bot()
    await enqueue(queue, ["m1"], "ali")
    report = await Processor(queue, bot.handle, bot.send).process_all_queues()
    assert (report.completed, report.next_due_ms) == (1, None)


@on_newest
async def test_the_next_pass_goes_on_where_the_last_pass_ended(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick(window_ms=0)), Bot()
    processor = Processor(queue, bot.handle, bot.send, concurrency=2)
    ids = [f"m{number}" for number in range(10)]
    for number, message_id in enumerate(ids[:5]):
        await enqueue(queue, [message_id], f"user-{number}")
    assert (await processor.process_all_queues()).completed == 5
    assert bot.at_once_max <= 2
    for number, message_id in enumerate(ids[5:]):
        await enqueue(queue, [message_id], f"user-{number}")
    assert (await processor.process_all_queues()).completed == 5
    await check_ledger(queue, ids, bot.sent_ids)


async def test_a_pass_ends_even_with_users_who_never_stop(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick(window_ms=0, max_messages=1))
    sent = 0

    async def write_again(batch: Batch) -> None:
        nonlocal sent
        sent += 1
        assert sent < 100, "the pass never ends"
        await asyncio.sleep(0.003)  # else all is due in the same millisecond of Redis's clock
        await enqueue(queue, [f"again-{sent}"], batch.user_phone)

    bot = Bot(write_again)
    await enqueue(queue, ["m1"], "ali")
    await enqueue(queue, ["m2"], "mona")
    report = await Processor(queue, bot.handle, bot.send, concurrency=1).process_all_queues()
    assert report.conversations == 2
    assert report.next_due_ms is not None
    assert await queue.depth() == 2


@on_newest
async def test_a_pass_takes_over_what_a_dead_worker_left(redis_client: Redis) -> None:
    now = 1_700_000_000_000
    queue = MessageQueue(redis_client, quick(window_ms=0), clock=lambda: now)
    await enqueue(queue, ["m1"])
    await queue.claim("dead")
    await let_leases_run_out(queue)
    bot = Bot()
    assert (await Processor(queue, bot.handle, bot.send).process_all_queues()).completed == 1
    assert bot.asked[0].attempt == 2


async def test_redis_away_at_the_start_of_a_pass_raises(redis_server: EmbeddedRedis) -> None:
    async with connect(redis_server.url) as redis:
        queue, bot = MessageQueue(redis, quick(window_ms=0, redis_deadline_ms=500)), Bot()
        await enqueue(queue, ["m1"])
        redis_server.kill()
        processor = Processor(queue, bot.handle, bot.send)
        with pytest.raises(QueueUnavailableError, match="Redis"):
            await processor.process_all_queues()
        redis_server.start()
        assert (await processor.process_all_queues()).completed == 1
        await check_ledger(queue, ["m1"], bot.sent_ids)


@pytest.mark.parametrize("concurrency", [1, 10])
async def test_redis_away_in_the_middle_of_a_pass_raises(
    redis_server: EmbeddedRedis, concurrency: int
) -> None:
    """With one slot the next claim fails, with ten the batches in progress do: neither waits for ever."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait(batch: Batch) -> None:
        reached.set()
        await go_on.wait()

    async with connect(redis_server.url) as redis:
        settings = quick(window_ms=0, redis_deadline_ms=300, lock_ttl_ms=1_000, lock_renew_ms=100)
        queue, bot = MessageQueue(redis, settings), Bot(wait)
        await enqueue(queue, ["m1"], "ali")
        await enqueue(queue, ["m2"], "mona")
        processor = Processor(queue, bot.handle, bot.send, concurrency=concurrency)
        task = asyncio.create_task(processor.process_all_queues())
        await happens(reached)
        redis_server.kill()
        go_on.set()
        with pytest.raises(QueueUnavailableError, match="Redis"):
            async with asyncio.timeout(PATIENCE_S):
                await task
        assert processor.in_progress == 0
        redis_server.start()
        await check_ledger(queue, ["m1", "m2"], bot.sent_ids)


@on_newest
async def test_a_turn_that_redis_refuses_to_end_does_not_hold_up_the_next_pass(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, bot = MessageQueue(redis_client, quick(window_ms=0, lock_ttl_ms=300, lock_renew_ms=100)), Bot()
    complete = queue.complete

    async def refuse_ali(batch: Batch) -> None:
        if batch.user_phone == "ali":
            raise QueueError("refused")
        await complete(batch)

    monkeypatch.setattr(queue, "complete", refuse_ali)
    await enqueue(queue, ["m1"], "ali")
    processor = Processor(queue, bot.handle, bot.send)
    with pytest.raises(QueueError, match="refused"):
        await processor.process_all_queues()
    await enqueue(queue, ["m2"], "mona")
    with contextlib.suppress(QueueError):  # ali's lease ran out, and is taken over
        await processor.process_all_queues()
    assert bot.sent_ids == ["m1", "m2"]


@on_newest
async def test_a_cancelled_pass_hands_back(redis_client: Redis) -> None:
    reached = asyncio.Event()

    async def hang(batch: Batch) -> None:
        reached.set()
        await asyncio.Event().wait()

    queue, bot = MessageQueue(redis_client, quick(window_ms=0)), Bot(hang)
    await enqueue(queue, ["m1"])
    task = asyncio.create_task(Processor(queue, bot.handle, bot.send).process_all_queues())
    await happens(reached)
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE_S)
    assert task.cancelled()
    (batch,) = (await queue.claim("other")).batches
    assert (batch.ids, batch.attempt) == (("m1",), 1)
