"""Attempts: replies in parts, replies that a newer message replaces, and notes of what was sent that Redis refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import (
    Batch,
    GiveUpError,
    MessageQueue,
    Processor,
    QueueError,
    QueueUnavailableError,
    Reply,
    RetryLaterError,
)
from queue_core.queue.outages import OutageNews
from queue_core.queue.processing.processor import Outcome
from tests.queue_core.bot import (
    Bot,
    at_rest,
    check_ledger,
    claimed_batch,
    enqueue,
    eventually,
    happens,
    let_leases_run_out,
    on_newest,
    quick,
    running,
)

pytestmark = on_newest


class Parts:
    """A sender in three parts. `part_1` to `part_3` are errors that it raises once instead of sending the part."""

    def __init__(self, **refusals: Exception) -> None:
        self.refusals = refusals
        self.sent: list[str] = []
        self.on_part: Callable[[int], Awaitable[None]] | None = None

    async def __call__(self, batch: Batch, reply: str) -> AsyncIterator[None]:
        """Send what is left of the reply."""
        for number in range(batch.parts_sent + 1, 4):
            if number > batch.parts_sent + 1:
                yield
            if refusal := self.refusals.pop(f"part_{number}", None):
                raise refusal
            self.sent.append(f"{reply}, part {number}")
            if self.on_part:
                await self.on_part(number)


WHOLE = [f"re m1, part {number}" for number in (1, 2, 3)]


class Failing:
    """A step of a queue that raises these errors first, one after the other; `calls` counts its calls."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, queue: MessageQueue, name: str, *errors: Exception
    ) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.failed = asyncio.Event()
        self._step = getattr(queue, name)
        monkeypatch.setattr(queue, name, self)

    async def __call__(self, *given: Any, **named: Any) -> Any:
        """Raise, or take the step."""
        self.calls += 1
        if self.errors:
            self.failed.set()
            raise self.errors.pop(0)
        return await self._step(*given, **named)


REFUSED = QueueError("Redis refused a script of the queue: NOPERM")


async def test_a_refused_part_is_where_the_next_attempt_goes_on(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    parts = Parts(
        part_2=RetryLaterError("slow down", after_ms=1), part_3=RetryLaterError("again", after_ms=1)
    )
    async with running(Processor(queue, bot.handle, parts)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert parts.sent == WHOLE
    assert len(bot.asked) == 1


async def test_a_sender_may_yield_anything(redis_client: Redis) -> None:
    queue, bot, sent = MessageQueue(redis_client, quick()), Bot(), []

    async def send(batch: Batch, reply: str) -> AsyncIterator[None]:
        for number in range(3):
            if number:
                yield number  # type: ignore[misc]  # the point
            sent.append(number)

    async with running(Processor(queue, bot.handle, send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert sent == [0, 1, 2]


async def test_a_part_that_was_sent_is_progress_and_attempts_count_anew(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick(max_retry_count=1)), Bot()
    later = RetryLaterError("slow down", after_ms=1)
    parts = Parts(part_1=later, part_2=later, part_3=later)
    async with running(Processor(queue, bot.handle, parts)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert parts.sent == WHOLE
    assert await queue.dead_letters() == []


async def test_a_dead_letter_says_how_many_parts_were_sent(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    async with running(Processor(queue, bot.handle, Parts(part_3=GiveUpError("blocked")))):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert [letter.reason for letter in await queue.dead_letters()] == ["after 2 parts: blocked"]


async def test_after_a_crash_between_two_parts_the_next_worker_goes_on(redis_client: Redis) -> None:
    queue, bot, parts = MessageQueue(redis_client, quick()), Bot(), Parts()
    await enqueue(queue, ["m1"])
    dead = await claimed_batch(queue, "dies")
    await queue.record_reply(dead, "re m1")
    await queue.record_sent(dead, parts=2)
    await let_leases_run_out(queue)
    async with running(Processor(queue, bot.handle, parts)):
        await at_rest(queue)
    assert parts.sent == WHOLE[2:]


@pytest.mark.parametrize("error", [REFUSED, QueueUnavailableError("away"), RuntimeError("odd answer")])
async def test_a_part_whose_note_fails_is_not_sent_again(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    queue, bot, parts = MessageQueue(redis_client, quick()), Bot(), Parts()
    Failing(monkeypatch, queue, "record_sent", error, error)
    async with running(Processor(queue, bot.handle, parts)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert parts.sent == WHOLE


async def test_no_part_is_sent_after_the_lease_was_lost(redis_client: Redis) -> None:
    queue, bot, parts = MessageQueue(redis_client, quick(window_ms=0)), Bot(), Parts()

    async def take_over(number: int) -> None:
        await let_leases_run_out(queue)
        assert (await queue.claim("other")).batches

    parts.on_part = take_over
    await enqueue(queue, ["m1"])
    report = await Processor(queue, bot.handle, parts).process_all_queues()
    assert report.lost_leases == 1
    assert parts.sent == WHOLE[:1]


@pytest.mark.parametrize("error", [REFUSED, RuntimeError("odd answer")])
async def test_a_reply_whose_completion_fails_is_not_sent_again(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    complete = Failing(monkeypatch, queue, "complete", error, error, error)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert complete.calls == 4
    await check_ledger(queue, ["m1"], bot.sent_ids)


async def test_when_completion_fails_the_next_worker_knows_that_the_reply_was_sent(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    complete = Failing(monkeypatch, queue, "complete", *[REFUSED] * 1_000)
    noted = Failing(monkeypatch, queue, "record_sent")
    async with running(Processor(queue, bot.handle, bot.send, grace_s=0.01)):
        await enqueue(queue, ["m1"])
        await eventually(lambda: noted.calls, "a note that it was sent")
    complete.errors.clear()
    await let_leases_run_out(queue)
    async with running(Processor(queue, bot.handle, bot.send)):
        await at_rest(queue)
    await check_ledger(queue, ["m1"], bot.sent_ids)


async def test_the_ai_is_not_asked_again_because_its_answer_could_not_be_recorded_at_once(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    Failing(monkeypatch, queue, "record_reply", *[QueueUnavailableError("away")] * 3)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert len(bot.asked) == 1
    await check_ledger(queue, ["m1"], bot.sent_ids)


async def test_a_recorded_reply_is_sent_only_if_redis_confirms_the_lease(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that stood still after its claim: meanwhile another one has sent the reply."""
    queue, bot = MessageQueue(redis_client, quick(window_ms=0)), Bot()
    await enqueue(queue, ["m1"])
    dead = await claimed_batch(queue, "dies")
    await queue.record_reply(dead, "re m1")
    await let_leases_run_out(queue)
    claim = queue.claim

    async def stand_still(processor_id: str, **asked: Any) -> Any:
        claimed = await claim(processor_id, **asked)
        if claimed.batches:
            await let_leases_run_out(queue)
            (taken,) = (await claim("other")).batches
            await queue.complete(taken)
        return claimed

    monkeypatch.setattr(queue, "claim", stand_still)
    assert (await Processor(queue, bot.handle, bot.send).process_all_queues()).lost_leases == 1
    assert (bot.asked, bot.sent) == ([], [])


async def test_a_confirmation_that_is_read_late_is_asked_for_again(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process stood still for longer than half a lease before it read the answer."""
    settings = quick(lock_ttl_ms=200, lock_renew_ms=50)
    queue, bot, calls = MessageQueue(redis_client, settings), Bot(), 0
    record_reply = queue.record_reply

    async def read_late(batch: Batch, reply: str) -> bool:
        nonlocal calls
        calls += 1
        recorded = await record_reply(batch, reply)
        if calls == 1:
            await asyncio.sleep(0.11)
        return recorded

    monkeypatch.setattr(queue, "record_reply", read_late)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert calls >= 2
    await check_ledger(queue, ["m1"], bot.sent_ids)


# A newer message joins the turn.


class Outcomes:
    """An observer that notes how attempts end."""

    def __init__(self) -> None:
        self.ends: list[tuple[Outcome, tuple[str, ...]]] = []

    def claimed(self, batch: Batch) -> None:
        """Nothing to note."""

    def ended(self, batch: Batch, outcome: Outcome, reason: str, dead_lettered: int) -> None:
        """Note it."""
        self.ends.append((outcome, batch.ids))

    def given_up(self, messages: int) -> None:
        """Nothing to note."""

    def backend_changed(self, news: OutageNews) -> None:
        """Do nothing: `ended` notes failures."""


async def test_a_message_that_comes_while_the_ai_works_joins_the_turn(redis_client: Redis) -> None:
    queue, observer = MessageQueue(redis_client, quick(supersede_ms=45_000)), Outcomes()
    kept: list[str] = []

    async def handle(batch: Batch) -> Reply:
        if batch.ids == ("m1",):
            await enqueue(queue, ["m2"])

        async def keep() -> None:
            kept.append(batch.text)

        await bot.handle(batch)
        return Reply("re " + " ".join(batch.ids), keep)

    bot = Bot()
    async with running(Processor(queue, handle, bot.send, observer=observer)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert bot.asked_ids == [("m1",), ("m1", "m2")]
    assert [batch.attempt for batch in bot.asked] == [1, 1]
    assert observer.ends == [("superseded", ("m1",)), ("completed", ("m1", "m2"))]
    assert kept == ["text m1\ntext m2"], "the AI does not remember the answer that was dropped"
    await check_ledger(queue, ["m1", "m2"], bot.sent_ids)


async def test_without_supersede_it_is_the_next_turn(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick())

    async def write_again(batch: Batch) -> None:
        if batch.ids == ("m1",):
            await enqueue(queue, ["m2"])

    bot = Bot(write_again)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert bot.asked_ids == [("m1",), ("m2",)]


async def test_a_failure_to_keep_what_the_ai_remembers_is_logged_and_the_reply_is_sent(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async def keep() -> None:
        raise RuntimeError("secret")

    async def handle(batch: Batch) -> Reply:
        return Reply("re " + " ".join(batch.ids), keep)

    queue, bot = MessageQueue(redis_client, quick()), Bot()
    async with running(Processor(queue, handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert "on_recorded: RuntimeError in" in caplog.text
    assert "secret" not in caplog.text
    await check_ledger(queue, ["m1"], bot.sent_ids)


async def test_a_reply_that_was_sent_is_completed_while_the_ai_s_memory_is_still_written(
    redis_client: Redis,
) -> None:
    """The worker is stopped in between, and the reply counts as sent."""
    writing = asyncio.Event()

    async def keep() -> None:
        writing.set()
        await asyncio.Event().wait()

    async def handle(batch: Batch) -> Reply:
        return Reply("re " + " ".join(batch.ids), keep)

    queue, bot = MessageQueue(redis_client, quick()), Bot()
    async with running(Processor(queue, handle, bot.send, grace_s=0.01)):
        await enqueue(queue, ["m1"])
        await happens(writing)
        await eventually(lambda: bot.sent, "the reply sent")
    assert await queue.depth() == 0
    await check_ledger(queue, ["m1"], bot.sent_ids)


# Claims.


async def test_a_worker_whose_slots_are_full_goes_on_looking_at_the_index(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without looks no lease of a dead worker would ever run out."""
    gate, reached = asyncio.Event(), asyncio.Event()

    async def wait(batch: Batch) -> None:
        reached.set()
        await gate.wait()

    queue, bot = MessageQueue(redis_client, quick(lock_ttl_ms=400, lock_renew_ms=100)), Bot(wait)
    async with running(Processor(queue, bot.handle, bot.send, concurrency=1)):
        await enqueue(queue, ["m1"])
        await happens(reached)
        looks = Failing(monkeypatch, queue, "claim")
        await eventually(lambda: looks.calls >= 3, "claims of nothing")
        gate.set()
        await at_rest(queue)
    await check_ledger(queue, ["m1"], bot.sent_ids)


async def test_a_pass_waits_for_a_lease_that_ran_out_unseen(redis_client: Redis) -> None:
    """Nobody looked at the index since the worker died: after a few looks its turn is taken over."""
    queue, bot = MessageQueue(redis_client, quick(lock_ttl_ms=300, lock_renew_ms=100)), Bot()
    await enqueue(queue, ["m1"])
    await claimed_batch(queue, "dies")
    await asyncio.sleep(0.4)
    report = await Processor(queue, bot.handle, bot.send).process_all_queues()
    assert report.completed == 1
    assert bot.asked[0].attempt == 2


async def test_what_is_due_is_claimed_together(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    queue, bot = MessageQueue(redis_client, quick(window_ms=0)), Bot()
    for number in range(20):
        await enqueue(queue, [f"m{number}"], f"user-{number}")
    claims = Failing(monkeypatch, queue, "claim")
    assert (await Processor(queue, bot.handle, bot.send).process_all_queues()).completed == 20
    assert claims.calls == 1


async def test_a_claim_whose_answer_is_read_late_is_confirmed_before_the_ai_is_asked(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick(window_ms=0, lock_ttl_ms=200, lock_renew_ms=100)
    queue, bot = MessageQueue(redis_client, settings), Bot()
    claim = queue.claim

    async def read_late(processor_id: str, **asked: Any) -> Any:
        claimed = await claim(processor_id, **asked)
        if claimed.batches:
            await asyncio.sleep(0.11)
            await let_leases_run_out(queue)
            (taken,) = (await claim("other")).batches
            await queue.complete(taken)
        return claimed

    monkeypatch.setattr(queue, "claim", read_late)
    await enqueue(queue, ["m1"])
    assert (await Processor(queue, bot.handle, bot.send).process_all_queues()).conversations == 0
    assert bot.asked == []


async def test_a_claim_whose_answer_is_read_late_is_handed_back_at_the_end(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processor stops before Redis confirms the lease."""
    settings = quick(window_ms=0, lock_ttl_ms=200, lock_renew_ms=100)
    queue, bot = MessageQueue(redis_client, settings), Bot()
    claim, processor = queue.claim, Processor(queue, bot.handle, bot.send)

    async def read_late(processor_id: str, **asked: Any) -> Any:
        claimed = await claim(processor_id, **asked)
        if claimed.batches:
            await asyncio.sleep(0.11)
        return claimed

    async def stop(batch: Batch) -> None:
        await processor.stop()
        raise QueueUnavailableError("away")

    monkeypatch.setattr(queue, "claim", read_late)
    monkeypatch.setattr(queue, "extend", stop)
    await enqueue(queue, ["m1"])
    async with running(processor):
        await eventually(lambda: processor._stopping, "the stop")
    (batch,) = (await claim("other")).batches
    assert (batch.attempt, bot.asked) == (1, [])
