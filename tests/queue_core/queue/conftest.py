"""Fixtures: a queue and the clock that it uses, which stands still."""

from __future__ import annotations

import random

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue

EPOCH_MS = 1_790_000_000_000


class Clock:
    """Clock of the queue, Unix ms."""

    def __init__(self) -> None:
        self.now_ms = EPOCH_MS

    def __call__(self) -> int:
        """Return the time."""
        return self.now_ms

    def seconds(self) -> float:
        """Return the time of a process whose clock goes on with this one."""
        return self.now_ms / 1000


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock()


@pytest.fixture
def queue(redis_client: Redis, clock: Clock) -> MessageQueue:
    """A queue that uses that clock."""
    return MessageQueue(redis_client, clock=clock, monotonic=clock.seconds, rng=random.Random(1))
