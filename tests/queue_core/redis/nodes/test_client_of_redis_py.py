"""Errors of redis-py's client of a cluster, which are of many classes: the queue takes Redis to be away for each."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, cast

import pytest
from redis import exceptions
from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode

from loadtests.replicated_redis.cluster import ClusterServers
from queue_core import Intake, MessageQueue, Processor, QueueUnavailableError
from queue_core.redis.listening import listener_on
from queue_core.redis.runner import ScriptRunner
from tests.queue_core.bot import PATIENCE_S, Bot, eventually, message, quick, running
from tests.queue_core.redis.nodes.played import PlayedCluster
from tests.queue_core.redis.nodes.test_real_nodes import USERS
from tests.queue_core.redis.nodes.test_transport import PATIENT_MS, Note, redirection


async def test_a_worker_and_an_intake_that_start_before_the_cluster(cluster_servers: ClusterServers) -> None:
    """Until a node answers, the client raises RedisClusterException, which is not a RedisError."""
    for node in cluster_servers.nodes:
        node.kill()
    client: Any = RedisCluster(host="127.0.0.1", port=cluster_servers.nodes[0].port)
    queue = MessageQueue(client, quick(partitions=2, redis_deadline_ms=PATIENT_MS, direct_after_ms=0))
    bot = Bot()
    async with aclosing(client), running(Processor(queue, bot.handle, bot.send)):
        with pytest.raises(QueueUnavailableError, match="cannot be connected") as raised:
            await queue.enqueue(message("m1"))
        assert isinstance(raised.value.__cause__, exceptions.RedisClusterException)
        assert await Intake(queue, bot.handle, bot.send).receive(message("m2")) == "answered"
        for node in cluster_servers.nodes:
            await asyncio.to_thread(node.start)
        async with asyncio.timeout(PATIENCE_S):
            while not await is_stored(queue, "m1"):  # the nodes do not know each other yet
                pass
        await eventually(lambda: bot.sent_ids == ["m2", "m1"], "the worker answers")


async def is_stored(queue: MessageQueue, message_id: str) -> bool:
    try:
        await queue.enqueue(message(message_id))
    except QueueUnavailableError:
        return False
    return True


async def test_many_listeners_on_a_client_that_does_not_know_the_slots(
    cluster_servers: ClusterServers,
) -> None:
    """Sent to any node, their reads would be redirected, and the fifth MOVED would close the client they share."""
    for node in cluster_servers.nodes:
        node.command("CONFIG", "RESETSTAT")
    names = [f"stream{number}" for number in range(USERS)]
    for name in names:
        cluster_servers.primary_of(name).command("XADD", name, "*", "at", "1")
    async with aclosing(RedisCluster(host="127.0.0.1", port=cluster_servers.nodes[0].port)) as client:
        listeners = [listener_on(client, block_ms=PATIENT_MS) for _ in names]
        reads = (listener.newer({name: "0-0"}) for name, listener in zip(names, listeners, strict=True))
        assert [entry.name for (entry,) in await asyncio.gather(*reads)] == names
    errors = [node.info("errorstats") for node in cluster_servers.nodes]
    assert not any("errorstat_MOVED" in of_node for of_node in errors)


def fail_as_closed(_: ClusterNode) -> None:
    raise AttributeError("'NoneType' object has no attribute 'writelines'")


async def test_connections_that_the_client_closed_under_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after five MOVED, when primaries were replaced; a worker died of it."""
    async with (
        PlayedCluster() as cluster,
        RedisCluster(host="127.0.0.1", port=cluster.nodes[0].port, protocol=2) as client,
    ):
        listener = listener_on(client, block_ms=PATIENT_MS)
        runner = ScriptRunner(cast("Any", client), deadline_ms=PATIENT_MS)
        monkeypatch.setattr(ClusterNode, "acquire_connection", fail_as_closed)
        for read in (listener.newer({"stream": "0-0"}), listener.last_ids(["stream"])):
            with pytest.raises(exceptions.ConnectionError, match="the connection was closed under"):
                await read
        with pytest.raises(QueueUnavailableError, match="the connection was closed under"):
            await runner.gathered(Note(number=1))


async def test_redirections_that_do_not_end() -> None:
    """The client gives up with "TTL exhausted"; counted as a refusal, it would fail turns that were answered."""
    async with PlayedCluster() as cluster:
        first, second = cluster.nodes
        first.refusals += [redirection("ASK", second)] * 1_000
        second.refusals += [redirection("ASK", first)] * 1_000
        async with RedisCluster(host="127.0.0.1", port=first.port, protocol=2) as client:
            runner = ScriptRunner(cast("Any", client), deadline_ms=PATIENT_MS)
            with pytest.raises(QueueUnavailableError, match="TTL exhausted") as raised:
                await runner.gathered(Note(number=1))
            assert type(raised.value.__cause__) is exceptions.ClusterError
