"""Real clusters and sentinels: they are whole after the start and after a repair, and each fault strikes."""

from __future__ import annotations

import sys
import time
from itertools import product

import pytest

from loadtests.replicated_redis.cluster import ClusterServers
from loadtests.replicated_redis.node import Node
from loadtests.replicated_redis.sentinel import SentinelServers
from loadtests.replicated_redis.servers import ReplicatedServers
from queue_core.redis_server.ports import BUS
from tests.conftest import REAL, SERVERS
from tests.queue_core.redis_server.test_ports import is_given_away


def replicas_seen_by(primary: Node) -> int:
    return int(primary.info("replication")["connected_slaves"])


@pytest.fixture(params=["cluster", pytest.param("sentinel", marks=pytest.mark.soak)])
def servers(request: pytest.FixtureRequest) -> ReplicatedServers:
    servers: ReplicatedServers = request.getfixturevalue(f"{request.param}_servers")
    return servers


def test_links_of_replicas_are_cut_while_clients_are_served_and_come_back_with_the_repair(
    servers: ReplicatedServers,
) -> None:
    primary = servers.primaries()[0]
    count = replicas_seen_by(primary)
    assert count == len(servers.replicas_of(primary))
    primary.proxy.cut(replicas_only=True)
    servers.wait_for(lambda: replicas_seen_by(primary) == 0, "the cut")
    primary.command("SET", key_on(servers, primary), "lost")
    servers.repair()
    assert servers.is_as_new()
    assert primary.command("DBSIZE") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the range of free ports cannot be narrowed down here")
@pytest.mark.parametrize("kind", [ClusterServers, SentinelServers])
def test_nobody_gets_the_ports_of_servers_that_do_not_run(
    kind: type[ClusterServers | SentinelServers],
) -> None:
    servers = kind(server=SERVERS[REAL[-1]].path, proxied=True)
    try:
        nodes = servers.all_nodes()
        ports = [port for node in nodes for port in (node.own_port, node.port)]
        if kind is ClusterServers:
            ports += [node.own_port + BUS for node in nodes]
        given_away = [
            port for port, outgoing in product(ports, (True, False)) if is_given_away(port, outgoing=outgoing)
        ]
        assert given_away == []
    finally:
        servers.stop()


@pytest.mark.soak
def test_a_killed_primary_is_replaced_and_the_repair_brings_it_back(servers: ReplicatedServers) -> None:
    primary = servers.primaries()[0]
    primary.kill()
    assert servers.await_failover(primary) is not primary
    servers.repair()
    assert all(node.is_running for node in servers.nodes)
    assert servers.is_as_new()


@pytest.mark.soak
def test_a_silent_link_of_a_replica_stays_open(servers: ReplicatedServers) -> None:
    primary = servers.primaries()[0]
    primary.proxy.silence(replicas_only=True)
    primary.command("SET", key_on(servers, primary), "lost")
    assert primary.command("WAIT", 1, 100) == 0
    assert replicas_seen_by(primary) == len(servers.replicas_of(primary))


@pytest.mark.soak
def test_slots_move_with_their_keys(cluster_servers: ClusterServers) -> None:
    first, second, _ = cluster_servers.primaries()
    key = key_on(cluster_servers, first)
    first.command("SET", key, "kept")
    slot = first.command("CLUSTER", "KEYSLOT", key)
    began = time.monotonic()
    cluster_servers.move_slots([slot], second, key_pause_s=0.2)
    assert time.monotonic() - began > 0.2
    assert cluster_servers.primary_of(key) is second
    assert second.command("GET", key) == "kept"


@pytest.mark.soak
def test_a_failover_by_command_promotes_a_replica(servers: ReplicatedServers) -> None:
    primary = servers.primaries()[0]
    promoted = servers.fail_over(primary)
    assert promoted in servers.primaries()
    assert primary not in servers.primaries()


@pytest.mark.soak
def test_all_three_sentinels_are_usable(sentinel_servers: SentinelServers) -> None:
    first = sentinel_servers.sentinels[0]
    assert "OK 3 usable Sentinels" in first.command("SENTINEL", "CKQUORUM", "main")


def key_on(servers: ReplicatedServers, node: Node) -> str:
    """Return a key that a node serves."""
    if not isinstance(servers, ClusterServers):
        return "key"
    return next(key for key in map(str, range(1_000)) if servers.primary_of(key) is node)
