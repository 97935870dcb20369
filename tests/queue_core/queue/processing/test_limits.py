"""Too much was sent in a short time: the conversation waits, its attempt does not count, and no other user waits."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import Batch, MessageQueue, Processor, QueueSettings, RetryLaterError
from tests.queue_core.bot import Bot, at_rest, enqueue, quick, running
from tests.queue_core.queue import backends
from tests.queue_core.queue.backends import claim, next_probe
from tests.queue_core.queue.conftest import Clock

REASON = "not sent: too many messages to this user"


async def fail_by_limit(queue: MessageQueue, batch: Batch, after_ms: int | None = 8_000) -> int:
    """Fail an attempt by a rate limit."""
    return await queue.fail(batch, REASON, not_sent=True, after_ms=after_ms, limited=True)


async def test_the_attempt_does_not_count_and_the_wait_grows(queue: MessageQueue, clock: Clock) -> None:
    await backends.enqueue(queue, ["ali"])
    clock.now_ms += 8_000
    waits = []
    for setbacks in range(8):
        batch = await next_probe(queue, clock)
        assert (batch.attempt, batch.setbacks) == (1, setbacks)
        await queue.record_reply(batch, "hello")
        failed_ms = clock.now_ms
        assert await fail_by_limit(queue, batch) == 0
        waits.append(((await queue.claim("p", limit=1)).next_due_ms or 0) - failed_ms)
    assert waits[:4] == [8_000] * 4, "the provider's wait, as long as the backoff is shorter"
    assert 30_000 <= waits[-1] <= 32_000, "four times as long at most"
    batch = await next_probe(queue, clock)
    assert batch.reply == "hello"
    await queue.complete(batch)
    assert await queue.dead_letters() == []


async def test_no_other_conversation_waits(queue: MessageQueue, clock: Clock) -> None:
    await backends.enqueue(queue, ["ali", "bea", "cem"])
    clock.now_ms += 8_000
    for batch in (await claim(queue))[:2]:
        await queue.record_reply(batch, "hello")
        await fail_by_limit(queue, batch)
    assert await queue.outages() == []
    await backends.enqueue(queue, ["dia"])
    clock.now_ms += 7_999
    assert await claim(queue) == []
    clock.now_ms += 1
    assert {batch.user_phone for batch in await claim(queue)} == {"ali", "bea", "dia"}


async def test_a_message_that_comes_meanwhile_does_not_end_the_wait(
    queue: MessageQueue, clock: Clock
) -> None:
    await backends.enqueue(queue, ["ali"])
    clock.now_ms += 8_000
    (batch,) = await claim(queue)
    await queue.record_reply(batch, "hello")
    await fail_by_limit(queue, batch, after_ms=60_000)
    for number in range(2, 8):
        await backends.enqueue(queue, ["ali"], number=number)
    clock.now_ms += 59_999
    assert await claim(queue) == []
    clock.now_ms += 1
    (batch,) = await claim(queue)
    assert (batch.ids, batch.reply) == (("ali-1",), "hello")


async def test_it_does_not_wait_for_ever(redis_client: Redis, clock: Clock) -> None:
    queue = MessageQueue(
        redis_client, QueueSettings(outage_patience_s=600), clock=clock, monotonic=clock.seconds
    )
    await backends.enqueue(queue, ["ali"])
    clock.now_ms += 8_000
    for _ in range(50):
        batches = await claim(queue)
        if not batches:
            clock.now_ms += 20_000
        for batch in batches:
            await fail_by_limit(queue, batch)
    (letter,) = await queue.dead_letters()
    assert letter.reason == f"given up after 600 s: too much was sent; last error: {REASON}"
    assert await queue.depth() == 0


@pytest.mark.parametrize("stage", ["handle", "send"])
async def test_a_worker_reports_a_limit_as_one(redis_client: Redis, stage: str) -> None:
    """Two conversations are refused more often than they have attempts, and no outage begins."""
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    refused: list[str] = []

    async def refuse(batch: Batch) -> None:
        refused.append(batch.user_phone)
        if refused.count(batch.user_phone) <= 6:
            assert batch.attempt == 1
            raise RetryLaterError(REASON, after_ms=1, blames="limit")

    setattr(bot, f"on_{stage}", refuse)
    await enqueue(queue, ["m1"], "1")
    await enqueue(queue, ["m2"], "2")
    async with running(Processor(queue, bot.handle, bot.send)):
        await at_rest(queue)
    assert sorted(bot.sent_ids) == ["m1", "m2"]
    assert await queue.dead_letters() == []


async def test_a_part_that_was_sent_ends_the_growth_of_the_wait(queue: MessageQueue, clock: Clock) -> None:
    """A long reply to one user meets the pair limit at part after part; its waits must not grow with its length."""
    await backends.enqueue(queue, ["ali"])
    clock.now_ms += 8_000
    for part in range(1, 12):
        batch = await next_probe(queue, clock)
        assert batch.setbacks <= 1
        await queue.record_reply(batch, "hello")
        await queue.record_sent(batch, parts=part)
        await fail_by_limit(queue, batch)
    (batch,) = [await next_probe(queue, clock)]
    assert batch.parts_sent == 11


async def test_the_wait_after_a_part_is_the_first_one(redis_client: Redis) -> None:
    """After a part, the worker too counts setbacks from 0, not on from those of its batch."""
    settings = quick(backoff_base_ms=1, backoff_max_ms=3_600_000)
    queue, bot, setbacks = MessageQueue(redis_client, settings), Bot(), []
    original = queue.fail

    async def fail(batch: Batch, reason: str, **given: Any) -> int:
        setbacks.append(batch.setbacks)
        return await original(batch, reason, **given)

    queue.fail = fail  # type: ignore[method-assign]

    async def send(batch: Batch, reply: str) -> Any:
        for part in range(batch.parts_sent + 1, 5):
            if part > batch.parts_sent + 1 or (part == 1 and batch.setbacks < 3):
                if part > 1:
                    yield
                raise RetryLaterError(REASON, after_ms=1, blames="limit")

    await enqueue(queue, ["m1"], "1")
    async with running(Processor(queue, bot.handle, send)):
        await at_rest(queue)
    assert setbacks == [0, 1, 2, 0, 0, 0]
