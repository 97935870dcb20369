"""Faults of order, repetition, time and load. Each test ends with a closed ledger."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from queue_core import Batch, LeaseLostError, MessageQueue, Processor, QueueUnavailableError, connect
from queue_core.redis import scripts
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import (
    Bot,
    at_rest,
    check_ledger,
    claimed_batch,
    enqueue,
    eventually,
    let_leases_run_out,
    message,
    on_newest,
    quick,
    running,
)
from tests.queue_core.faults.proxy import Fault, Proxy

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
PHONE = "201000000001"


class Clock:
    """Clock of the test, in Unix ms; never Redis's own."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


async def test_a_message_between_the_last_read_and_the_release_is_the_next_turn(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The incident itself: such a message was lost."""
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    complete, late = queue.complete, iter(["m4", "m5"])

    async def complete_just_after_a_message(batch: Batch) -> None:
        for message_id in late:
            await enqueue(queue, [message_id])
        await complete(batch)

    monkeypatch.setattr(queue, "complete", complete_just_after_a_message)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1", "m2", "m3"])
        await at_rest(queue)
    assert bot.asked_ids == [("m1", "m2", "m3"), ("m4", "m5")]
    await check_ledger(queue, ["m1", "m2", "m3", "m4", "m5"], bot.sent_ids)


@pytest.mark.parametrize("fault", ["lose the answer", "cut the request in half", "cut before the answer"])
async def test_an_enqueue_that_failed_half_way_is_repeated(redis_server: EmbeddedRedis, fault: Fault) -> None:
    """The mark of a known id and the message are stored together or not at all."""
    async with Proxy(redis_server.url) as proxy, connect(proxy.url) as redis:
        queue, bot = MessageQueue(redis, quick(redis_deadline_ms=300)), Bot()
        await enqueue(queue, ["m1"])
        armed = proxy.arm(fault, scripts.Enqueue)
        try:
            receipt = await queue.enqueue(message("m2"))
        except QueueUnavailableError:
            receipt = await queue.enqueue(message("m2"))
        assert armed.happened.is_set()
        assert receipt.status == ("queued" if fault == "cut the request in half" else "duplicate")
        async with running(Processor(queue, bot.handle, bot.send)):
            await at_rest(queue)
        await check_ledger(queue, ["m1", "m2"], bot.sent_ids)


async def test_a_pass_that_finds_a_conversation_held_drops_nothing(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    await enqueue(queue, ["m1"])
    held = await claimed_batch(queue)
    await enqueue(queue, [f"more-{number}" for number in range(6)])
    assert (await Processor(queue, bot.handle, bot.send).process_all_queues()).conversations == 0
    await queue.complete(held)
    async with running(Processor(queue, bot.handle, bot.send)):
        await at_rest(queue)
    await check_ledger(queue, ["m1", *(f"more-{number}" for number in range(6))], [*held.ids, *bot.sent_ids])


async def test_a_later_message_does_not_overtake_one_in_backoff(redis_client: Redis) -> None:
    """Even when enough messages arrive to be due at once."""

    async def fail_once(batch: Batch) -> None:
        if batch.attempt == 1:
            raise RuntimeError

    queue = MessageQueue(redis_client, quick(backoff_base_ms=300, backoff_max_ms=300, max_messages=2))
    bot = Bot(fail_once)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await eventually(lambda: bot.asked, "the first attempt")
        await enqueue(queue, ["m2", "m3", "m4"])
        await at_rest(queue)
    assert bot.asked_ids == [("m1",), ("m1", "m2", "m3", "m4")]
    await check_ledger(queue, ["m1", "m2", "m3", "m4"], bot.sent_ids)


async def test_a_burst_while_a_turn_is_answered_is_one_turn_after_it(redis_client: Redis) -> None:
    gate = asyncio.Event()

    async def wait(batch: Batch) -> None:
        await gate.wait()

    settings = quick(max_messages=3)
    queue, bot = MessageQueue(redis_client, settings), Bot(wait)
    workers = [
        Processor(MessageQueue(redis_client, settings), bot.handle, bot.send, processor_id=f"worker-{n}")
        for n in range(3)
    ]
    async with running(*workers):
        await enqueue(queue, ["m1"])
        await eventually(lambda: bot.asked, "the first turn")
        burst = [f"burst-{number}" for number in range(9)]
        await enqueue(queue, burst)
        await asyncio.sleep(0.1)
        assert bot.asked_ids == [("m1",)]
        gate.set()
        await at_rest(queue)
    assert bot.asked_ids == [("m1",), tuple(burst)]
    await check_ledger(queue, ["m1", *burst], bot.sent_ids)


async def test_a_message_that_is_delivered_again_is_answered_once(redis_client: Redis) -> None:
    """At once, an hour later, and six days later, when the id is long forgotten."""
    clock = Clock()
    queue = MessageQueue(redis_client, quick(), clock=clock)
    first = message("m1", timestamp=NOW_MS)
    assert (await queue.enqueue(first)).status == "queued"
    assert (await queue.enqueue(first)).status == "duplicate"
    bot = Bot()
    clock.now_ms += 20
    await Processor(queue, bot.handle, bot.send).process_all_queues()
    clock.now_ms += HOUR_MS
    assert (await queue.enqueue(first)).status == "duplicate"
    for key in await redis_client.keys("wa:{0}:ids:*"):  # as their TTL does
        await redis_client.delete(key)
    clock.now_ms += 6 * 24 * HOUR_MS
    assert (await queue.enqueue(first)).status == "late"
    clock.now_ms += 20
    await Processor(queue, bot.handle, bot.send).process_all_queues()
    assert bot.sent_ids == ["m1"]
    (letter,) = await queue.dead_letters()
    assert letter.reason.startswith("late: ")
    assert await queue.depth() == 0


async def test_an_id_that_comes_to_four_processes_at_once_is_queued_once(redis_client: Redis) -> None:
    queues, bot = [MessageQueue(redis_client, quick()) for _ in range(4)], Bot()
    receipts = await asyncio.gather(*(queue.enqueue(message("m1")) for queue in queues))
    assert sorted(receipt.status for receipt in receipts) == ["duplicate"] * 3 + ["queued"]
    assert len({receipt.added_at_ms for receipt in receipts}) == 1
    async with running(Processor(queues[0], bot.handle, bot.send)):
        await at_rest(queues[0])
    await check_ledger(queues[0], ["m1"], bot.sent_ids)


@on_newest
async def test_messages_delivered_out_of_order_are_answered_in_the_order_of_the_provider(
    redis_client: Redis,
) -> None:
    """Messages with equal or unknown times stay as they came."""
    clock = Clock()
    queue, bot = MessageQueue(redis_client, quick(), clock=clock), Bot()
    for message_id, timestamp in {"c": 3_000, "a": 1_000, "b1": 2_000, "b2": 2_000}.items():
        await queue.enqueue(message(message_id, timestamp=NOW_MS + timestamp))
    for message_id in ("y", "x"):
        await queue.enqueue(message(message_id, "unknown times"))
    clock.now_ms += 20
    await Processor(queue, bot.handle, bot.send).process_all_queues()
    assert {batch.user_phone: batch.ids for batch in bot.asked} == {
        PHONE: ("a", "b1", "b2", "c"),
        "unknown times": ("y", "x"),
    }
    await check_ledger(queue, ["a", "b1", "b2", "c", "x", "y"], bot.sent_ids)


async def test_a_clock_that_jumps_forward_takes_no_turn_from_its_worker(redis_client: Redis) -> None:
    """The lease is over early, and its holder, which lives, renews it before anybody takes it over."""
    clock = Clock()
    queue = MessageQueue(redis_client, quick(queue_ttl_s=86_400), clock=clock)
    await enqueue(queue, ["m1"])
    clock.now_ms += 20
    first = await claimed_batch(queue, "first")
    clock.now_ms += HOUR_MS
    claimed = await queue.claim("second")
    assert (claimed.batches, claimed.spared) == ((), 1)
    await queue.extend(first)
    await queue.complete(first)
    await check_ledger(queue, ["m1"], first.ids)


async def test_a_clock_that_jumps_back_loses_nothing(redis_client: Redis) -> None:
    """Scheduled turns are due, and tokens still grow."""
    clock = Clock()
    queue, bot = MessageQueue(redis_client, quick(), clock=clock), Bot()
    await enqueue(queue, ["m1"], "before")
    await enqueue(queue, ["m2"], "held")
    clock.now_ms += 20
    (held,) = (await queue.claim("worker", limit=1)).batches
    clock.now_ms -= HOUR_MS
    await enqueue(queue, ["m3"], "after")
    clock.now_ms += 20
    processor = Processor(queue, bot.handle, bot.send)
    assert (await processor.process_all_queues()).completed == 2
    assert sorted([*held.ids, *bot.sent_ids]) == ["m1", "m2", "m3"]
    assert bot.asked[0].token > held.token
    await queue.complete(held)
    clock.now_ms += HOUR_MS
    assert (await processor.process_all_queues()).completed == 0
    await check_ledger(queue, ["m1", "m2", "m3"], [*held.ids, *bot.sent_ids])


async def test_a_message_that_always_fails_is_a_dead_letter_and_its_conversation_goes_on(
    redis_client: Redis,
) -> None:
    """No other message is a dead letter."""

    async def choke(batch: Batch) -> None:
        if "poison" in batch.ids:
            raise RuntimeError("cannot be read")

    queue, bot = MessageQueue(redis_client, quick(max_retry_count=1)), Bot(choke)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["poison"])
        await eventually(lambda: len(bot.asked) == 2, "the last attempt")
        await enqueue(queue, ["m2"])
        await at_rest(queue)
    assert bot.sent_ids == ["m2"]
    assert [it.message.id if it.message else None for it in await queue.dead_letters()] == ["poison"]
    await check_ledger(queue, ["poison", "m2"], bot.sent_ids)


async def test_a_message_that_kills_its_worker_each_time_ends_too(redis_client: Redis) -> None:
    """Nobody lives to report the failure, so the claims count."""
    clock = Clock()
    settings = quick(max_retry_count=2)
    queue, bot = MessageQueue(redis_client, settings, clock=clock), Bot()
    await enqueue(queue, ["poison"])
    clock.now_ms += 20
    for attempt in (1, 2, 3):
        (batch,) = (await queue.claim(f"killed-{attempt}")).batches
        assert batch.attempt == attempt
        await let_leases_run_out(queue)
    await enqueue(queue, ["m2"])
    clock.now_ms += 20
    report = await Processor(queue, bot.handle, bot.send).process_all_queues()
    assert (report.dead_lettered, report.completed) == (1, 1)
    await check_ledger(queue, ["poison", "m2"], bot.sent_ids)


@on_newest
async def test_a_user_who_never_stops_is_answered_all_the_same(redis_client: Redis) -> None:
    """No message waits for a pause that never comes."""
    settings = quick(window_ms=100, max_messages=1_000, max_batch=1_000)
    queue, bot = MessageQueue(redis_client, settings), Bot()
    ids: list[str] = []
    async with running(Processor(queue, bot.handle, bot.send)):
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            ids.append(f"m{len(ids)}")
            await enqueue(queue, [ids[-1]])
            await asyncio.sleep(0.002)
        await at_rest(queue)
    assert len(bot.asked) >= 3
    for batch in bot.asked:
        # If the machine stood still, a turn that ended late puts off the time of the next one.
        assert 0 <= batch.due_at_ms - batch.messages[0].added_at - settings.window_ms < 2_000
        assert batch.claimed_at_ms - batch.due_at_ms < 2_000
    assert bot.sent_ids == ids
    await check_ledger(queue, ids, bot.sent_ids)


@on_newest
@pytest.mark.newest_redis
async def test_others_wait_for_one_turn_at_most_of_a_user_with_thousands_of_messages(
    redis_client: Redis,
) -> None:
    """The user gets turns one after the other; the others get theirs in between."""
    queue, bot = MessageQueue(redis_client, quick(max_batch=100, redis_deadline_ms=20_000)), Bot()
    hot = [f"hot-{number}" for number in range(3_000)]
    others = [f"other-{number}" for number in range(10)]
    await asyncio.gather(*(queue.enqueue(message(it, "hot")) for it in hot))
    for number, message_id in enumerate(others):
        await enqueue(queue, [message_id], f"user-{number}")
    await asyncio.sleep(0.03)
    async with running(Processor(queue, bot.handle, bot.send, concurrency=1)):
        await at_rest(queue)
    turns = [batch.user_phone for batch in bot.asked]
    assert turns.count("hot") == 30
    assert all(phone == "hot" for phone in turns[12:]), "others waited for more than one turn of that user"
    assert [it for it in bot.sent_ids if it.startswith("hot")] == hot
    await check_ledger(queue, [*hot, *others], bot.sent_ids)


@on_newest
@pytest.mark.newest_redis
async def test_ten_thousand_conversations_at_once_are_all_answered(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick(redis_deadline_ms=20_000, lock_ttl_ms=60_000)), Bot()
    ids = [f"m{number}" for number in range(10_000)]
    await asyncio.gather(*(queue.enqueue(message(it, f"user-{it}")) for it in ids))
    async with running(Processor(queue, bot.handle, bot.send, concurrency=200)):
        await eventually(lambda: len(bot.sent) == len(ids), "all answered", within_s=90)
        await at_rest(queue)
    assert bot.at_once_max <= 200
    assert sorted(bot.sent_ids) == sorted(ids)


async def test_two_passes_at_once_answer_each_conversation_once(redis_client: Redis) -> None:
    """Two monitors would make such passes."""
    queues, bot = [MessageQueue(redis_client, quick(window_ms=0)) for _ in range(2)], Bot()
    ids = [f"m{number}" for number in range(30)]
    for number, message_id in enumerate(ids):
        await enqueue(queues[0], [message_id], f"user-{number}")
    passes = [
        Processor(queue, bot.handle, bot.send, concurrency=5, processor_id=f"monitor-{number}")
        for number, queue in enumerate(queues)
    ]
    reports = await asyncio.gather(*(it.process_all_queues() for it in passes))
    assert sum(report.completed for report in reports) == 30
    assert all(report.completed for report in reports)
    await check_ledger(queues[0], ids, bot.sent_ids)


@pytest.mark.parametrize("first", ["complete", "takeover"])
async def test_of_a_takeover_and_a_late_complete_the_first_counts(redis_client: Redis, first: str) -> None:
    """Whichever Redis does first counts, and the other one changes nothing."""
    clock = Clock()
    queue = MessageQueue(redis_client, quick(), clock=clock)
    await enqueue(queue, ["m1"])
    clock.now_ms += 20
    late = await claimed_batch(queue, "late")
    await enqueue(queue, ["m2"])
    clock.now_ms += 20
    if first == "complete":
        await queue.complete(late)
    else:
        await let_leases_run_out(queue)
    taken = await claimed_batch(queue, "monitor")
    assert taken.ids == (("m2",) if first == "complete" else ("m1", "m2"))
    if first == "takeover":
        with pytest.raises(LeaseLostError):
            await queue.complete(late)
    await queue.complete(taken)
    answered = [*late.ids, *taken.ids] if first == "complete" else [*taken.ids]
    await check_ledger(queue, ["m1", "m2"], answered)
