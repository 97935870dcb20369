"""Fixture of the tests of scripts."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from tests.queue_core.redis.scripts.steps import Steps


@pytest.fixture
def steps(redis_client: Redis) -> Steps:
    """Every script, ready to be called."""
    return Steps(redis_client)
