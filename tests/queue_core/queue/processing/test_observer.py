"""The observer of a processor: called once when a batch begins and once when it ends; its errors change nothing."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from queue_core import Batch, GiveUpError, MessageQueue, Processor, RetryLaterError
from queue_core.queue.outages import OutageNews
from queue_core.queue.processing.processor import Outcome
from tests.queue_core.bot import (
    PATIENCE_S,
    Bot,
    at_rest,
    check_ledger,
    enqueue,
    happens,
    let_leases_run_out,
    on_newest,
    quick,
    running,
)

pytestmark = on_newest


class Observer:
    """Observer that notes all calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def claimed(self, batch: Batch) -> None:
        """Note that a batch goes into work."""
        self.calls.append(("claimed", batch.ids, batch.attempt))

    def ended(self, batch: Batch, outcome: Outcome, reason: str, dead_lettered: int) -> None:
        """Note that an attempt is over."""
        self.calls.append((outcome, batch.ids, reason, dead_lettered))

    def given_up(self, messages: int) -> None:
        """Note dead letters made by a claim."""
        self.calls.append(("given up", messages))

    def backend_changed(self, news: OutageNews) -> None:
        """Do nothing: `ended` notes failures."""


async def test_an_answered_turn(redis_client: Redis) -> None:
    queue, bot, observer = MessageQueue(redis_client, quick()), Bot(), Observer()
    async with running(Processor(queue, bot.handle, bot.send, observer=observer)):
        await enqueue(queue, ["m1", "m2"])
        await at_rest(queue)
    assert observer.calls == [("claimed", ("m1", "m2"), 1), ("completed", ("m1", "m2"), "", 0)]


async def test_failures_with_their_reasons(redis_client: Redis) -> None:
    async def fail(batch: Batch) -> None:
        raise (
            RetryLaterError("HTTP 503", after_ms=1, blames="turn")
            if batch.attempt == 1
            else GiveUpError("blocked")
        )

    queue, observer = MessageQueue(redis_client, quick()), Observer()
    async with running(Processor(queue, Bot(fail).handle, observer=observer)):
        await enqueue(queue, ["m1", "m2"])
        await at_rest(queue)
    ids = ("m1", "m2")
    assert observer.calls == [
        ("claimed", ids, 1),
        ("failed", ids, "HTTP 503", 0),
        ("claimed", ids, 2),
        ("failed", ids, "blocked", 2),
    ]


async def test_messages_that_a_claim_gives_up(redis_client: Redis) -> None:
    now = 1_700_000_000_000
    queue = MessageQueue(
        redis_client, quick(queue_ttl_s=60), clock=lambda: now, monotonic=lambda: now / 1_000
    )
    observer = Observer()
    await enqueue(queue, ["m1", "m2"], "ali")
    await redis_client.rpush(queue.keys.of("bot", "mona").queue, "rubbish")
    await redis_client.zadd(queue.keys.partitions[0].active, {"bot:mona": now})
    now += 60_001
    report = await Processor(queue, Bot().handle, observer=observer).process_all_queues()
    assert observer.calls == [("given up", 3)]
    assert (report.conversations, report.dead_lettered) == (0, 3)


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_a_batch_that_is_handed_back(redis_client: Redis, how: str) -> None:
    reached = asyncio.Event()

    async def hang(batch: Batch) -> None:
        reached.set()
        await asyncio.Event().wait()

    queue, observer = MessageQueue(redis_client, quick()), Observer()
    processor = Processor(queue, Bot(hang).handle, grace_s=0.01, observer=observer)
    task = asyncio.create_task(processor.run())
    await enqueue(queue, ["m1"])
    await happens(reached)
    if how == "stop":
        await processor.stop()
    else:
        task.cancel()
    await asyncio.wait([task], timeout=PATIENCE_S)
    assert observer.calls == [
        ("claimed", ("m1",), 1),
        ("handed back", ("m1",), "stopped before it was done", 0),
    ]


async def test_a_batch_cancelled_before_its_first_step_has_ended_too(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, observer = MessageQueue(redis_client, quick(window_ms=0)), Observer()
    await enqueue(queue, ["m1"])

    def cancel_and_note(batch: Batch) -> None:
        task.cancel()  # before the task of the batch begins
        Observer.claimed(observer, batch)

    monkeypatch.setattr(observer, "claimed", cancel_and_note)
    task = asyncio.create_task(Processor(queue, Bot().handle, observer=observer).run())
    await asyncio.wait([task], timeout=PATIENCE_S)
    assert [call[0] for call in observer.calls] == ["claimed", "handed back"]
    assert (await queue.claim("other")).batches[0].attempt == 1


async def test_a_lost_lease(redis_client: Redis) -> None:
    async def take_over(batch: Batch) -> None:
        await let_leases_run_out(queue)
        await queue.claim("somebody else")

    queue, observer = MessageQueue(redis_client, quick(window_ms=0)), Observer()
    await enqueue(queue, ["m1"])
    report = await Processor(queue, Bot(take_over).handle, observer=observer).process_all_queues()
    assert report.lost_leases == 1
    _, (outcome, ids, reason, dead) = observer.calls
    assert (outcome, ids, dead) == ("lost", ("m1",), 0)
    assert "is over" in str(reason)


async def test_a_lease_that_a_renewal_finds_lost(redis_client: Redis) -> None:
    async def hang(batch: Batch) -> None:
        taken: tuple[Batch, ...] = ()
        while not taken:  # a renewal may come in between
            await let_leases_run_out(queue)
            taken = (await queue.claim("somebody else")).batches
        await asyncio.Event().wait()

    queue, observer = MessageQueue(redis_client, quick(window_ms=0, lock_renew_ms=10)), Observer()
    await enqueue(queue, ["m1"])
    await Processor(queue, Bot(hang).handle, observer=observer).process_all_queues()
    reason = "the lease ran out, and another worker may hold the conversation"
    assert observer.calls[-1] == ("lost", ("m1",), reason, 0)


async def test_an_observer_that_raises_changes_nothing_and_its_words_are_not_logged(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Observer):
        def claimed(self, batch: Batch) -> None:
            raise KeyError("secret")

        def ended(self, batch: Batch, outcome: Outcome, reason: str, dead_lettered: int) -> None:
            raise RuntimeError("secret")

    queue, bot = MessageQueue(redis_client, quick()), Bot()
    async with running(Processor(queue, bot.handle, bot.send, observer=Broken())):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    await check_ledger(queue, ["m1"], bot.sent_ids)
    assert "KeyError" in caplog.text
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
