"""Strict modes: an acknowledged message is on the disk, or on replicas."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest
from redis.asyncio import Redis

from loadtests.replicated_redis.cluster import ClusterServers
from loadtests.replicated_redis.sentinel import SentinelServers
from loadtests.replicated_redis.servers import ReplicatedServers
from queue_core import (
    MessageQueue,
    QueueMessage,
    QueueSettings,
    QueueUnavailableError,
    UnsupportedRedisError,
    connect,
)
from queue_core.queue.health.health import examine
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
    """Redis is killed (-9) right after an enqueue; a server that cannot guarantee this is refused."""
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
            assert [waiting.id for waiting in await queue.pending("bot", "1")] == [f"m{n}" for n in range(20)]


@pytest.mark.parametrize("binary", SERVERS, ids=lambda binary: binary.version)
async def test_a_duplicate_is_acknowledged_after_a_write_of_its_own(binary: RedisBinary) -> None:
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


@pytest.fixture(
    params=["single", *(pytest.param(kind, marks=pytest.mark.soak) for kind in ("cluster", "sentinel"))]
)
def url_and_servers(request: pytest.FixtureRequest) -> tuple[str, ReplicatedServers]:
    """The address of each kind of deployment with replicas, and its servers."""
    kind = "cluster" if request.param == "cluster" else "sentinel"
    servers: ReplicatedServers = request.getfixturevalue(f"{kind}_servers")
    return f"redis://{servers.primaries()[0].address}" if request.param == "single" else servers.url, servers


@pytest.mark.parametrize("fault", ["cut", pytest.param("silence", marks=pytest.mark.soak)])
async def test_what_no_replica_has_is_not_acknowledged(
    url_and_servers: tuple[str, ReplicatedServers], fault: Literal["cut", "silence"]
) -> None:
    """The queue waits, also for duplicates: the message is stored, and may yet be lost."""
    url, servers = url_and_servers
    primary = servers.primaries()[0]
    async with connect(url) as client:
        queue = MessageQueue(client, _waiting_for(1))
        assert (await queue.enqueue(message(1))).status == "queued"
        conversation = queue.keys.of("bot", "1").queue
        owner = servers.primary_of(conversation) if isinstance(servers, ClusterServers) else primary
        getattr(owner.proxy, fault)(replicas_only=True)
        reasons = []
        for number in (2, 2, 1):
            with pytest.raises(QueueUnavailableError) as refused:
                await queue.enqueue(message(number))
            reasons.append(str(refused.value))
        assert any("wait_for_replicas" in reason for reason in reasons), "a slow machine may miss one"
        assert owner.command("LLEN", conversation) == 2
        owner.proxy.restore()
        await _store(queue, 2)


async def test_other_nodes_acknowledge_while_one_has_no_replica(cluster_servers: ClusterServers) -> None:
    async with connect(cluster_servers.url) as client:
        queue = MessageQueue(client, _waiting_for(1))
        first = cluster_servers.primaries()[0]
        await asyncio.gather(*(queue.enqueue(_message_of(phone)) for phone in range(20)))
        first.proxy.cut(replicas_only=True)
        again = (queue.enqueue(_message_of(phone, "m2")) for phone in range(20))
        outcomes = await asyncio.gather(*again, return_exceptions=True)
        for phone, outcome in enumerate(outcomes):
            owner = cluster_servers.primary_of(queue.keys.of("bot", str(phone)).queue)
            assert isinstance(outcome, QueueUnavailableError) == (owner is first), outcome


@pytest.mark.soak  # `make test` has the same fault in tests/loadtests/failover/test_cases.py
async def test_acknowledged_messages_survive_a_failover_to_a_replica_that_lagged(
    sentinel_servers: SentinelServers,
) -> None:
    """The links of the replicas are cut right before the primary dies: what only it has is lost."""
    primary = sentinel_servers.primary()
    async with connect(sentinel_servers.url) as client:
        strict, lax = (
            MessageQueue(client, _waiting_for(1)),
            MessageQueue(client, QueueSettings(partitions=12)),
        )
        await strict.enqueue(message(1))
        primary.proxy.cut(replicas_only=True)
        await lax.enqueue(message(2))
        with pytest.raises(QueueUnavailableError):
            await strict.enqueue(message(3))
        await asyncio.to_thread(primary.kill)
        await asyncio.to_thread(sentinel_servers.await_failover, primary)
        await _store(strict, 3)
        assert [it.id for it in await strict.pending("bot", "1")] == ["m1", "m3"], "m2 was not waited for"


async def test_all_replicas_must_confirm_if_the_setting_says_so(sentinel_servers: SentinelServers) -> None:
    """One replica stands still: a queue that waits for both refuses what a queue that waits for one acknowledges."""
    async with connect(sentinel_servers.url) as client:
        one, both = (MessageQueue(client, _waiting_for(count)) for count in (1, 2))
        await both.enqueue(message(1))
        standing, _ = sentinel_servers.replicas_of(sentinel_servers.primary())
        standing.pause()
        await one.enqueue(message(2))
        with pytest.raises(QueueUnavailableError, match="of 2 replicas that must have the write"):
            await both.enqueue(message(3))
        standing.resume()
        await both.enqueue(message(3))


def _waiting_for(replicas: int) -> QueueSettings:
    return QueueSettings(wait_for_replicas=replicas, partitions=12, redis_deadline_ms=1_600)


@pytest.mark.soak
async def test_a_cluster_waits_for_the_disks_of_its_nodes(cluster_servers: ClusterServers) -> None:
    """The message that is refused belongs to a node that stopped writing to its disk."""
    for node in cluster_servers.nodes:
        node.command("CONFIG", "SET", "appendonly", "yes")
    async with connect(cluster_servers.url) as client:
        queue = MessageQueue(client, QueueSettings(wait_for_fsync=True, partitions=12))
        await asyncio.gather(*(queue.enqueue(_message_of(phone)) for phone in range(20)))
        owner = cluster_servers.primary_of(queue.keys.of("bot", "1").queue)
        owner.command("CONFIG", "SET", "appendonly", "no")
        with pytest.raises(QueueUnavailableError, match="WAITAOF"):
            await queue.enqueue(message(2))


async def _store(queue: MessageQueue, number: int) -> None:
    """Enqueue a message until it is acknowledged, as a provider does."""
    async with asyncio.timeout(10):
        while True:
            try:
                await queue.enqueue(message(number))
            except QueueUnavailableError:
                await asyncio.sleep(0.05)
            else:
                return


def _message_of(phone: int, message_id: str = "m1") -> QueueMessage:
    return QueueMessage(id=message_id, instance_name="bot", user_phone=str(phone), message="x")


async def test_the_examination_says_what_a_failover_may_lose(sentinel_servers: SentinelServers) -> None:
    primary = sentinel_servers.primary()

    async def words_of(wait_for_replicas: int) -> str:
        report = await examine(MessageQueue(client, QueueSettings(wait_for_replicas=wait_for_replicas)))
        return " ".join((*report.warnings, *report.errors))

    async with connect(sentinel_servers.url) as client:
        lax = await words_of(0)
        assert "set wait_for_replicas to 2" in lax
        assert "set min-replicas-to-write 1" in lax
        primary.command("CONFIG", "SET", "min-replicas-to-write", 1)
        assert "set wait_for_replicas to 2" in await words_of(1)
        assert "replicas" not in await words_of(2)
        assert "wait_for_replicas is 3, but replicas connected: 2" in await words_of(3)
