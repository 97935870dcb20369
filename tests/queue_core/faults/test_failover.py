"""A failover behind one address that leaves the old primary alive as a replica."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

import pytest
from redis import exceptions
from redis.asyncio import Redis

from queue_core import MessageQueue, QueueUnavailableError, connect
from queue_core.redis import runner
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import PATIENCE_S, message, quick
from tests.queue_core.faults.proxy import Proxy


async def test_connections_leave_a_server_that_has_become_a_replica(
    redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LEAVE_AGAIN_S", 0.0)
    with EmbeddedRedis(port=0) as promoted:
        async with Proxy(redis_server.url) as proxy, connect(proxy.url) as redis:
            queue = MessageQueue(redis, quick())
            assert (await queue.enqueue(message("m1"))).status == "queued"
            async with connect(redis_server.url) as old:
                port = urlsplit(promoted.url).port
                await old.replicaof("127.0.0.1", str(port))
                proxy.redirect(promoted.url)
                with pytest.raises(QueueUnavailableError):
                    await queue.enqueue(message("m2"))
                deadline = time.monotonic() + PATIENCE_S
                while not await _is_stored(queue, "m2"):
                    assert time.monotonic() < deadline, "the connections stay with the replica"
                    await asyncio.sleep(0.01)
        async with connect(promoted.url) as new:
            assert [it.id for it in await MessageQueue(new, quick()).pending("bot", "201000000001")] == ["m2"]


async def test_connections_are_dropped_once_a_second_at_most(
    real_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server stays a replica: no storm of new connections."""
    queue, drops = MessageQueue(real_redis, quick()), 0

    async def drop() -> None:
        nonlocal drops
        drops += 1

    await queue.enqueue(message("m1"))
    monkeypatch.setattr(real_redis.connection_pool, "disconnect", drop)
    await real_redis.replicaof("127.0.0.1", "1")
    try:
        for _ in range(5):
            with pytest.raises(QueueUnavailableError):
                await queue.enqueue(message("m2"))
        assert drops == 1
    finally:
        await real_redis.replicaof("NO", "ONE")


async def test_connections_that_cannot_be_dropped_change_nothing(
    real_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = MessageQueue(real_redis, quick())

    async def fail() -> None:
        raise exceptions.TimeoutError("while closing")

    monkeypatch.setattr(real_redis.connection_pool, "disconnect", fail)
    await real_redis.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(QueueUnavailableError, match=r"READONLY|read only"):
            await queue.enqueue(message("m1"))
    finally:
        await real_redis.replicaof("NO", "ONE")


async def _is_stored(queue: MessageQueue, message_id: str) -> bool:
    try:
        await queue.enqueue(message(message_id))
    except QueueUnavailableError:
        return False
    return True
