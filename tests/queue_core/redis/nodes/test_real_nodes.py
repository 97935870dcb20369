"""Clusters and sentinels of real servers, by their URLs and by redis-py's clients."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import TryAgainError

from loadtests.replicated_redis.cluster import ClusterServers
from loadtests.replicated_redis.sentinel import SentinelServers
from loadtests.replicated_redis.servers import ReplicatedServers
from queue_core import (
    MessageQueue,
    Processor,
    QueueMessage,
    QueueSettings,
    QueueUnavailableError,
    UnsupportedRedisError,
    connect,
)
from queue_core.keys import KeySpace
from queue_core.queue.health.health import examine
from queue_core.queue.health.probe import probe
from queue_core.redis import scripts
from queue_core.redis.listening import listener_on
from queue_core.redis.nodes.client import NodesClient
from queue_core.redis.nodes.refusals import ForeignServerError
from queue_core.redis.nodes.table import slot_of
from queue_core.redis.servers import on_primaries
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.server.operator.figures import figures
from queue_core.text import quantity
from tests.queue_core.server.operator.console import Console, settings_for

USERS = 60


def message(message_id: str, user: int) -> QueueMessage:
    return QueueMessage(id=message_id, instance_name="bot", user_phone=str(user), message="x")


class Traffic:
    """Producer of 100 messages a second and a processor, each on a client of its own."""

    def __init__(self, new_queue: Callable[[], MessageQueue]) -> None:
        self.queue, self.worker = new_queue(), new_queue()
        self.sent: dict[str, int] = {}
        self.sends: dict[int, list[float]] = {}
        self.failed: list[tuple[int, float, float]] = []
        """Calls that failed: partition, time, duration."""
        self.stored: set[str] = set()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Run, and at the end wait until every stored message is answered."""
        processor = Processor(self.worker, self._handle, self._send, concurrency=50)
        tasks = [asyncio.create_task(processor.run()), asyncio.create_task(self._produce())]
        try:
            yield
            tasks[1].cancel()
            await asyncio.wait(tasks[1:])
            async with asyncio.timeout(30):
                while self.stored - self.sent.keys():
                    assert not tasks[0].done()
                    await asyncio.sleep(0.02)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def sends_between(self, since: float, until: float, partitions: Collection[int]) -> int:
        """Count the sends in some partitions between two times."""
        return sum(since < moment < until for number in partitions for moment in self.sends[number])

    async def wait_until_stored(self, count: int) -> None:
        """Wait until `count` more messages are stored."""
        goal = len(self.stored) + count
        while len(self.stored) < goal:  # noqa: ASYNC110 - the producer goes on by itself
            await asyncio.sleep(0.02)

    async def wait_until_reached(self, partitions: int) -> None:
        """Wait until messages of this many partitions are answered."""
        while len(self.sends) < partitions:  # noqa: ASYNC110 - the producer goes on by itself
            await asyncio.sleep(0.02)

    def partition_of(self, user: int) -> int:
        return self.queue.keys.of("bot", str(user)).partition

    async def _produce(self) -> None:
        async with asyncio.TaskGroup() as group:
            number = 0
            while True:
                group.create_task(self._store(f"m{number}", number % USERS))
                number += 1
                await asyncio.sleep(0.01)

    async def _store(self, message_id: str, user: int) -> None:
        while True:
            began = time.monotonic()
            try:
                await self.queue.enqueue(message(message_id, user))
            except QueueUnavailableError:
                self.failed.append((self.partition_of(user), began, time.monotonic() - began))
                await asyncio.sleep(0.1)
            else:
                self.stored.add(message_id)
                return

    async def _handle(self, batch: Any) -> str:
        return "ok"

    async def _send(self, batch: Any, *_: object) -> None:
        self.sends.setdefault(self.partition_of(int(batch.user_phone)), []).append(time.monotonic())
        for message_id in batch.ids:
            self.sent[message_id] = self.sent.get(message_id, 0) + 1


@asynccontextmanager
async def traffic_on(url: str, **settings: Any) -> AsyncIterator[Traffic]:
    async with connect(url) as first, connect(url) as second:
        clients = iter((first, second))
        traffic = Traffic(lambda: MessageQueue(next(clients), QueueSettings(window_ms=0, **settings)))
        async with traffic.run():
            await traffic.wait_until_reached(len(traffic.queue.keys.partitions))
            yield traffic


@pytest.fixture(params=["cluster", "sentinel"])
def servers(request: pytest.FixtureRequest) -> ReplicatedServers:
    servers: ReplicatedServers = request.getfixturevalue(f"{request.param}_servers")
    return servers


async def test_everything_works_by_the_url(servers: ReplicatedServers) -> None:
    async with connect(servers.url) as client:
        queue = MessageQueue(client, QueueSettings(window_ms=0, redis_deadline_ms=10_000))
        await asyncio.gather(*(queue.enqueue(message("m", user)) for user in range(USERS)))
        report = await examine(queue)
        assert report.active_conversations == USERS
        assert all("append-only file is off" in error for error in report.errors)
        assert await probe(queue) == []
        assert (await queue.rescue()).stranded == 0
        assert await queue.notes.share_log_key(b"key") == b"key"
        assert abs(await queue.now_ms() - time.time() * 1000) < 60_000
        assert (await queue.forget("bot", "1", drop_waiting=True)).waiting == 1
    if isinstance(servers, ClusterServers):
        assert len(queue.keys.partitions) == queue.settings.partitions == 16
        assert [node.name for node in report.nodes] == sorted(node.address for node in servers.primaries())
        assert sorted(node.partitions for node in report.nodes) == [4, 6, 6]
        assert sum(node.conversations or 0 for node in report.nodes) == USERS
    else:
        assert (len(queue.keys.partitions), report.nodes) == (1, ())


async def test_a_failover_in_good_order_is_hardly_seen(servers: ReplicatedServers) -> None:
    """Behind sentinels the old primary takes writes for seconds more, which would be lost."""
    async with traffic_on(servers.url) as traffic:
        promoted = await asyncio.to_thread(servers.fail_over, servers.primaries()[0])
        promoted.command("CONFIG", "RESETSTAT")
        await traffic.wait_until_stored(50)
        calls = promoted.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    assert calls > 0
    assert traffic.failed == []
    assert set(traffic.sent.values()) == {1}


async def test_a_frozen_primary_stops_its_own_partitions_only(cluster_servers: ClusterServers) -> None:
    frozen = cluster_servers.primaries()[0]
    async with traffic_on(cluster_servers.url) as traffic:
        owners = [cluster_servers.primary_of(partition.active) for partition in traffic.queue.keys.partitions]
        stopped = [number for number, owner in enumerate(owners) if owner is frozen]
        others = [number for number in range(len(owners)) if number not in stopped]
        frozen.pause()
        await asyncio.sleep(0.2)
        since = time.monotonic()
        while traffic.sends_between(since, math.inf, others) < 20:  # noqa: ASYNC110 - the producer goes on by itself
            await asyncio.sleep(0.02)
        until = time.monotonic()
        frozen.resume()
    assert traffic.sends_between(since, until, stopped) == 0
    assert {partition for partition, *_ in traffic.failed} <= set(stopped)
    assert set(traffic.sent.values()) == {1}


@pytest.mark.soak
async def test_a_killed_primary_is_replaced(servers: ReplicatedServers) -> None:
    async with traffic_on(servers.url) as traffic:
        primary = servers.primaries()[0]
        primary.kill()
        await asyncio.to_thread(servers.await_failover, primary)
        elected = time.monotonic()
        await traffic.wait_until_stored(100)
    assert max((began for _, began, _ in traffic.failed), default=0) < elected + 1
    assert max((duration for *_, duration in traffic.failed), default=0) < 2
    assert set(traffic.sent.values()) == {1}


@pytest.mark.soak
async def test_slots_that_move_slowly(cluster_servers: ClusterServers) -> None:
    async with traffic_on(cluster_servers.url) as traffic:
        source, target, _ = cluster_servers.primaries()
        slots = [slot for slot, owner in cluster_servers.owners().items() if owner is source]
        tags = [partition.active for partition in traffic.queue.keys.partitions]
        moved = [slot for slot in map(slot_of, tags) if slot in slots]
        await asyncio.to_thread(cluster_servers.move_slots, moved, target, key_pause_s=0.02)
    assert set(traffic.sent.values()) == {1}


async def test_calls_that_go_together_are_refused_while_their_slot_moves(
    cluster_servers: ClusterServers,
) -> None:
    """Although the node has all other keys of the call: the script would not find those of the conversations."""
    place = KeySpace("moving", 1).of("bot", "1")
    calls = [scripts.Extend(place=place, now_ms="", token=token, lock_ttl_ms=1_000) for token in (1, 2)]
    gathered = scripts.Extend.gathered
    assert gathered
    slot = slot_of(place.base)
    source = cluster_servers.primary_of(place.base)
    target = next(node for node in cluster_servers.primaries() if node is not source)
    source_id, target_id = (node.command("CLUSTER", "MYID") for node in (source, target))
    source.command("SCRIPT", "LOAD", gathered.source)
    source.command("ZADD", place.active, 1, place.conversation)
    source.command("XADD", place.damaged, "*", "a", "key")
    assert source.command("EVALSHA", *gathered.command(calls)) == ["lost", "lost"]
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    try:
        with pytest.raises(TryAgainError):
            source.command("EVALSHA", *gathered.command(calls))
    finally:
        for node in (source, target):
            node.command("CLUSTER", "SETSLOT", slot, "STABLE")
        source.command("DEL", place.active, place.damaged)


@pytest.mark.soak
async def test_all_nodes_are_lost_and_come_back(cluster_servers: ClusterServers) -> None:
    async with traffic_on(cluster_servers.url) as traffic:
        for node in cluster_servers.nodes:
            node.pause()
        await asyncio.sleep(2)
        for node in cluster_servers.nodes:
            node.resume()
        await traffic.wait_until_stored(50)
    assert max(duration for *_, duration in traffic.failed) < 2


async def test_a_cluster_client_of_redis_py_may_be_new(cluster_servers: ClusterServers) -> None:
    """A client that does not know the slots yet sends commands to any node, and breaks after five MOVED."""
    host, port = cluster_servers.nodes[0].address.split(":")
    async with RedisCluster(host=host, port=int(port)) as client:
        traffic = Traffic(
            lambda: MessageQueue(cast("Redis", client), QueueSettings(window_ms=0, partitions=8))
        )
        async with traffic.run():
            await traffic.wait_until_reached(8)
    assert traffic.failed == []
    assert set(traffic.sent.values()) == {1}


async def test_a_client_of_redis_pys_sentinel(sentinel_servers: SentinelServers) -> None:
    addresses = [("127.0.0.1", node.own_port) for node in sentinel_servers.sentinels]
    new: Any = Sentinel
    sentinel = new(addresses)
    async with AsyncExitStack() as stack:
        for client in sentinel.sentinels:
            await stack.enter_async_context(client)
        queue = MessageQueue(
            await stack.enter_async_context(sentinel.master_for("main")), QueueSettings(window_ms=0)
        )
        await queue.enqueue(message("m1", 1))
        await asyncio.to_thread(sentinel_servers.fail_over, sentinel_servers.primaries()[0])
        async with asyncio.timeout(20):
            while True:
                try:
                    await queue.enqueue(message("m2", 1))
                    break
                except QueueUnavailableError:
                    await asyncio.sleep(0.1)


async def test_a_primary_without_replicas_is_left_by_a_client_of_redis_pys_sentinel(
    sentinel_servers: SentinelServers,
) -> None:
    """Else the client writes to an old primary as long as it is connected; each connect asks the sentinels."""
    new: Any = Sentinel
    sentinel = new([("127.0.0.1", node.own_port) for node in sentinel_servers.sentinels])
    async with AsyncExitStack() as stack:
        for client in sentinel.sentinels:
            await stack.enter_async_context(client)
        primary = await stack.enter_async_context(sentinel.master_for("main"))
        queue = MessageQueue(primary, QueueSettings(redis_deadline_ms=10_000))
        await queue.enqueue(message("m1", 1))
        connection = await primary.client_id()
        sentinel_servers.primary().command("CONFIG", "SET", "min-replicas-to-write", "3")
        with pytest.raises(QueueUnavailableError, match="NOREPLICAS"):
            await queue.enqueue(message("m2", 1))
        assert await primary.client_id() != connection


async def test_a_url_of_one_node_says_what_to_write(cluster_servers: ClusterServers) -> None:
    node = cluster_servers.nodes[0]
    async with connect(f"redis://{node.address}") as client:
        queue = MessageQueue(client, QueueSettings(partitions=16))
        with pytest.raises(
            UnsupportedRedisError, match=r"node of a cluster of 3 primaries: write redis\+cluster://"
        ):
            await queue.check()
        report = await examine(queue)
        assert any("write redis+cluster://" in error for error in report.errors)
        results = await asyncio.gather(
            *(queue.enqueue(message("m", user)) for user in range(USERS)), return_exceptions=True
        )
        errors = [result for result in results if isinstance(result, Exception)]
        assert errors
        assert all(
            isinstance(error, QueueUnavailableError) and "redis+cluster" in str(error) for error in errors
        )


async def test_a_url_of_a_replica_names_its_primary(sentinel_servers: SentinelServers) -> None:
    (primary,) = sentinel_servers.primaries()
    replica = sentinel_servers.replicas_of(primary)[0]
    async with connect(f"redis://{replica.address}") as client:
        queue = MessageQueue(client)
        report = await examine(queue)
        assert f"connect to its primary, {primary.address}, or by redis+sentinel://" in " ".join(
            report.errors
        )
        with pytest.raises(QueueUnavailableError, match=r"redis\+sentinel://"):
            await queue.enqueue(message("m", 1))


async def test_the_settings_of_a_cluster_that_need_attention(cluster_servers: ClusterServers) -> None:
    node = cluster_servers.primaries()[0]
    async with connect(cluster_servers.url) as client:
        queue = MessageQueue(client, QueueSettings(partitions=1))
        node.command("CONFIG", "SET", "cluster-require-full-coverage", "yes")
        try:
            report = await examine(queue)
        finally:
            node.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
    warnings = " ".join(report.warnings)
    assert f"{node.address}: cluster-require-full-coverage is yes" in warnings
    assert warnings.count("cluster-require-full-coverage") == 1
    assert "3 primaries, but the queue uses only 1 partition" in warnings
    (share,) = report.nodes
    assert ("node", f"{share.name}: 1 partition, 0 conversations") in figures(report)


async def test_while_a_primary_is_away_the_others_can_be_read(
    cluster_servers: ClusterServers, capsys: pytest.CaptureFixture[str]
) -> None:
    async with connect(cluster_servers.url) as client:
        queue = MessageQueue(client, QueueSettings(redis_deadline_ms=3_000))
        first, _ = (await on_primaries(client))[0]
        (dead,) = [node for node in cluster_servers.primaries() if node.address == first]
        others = [node for node in cluster_servers.primaries() if node is not dead]
        away = [
            number
            for number, keys in enumerate(queue.keys.partitions)
            if cluster_servers.primary_of(keys.active) is dead
        ]
        await asyncio.gather(*(queue.enqueue(message("m", user)) for user in range(USERS)))
        left = [user for user in range(USERS) if queue.keys.of("bot", str(user)).partition not in away]
        for user in range(USERS):
            await queue.keep_unreadable(message("d", user), "cannot be read")
        letters = [
            letter.id for letter in await queue.dead_letters() if int(letter.id.split("/")[0]) not in away
        ]
        for node in (*cluster_servers.replicas_of(dead), dead):
            node.kill()
        report = await examine(queue)
        assert await probe(queue, without=report.away_partitions) == []
    assert report.away_partitions == tuple(away)
    assert (report.active_conversations, report.waiting) == (len(left), len(left))
    numbers = ", ".join(map(str, away))
    assert f"{dead.address} is away" in report.errors[0]
    assert f"{quantity(len(away), 'partition')} of 16 cannot be read ({numbers})" in report.errors[0]
    assert ("node", f"{dead.address}: away, {quantity(len(away), 'partition')} left out") in figures(report)
    assert {node.name for node in report.nodes if node.conversations} == {node.address for node in others}

    console = Console(settings_for(cluster_servers.url), capsys)
    status = await console.run("status", "--limit", "100")
    assert (status.code, sum(line.startswith("bot ") for line in status.lines)) == (0, len(left))
    check = await console.run("check")
    assert (check.code, f"{dead.address} is away" in check.out) == (1, True)
    for words in (status.out, check.out):
        assert "start this node again, with its own data" in words
        assert "queue_core redis" not in words

    listed = await console.run("dead", "list", "--limit", "0", "--json")
    assert [json.loads(line)["id"] for line in listed.lines] == letters
    assert (listed.code, f"{dead.address} is away" in listed.err) == (0, True)
    once, again = [await console.run("hold", "--json") for _ in range(2)]
    for held in (once, again):
        assert (held.code, held.json["messages"], held.json["deadLetters"]) == (1, len(left), len(letters))
        assert f"since these partitions are not held: {dead.address} is away" in held.err
    status = await console.run("status", "--json")
    assert status.json["heldSinceMs"] == once.json["heldSinceMs"] == again.json["heldSinceMs"]


async def test_a_server_that_is_not_a_node_is_not_used_in_place_of_one(
    cluster_servers: ClusterServers, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such a server would take messages, and they would be gone when the node comes back."""
    dead = cluster_servers.primaries()[0]
    words = f"the server at {dead.address} is not a node of the cluster: stop it"
    async with AsyncExitStack() as stack:
        rules = QueueSettings(redis_deadline_ms=1_000)
        older, newer = [
            MessageQueue(await stack.enter_async_context(connect(cluster_servers.url)), rules)
            for _ in range(2)
        ]
        user, place = next(
            (user, home)
            for user in range(USERS)
            if cluster_servers.primary_of((home := older.keys.of("bot", str(user))).active) is dead
        )
        await older.enqueue(message("m1", user))
        listener = listener_on(cast("NodesClient", older.redis).near(place.wake), block_ms=1)
        stack.push_async_callback(listener.aclose)
        await listener.last_ids([place.wake])
        for node in (*cluster_servers.replicas_of(dead), dead):
            node.kill()
        plain = await stack.enter_async_context(EmbeddedRedis(port=dead.own_port))
        dead.proxy.open()

        for queue in (older, newer):
            with pytest.raises(QueueUnavailableError, match=words):
                await queue.enqueue(message("m2", user))
            with pytest.raises(QueueUnavailableError, match=words):
                await queue.pending("bot", str(user))
            report = await examine(queue)
            assert report.errors[0].startswith(words)
            assert not any("is away" in error for error in report.errors)
        with pytest.raises(ForeignServerError):
            await listener.last_ids([place.wake])
        console = Console(settings_for(cluster_servers.url), capsys)
        for command in ("status", "check"):
            assert words in (await console.run(command)).out
        async with connect(plain.url) as client:
            assert await client.dbsize() == 0
        await asyncio.to_thread(plain.stop)
        await asyncio.to_thread(dead.start)
        is_back = lambda: "cluster_state:ok" in str(dead.command("CLUSTER", "INFO"))  # noqa: E731
        await asyncio.to_thread(cluster_servers.wait_for, is_back, "the node")
        await older.enqueue(message("m3", user))


async def test_where_no_server_answers_the_advice_is_to_start_them(
    servers: ReplicatedServers, capsys: pytest.CaptureFixture[str]
) -> None:
    for node in servers.all_nodes():
        node.kill()
    if isinstance(servers, SentinelServers):
        addresses = ", ".join(node.address for node in servers.sentinels)
        words = f"start the sentinels ({addresses})"
    else:
        words = "start the nodes again, with their own data"
    async with connect(servers.url) as client:
        with pytest.raises(QueueUnavailableError, match=re.escape(words)):
            await MessageQueue(client, QueueSettings(redis_deadline_ms=1_000)).enqueue(message("m", 1))
    check = await Console(settings_for(servers.url), capsys).run("check")
    assert (check.code, words in check.out, "queue_core redis" in check.out) == (1, True, False)


async def test_a_primary_behind_sentinels_is_not_replaced_by_an_empty_server(
    sentinel_servers: SentinelServers, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(settings_for(sentinel_servers.url), capsys)
    for node in sentinel_servers.nodes:
        node.kill()
    check = await console.run("check")
    assert check.code == 1
    assert "queue_core redis" not in check.out + check.err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "redis+cluster://{server}",
            "is not a node of a cluster: if it should .* single Redis write redis://",
        ),
        ("redis+sentinel://{server}/main", "is not a sentinel"),
        ("redis+sentinel://{sentinel}/other", "knows no service 'other'"),
    ],
)
async def test_a_url_of_the_wrong_kind_says_so(
    sentinel_servers: SentinelServers, url: str, words: str
) -> None:
    address = url.format(
        server=sentinel_servers.nodes[0].address,
        sentinel=f"127.0.0.1:{sentinel_servers.sentinels[0].own_port}",
    )
    async with connect(address) as client:
        queue = MessageQueue(client, QueueSettings(redis_deadline_ms=1_000))
        with pytest.raises(QueueUnavailableError, match=words):
            await queue.check()
        with pytest.raises(QueueUnavailableError, match=words):
            await queue.enqueue(message("m", 1))


async def test_connections_of_a_worker_are_bounded(cluster_servers: ClusterServers) -> None:
    """Two links to each primary, a blocking read for each partition, and few others."""
    before = _connections(cluster_servers)
    async with traffic_on(cluster_servers.url):
        during = _connections(cluster_servers)
    # A producer and a worker: two links each to three primaries, one for reads, 16 blocking reads.
    assert during - before <= 2 * 3 * 3 + 16 + 3
    for _ in range(100):  # a server notices a closed connection a little later
        if _connections(cluster_servers) <= before + 3:
            break
        await asyncio.sleep(0.05)
    assert _connections(cluster_servers) <= before + 3


async def test_many_reads_at_once_share_a_few_connections(cluster_servers: ClusterServers) -> None:
    """Four to each of three primaries, besides short ones that ask for the table."""
    before = _connections(cluster_servers)
    async with connect(cluster_servers.url) as client:
        queue = MessageQueue(client)
        await asyncio.gather(*(queue.pending("bot", str(user)) for user in range(200)))
        during = _connections(cluster_servers)
    assert during - before <= 4 * 3 + 3


def _connections(servers: ClusterServers) -> int:
    return sum(int(node.info("clients")["connected_clients"]) for node in servers.nodes)
