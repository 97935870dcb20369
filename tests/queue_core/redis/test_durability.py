"""Strict mode: an acknowledged message is on the disk."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, QueueMessage, QueueSettings, QueueUnavailableError, UnsupportedRedisError
from queue_core.redis_server.binaries import RedisBinary, find_all_redis_servers
from queue_core.redis_server.embedded import EmbeddedRedis

Fsync = Literal["always", "everysec"]
STRICT = QueueSettings(wait_for_fsync=True)
SERVERS = find_all_redis_servers()


def message(number: int) -> QueueMessage:
    return QueueMessage(id=f"m{number}", instance_name="bot", user_phone="1", message="x")


@pytest.mark.parametrize("fsync", ["always", "everysec"])
@pytest.mark.parametrize("binary", SERVERS, ids=lambda binary: binary.version)
async def test_acknowledged_messages_survive_a_kill(binary: RedisBinary, fsync: Fsync) -> None:
    """Fault 20: Redis is killed (-9) right after an enqueue; a server that cannot guarantee this is refused."""
    with EmbeddedRedis(server=binary.path, append_only=True, append_fsync=fsync) as server:
        async with Redis.from_url(server.url) as client:
            queue = MessageQueue(client, STRICT)
            if fsync == "everysec" and tuple(map(int, binary.version.split("."))) < (7, 2):
                with pytest.raises(UnsupportedRedisError, match="appendfsync always"):
                    await queue.enqueue(message(0))
                return
            await asyncio.gather(*(queue.enqueue(message(number)) for number in range(20)))
        server.kill()
        server.start()
        async with Redis.from_url(server.url) as client:
            queue = MessageQueue(client)
            assert [found.id for found in await queue.pending("bot", "1")] == [f"m{n}" for n in range(20)]


@pytest.mark.parametrize("binary", SERVERS, ids=lambda binary: binary.version)
async def test_a_duplicate_is_acknowledged_behind_a_write_of_its_own(binary: RedisBinary) -> None:
    """WAITAOF waits for its own connection's writes, and a duplicate has stored nothing."""
    with EmbeddedRedis(server=binary.path, append_only=True, append_fsync="always") as server:
        async with Redis.from_url(server.url) as first, Redis.from_url(server.url) as second:
            await MessageQueue(first, STRICT).enqueue(message(1))
            before = await _changes(first)
            assert (await MessageQueue(second, STRICT).enqueue(message(1))).status == "duplicate"
            assert await _changes(first) > before
            before = await _changes(first)
            assert (await MessageQueue(second).enqueue(message(1))).status == "duplicate"
            assert await _changes(first) == before, "who does not wait for the disk need not write"


@pytest.mark.parametrize("binary", SERVERS, ids=lambda binary: binary.version)
async def test_a_duplicate_is_recognised_even_when_redis_is_full(binary: RedisBinary) -> None:
    with EmbeddedRedis(server=binary.path, append_only=True, append_fsync="always") as server:
        async with Redis.from_url(server.url) as client:
            queue = MessageQueue(client, STRICT)
            await queue.enqueue(message(1))
            await client.config_set("maxmemory", "1")
            assert (await queue.enqueue(message(1))).status == "duplicate"
            with pytest.raises(QueueUnavailableError):
                await queue.enqueue(message(2))


async def _changes(redis: Redis) -> int:
    """Return Redis's count of writes that changed something."""
    return int((await redis.info("persistence"))["rdb_changes_since_last_save"])


async def test_a_redis_without_a_disk_is_refused(real_redis: Redis) -> None:
    with pytest.raises(UnsupportedRedisError, match="appendonly"):
        await MessageQueue(real_redis, STRICT).enqueue(message(1))


async def test_a_disk_that_does_not_answer_acknowledges_nothing(redis_server: EmbeddedRedis) -> None:
    """The AOF is switched off behind the queue's back: WAITAOF refuses, and so does the enqueue."""
    async with Redis.from_url(redis_server.url) as client:
        await client.config_set("appendfsync", "everysec")
        queue = MessageQueue(client, STRICT)
        version = (await client.info("server"))["redis_version"]
        if tuple(map(int, version.split("."))) < (7, 2):
            pytest.skip("WAITAOF came with Redis 7.2")
        await queue.enqueue(message(1))
        await client.config_set("appendonly", "no")
        with pytest.raises(QueueUnavailableError, match="disk"):
            await queue.enqueue(message(2))
