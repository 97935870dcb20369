"""A queue whose time stands still, for the tests of what it does."""

from __future__ import annotations

import random

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue

EPOCH_MS = 1_790_000_000_000


class Clock:
    """The time that the queue is given, Unix ms."""

    def __init__(self) -> None:
        self.now_ms = EPOCH_MS

    def __call__(self) -> int:
        """The time."""
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock()


@pytest.fixture
def queue(redis_client: Redis, clock: Clock) -> MessageQueue:
    """A queue that goes by that clock."""
    return MessageQueue(redis_client, clock=clock, rng=random.Random(1))
