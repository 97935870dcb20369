"""Redis Cluster of three primaries with a replica each."""

from __future__ import annotations

import contextlib
import os
import ssl
import time
from collections.abc import Iterable

from redis.crc import key_slot

from loadtests.replicated_redis.node import Node
from loadtests.replicated_redis.servers import ReplicatedServers, ServersError, follows, is_in_step
from queue_core.redis_server.ports import BUS

SLOTS = 16_384
PRIMARIES = 3
NODE_TIMEOUT_MS = 1_000


class ClusterServers(ReplicatedServers):
    """Redis Cluster of three primaries with a replica each, on loopback.

    A primary that dies is replaced by its replica after about `node_timeout_ms` and a second. The other nodes serve
    their slots meanwhile (`cluster-require-full-coverage no`).

    Args:
        server: Program to run; see choose_redis_server.
        proxied: Put a proxy in front of each server, which can cut its links.
        tls: Let these proxies answer TLS too, with these settings; the servers themselves have none.
        node_timeout_ms: Silence after which a node counts as dead.
        append_only: Keep an append-only file, so that a node that is started again has its data.
        full_coverage: Let all nodes refuse commands while any slot is served by none (Redis's default).
    """

    def __init__(
        self,
        *,
        server: str | os.PathLike[str] | None = None,
        proxied: bool = False,
        tls: ssl.SSLContext | None = None,
        node_timeout_ms: int = NODE_TIMEOUT_MS,
        append_only: bool = False,
        full_coverage: bool = False,
    ) -> None:
        super().__init__(server=server, proxied=proxied, tls=tls, append_only=append_only)
        for number in range(2 * PRIMARIES):
            port = self.ports.take_with_bus()
            config = {
                "cluster-enabled": "yes",
                "cluster-node-timeout": str(node_timeout_ms),
                "cluster-require-full-coverage": "yes" if full_coverage else "no",
                "cluster-replica-validity-factor": "0",
                "cluster-announce-ip": "127.0.0.1",
                "cluster-announce-bus-port": str(port + BUS),
                "repl-diskless-sync": "yes",
                "repl-diskless-sync-delay": "0",
            }
            folder = self.folder / f"node{number + 1}"
            node = Node(
                self.proxy_of(port), folder, port, server=server, config=config, append_only=append_only
            )
            node.config["cluster-announce-port"] = str(node.port)
            self.nodes.append(node)
        self._ids = {node: _id_of(number) for number, node in enumerate(self.nodes)}

    @property
    def url(self) -> str:
        """Address of all nodes together, for `queue_core.connect`."""
        return "redis+cluster://" + ",".join(node.address for node in self.nodes)

    def start(self) -> None:
        """Start the servers, without data, and return when the cluster is whole."""
        for number, node in enumerate(self.nodes):
            node.wipe()
            (node.folder / "nodes.conf").write_text(self._layout_of(number))
        for node in self.nodes:
            node.start()
        self.wait_for(self.is_as_new, "the cluster")

    def is_as_new(self) -> bool:
        """Return True if each primary has a third of the slots and a replica with all data, and all nodes know it."""
        ranges = self.ranges()
        if sum(last - first + 1 for first, last, _ in ranges) != SLOTS or len(ranges) != PRIMARIES:
            return False
        primaries = self.primaries()
        replicas = {primary: self.replicas_of(primary) for primary in primaries}
        return (
            len(primaries) == PRIMARIES
            and all(_knows_a_whole_cluster(node) for node in self.nodes)
            and all(len(nodes) == 1 and is_in_step(nodes[0], primary) for primary, nodes in replicas.items())
        )

    def ranges(self) -> list[tuple[int, int, Node]]:
        """Return the first and last slot of each range and the node that serves it, as most running nodes believe."""
        running = [node for node in self.nodes if node.is_running and not node.is_paused]
        views = [_ranges_by_port(node) for node in running]
        by_port = {node.port: node for node in self.nodes}
        return [(first, last, by_port[port]) for first, last, port in max(views, key=views.count)]

    def owners(self) -> dict[int, Node]:
        """Return the node that serves each slot."""
        return {slot: node for first, last, node in self.ranges() for slot in range(first, last + 1)}

    def primaries(self) -> list[Node]:
        """Return the nodes that serve slots, in the order of their first slots."""
        return list(dict.fromkeys(node for _, _, node in self.ranges()))

    def primary_of(self, key: str) -> Node:
        """Return the node that serves a key."""
        slot = self.slot_of(key)
        return next(node for first, last, node in self.ranges() if first <= slot <= last)

    def slot_of(self, key: str) -> int:
        """Return the slot of a key."""
        return int(key_slot(key.encode()))

    def replicas_of(self, primary: Node) -> list[Node]:
        """Return the running replicas of a node."""
        return [
            node
            for node in self.nodes
            if node.is_running and not node.is_paused and node is not primary and follows(node, primary)
        ]

    def fail_over(self, primary: Node) -> Node:
        """Let the replica of a primary take over in good order (CLUSTER FAILOVER), and return it.

        Redis gives such a failover up after 5 s, for instance if the other primaries have voted a moment before; then
        it is ordered again.
        """
        (replica,) = self.replicas_of(primary)
        for _ in range(3):
            replica.command("CLUSTER", "FAILOVER")
            with contextlib.suppress(ServersError):
                self.wait_for(lambda: replica in self.primaries(), "the failover", 7.0)
                return replica
        self.wait_for(lambda: replica in self.primaries(), "the failover")
        return replica

    def await_failover(self, dead: Node) -> Node:
        """Wait until the replica of a primary that is away has taken over, and return it."""
        served = {node.port for node in self.nodes if node is not dead}
        self.wait_for(lambda: {node.port for node in self.primaries()} <= served, "the election")
        return next(node for node in self.primaries() if not self.replicas_of(node))

    def move_slots(self, slots: Iterable[int], target: Node, *, key_pause_s: float = 0.0) -> None:
        """Move slots with their keys to another primary, each key by itself, as `redis-cli --cluster reshard` does.

        A slot's new owner is made known to all nodes when its last key has moved. `key_pause_s`: wait before each key.
        """
        owners, primaries = self.owners(), self.primaries()
        for slot in slots:
            source = owners[slot]
            if source is not target:
                self._move_slot(slot, source, target, key_pause_s)
                for node in (
                    target,
                    source,
                    *(other for other in primaries if other not in (target, source)),
                ):
                    node.command("CLUSTER", "SETSLOT", slot, "NODE", self._ids[target])

    def _move_slot(self, slot: int, source: Node, target: Node, key_pause_s: float) -> None:
        ids = self._ids
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        while keys := source.command("CLUSTER", "GETKEYSINSLOT", slot, 1):
            time.sleep(key_pause_s)
            source.command("MIGRATE", "127.0.0.1", target.port, keys[0], 0, 5_000)

    def _layout_of(self, number: int) -> str:
        """Return the file from which a node knows the whole cluster at its first start."""
        lines = []
        for other, node in enumerate(self.nodes):
            myself = "myself," if other == number else ""
            address = f"127.0.0.1:{node.port}@{node.own_port + BUS}"
            if other < PRIMARIES:
                role, master = "master", "-"
                first, past = (SLOTS * part // PRIMARIES for part in (other, other + 1))
                slots = f" {first}-{past - 1}"
            else:
                role, master, slots = "slave", _id_of(other - PRIMARIES), ""
            epoch = other % PRIMARIES + 1
            lines.append(f"{_id_of(other)} {address} {myself}{role} {master} 0 0 {epoch} connected{slots}")
        return "\n".join([*lines, f"vars currentEpoch {PRIMARIES} lastVoteEpoch 0", ""])


def _id_of(number: int) -> str:
    return f"{number + 1:040x}"


def _ranges_by_port(node: Node) -> list[tuple[int, int, int]]:
    answer = node.command("CLUSTER", "SLOTS")
    return sorted((int(first), int(last), int(primary[1])) for first, last, primary, *_ in answer)


def _knows_a_whole_cluster(node: Node) -> bool:
    lines = str(node.command("CLUSTER", "INFO")).split()
    return "cluster_state:ok" in lines and f"cluster_slots_ok:{SLOTS}" in lines
