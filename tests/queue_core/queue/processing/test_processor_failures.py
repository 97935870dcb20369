"""The processor when handlers and senders crash, hang, refuse or give up: a retry or a dead letter, never silence."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import Batch, GiveUpError, MessageQueue, Processor, QueueError, RetryLaterError
from queue_core.errors import SendUncertainError
from tests.queue_core.bot import Bot, at_rest, check_ledger, enqueue, on_newest, quick, running
from tests.queue_core.queue.conftest import Clock

# Handlers that fail.


@pytest.mark.parametrize(
    "error",
    [RuntimeError("broken"), TimeoutError("its own"), KeyError("k"), RetryLaterError("busy", after_ms=10)],
    ids=lambda error: type(error).__name__,
)
@on_newest
async def test_a_handler_that_crashes_is_tried_again(redis_client: Redis, error: Exception) -> None:
    async def crash_once(batch: Batch) -> None:
        if len(bot.asked) == 1:
            raise error

    queue, bot = MessageQueue(redis_client, quick()), Bot(crash_once)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert [batch.trigger for batch in bot.asked] == ["window", "retry"]
    tries = [(batch.attempt, batch.setbacks) for batch in bot.asked]
    assert tries == [(1, 0), (1, 1) if isinstance(error, TimeoutError | RetryLaterError) else (2, 0)]
    await check_ledger(queue, ["m1"], bot.sent_ids)


async def test_a_handler_that_always_crashes_ends_in_dead_letters(redis_client: Redis) -> None:
    async def crash(batch: Batch) -> None:
        raise RuntimeError(f"broken at {batch.attempt}")

    queue, bot = MessageQueue(redis_client, quick(max_retry_count=2)), Bot(crash)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1", "m2"])
        await at_rest(queue)
    assert [batch.attempt for batch in bot.asked] == [1, 2, 3]
    letters = await queue.dead_letters()
    assert [letter.reason for letter in letters] == [
        "given up after 3 attempts: handle: RuntimeError: broken at 3"
    ] * 2
    await check_ledger(queue, ["m1", "m2"], [])


@on_newest
async def test_the_log_names_the_line_that_failed_and_nothing_that_a_user_wrote(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash(batch: Batch) -> None:
        raise RuntimeError(f"cannot answer {batch.text!r}")

    queue, bot = MessageQueue(redis_client, quick(max_retry_count=0)), Bot(crash)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert f"handle: RuntimeError in {__file__}, line " in caplog.text
    assert ", in crash" in caplog.text
    assert "cannot answer" not in caplog.text


@on_newest
async def test_the_log_quotes_no_user_if_redis_refuses_to_note_a_failure(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash_once(batch: Batch) -> None:
        if len(bot.asked) == 1:
            raise RuntimeError(f"cannot answer {batch.text!r}")

    queue, bot = MessageQueue(redis_client, quick()), Bot(crash_once)
    fail = queue.fail

    async def refuse_once(*arguments: Any, **options: Any) -> int:
        monkeypatch.setattr(queue, "fail", fail)
        raise QueueError("Redis refused a script of the queue")

    monkeypatch.setattr(queue, "fail", refuse_once)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert "could not be ended; it will run out: Redis refused a script of the queue" in caplog.text
    assert "cannot answer" not in caplog.text


@on_newest
async def test_backoff_lies_between_the_attempts(redis_client: Redis) -> None:
    begun: list[float] = []

    async def crash_twice(batch: Batch) -> None:
        begun.append(time.monotonic())
        if batch.attempt <= 2:
            raise RuntimeError

    queue = MessageQueue(redis_client, quick(backoff_base_ms=100, backoff_max_ms=10_000))
    bot = Bot(crash_twice)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    first, second, third = begun
    assert second - first >= 0.049  # half of it is random; Redis counts whole milliseconds
    assert third - second >= 0.099


@on_newest
async def test_retry_later_sets_the_wait(redis_client: Redis) -> None:
    begun: list[float] = []

    async def busy_once(batch: Batch) -> None:
        begun.append(time.monotonic())
        if len(begun) == 1:
            raise RetryLaterError("HTTP 429", after_ms=300)

    queue, bot = MessageQueue(redis_client, quick(backoff_base_ms=1)), Bot(busy_once)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert begun[1] - begun[0] >= 0.298


@on_newest
async def test_give_up_makes_dead_letters_at_once(redis_client: Redis) -> None:
    async def give_up(batch: Batch) -> None:
        raise GiveUpError("the user is blocked")

    queue, bot = MessageQueue(redis_client, quick()), Bot(give_up)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert len(bot.asked) == 1
    assert [letter.reason for letter in await queue.dead_letters()] == ["the user is blocked"]


async def test_a_handler_that_hangs_is_cancelled_and_tried_again(redis_client: Redis) -> None:
    cancelled: list[int] = []

    async def hang_once(batch: Batch) -> None:
        if batch.setbacks == 0:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(batch.attempt)
                raise

    queue, bot = MessageQueue(redis_client, quick(handler_timeout_ms=50)), Bot(hang_once)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert cancelled == [1]
    assert [(batch.attempt, batch.setbacks) for batch in bot.asked] == [(1, 0), (1, 1)]
    await check_ledger(queue, ["m1"], bot.sent_ids)


@on_newest
async def test_the_reason_distinguishes_a_limit_from_a_timeout_of_the_handler(redis_client: Redis) -> None:
    async def fail(batch: Batch) -> None:
        if batch.user_phone == "hangs":
            await asyncio.Event().wait()
        raise TimeoutError("the model did not answer")

    queue = MessageQueue(redis_client, quick(handler_timeout_ms=50, max_retry_count=0))
    bot = Bot(fail)
    await enqueue(queue, ["m1"], "hangs")
    await enqueue(queue, ["m2"], "raises")
    await asyncio.sleep(queue.settings.window_ms / 1000 + 0.01)
    await Processor(queue, bot.handle, bot.send).process_all_queues()
    retries = {phone: (await queue.conversation("bot", phone)).retry for phone in ("hangs", "raises")}
    assert {phone: retry and retry.last_error for phone, retry in retries.items()} == {
        "hangs": "handle: TimeoutError: took longer than 50 ms",
        "raises": "handle: TimeoutError: the model did not answer",
    }


async def test_a_handler_that_lets_a_cancellation_through_has_failed(redis_client: Redis) -> None:
    """Something inside the handler was cancelled, not the handler: the attempt counts as failed."""

    async def await_something_cancelled(batch: Batch) -> None:
        inner = asyncio.ensure_future(asyncio.Event().wait())
        inner.cancel()
        await inner

    queue, bot = MessageQueue(redis_client, quick(max_retry_count=1)), Bot(await_something_cancelled)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert [batch.attempt for batch in bot.asked] == [1, 2]
    (letter,) = await queue.dead_letters()
    assert (
        letter.reason
        == "given up after 2 attempts: handle: CancelledError from a task that was cancelled inside it"
    )


# Senders that fail.


@on_newest
@pytest.mark.parametrize("unsure_sends", ["resend", "dead-letter"])
async def test_a_reply_that_was_certainly_not_sent_is_sent_again_not_asked_for_again(
    redis_client: Redis, unsure_sends: str
) -> None:
    async def refuse_once(batch: Batch) -> None:
        if batch.attempt == 1:
            raise RetryLaterError("131056: too many messages to one user", after_ms=10, blames="turn")

    queue, bot = MessageQueue(redis_client, quick(unsure_sends=unsure_sends)), Bot(on_send=refuse_once)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert len(bot.asked) == 1
    assert [(batch.attempt, reply) for batch, reply in bot.sent] == [(2, "re m1")]
    await check_ledger(queue, ["m1"], bot.sent_ids)


@pytest.mark.parametrize("how", ["raises", "hangs"])
async def test_a_reply_that_was_perhaps_sent_is_sent_again_under_resend(
    redis_client: Redis, how: str
) -> None:
    async def fail_once(batch: Batch) -> None:
        if batch.attempt == 1:
            await (_raise_reset() if how == "raises" else asyncio.Event().wait())

    queue, bot = MessageQueue(redis_client, quick(send_timeout_ms=50)), Bot(on_send=fail_once)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert len(bot.asked) == 1
    assert [batch.attempt for batch, _ in bot.sent] == [2]


@on_newest
async def test_a_reply_that_was_perhaps_sent_waits_as_long_as_the_provider_asks(redis_client: Redis) -> None:
    async def fail(batch: Batch) -> None:
        raise SendUncertainError("perhaps sent: the server failed", after_ms=600_000)

    queue, bot = MessageQueue(redis_client, quick(max_messages=1)), Bot(on_send=fail)
    await enqueue(queue, ["m1"])
    began_ms = time.time() * 1000
    report = await Processor(queue, bot.handle, bot.send).process_all_queues()
    assert report.next_due_ms is not None
    assert report.next_due_ms >= began_ms + 500_000, "not the backoff, 20 ms"


@on_newest
@pytest.mark.parametrize("after_ms", [math.nan, math.inf, [1], "soon"], ids=repr)
@pytest.mark.parametrize("kind", [RetryLaterError, SendUncertainError])
async def test_a_wait_that_is_not_a_number_is_the_backoff(
    redis_client: Redis, kind: type[RetryLaterError | SendUncertainError], after_ms: Any
) -> None:
    async def fail_once(batch: Batch) -> None:
        if not failed:
            failed.append(batch)
            raise kind("the server failed", after_ms=after_ms)

    failed: list[Batch] = []
    queue, bot = MessageQueue(redis_client, quick()), Bot(on_send=fail_once)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert len(failed) == 1
    await check_ledger(queue, ["m1"], bot.sent_ids)


@on_newest
@pytest.mark.parametrize(
    "after_ms", [10**12, 1e19, 10**19, 10**400], ids=["31 years", "float", "int64", "huge"]
)
async def test_a_wait_lasts_no_longer_than_the_patience(redis_client: Redis, after_ms: float) -> None:
    async def fail(batch: Batch) -> None:
        raise RetryLaterError("busy", after_ms=after_ms)  # type: ignore[arg-type]

    queue, bot = MessageQueue(redis_client, quick(max_messages=1, outage_patience_s=600)), Bot(fail)
    await enqueue(queue, ["m1"])
    began_ms = await queue.now_ms()
    report = await Processor(queue, bot.handle, bot.send).process_all_queues()
    assert report.next_due_ms is not None
    assert began_ms + 600_000 <= report.next_due_ms <= await queue.now_ms() + 600_000


async def _raise_reset() -> None:
    raise ConnectionResetError("after the request was written")


async def test_a_reply_that_was_perhaps_sent_is_never_sent_again_under_dead_letter(
    redis_client: Redis,
) -> None:
    async def cut_off(batch: Batch) -> None:
        raise ConnectionResetError("after the request was written")

    queue = MessageQueue(redis_client, quick(unsure_sends="dead-letter"))
    sends: list[int] = []

    async def send(batch: Batch, reply: str) -> None:
        sends.append(batch.attempt)
        await cut_off(batch)

    bot = Bot()
    async with running(Processor(queue, bot.handle, send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert sends == [1]
    assert len(bot.asked) == 1
    (letter,) = await queue.dead_letters()
    assert letter.reply == "re m1"
    error = "send: ConnectionResetError: after the request was written"
    assert letter.reason == f"the reply may have been sent (unsure_sends = dead-letter); last error: {error}"


async def test_a_send_that_was_cut_off_after_an_earlier_error_is_not_blamed_on_that_error(
    redis_client: Redis,
) -> None:
    clock, bot = Clock(), Bot()
    settings = quick(unsure_sends="dead-letter")
    queue = MessageQueue(redis_client, settings, clock=clock, monotonic=clock.seconds)
    await enqueue(queue, ["m1"])
    clock.now_ms += settings.window_ms
    (batch,) = (await queue.claim("w1")).batches
    await queue.record_reply(batch, "re m1")
    await queue.fail(batch, "the pair limit", not_sent=True, after_ms=0)
    clock.now_ms += 1
    (batch,) = (await queue.claim("w1")).batches
    await queue.record_reply(batch, "re m1")
    await queue.release(batch)  # the worker was stopped while it sent
    await Processor(queue, bot.handle, bot.send).process_all_queues()
    assert (bot.asked, bot.sent) == ([], [])
    (letter,) = await queue.dead_letters()
    assert (
        letter.reason
        == "the reply may have been sent, since its last try was cut off (unsure_sends = dead-letter)"
    )


@on_newest
async def test_a_sender_that_gives_up_leaves_the_reply_in_the_dead_letter(redis_client: Redis) -> None:
    async def give_up(batch: Batch) -> None:
        raise GiveUpError("the user blocked the bot")

    queue, bot = MessageQueue(redis_client, quick()), Bot(on_send=give_up)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    (letter,) = await queue.dead_letters()
    assert (letter.reason, letter.reply) == ("the user blocked the bot", "re m1")
