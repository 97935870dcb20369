"""Change of the number of partitions while messages wait."""

from __future__ import annotations

import random
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, QueueSettings
from queue_core.errors import PartitionsError
from queue_core.queue import partitions as module
from tests.queue_core.queue.conftest import Clock
from tests.queue_core.queue.partitions_content import contents, fill

HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def _few_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close few partitions, and wait for nothing."""
    monkeypatch.setattr(module, "PARTITIONS_MAX", 12)
    monkeypatch.setattr(module, "LOOK_S", 0.001)


def process(redis: Redis, partitions: int, clock: Clock) -> MessageQueue:
    """A process of a deployment; its leases are short, so that tests do not wait for the grace."""
    rules = QueueSettings(partitions=partitions, lock_ttl_ms=50, lock_renew_ms=20, redis_deadline_ms=20_000)
    return MessageQueue(redis, rules, clock=clock, monotonic=clock.seconds, rng=random.Random(partitions))


@pytest.mark.parametrize(("before", "after"), [(2, 6), (6, 2), (4, 6), (3, 3)])
async def test_everything_is_found_again_where_the_new_number_has_it(
    redis_client: Redis, clock: Clock, before: int, after: int
) -> None:
    old, new = process(redis_client, before, clock), process(redis_client, after, clock)
    stored = await fill(old, clock)
    kept = await contents(redis_client, before)
    await old.change_partitions(after).run(wait_s=10)
    assert await contents(redis_client, after) == kept
    for message in stored:
        assert (await new.enqueue(message)).status == "duplicate"
