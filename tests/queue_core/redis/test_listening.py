"""Listeners to streams: the links and the clients of redis-py that they read over, and what is left after errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis import exceptions
from redis.asyncio import Redis

from queue_core import connect
from queue_core.redis import listening
from queue_core.redis.listening import ClientListener, LinkListener, Listener, listener_on
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import PATIENCE_S
from tests.queue_core.faults.proxy import Proxy

BLOCK_MS = 10_000


class Special(Redis):
    """Client that may do something in its own way."""


@asynccontextmanager
async def listener(redis: Redis, *, block_ms: int = BLOCK_MS) -> AsyncIterator[Listener]:
    """Open a listener, and close it in the end."""
    reader = listener_on(redis, block_ms=block_ms)
    try:
        yield reader
    finally:
        await reader.aclose()


@pytest.fixture(params=[Redis, Special])
async def redis(redis_server: EmbeddedRedis, request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    """Client of each kind of listener."""
    async with request.param.from_url(redis_server.url) as client:
        await client.flushall()
        yield client


async def test_the_kind_of_listener_is_that_of_the_client(redis: Redis) -> None:
    async with listener(redis) as reader:
        assert type(reader) is (LinkListener if type(redis) is Redis else ClientListener)


async def test_both_kinds_read_the_same(redis: Redis) -> None:
    async with listener(redis) as reader:
        await redis.xadd("a", {"at": 1, "of": "x"}, id="1-1")
        assert await reader.last_ids(["a", "b"]) == [b"1-1", "0-0"]
        assert await reader.newer({"a": "0-0", "b": "0-0"}) == [("a", b"1-1", {"at": "1", "of": "x"})]
        reading = asyncio.create_task(reader.newer({"a": b"1-1", "b": "0-0"}))
        await asyncio.sleep(0.05)
        await redis.xadd("b", {"at": 2}, id="5-0")
        assert await reading == [("b", b"5-0", {"at": "2"})]


async def test_a_silence_ends_with_nothing(redis: Redis) -> None:
    async with listener(redis, block_ms=20) as reader:
        assert await reader.newer({"a": "0-0"}) == []
        assert await reader.newer({"a": "0-0"}) == []


async def test_the_answer_to_a_cancelled_read_is_not_taken_for_that_to_the_next(redis: Redis) -> None:
    async with listener(redis) as reader:
        await reader.last_ids(["a"])
        reading = asyncio.create_task(reader.newer({"a": "0-0"}))
        await asyncio.sleep(0.05)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        await redis.xadd("a", {"at": 1}, id="1-1")
        assert await reader.last_ids(["a"]) == [b"1-1"]


async def test_an_error_reply_is_raised_and_the_connection_stays(redis_server: EmbeddedRedis) -> None:
    async with Proxy(redis_server.url) as proxy, connect(proxy.url) as redis, listener(redis) as reader:
        await redis.flushall()
        await redis.set("a", "something else")
        before = proxy.connections
        for _ in range(3):
            with pytest.raises(exceptions.ResponseError, match="WRONGTYPE"):
                await reader.last_ids(["b", "a"])
        assert await reader.last_ids(["b"]) == ["0-0"]
        assert proxy.connections == before + 1


async def test_a_break_ends_the_read_and_the_next_one_connects_anew(redis_server: EmbeddedRedis) -> None:
    async with Proxy(redis_server.url) as proxy, connect(proxy.url) as redis, listener(redis) as reader:
        await redis.flushall()
        assert await reader.last_ids(["a"]) == ["0-0"]
        reading = asyncio.create_task(reader.newer({"a": "0-0"}))
        await asyncio.sleep(0.05)
        proxy.cut_all()
        with pytest.raises(exceptions.ConnectionError):
            await reading
        assert await reader.last_ids(["a"]) == ["0-0"]


async def test_a_server_that_is_silent_for_too_long_is_given_up(
    redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(redis_server.url) as redis, listener(redis, block_ms=50) as reader:
        assert await reader.last_ids(["a"]) == ["0-0"]
        redis_server.pause()
        with monkeypatch.context() as patch:
            patch.setattr(listening, "SPARE_S", 0.05)
            with pytest.raises(TimeoutError):
                await reader.newer({"a": "0-0"})
        redis_server.resume()
        assert await reader.last_ids(["a"]) == ["0-0"]


async def test_a_closed_listener_leaves_no_connection(redis: Redis) -> None:
    before = len(await redis.client_list())
    async with listener(redis) as reader:
        await reader.last_ids(["a"])
        assert len(await redis.client_list()) == before + 1
    async with asyncio.timeout(PATIENCE_S):
        while len(await redis.client_list()) > before:  # noqa: ASYNC110 - Redis notices it a little later
            await asyncio.sleep(0.01)
