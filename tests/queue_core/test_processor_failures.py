"""The processor when handlers and senders crash, hang, refuse or give up: a retry or a dead letter, never silence."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import Batch, GiveUpError, MessageQueue, Processor, RetryLaterError
from tests.queue_core.bot import (
    Bot,
    at_rest,
    check_ledger,
    enqueue,
    eventually,
    happens,
    on_newest,
    quick,
    running,
)

# Handlers that fail.


@pytest.mark.parametrize(
    "error",
    [RuntimeError("broken"), TimeoutError("its own"), KeyError("k"), RetryLaterError("busy", after_ms=10)],
    ids=lambda error: type(error).__name__,
)
@on_newest
async def test_a_handler_that_crashes_is_tried_again(redis_client: Redis, error: Exception) -> None:
    async def crash_once(batch: Batch) -> None:
        if batch.attempt == 1:
            raise error

    queue, bot = MessageQueue(redis_client, quick()), Bot(crash_once)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert [(batch.attempt, batch.trigger) for batch in bot.asked] == [(1, "window"), (2, "retry")]
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
async def test_retry_later_names_its_own_time(redis_client: Redis) -> None:
    begun: list[float] = []

    async def busy_once(batch: Batch) -> None:
        begun.append(time.monotonic())
        if batch.attempt == 1:
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
        if batch.attempt == 1:
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
    assert [batch.attempt for batch in bot.asked] == [1, 2]
    await check_ledger(queue, ["m1"], bot.sent_ids)


@on_newest
async def test_the_reason_tells_a_limit_from_the_handlers_own_timeout(redis_client: Redis) -> None:
    async def fail(batch: Batch) -> None:
        if batch.user_phone == "hangs":
            await asyncio.Event().wait()
        raise TimeoutError("the model did not answer")

    queue = MessageQueue(redis_client, quick(handler_timeout_ms=50, max_retry_count=0))
    bot = Bot(fail)
    async with running(Processor(queue, bot.handle, bot.send)):
        await enqueue(queue, ["m1"], "hangs")
        await enqueue(queue, ["m2"], "raises")
        await at_rest(queue)
    assert {letter.user_phone: letter.reason for letter in await queue.dead_letters()} == {
        "hangs": "given up after 1 attempts: handle: TimeoutError: took longer than 50 ms",
        "raises": "given up after 1 attempts: handle: TimeoutError: the model did not answer",
    }


async def test_a_handler_that_lets_a_cancellation_through_is_no_endless_loop(redis_client: Redis) -> None:
    """Something inside it was cancelled, it was not: that counts as an attempt that failed."""

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
    assert letter.reason == "given up after 2 attempts: handle: CancelledError, raised by itself"


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even its text can be had")


class _WithoutItsBase(RetryLaterError):
    def __init__(self) -> None:
        """Forgets what the base would set."""


@on_newest
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_Unspeakable, "handle: _Unspeakable: (its text cannot be had: RuntimeError)"),
        (_WithoutItsBase, ""),
        (lambda: RetryLaterError("busy", after_ms=math.nan), "handle: ValueError: after_ms is nan"),  # type: ignore[arg-type]
        (lambda: RetryLaterError("busy", after_ms="soon"), "handle: ValueError: after_ms is 'soon'"),  # type: ignore[arg-type]
    ],
    ids=["no text", "no base", "no time", "no number"],
)
async def test_an_error_that_is_broken_itself_harms_its_own_turn_only(
    redis_client: Redis, make: Callable[[], Exception], reason: str
) -> None:
    async def fail(batch: Batch) -> None:
        if batch.user_phone == "breaks":
            raise make()
        await happens(failed)

    failed = asyncio.Event()
    queue, bot = MessageQueue(redis_client, quick(max_retry_count=1)), Bot(fail)
    async with running(Processor(queue, bot.handle, bot.send)) as (task,):
        await enqueue(queue, ["m1"], "other")
        await enqueue(queue, ["m2"], "breaks")
        await eventually(lambda: bot.asked_ids.count(("m2",)) == 2, "both attempts")
        assert not task.done(), "the worker ended with it"
        failed.set()
        await at_rest(queue)
    assert bot.sent_ids == ["m1"]
    assert [letter.reason.partition(": ")[2][: len(reason)] for letter in await queue.dead_letters()] == [
        reason
    ]
    await check_ledger(queue, ["m1", "m2"], bot.sent_ids)


@on_newest
@pytest.mark.parametrize("after_ms", [math.inf, 10**30])
async def test_retry_later_is_not_never(redis_client: Redis, after_ms: float) -> None:
    async def refuse(batch: Batch) -> None:
        raise RetryLaterError("busy", after_ms=after_ms)  # type: ignore[arg-type]  # what a calculation may come to

    now_ms = 1_700_000_000_000
    queue = MessageQueue(redis_client, quick(window_ms=0), clock=lambda: now_ms)
    bot = Bot(refuse)
    await enqueue(queue, ["m1"])
    await Processor(queue, bot.handle, bot.send).process_all_queues()
    (conversation,) = await queue.active_conversations()
    assert conversation.attention_at_ms == now_ms + 86_400_000


@on_newest
@pytest.mark.parametrize("reply", [5, 0, b"re m1", {"text": "re m1"}, ["re m1"], True])
async def test_a_reply_that_is_no_text_is_a_failure_that_says_so(redis_client: Redis, reply: Any) -> None:
    queue, bot = MessageQueue(redis_client, quick(max_retry_count=0)), Bot()

    async def handle(batch: Batch) -> str | None:
        return reply  # type: ignore[no-any-return]  # a bot without types

    async with running(Processor(queue, handle, bot.send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    (letter,) = await queue.dead_letters()
    assert letter.reason == (
        "given up after 1 attempts: "
        f"handle: TypeError: the handler returned a reply of type {type(reply).__name__}, must be str or None"
    )
    assert bot.sent == []


@on_newest
async def test_what_a_handler_that_sends_by_itself_returns_is_its_own_affair(redis_client: Redis) -> None:
    async def handle(batch: Batch) -> str | None:
        return {"messages": [{"id": "wamid"}]}  # type: ignore[return-value]  # as the send API answered

    queue = MessageQueue(redis_client, quick())
    async with running(Processor(queue, handle)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert [it.id for it in await queue.completed("bot", "201000000001")] == ["m1"]


@pytest.mark.parametrize("hangs_in", ["handle", "send"])
async def test_what_ignores_its_cancellation_loses_its_lease_not_its_user(
    redis_client: Redis, hangs_in: str
) -> None:
    """A bare `except:` around a wait: nothing can end it, so its lease must, or the user is stuck for good."""
    let_go = asyncio.Event()

    async def ignore(batch: Batch) -> None:
        while batch.attempt == 1 and not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    settings = quick(lock_ttl_ms=300, lock_renew_ms=50, handler_timeout_ms=100, send_timeout_ms=100)
    queue = MessageQueue(redis_client, settings)
    bot = Bot(ignore) if hangs_in == "handle" else Bot(on_send=ignore)
    processor = Processor(queue, bot.handle, bot.send, concurrency=2)
    async with running(processor):
        await enqueue(queue, ["m1"])
        try:
            await at_rest(queue)
            assert [batch.attempt for batch, _ in bot.sent] == [2]
            assert processor.in_work == 1, "what still runs takes up its place"
            await enqueue(queue, ["m2"])
            await at_rest(queue)
        finally:
            let_go.set()
        await eventually(lambda: processor.in_work == 0, "the first attempt ends")
    late = ["m1"] if hangs_in == "send" else []
    assert bot.sent_ids == ["m1", "m2", *late]
    await check_ledger(queue, ["m1", "m2"], bot.sent_ids, may_repeat=late)


# Senders that fail.


@on_newest
@pytest.mark.parametrize("unsure_sends", ["resend", "dead-letter"])
async def test_a_reply_that_was_certainly_not_sent_is_sent_again_not_asked_for_again(
    redis_client: Redis, unsure_sends: str
) -> None:
    async def refuse_once(batch: Batch) -> None:
        if batch.attempt == 1:
            raise RetryLaterError("131056: too many messages to one user", after_ms=10)

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
    assert letter.reason == "the reply may have been sent before a crash (unsure_sends = dead-letter)"


@pytest.mark.parametrize("unsure_sends", ["resend", "dead-letter"])
async def test_a_reply_once_not_sent_is_unsure_again_as_soon_as_it_is_sent_again(
    redis_client: Redis, unsure_sends: str
) -> None:
    """What is known of the first attempt says nothing of the second."""
    sends: list[int] = []

    async def send(batch: Batch, reply: str) -> None:
        sends.append(batch.attempt)
        if batch.attempt == 1:
            raise RetryLaterError("HTTP 429", after_ms=1)
        if batch.attempt == 2:
            await _raise_reset()

    queue, bot = MessageQueue(redis_client, quick(unsure_sends=unsure_sends)), Bot()
    async with running(Processor(queue, bot.handle, send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert sends == ([1, 2, 3] if unsure_sends == "resend" else [1, 2])
    assert len(bot.asked) == 1
    assert len(await queue.dead_letters()) == (unsure_sends == "dead-letter")


@on_newest
async def test_a_refusal_does_not_say_that_an_earlier_unsure_send_did_not_arrive(redis_client: Redis) -> None:
    """Nor that the user can be sent it again under `dead-letter`, should that be set meanwhile."""

    async def cut_off_then_refuse(batch: Batch) -> None:
        if batch.attempt == 1:
            await _raise_reset()
        raise RetryLaterError("HTTP 429", after_ms=1)

    queue, bot = MessageQueue(redis_client, quick(max_retry_count=4)), Bot(on_send=cut_off_then_refuse)
    states: list[str] = []

    async def send(batch: Batch, reply: str) -> None:
        states.append(batch.send_state)
        await bot.send(batch, reply)

    async with running(Processor(queue, bot.handle, send)):
        await enqueue(queue, ["m1"])
        await at_rest(queue)
    assert states == ["not sent", "unsure", "unsure", "unsure", "unsure"]


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
