"""Layout of a partition: who writes it, and who refuses to work where a newer release has converted the data."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, QueueMessage, QueueSettings
from queue_core.errors import NewerLayoutError
from queue_core.keys import LAYOUT_KNOWN, LAYOUT_VERSION
from queue_core.queue.health.health import examine
from queue_core.queue.layout import Layout
from tests.queue_core.redis.scripts.steps import NOW, PLACE, SHARED

MESSAGE = QueueMessage(id="m1", instance_name="bot", user_phone="1", message="x")


@pytest.fixture
def queue(redis_client: Redis) -> MessageQueue:
    """A queue whose clock stands still."""
    return MessageQueue(redis_client, clock=lambda: NOW)


def layout(since_ms: int) -> list[Layout]:
    return [Layout(version=LAYOUT_VERSION, since_ms=since_ms, oldest=1)]


async def test_the_first_message_in_an_empty_redis_says_that_nothing_older_is_there(
    queue: MessageQueue,
) -> None:
    assert await queue.layouts() == [Layout(version=1, since_ms=None, oldest=1)]
    await queue.claim("p")  # a worker may come first
    await queue.enqueue(MESSAGE)
    assert await queue.layouts() == layout(0)
    await queue.withdraw(MESSAGE)
    assert await queue.layouts() == layout(0)


async def test_an_older_worker_that_only_waits_counts_as_older_data(
    queue: MessageQueue, redis_client: Redis
) -> None:
    """Such a worker has claimed, as those of all releases do."""
    await redis_client.hset(SHARED.looks, mapping={"at": NOW - 5_000, "since": NOW - 5_000})
    await queue.enqueue(MESSAGE)
    assert await queue.layouts() == layout(NOW)


async def test_the_first_message_beside_older_data_says_since_when_the_new_layout_is_written(
    queue: MessageQueue, redis_client: Redis
) -> None:
    await redis_client.xadd(SHARED.wake, {"at": "1"})  # an older release stored a message
    await queue.enqueue(MESSAGE)
    assert await queue.layouts() == layout(NOW)


async def test_an_answer_without_the_queue_counts_as_the_first_message(queue: MessageQueue) -> None:
    await queue.withdraw(MESSAGE)
    assert await queue.layouts() == layout(0)


async def test_the_time_stands_when_another_message_comes(queue: MessageQueue, redis_client: Redis) -> None:
    await redis_client.hset(SHARED.layout, mapping={"version": LAYOUT_VERSION, "since": NOW - 5_000})
    await queue.enqueue(MESSAGE)
    assert await queue.layouts() == layout(NOW - 5_000)


async def test_an_older_layout_with_a_number_is_replaced(queue: MessageQueue, redis_client: Redis) -> None:
    await redis_client.hset(SHARED.layout, mapping={"version": LAYOUT_VERSION - 1, "since": 0})
    await queue.enqueue(MESSAGE)
    assert await queue.layouts() == layout(NOW)


async def test_a_newer_layout_that_still_allows_this_one_is_left_alone(
    queue: MessageQueue, redis_client: Redis
) -> None:
    newer: dict[Any, Any] = {"version": LAYOUT_VERSION + 1, "since": NOW - 7, "oldest": LAYOUT_VERSION}
    await redis_client.hset(SHARED.layout, mapping=newer)
    await queue.check()
    await queue.enqueue(MESSAGE)
    assert await queue.layouts() == [
        Layout(version=LAYOUT_VERSION + 1, since_ms=NOW - 7, oldest=LAYOUT_VERSION)
    ]


async def test_where_only_a_newer_release_may_work_nothing_is_stored_and_nothing_leased(
    queue: MessageQueue, redis_client: Redis
) -> None:
    await queue.enqueue(MESSAGE)
    await redis_client.hset(SHARED.layout, "oldest", LAYOUT_KNOWN + 1)
    before = await redis_client.keys()
    second = QueueMessage(id="m2", instance_name="bot", user_phone="2", message="x")
    for call in (queue.check, lambda: queue.enqueue(second), lambda: queue.withdraw(second)):
        with pytest.raises(NewerLayoutError, match=f"layout {LAYOUT_KNOWN + 1}, .* upgrade it too"):
            await call()
    with pytest.raises(NewerLayoutError):
        await queue.claim("p")
    assert sorted(await redis_client.keys()) == sorted(before)
    assert await redis_client.llen(PLACE.queue) == 1


async def test_the_health_report_says_that_this_release_is_too_old(
    real_redis: Redis,
) -> None:
    queue = MessageQueue(real_redis)
    await real_redis.hset(SHARED.layout, "oldest", LAYOUT_KNOWN + 1)
    (error,) = [error for error in (await examine(queue)).errors if "layout" in error]
    assert "upgrade it too" in error


@pytest.mark.parametrize(("since", "expected"), [((), None), ((0, 0), 0), ((0, 5, 9), 5), ((9, 5), 5)])
async def test_the_health_report_says_since_when_the_layout_is_written(
    real_redis: Redis, since: tuple[int, ...], expected: int | None
) -> None:
    """The earliest time counts: 24 h later, an older process does not know the ids of its partition."""
    queue = MessageQueue(real_redis, QueueSettings(partitions=3))
    for partition, since_ms in zip(queue.keys.partitions, since, strict=False):
        await real_redis.hset(partition.layout, mapping={"version": LAYOUT_VERSION, "since": since_ms})
    assert (await examine(queue)).layout_since_ms == expected


async def test_a_damaged_layout_stops_nobody(queue: MessageQueue, redis_client: Redis) -> None:
    await redis_client.hset(SHARED.layout, mapping={"version": "x", "since": "-", "oldest": "y"})
    await queue.check()
    await queue.enqueue(msgspec.structs.replace(MESSAGE, id="m0"))
    await redis_client.set(SHARED.layout, "not a hash")
    await queue.check()
    assert (await queue.enqueue(MESSAGE)).status == "queued"
    await queue.claim("p")
