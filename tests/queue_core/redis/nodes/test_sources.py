"""Sources of the table: how they end."""

from __future__ import annotations

import asyncio
from typing import Any

from redis import exceptions

from queue_core.redis.nodes.sources import SentinelSource
from queue_core.redis.nodes.urls import Address
from queue_core.waiting import cancel_all


class Deaf:
    """Connection that turns a cancellation into an error of its own, as redis-py sometimes does up to Python 3.11."""

    def __init__(self) -> None:
        self.is_connecting = asyncio.Event()

    async def connect(self) -> None:
        self.is_connecting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise exceptions.ConnectionError from None

    async def disconnect(self, nowait: bool = False) -> None:
        """Do nothing."""


async def test_the_watch_of_sentinels_ends_even_if_a_cancellation_is_swallowed() -> None:
    connection: Any = Deaf()
    source = SentinelSource("main", [Address("h", 1)], lambda _: connection, lambda _: connection)
    watch = asyncio.create_task(source.watch(lambda _: None))
    await connection.is_connecting.wait()
    async with asyncio.timeout(5):
        await cancel_all([watch])
