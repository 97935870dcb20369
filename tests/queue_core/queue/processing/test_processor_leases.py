"""The processor and its leases: kept while it works, lost when they cannot be kept, handed back at the end."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import Batch, MessageQueue, Processor, QueueUnavailableError, RetryLaterError, connect
from queue_core.redis import scripts
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import (
    PATIENCE_S,
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
)
from tests.queue_core.faults.proxy import Proxy


class Gate:
    """Gate that stops the first batch until `open` is set."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, batch: Batch) -> None:
        """Wait at the gate, the first time."""
        if not self.reached.is_set():
            self.reached.set()
            await self.open.wait()


# Kept and lost.


async def test_a_handler_that_outlives_its_lease_keeps_it_by_renewal(redis_client: Redis) -> None:
    gate = Gate()
    settings = quick(lock_ttl_ms=600, lock_renew_ms=100)
    queue, bot = MessageQueue(redis_client, settings), Bot(gate)
    other = Processor(MessageQueue(redis_client, settings), bot.handle, bot.send, processor_id="other")
    async with running(Processor(queue, bot.handle, bot.send), other):
        await enqueue(queue, ["m1"])
        await happens(gate.reached)
        await asyncio.sleep(1.0)
        gate.open.set()
        await at_rest(queue)
    assert bot.asked_ids == [("m1",)]
    await check_ledger(queue, ["m1"], bot.sent_ids)


async def test_a_worker_that_cannot_renew_is_cancelled_and_changes_nothing(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick(lock_ttl_ms=200, lock_renew_ms=50)
    ended: list[str] = []
    is_cut_off = False

    async def hang_the_first_time(batch: Batch) -> None:
        nonlocal is_cut_off
        if batch.attempt == 1:
            is_cut_off = True  # not before: a claim that is read late renews its lease before the work begins
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

    cut_off, other_queue = MessageQueue(redis_client, settings), MessageQueue(redis_client, settings)
    bot, extend = Bot(hang_the_first_time), cut_off.extend

    async def extend_when_not_cut_off(batch: Batch) -> None:
        if is_cut_off:
            raise QueueUnavailableError("no route to Redis")
        await extend(batch)

    monkeypatch.setattr(cut_off, "extend", extend_when_not_cut_off)
    await enqueue(cut_off, ["m1"])
    first = Processor(cut_off, bot.handle, bot.send, processor_id="first")
    second = Processor(other_queue, bot.handle, bot.send, processor_id="second")
    async with running(first):
        await eventually(lambda: bot.asked, "the first one at work")
        await first.stop()  # so that it does not take its own lease over
        async with running(second):
            await at_rest(other_queue)
            assert ended == []
            is_cut_off = False
            await eventually(lambda: first.in_progress == 0, "the first one hears of it")
    assert ended == ["cancelled"]
    assert [batch.processor_id for batch in bot.asked] == ["first", "second"]
    assert [batch.processor_id for batch, _ in bot.sent] == ["second"]
    await check_ledger(cut_off, ["m1"], bot.sent_ids)


async def test_a_handler_that_ignores_its_cancellation_still_changes_nothing(redis_client: Redis) -> None:
    settings = quick(lock_ttl_ms=200, lock_renew_ms=50)
    taken_over = asyncio.Event()

    async def ignore(batch: Batch) -> None:
        if batch.processor_id == "stubborn":
            while not taken_over.is_set():
                try:
                    await taken_over.wait()
                except asyncio.CancelledError:
                    continue

    bot = Bot(ignore)
    queue = MessageQueue(redis_client, settings)
    await enqueue(queue, ["m1"])
    stubborn = Processor(queue, bot.handle, bot.send, processor_id="stubborn")
    taker = Processor(MessageQueue(redis_client, settings), bot.handle, bot.send, processor_id="taker")
    async with running(stubborn):
        try:
            await eventually(lambda: bot.asked, "the stubborn one at work")
            await stubborn.stop()
            async with running(taker):
                async with asyncio.timeout(PATIENCE_S):
                    while len(bot.asked) < 2:  # its next renewal may come before the other one's claim
                        await let_leases_run_out(queue, holder="stubborn")
                        await asyncio.sleep(0.005)
                await at_rest(queue)
                taken_over.set()
                await eventually(lambda: stubborn.in_progress == 0, "the stubborn one ends")
        finally:
            taken_over.set()
    assert [batch.processor_id for batch, _ in bot.sent] == ["taker"]
    await check_ledger(queue, ["m1"], bot.sent_ids)


# The end.


async def test_stop_lets_what_is_in_progress_finish(redis_client: Redis) -> None:
    gate = Gate()
    queue, bot = MessageQueue(redis_client, quick()), Bot(gate)
    processor = Processor(queue, bot.handle, bot.send)
    task = asyncio.create_task(processor.run())
    await enqueue(queue, ["m1"])
    await happens(gate.reached)
    await processor.stop()
    await enqueue(queue, ["m2"], "later")
    await asyncio.sleep(0.1)
    assert not task.done()
    gate.open.set()
    async with asyncio.timeout(PATIENCE_S):
        await task
    assert bot.sent_ids == ["m1"]
    assert bot.asked_ids == [("m1",)]
    await check_ledger(queue, ["m1", "m2"], bot.sent_ids)


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_a_batch_that_does_not_finish_is_handed_back_at_once_and_not_counted(
    redis_client: Redis, how: str
) -> None:
    gate = Gate()
    queue, bot = MessageQueue(redis_client, quick()), Bot(gate)
    processor = Processor(queue, bot.handle, bot.send, grace_s=0.05)
    task = asyncio.create_task(processor.run())
    await enqueue(queue, ["m1"])
    await happens(gate.reached)
    await _end(processor, task, how)
    (conversation,) = await queue.active_conversations()
    assert conversation.attention_at_ms <= await _redis_ms(redis_client)
    claimed = await queue.claim("other")
    assert [(batch.ids, batch.attempt) for batch in claimed.batches] == [(("m1",), 1)]
    assert bot.sent == []
    assert bot.answered == []


@on_newest
@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_a_reply_cut_off_while_it_is_sent_is_unsure(redis_client: Redis, how: str) -> None:
    gate = Gate()
    queue, bot = MessageQueue(redis_client, quick()), Bot(on_send=gate)
    processor = Processor(queue, bot.handle, bot.send, grace_s=0.05)
    task = asyncio.create_task(processor.run())
    await enqueue(queue, ["m1"])
    await happens(gate.reached)
    await _end(processor, task, how)
    (batch,) = (await queue.claim("other")).batches
    assert (batch.reply, batch.send_state, batch.attempt) == ("re m1", "unsure", 1)


@on_newest
async def test_a_batch_that_was_sent_is_completed_by_the_cancellation(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    complete, reached = queue.complete, asyncio.Event()

    async def complete_the_second_time(batch: Batch) -> None:
        if not reached.is_set():
            reached.set()
            await asyncio.Event().wait()
        await complete(batch)

    monkeypatch.setattr(queue, "complete", complete_the_second_time)
    processor = Processor(queue, bot.handle, bot.send)
    task = asyncio.create_task(processor.run())
    await enqueue(queue, ["m1"])
    await happens(reached)
    await _end(processor, task, "cancel")
    assert await queue.depth() == 0
    await check_ledger(queue, ["m1"], bot.sent_ids)


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_leases_of_a_claim_that_is_answered_after_the_end_are_handed_back(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    claim, is_leased, go_on = queue.claim, asyncio.Event(), asyncio.Event()

    async def slow_claim(processor_id: str, **asked: Any) -> object:
        claimed = await claim(processor_id, **asked)
        if claimed.batches:
            is_leased.set()
            await go_on.wait()
        return claimed

    monkeypatch.setattr(queue, "claim", slow_claim)
    processor = Processor(queue, bot.handle, bot.send)
    task = asyncio.create_task(processor.run())
    await enqueue(queue, ["m1"])
    await happens(is_leased)
    ending = asyncio.create_task(_end(processor, task, how))
    await asyncio.sleep(0.02)
    go_on.set()
    await ending
    (batch,) = (await claim("other")).batches
    assert (batch.ids, batch.attempt) == (("m1",), 1)
    assert bot.asked == []


@on_newest
async def test_a_batch_claimed_too_late_keeps_its_unsure_reply_unsure(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = MessageQueue(redis_client, quick(window_ms=0))
    await enqueue(queue, ["m1"])
    (batch,) = (await queue.claim("dead")).batches
    await queue.record_reply(batch, "re m1")
    await queue.fail(batch, "cut off while sending", after_ms=0)
    processor, bot = Processor(queue, Bot().handle), Bot()
    claim = queue.claim

    async def claim_and_stop(processor_id: str, **asked: Any) -> object:
        claimed = await claim(processor_id, **asked)
        await processor.stop()
        return claimed

    monkeypatch.setattr(queue, "claim", claim_and_stop)
    async with asyncio.timeout(PATIENCE_S):
        await processor.run()
    (batch,) = (await claim("other")).batches
    assert (batch.attempt, batch.send_state) == (2, "unsure")
    assert bot.asked == []


@on_newest
async def test_a_batch_cancelled_before_its_first_step_is_handed_back(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, bot = MessageQueue(redis_client, quick(window_ms=0)), Bot()
    await enqueue(queue, ["m1"])
    claim = queue.claim

    async def claim_and_cancel(processor_id: str, **asked: Any) -> object:
        claimed = await claim(processor_id, **asked)
        # Runs after the claimer, which this answer wakes, and before the batch's task, which the claimer creates.
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(task.cancel))
        return claimed

    monkeypatch.setattr(queue, "claim", claim_and_cancel)
    processor = Processor(queue, bot.handle, bot.send)
    task = asyncio.create_task(processor.run())
    await asyncio.wait([task], timeout=PATIENCE_S)
    assert task.cancelled()
    assert processor.in_progress == 0
    (batch,) = (await claim("other")).batches
    assert (batch.ids, batch.attempt) == (("m1",), 1)
    assert bot.asked == []


@on_newest
async def test_stop_before_run(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick(window_ms=0)), Bot()
    await enqueue(queue, ["m1"])
    processor = Processor(queue, bot.handle, bot.send)
    await processor.stop()
    async with asyncio.timeout(PATIENCE_S):
        await processor.run()
    assert bot.asked == []
    await check_ledger(queue, ["m1"], [])


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_stop_while_redis_is_away(redis_server: EmbeddedRedis, how: str) -> None:
    gate = Gate()
    async with connect(redis_server.url) as redis:
        queue, bot = MessageQueue(redis, quick(redis_deadline_ms=300)), Bot(gate)
        processor = Processor(queue, bot.handle, bot.send, grace_s=0.1)
        task = asyncio.create_task(processor.run())
        await enqueue(queue, ["m1"])
        await happens(gate.reached)
        redis_server.kill()
        await _end(processor, task, how)
        assert processor.in_progress == 0
        redis_server.start()
        await check_ledger(queue, ["m1"], bot.sent_ids)


# Redis away in between.


async def test_the_leases_of_a_lost_claim_answer_are_handed_over_at_the_next_claim(
    redis_server: EmbeddedRedis,
) -> None:
    async with Proxy(redis_server.url) as proxy, connect(proxy.url) as redis:
        queue, bot = MessageQueue(redis, quick(redis_deadline_ms=200, window_ms=50)), Bot()
        async with running(Processor(queue, bot.handle, bot.send)):
            await enqueue(queue, ["a"], "ali")
            await queue.claim("nobody", limit=0)  # loads the script, so that a claim's answer is lost next
            lost = proxy.arm("lose the answer", scripts.Claim)
            await enqueue(queue, ["b"], "mona")
            await happens(lost.happened)
            began = time.monotonic()
            await at_rest(queue)
            assert time.monotonic() - began < queue.settings.lock_ttl_ms / 1000, (
                "waited for the leases to end"
            )
        assert [batch.attempt for batch in bot.asked] == [1, 1]
        await check_ledger(queue, ["a", "b"], bot.sent_ids)


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_the_leases_of_a_lost_claim_answer_are_handed_back_at_the_end(
    redis_server: EmbeddedRedis, how: str
) -> None:
    async with Proxy(redis_server.url) as proxy, connect(proxy.url) as redis:
        queue, bot = MessageQueue(redis, quick(redis_deadline_ms=300, window_ms=0)), Bot()
        await enqueue(queue, ["m1"])
        await queue.claim("nobody", limit=0)
        lost = proxy.arm("lose the answer", scripts.Claim)
        processor = Processor(queue, bot.handle, bot.send)
        task = asyncio.create_task(processor.run())
        await happens(lost.happened)
        await _end(processor, task, how)
        (batch,) = (await queue.claim("other")).batches
        assert (batch.ids, batch.attempt) == (("m1",), 1)


@on_newest
async def test_redis_away_between_send_and_complete_for_longer_than_the_lease(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is alive and knows what it sent: it does not take its own lease over and send again.

    The outage begins with the send, not earlier, and ends: on a busy machine, a worker that reads the answer to its
    claim late must renew the lease before it begins.
    """
    settings = quick(lock_ttl_ms=100, lock_renew_ms=50)
    queue, back_at = MessageQueue(redis_client, settings), 0.0
    extend, complete = queue.extend, queue.complete

    async def go_away(batch: Batch) -> None:
        nonlocal back_at
        back_at = time.monotonic() + 0.6

    async def extend_unless_away(batch: Batch) -> None:
        raise_while_away()
        await extend(batch)

    async def complete_unless_away(batch: Batch) -> None:
        raise_while_away()
        await complete(batch)

    def raise_while_away() -> None:
        if time.monotonic() < back_at:
            raise QueueUnavailableError("away")

    bot = Bot(on_send=go_away)
    monkeypatch.setattr(queue, "extend", extend_unless_away)
    monkeypatch.setattr(queue, "complete", complete_unless_away)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    await check_ledger(queue, ["m1"], bot.sent_ids)


@on_newest
async def test_a_definite_failure_is_recorded_once_redis_is_back(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse_once(batch: Batch) -> None:
        if batch.setbacks == 0:
            raise RetryLaterError("busy", after_ms=1)

    queue, bot, away = MessageQueue(redis_client, quick()), Bot(on_send=refuse_once), 2
    fail = queue.fail

    async def fail_when_redis_is_back(batch: Batch, reason: str, **how: Any) -> int:
        nonlocal away
        if away:
            away -= 1
            raise QueueUnavailableError("away")
        return await fail(batch, reason, **how)

    monkeypatch.setattr(queue, "fail", fail_when_redis_is_back)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert away == 0
    assert len(bot.asked) == 1
    await check_ledger(queue, ["m1"], bot.sent_ids)


async def _end(processor: Processor, task: asyncio.Task[None], how: str) -> None:
    if how == "stop":
        await processor.stop()
    else:
        task.cancel()
    await asyncio.wait([task], timeout=PATIENCE_S)
    assert task.cancelled() if how == "cancel" else task.done() and task.exception() is None


async def _redis_ms(redis: Redis) -> int:
    seconds, micros = await redis.time()
    return int(seconds) * 1000 + int(micros) // 1000
