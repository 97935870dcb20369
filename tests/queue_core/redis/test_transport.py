"""Transport: the queue works with any carrier of its calls, not only with Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, Processor, QueueSettings, QueueUnavailableError, UnsupportedRedisError
from queue_core.redis import scripts
from queue_core.redis.runner import ScriptRunner
from queue_core.redis.scripts.answers import ClaimAnswer, EnqueueAnswer
from queue_core.redis.transport import Transport
from tests.queue_core.bot import Bot, message, quick
from tests.queue_core.forgetful import Forgetful


class Canned(Transport):
    """Transport with answers from a list."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[Any] = []

    async def gathered(self, call: Any) -> Any:
        return await self.alone(call)

    async def alone(self, call: Any) -> Any:
        self.calls.append(call)
        return self.answers.pop(0)

    async def load(self) -> None:
        raise UnsupportedRedisError("there is none")


async def test_a_queue_needs_no_redis_where_something_else_answers() -> None:
    nobody: Any = None
    canned = Canned(EnqueueAnswer("queued", 1_000, 2), ClaimAnswer(9_000, None, 0, 0, []))
    queue = MessageQueue(nobody, QueueSettings(idle_ms=7), clock=lambda: 5, transport=canned)
    receipt = await queue.enqueue(message("m1", "201"))
    assert (receipt.status, receipt.added_at_ms, receipt.waiting) == ("queued", 1_000, 2)
    assert (await queue.claim("p", limit=3)).now_ms == 9_000
    enqueue, claim = canned.calls
    assert isinstance(enqueue, scripts.Enqueue)
    assert (enqueue.place, enqueue.rules.idle_ms, enqueue.now_ms) == (queue.keys.of("bot", "201"), 7, 5)
    assert isinstance(claim, scripts.Claim)
    assert (claim.processor_id, claim.limit) == ("p", 3)
    with pytest.raises(UnsupportedRedisError, match="there is none"):
        await queue.check()


async def test_lost_answers_cost_nothing_but_another_call(redis_client: Redis) -> None:
    carrier = Forgetful(ScriptRunner(redis_client, deadline_ms=5_000))
    queue, bot = MessageQueue(redis_client, quick(), transport=carrier), Bot()
    carrier.lose_next = True
    with pytest.raises(QueueUnavailableError):
        await queue.enqueue(message("m1"))
    assert (await queue.enqueue(message("m1"))).status == "duplicate"
    await asyncio.sleep(0.03)
    carrier.lose_next = True
    with pytest.raises(QueueUnavailableError):
        await queue.claim("p")
    processor = Processor(queue, bot.handle, bot.send, processor_id="p")
    report = await processor.process_all_queues()
    assert (report.completed, bot.sent_ids) == (1, ["m1"])
    first, again = (call.claim_id for call in carrier.calls if isinstance(call, scripts.Claim))
    assert first == again, "the same claim, asked once more"
