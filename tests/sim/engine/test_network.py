"""Redis in simulated time: the time of calls, the server's clock, and requests whose caller gave up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from queue_core.redis.scripts.loader import text
from sim.engine.distributions import Constant
from sim.engine.loop import SimLoop, run
from sim.engine.network import SimulatedRedis, server_time, unix_seconds

EPOCH_MS = 1_767_225_600_000
ROUND_TRIP_MS = 100


def with_redis(test: Callable[[SimLoop, SimulatedRedis], Awaitable[Any]]) -> Any:
    async def main(loop: SimLoop) -> Any:
        redis = SimulatedRedis(loop, epoch_ms=EPOCH_MS, latency=Constant(ROUND_TRIP_MS), stream=random.Random)
        with server_time(redis.clock):
            try:
                return await test(loop, redis)
            finally:
                await redis.close()

    return run(main)


def test_a_pipeline_costs_one_round_trip_however_many_commands_it_holds() -> None:
    async def test(loop: SimLoop, redis: SimulatedRedis) -> list[float]:
        client = redis.client("web")
        await client.ping()  # opens the connection
        costs = []
        for commands in (1, 50):
            began = loop.env.now
            pipeline = client.pipeline(transaction=False)
            for number in range(commands):
                pipeline.set(f"k{number}", number)
            await pipeline.execute()
            costs.append(loop.env.now - began)
        return costs

    assert with_redis(test) == pytest.approx([ROUND_TRIP_MS, ROUND_TRIP_MS])


def test_a_call_over_http_is_executed_half_a_round_trip_after_it_was_made() -> None:
    async def test(loop: SimLoop, redis: SimulatedRedis) -> tuple[Any, Any, float]:
        client = redis.rest("bot")
        writing = asyncio.create_task(client.call("SET", "k", "v"))
        await asyncio.sleep(0.049)
        before = client.peek("GET", "k")
        await asyncio.sleep(0.002)
        after = client.peek("GET", "k")
        await writing
        return before, after, loop.env.now

    assert with_redis(test) == (None, "v", ROUND_TRIP_MS)


def test_a_transaction_over_http_is_one_step_and_one_round_trip() -> None:
    async def test(loop: SimLoop, redis: SimulatedRedis) -> tuple[list[Any], float]:
        answers = await redis.rest("bot").multi(
            ("RPUSH", "l", "a"), ("RPUSH", "l", "b"), ("LRANGE", "l", 0, -1)
        )
        return answers, loop.env.now

    assert with_redis(test) == ([1, 2, ["a", "b"]], ROUND_TRIP_MS)


def test_observers_see_each_write_with_the_value_before_and_after() -> None:
    async def test(loop: SimLoop, redis: SimulatedRedis) -> list[tuple[Any, ...]]:
        seen: list[tuple[Any, ...]] = []
        client = redis.rest("bot")
        client.watch(lambda key, before, after, writer: seen.append((key, before, after, writer is client)))
        await client.call("SET", "k", "1")
        await client.call("GET", "k")
        await client.multi(("RPUSH", "l", "a"), ("DEL", "k"))
        return seen

    assert with_redis(test) == [("k", None, "1", True), ("l", None, ["a"], True), ("k", "1", None, True)]


def test_a_request_is_executed_even_when_the_caller_gives_up() -> None:
    async def test(loop: SimLoop, redis: SimulatedRedis) -> Any:
        client = redis.client("web")
        await client.ping()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await client.set("k", "v")
        await asyncio.sleep(1)
        return await client.get("k")

    assert with_redis(test) == b"v"


def test_calls_of_one_connection_keep_their_order() -> None:
    async def test(loop: SimLoop, redis: SimulatedRedis) -> Any:
        client = redis.client("web")
        await client.ping()
        async with client.pipeline(transaction=False) as pipeline:
            for number in range(20):
                pipeline.rpush("l", number)
            await pipeline.execute()
        return await client.lrange("l", 0, -1)

    assert with_redis(test) == [str(number).encode() for number in range(20)]


def test_a_blocking_read_ends_with_new_data_or_at_its_timeout() -> None:
    async def test(loop: SimLoop, redis: SimulatedRedis) -> list[Any]:
        reader, writer = redis.client("reader"), redis.client("writer")
        await asyncio.gather(reader.ping(), writer.ping())
        began = loop.env.now
        nothing = await reader.xread({"s": "0"}, block=3_000)
        waited = loop.env.now - began
        reading = asyncio.ensure_future(reader.xread({"s": "0"}, block=3_000))
        await asyncio.sleep(1)
        began = loop.env.now
        await writer.xadd("s", {"a": 1})
        await reading
        return [nothing, waited, loop.env.now - began]

    nothing, waited, woken = with_redis(test)
    assert not nothing
    assert waited == pytest.approx(3_000 + ROUND_TRIP_MS)
    assert woken == pytest.approx(ROUND_TRIP_MS)


def test_the_servers_clock_its_expiry_and_its_ids_are_simulated() -> None:
    async def test(loop: SimLoop, redis: SimulatedRedis) -> list[Any]:
        client = redis.client("web")
        await client.set("k", "v", px=60_000)
        await asyncio.sleep(59)
        alive = await client.get("k")
        await asyncio.sleep(1)
        gone = await client.get("k")
        entry = await client.xadd("s", {"a": 1})
        seconds, microseconds = await client.time()
        return [
            alive,
            gone,
            int(text(entry).split("-")[0]) - EPOCH_MS,
            seconds * 1000 + microseconds // 1000 - EPOCH_MS,
        ]

    alive, gone, entry_ms, time_ms = with_redis(test)
    assert (alive, gone) == (b"v", None)
    assert 60_000 < entry_ms < time_ms < 61_000


@given(now_ms=st.integers(0, 20 * 365 * 86_400_000))
@example(now_ms=0)
def test_a_clock_read_at_a_millisecond_does_not_show_the_millisecond_before(now_ms: int) -> None:
    seconds = unix_seconds(EPOCH_MS, float(now_ms))
    assert int(seconds * 1000) == EPOCH_MS + now_ms
    assert round(seconds * 1_000_000) == (EPOCH_MS + now_ms) * 1000


def test_only_one_simulation_at_a_time_has_the_servers_clock() -> None:
    with (
        server_time(lambda: 1.0),
        pytest.raises(RuntimeError, match="another simulation"),
        server_time(lambda: 2.0),
    ):
        pass
