"""Failovers to a server that lacks what another one confirmed: what a queue that waits for 1 of 2 replicas may lose.

The interleaving is forced: servers stand still, and links are cut. A queue that waits for both replicas acknowledges
nothing meanwhile.
"""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from loadtests.replicated_redis.node import Node
from loadtests.replicated_redis.sentinel import SERVICE, SentinelServers
from loadtests.replicated_redis.servers import is_in_step
from queue_core import MessageQueue, QueueMessage, QueueSettings, QueueUnavailableError, connect

pytestmark = [pytest.mark.soak, pytest.mark.parametrize("waits_for", [1, 2])]


async def test_the_replica_that_confirmed_is_away_and_the_one_that_lags_takes_over(
    sentinel_servers: SentinelServers, waits_for: int
) -> None:
    primary = sentinel_servers.primary()
    lagging, newest = sentinel_servers.replicas_of(primary)
    async with connect(sentinel_servers.url) as client:
        queue = _queue(client, waits_for)
        await _store(queue, 1)
        lagging.pause()
        primary.proxy.cut(replicas_only=True)
        primary.proxy.restore()  # the one that stands still does not come back
        await asyncio.to_thread(
            sentinel_servers.wait_for, lambda: is_in_step(newest, primary), "the link of the newest replica"
        )
        is_acknowledged = await _is_acknowledged(queue, 2)
        newest.pause()
        primary.proxy.cut(replicas_only=True)
        lagging.resume()
        primary.kill()
        assert await asyncio.to_thread(sentinel_servers.await_failover, primary) is lagging
        assert _waiting_on(lagging, queue) == 1
        assert is_acknowledged == (waits_for == 1)


async def test_an_old_primary_that_comes_back_takes_over_before_it_follows_the_new_one(
    waits_for: int,
) -> None:
    """The sentinels may choose the old primary with the data of its death, before they make it a replica."""
    with SentinelServers(append_only=True, proxied=True) as servers:
        old = servers.primary()
        async with connect(servers.url) as client:
            queue = _queue(client, waits_for)
            await _store(queue, 1)
            old.kill()
            new = await asyncio.to_thread(servers.await_failover, old)
            (other,) = (node for node in servers.replicas_of(new) if node is not old)
            await asyncio.to_thread(servers.wait_for, lambda: is_in_step(other, new), "the other replica")
            is_acknowledged = await _is_acknowledged(queue, 2)
            new.proxy.cut(replicas_only=True)
            old.start()
            await asyncio.to_thread(servers.wait_for, lambda: _all_are_seen(servers), "the old primary")
            for node in (new, other):
                node.pause()
            assert await asyncio.to_thread(servers.await_failover, new) is old
            assert _waiting_on(old, queue) == 1
            assert is_acknowledged == (waits_for == 1)


def _queue(client: Redis, waits_for: int) -> MessageQueue:
    return MessageQueue(client, QueueSettings(wait_for_replicas=waits_for, redis_deadline_ms=3_000))


def _message(number: int) -> QueueMessage:
    return QueueMessage(id=f"m{number}", instance_name="bot", user_phone="1", message="x")


async def _is_acknowledged(queue: MessageQueue, number: int) -> bool:
    try:
        await queue.enqueue(_message(number))
    except QueueUnavailableError:
        return False
    return True


async def _store(queue: MessageQueue, number: int) -> None:
    while not await _is_acknowledged(queue, number):  # a busy machine may miss the deadline
        pass


def _waiting_on(node: Node, queue: MessageQueue) -> int:
    """Return the number of messages that wait on a server."""
    return int(node.command("LLEN", queue.keys.of("bot", "1").queue))


def _all_are_seen(servers: SentinelServers) -> bool:
    """Return True if no sentinel takes a replica for dead."""
    answers = (sentinel.command("SENTINEL", "REPLICAS", SERVICE) for sentinel in servers.sentinels)
    return not any("s_down" in str(answer) for answer in answers)
