"""Everything that the queue holds about one conversation, in each of its states."""

from __future__ import annotations

import time

from redis.asyncio import Redis

from queue_core import MessageQueue
from queue_core.queue.upkeep.inspection import Conversation, Lease, RecordedReply, Retry
from tests.queue_core.bot import message
from tests.queue_core.queue.conftest import EPOCH_MS, Clock


async def test_an_unknown_conversation(queue: MessageQueue) -> None:
    nothing = await queue.conversation("bot", "1")
    assert not nothing.is_known
    assert nothing == Conversation(
        now_ms=EPOCH_MS,
        pending=[],
        completed=[],
        statistics={},
        attention_at_ms=None,
        lease=None,
        retry=None,
        reply=None,
        awaits=None,
    )


async def test_the_states_of_a_turn(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(message("m1", "1"))
    waiting = await queue.conversation("bot", "1")
    assert waiting.is_known
    assert (waiting.attention_at_ms, waiting.lease, waiting.retry) == (EPOCH_MS + 8_000, None, None)

    clock.now_ms += 8_000
    (batch,) = (await queue.claim("p")).batches
    await queue.record_reply(batch, "hello")
    held = await queue.conversation("bot", "1")
    assert held.lease == Lease(
        processor_id="p",
        token=str(batch.token),
        messages=1,
        locked_at_ms=clock.now_ms,
        expires_at_ms=clock.now_ms + 15_000,
    )
    assert held.reply == RecordedReply(
        text="hello", messages=1, send_state="unsure", recorded_at_ms=clock.now_ms
    )
    assert held.pending == await queue.pending("bot", "1")
    assert [it.status for it in held.pending] == ["processing"]

    await queue.fail(batch, "no luck", after_ms=300)
    failed = await queue.conversation("bot", "1")
    assert (failed.lease, failed.attention_at_ms) == (None, clock.now_ms + 300)
    assert failed.retry == Retry(attempts=1, setbacks=0, at_ms=clock.now_ms + 300, last_error="no luck")

    clock.now_ms += 300
    (again,) = (await queue.claim("p")).batches
    await queue.complete(again)
    done = await queue.conversation("bot", "1")
    assert (done.pending, done.lease, done.retry, done.reply) == ([], None, None, None)
    assert done.completed == await queue.completed("bot", "1")
    assert done.statistics == await queue.statistics("bot", "1")
    assert done.is_known


async def test_the_time_is_redis_s_own_unless_a_clock_is_given(
    redis_client: Redis, queue: MessageQueue, clock: Clock
) -> None:
    assert await queue.now_ms() == clock.now_ms
    assert abs(await MessageQueue(redis_client).now_ms() - time.time() * 1000) < 60_000
