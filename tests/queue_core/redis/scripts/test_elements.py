"""Values in a conversation's list that are not messages: each becomes a dead letter, and the others are answered."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from queue_core import Batch, MessageQueue, QueueMessage, QueueSettings
from queue_core.keys import KeySpace
from tests.queue_core.queue.conftest import EPOCH_MS, Clock
from tests.queue_core.redis.scripts.steps import Steps

PLACE = KeySpace("wa", 1).of("bot", "1")
RUBBISH = [
    b"\xff rubbish",
    b"",
    b"{",
    b"[]",
    b'{"addedAt":1790000000000,"id":5}',
    b"discarded 1",
    b"{" * 5_000,
]


@pytest.fixture
def queue(redis_client: Redis, clock: Clock) -> MessageQueue:
    """A queue in which every message is due at once."""
    return MessageQueue(redis_client, QueueSettings(window_ms=0, max_retry_count=1), clock=clock)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock()


async def put(queue: MessageQueue, message_id: str) -> None:
    await queue.enqueue(QueueMessage(id=message_id, instance_name="bot", user_phone="1", message="x"))


async def the_batch(queue: MessageQueue) -> Batch:
    (batch,) = (await queue.claim("p")).batches
    return batch


@pytest.mark.parametrize("rubbish", RUBBISH)
@pytest.mark.parametrize("index", [0, 1, 2])
async def test_the_rest_of_the_batch_is_answered(queue: MessageQueue, rubbish: bytes, index: int) -> None:
    for number in range(3):
        if number == index:
            await queue.redis.rpush(PLACE.queue, rubbish)
        await put(queue, f"m{number}")
    claimed = await queue.claim("p")
    (batch,) = claimed.batches
    assert (batch.ids, batch.attempt, claimed.given_up) == (("m0", "m1", "m2"), 1, 1)
    assert await queue.record_reply(batch, "a reply")
    await queue.complete(batch)
    (letter,) = await queue.dead_letters()
    assert (letter.message, letter.attempts) == (None, 1)
    assert letter.raw.encode() == rubbish.decode("utf-8", "replace").encode()
    assert await queue.active_conversations() == []
    assert [done.id for done in await queue.completed("bot", "1")] == ["m0", "m1", "m2"]


async def test_a_conversation_of_nothing_else_ends(queue: MessageQueue) -> None:
    await put(queue, "m0")
    await queue.redis.delete(PLACE.queue)
    await queue.redis.rpush(PLACE.queue, *RUBBISH)
    claimed = await queue.claim("p")
    assert (claimed.batches, claimed.given_up) == ((), len(RUBBISH))
    assert await queue.redis.keys("wa:{0}:processing_lock:*") == []
    assert await queue.active_conversations() == []


async def test_attempts_and_what_came_later_stay(queue: MessageQueue, clock: Clock) -> None:
    """The second attempt meets rubbish that came after the first began; the message keeps its attempt."""
    await put(queue, "m0")
    await queue.fail(await the_batch(queue), "no luck", after_ms=0)
    await queue.redis.rpush(PLACE.queue, b"rubbish")
    await put(queue, "m1")
    clock.now_ms = EPOCH_MS + 1_000
    batch = await the_batch(queue)
    assert (batch.ids, batch.attempt) == (("m0", "m1"), 2)
    await queue.fail(batch, "no luck")
    assert [(it.message and it.message.id, it.attempts) for it in await queue.dead_letters()] == [
        (None, 2),
        ("m0", 2),
    ]


async def test_a_recorded_reply_answers_what_is_left(queue: MessageQueue, clock: Clock) -> None:
    await put(queue, "m0")
    await put(queue, "m1")
    batch = await the_batch(queue)
    await queue.record_reply(batch, "a reply to both")
    await queue.fail(batch, "no luck", after_ms=0)
    await queue.redis.lset(PLACE.queue, 0, "rubbish")
    await put(queue, "m2")
    again = await the_batch(queue)
    assert (again.ids, again.reply) == (("m1",), "a reply to both")
    await queue.complete(again)
    assert (await the_batch(queue)).ids == ("m2",)


async def test_a_lost_lease_discards_nothing(queue: MessageQueue, steps: Steps) -> None:
    await put(queue, "m0")
    batch = await the_batch(queue)
    before = await steps.everything()
    assert await steps.discard(batch.token + 1) == -1
    assert await steps.everything() == before
