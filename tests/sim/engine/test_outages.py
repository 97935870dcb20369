"""Times without Redis: what its clients meet."""

from __future__ import annotations

import asyncio
from typing import Any

import redis.exceptions

from sim.engine.loop import SimLoop
from sim.engine.network import SimulatedRedis
from tests.sim.engine.test_network import ROUND_TRIP_MS, with_redis


def test_a_redis_that_goes_away_breaks_connections_refuses_new_ones_and_keeps_what_it_has() -> None:
    async def test(loop: SimLoop, network: SimulatedRedis) -> list[Any]:
        client = network.client("web", socket_timeout=60.0)
        await client.set("k", "before")
        await asyncio.gather(client.ping(), client.ping())  # two connections
        blocked = asyncio.ensure_future(client.xread({"stream": "$"}, block=9000))
        await asyncio.sleep(ROUND_TRIP_MS / 1000)
        pending = asyncio.ensure_future(client.set("k", "on its way"))
        await asyncio.sleep(0.2 * ROUND_TRIP_MS / 1000)
        network.begin_outage("away")
        broken = await asyncio.gather(blocked, pending, client.get("k"), return_exceptions=True)
        took_ms = loop.env.now
        network.end_outage()
        return [*map(type, broken), took_ms < 1000, await client.get("k")]

    error = redis.exceptions.ConnectionError
    assert with_redis(test) == [error, error, error, True, b"before"]


def test_a_redis_that_hangs_does_afterwards_what_it_was_asked_even_if_nobody_waits_any_more() -> None:
    async def test(loop: SimLoop, network: SimulatedRedis) -> list[Any]:
        client, impatient = network.client("web"), network.client("worker", socket_timeout=0.5)
        await client.set("k", "before")
        await impatient.get("k")
        network.begin_outage("hangs")
        first = asyncio.ensure_future(impatient.append("k", ", given up"))
        await asyncio.sleep(0.01)
        second = asyncio.ensure_future(client.append("k", ", late"))
        (gave_up,) = await asyncio.gather(first, return_exceptions=True)
        is_late = not second.done()
        network.end_outage()
        await second
        return [type(gave_up), is_late, await client.get("k")]

    assert with_redis(test) == [redis.exceptions.TimeoutError, True, b"before, given up, late"]
