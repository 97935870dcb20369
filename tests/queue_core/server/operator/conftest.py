"""Fixture of a console on a real Redis."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from tests.queue_core.server.operator.console import Console, console_on


@pytest.fixture
def console(real_redis: Redis, capsys: pytest.CaptureFixture[str]) -> Console:
    """Commands on a real Redis."""
    return console_on(real_redis, capsys)
