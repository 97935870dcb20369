"""A reply in several parts, from the queue through a real HTTP server: each part reaches the user once."""

from __future__ import annotations

import random

import pytest
from redis.asyncio import Redis

from queue_core import Batch, MessageQueue, Processor, QueueMessage, QueueSettings
from queue_core.channels.cloud.channel import CloudChannel
from queue_core.http_client import new_session
from tests.queue_core.stub_http import Answer, stub

SENT = Answer({"messages": [{"id": "wamid.out"}]})
TOO_FAST = Answer({"error": {"code": 131056, "message": "pair rate limit"}}, status=400)
WAIT_MS = 8_000
"""Wait after a refusal with that code."""
REPLY = "\n\n".join(f"part {number} " + "w" * 3_500 for number in (1, 2, 3))


class Clock:
    """Clock of the queue, Unix ms, so that a test does not wait for the next attempt."""

    def __init__(self) -> None:
        self.now_ms = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        ([SENT, SENT, TOO_FAST, SENT], "1 2 3 3"),
        ([SENT, TOO_FAST, SENT, TOO_FAST, SENT], "1 2 2 3 3"),
        ([TOO_FAST, SENT, TOO_FAST, SENT], "1 1 2 2 3"),
    ],
)
async def test_a_part_that_is_refused_is_sent_after_the_wait_and_no_other_is_repeated(
    redis_client: Redis, answers: list[Answer], requests: str
) -> None:
    """Only one retry is allowed: attempts are counted anew once a part was sent."""
    clock = Clock()
    settings = QueueSettings(window_ms=0, max_retry_count=1)
    queue = MessageQueue(redis_client, settings, clock=clock, rng=random.Random(1))
    await queue.enqueue(QueueMessage(id="m1", instance_name="1001", user_phone="9", message="hello"))
    async with stub(*answers) as server, new_session() as session:
        channel = CloudChannel(session, server.url, "token", timeout_s=10)
        processor = Processor(queue, handle, channel.send)
        await processor.process_all_queues()
        while await queue.pending("1001", "9"):
            requests_before = len(server.bodies)
            clock.now_ms += WAIT_MS - 1
            await processor.process_all_queues()
            assert len(server.bodies) == requests_before
            clock.now_ms += 1
            await processor.process_all_queues()
    assert [body["text"]["body"][5] for body in server.bodies] == requests.split()
    assert await queue.dead_letters() == []


async def handle(batch: Batch) -> str:
    return REPLY
