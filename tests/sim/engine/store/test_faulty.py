"""Faults of Redis and its network, as clients meet them; each at its time, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
import redis.exceptions

from sim.engine.distributions import parse_distribution
from sim.engine.injector import Injector
from sim.engine.loop import SimLoop, run
from sim.engine.store.client import StoreClient
from sim.engine.store.faulty import FaultyServer
from sim.faults import parse_faults

WRITE_SIX = "for number = 1, 6 do redis.call('RPUSH', KEYS[1], number) end; return 'done'"
Test = Callable[[FaultyServer, StoreClient], Awaitable[Any]]


def run_with_faults(faults: str, test: Test) -> tuple[Any, int]:
    """Run a test on a server with faults; return its result, and how often the first fault struck."""

    async def main(loop: SimLoop) -> Any:
        injector = Injector(parse_faults([faults], "sim"), now_ms=lambda: loop.env.now, stream=Random)
        server = FaultyServer(
            loop,
            clock_us=lambda: 1_790_000_000_000_000 + round(loop.env.now * 1000),
            latency=parse_distribution("constant:10ms"),
            stream=Random,
            faults=injector,
            took_step=lambda: None,
            lost_writes=lambda: None,
        )
        result = await test(server, server.client("worker-1", socket_timeout=1.0))
        return result, injector.results()[0]["struck"]

    outcome: tuple[Any, int] = run(main)
    return outcome


async def _outcome(call: Awaitable[Any]) -> Any:
    """Return the answer of a call, or the class of its error."""
    try:
        return await call
    except redis.exceptions.RedisError as error:
        return type(error)


async def _add(server: FaultyServer, client: StoreClient) -> tuple[Any, bytes | None]:
    """Add to a number once; return the client's answer, and the number half a minute later."""
    answer = await _outcome(client.incr("n"))
    await asyncio.sleep(30)
    return answer, server.store.execute(("GET", "n"))


CONNECTION, TIMEOUT = redis.exceptions.ConnectionError, redis.exceptions.TimeoutError


@pytest.mark.parametrize(
    ("fault", "answer", "number"),
    [
        ("requests-lost=1", TIMEOUT, None),
        ("answers-lost=1", TIMEOUT, b"1"),
        ("late-copies=1", 1, b"2"),
        ("connection-resets@2ms", CONNECTION, b"1"),
        ("redis-away@2ms:5s", CONNECTION, None),
        ("redis-away@7ms:5s", CONNECTION, b"1"),
        ("redis-hangs@2ms:5s", TIMEOUT, b"1"),
        ("redis-hangs@2ms:500ms", 1, b"1"),
        ("redis-restarts@7ms", CONNECTION, b"1"),
        ("redis-loses-writes@1s:1s", 1, None),
        ("redis-loses-writes@1s:500ms", 1, b"1"),
        ("redis-fails-over@1s:1s", 1, None),
        ("redis-readonly@0s:1s", redis.exceptions.ReadOnlyError, None),
        ("redis-full@0s:1s", redis.exceptions.OutOfMemoryError, None),
        ("worker-cut-off@0s:1s", TIMEOUT, None),
    ],
)
def test_a_client_may_get_another_answer_than_what_redis_did(fault: str, answer: Any, number: Any) -> None:
    assert run_with_faults(fault, _add) == ((answer, number), 1)


def test_a_connection_breaks_before_or_after_redis_carries_a_command_out() -> None:
    async def test(server: FaultyServer, client: StoreClient) -> set[tuple[Any, Any]]:
        outcomes = set()
        for _ in range(20):
            server.store.execute(("DEL", "n"))
            outcomes.add(await _add(server, client))
        return outcomes

    assert run_with_faults("connection-resets=1", test) == ({(CONNECTION, None), (CONNECTION, b"1")}, 20)


def test_an_aborted_script_keeps_what_it_wrote_and_only_an_abort_counts() -> None:
    async def test(server: FaultyServer, client: StoreClient) -> Any:
        answer = await _outcome(client.eval(WRITE_SIX, 1, "k"))
        assert await client.eval("return redis.call('LLEN', KEYS[1])", 1, "k") in (1, 2, 3, 4)
        return answer

    assert run_with_faults("scripts-abort=1", test) == (redis.exceptions.ResponseError, 1)


def test_a_failover_forgets_scripts_and_answers_readonly_before_it_takes_writes() -> None:
    async def test(server: FaultyServer, client: StoreClient) -> list[Any]:
        sha = await client.script_load("return 1")
        await asyncio.sleep(1.2)
        early = await _outcome(client.set("k", "v"))
        await asyncio.sleep(1)
        return [early, await _outcome(client.evalsha(sha, 0)), await client.set("k", "v")]

    result, _ = run_with_faults("redis-fails-over@1s:500ms", test)
    assert result == [redis.exceptions.ReadOnlyError, redis.exceptions.NoScriptError, True]


@pytest.mark.parametrize(("fault", "ahead_s"), [("clock-forward@1s:1h", 3600), ("clock-back@1s:1h", -3600)])
def test_the_clock_of_redis_is_set(fault: str, ahead_s: int) -> None:
    async def test(server: FaultyServer, client: StoreClient) -> int:
        before, _ = await client.time()
        await asyncio.sleep(2)
        return int((await client.time())[0]) - int(before) - 2

    assert run_with_faults(fault, test) == (ahead_s, 1)


def test_a_caller_over_http_gives_up_and_its_request_may_be_carried_out_later() -> None:
    async def test(server: FaultyServer, client: StoreClient) -> list[Any]:
        answer = await _outcome(server.rest("bot").call("INCR", "n"))
        at_s = round(server.loop.time())
        await asyncio.sleep(60)
        return [answer, at_s, server.store.execute(("GET", "n"))]

    assert run_with_faults("redis-hangs@0s:30s", test) == ([TIMEOUT, 10, b"1"], 1)


@pytest.mark.parametrize("outage", ["redis-away@2s:5s", "redis-hangs@2s:5s"])
def test_connections_that_break_during_an_outage_do_not_end_it(outage: str) -> None:
    async def test(server: FaultyServer, client: StoreClient) -> Any:
        await asyncio.sleep(4)
        return await _outcome(client.incr("n"))

    answer, _ = run_with_faults(f"{outage},connection-resets@3s", test)
    assert answer == (CONNECTION if outage.startswith("redis-away") else TIMEOUT)
