"""Primary with two replicas, watched by three sentinels."""

from __future__ import annotations

import os
import ssl

from loadtests.replicated_redis.node import Node
from loadtests.replicated_redis.servers import ReplicatedServers, is_in_step
from queue_core.redis_server.binaries import choose_redis_server

SERVICE = "main"
DOWN_AFTER_MS = 1_000
FAILOVER_TIMEOUT_MS = 5_000


class SentinelServers(ReplicatedServers):
    """Primary with two replicas and three sentinels, on loopback.

    Args:
        server: Program to run; see choose_redis_server. The sentinels run it too.
        proxied: Put a proxy in front of each server, which can cut its links. Sentinels reach each other directly.
        tls: Let these proxies answer TLS too, with these settings; the servers themselves have none.
        down_after_ms: Silence after which a sentinel takes a server for dead.
        append_only: Keep an append-only file, so that a server that is started again has its data.
    """

    def __init__(
        self,
        *,
        server: str | os.PathLike[str] | None = None,
        proxied: bool = False,
        tls: ssl.SSLContext | None = None,
        down_after_ms: int = DOWN_AFTER_MS,
        append_only: bool = False,
    ) -> None:
        super().__init__(server=server, proxied=proxied, tls=tls, append_only=append_only)
        self._down_after_ms = down_after_ms
        for number in range(3):
            config = {
                "replica-announce-ip": "127.0.0.1",
                "repl-diskless-sync": "yes",
                "repl-diskless-sync-delay": "0",
            }
            folder = self.folder / f"node{number + 1}"
            file = folder / "redis.conf"  # the sentinels write into it who is whose replica
            port = self.ports.take()
            node = Node(
                self.proxy_of(port),
                folder,
                port,
                server=server,
                config=config,
                config_file=file,
                append_only=append_only,
            )
            node.config["replica-announce-port"] = str(node.port)
            self.nodes.append(node)
        program = self.folder / "redis-sentinel"
        program.symlink_to(choose_redis_server(server).path)
        self.sentinels = []
        for number in range(3):
            folder = self.folder / f"sentinel{number + 1}"
            file = folder / "sentinel.conf"
            port = self.ports.take()
            node = Node(self.proxy_of(port), folder, port, server=program, config={}, config_file=file)
            self.sentinels.append(node)

    @property
    def url(self) -> str:
        """Address of all sentinels together, for `queue_core.connect`."""
        return "redis+sentinel://" + ",".join(node.address for node in self.sentinels) + f"/{SERVICE}"

    def all_nodes(self) -> list[Node]:
        """Return the servers with data, and the sentinels."""
        return [*self.nodes, *self.sentinels]

    def start(self) -> None:
        """Start the servers, without data, and return when the sentinels see all of them."""
        primary = self.nodes[0]
        for node in self.nodes:
            node.wipe()
            line = "" if node is primary else f"replicaof 127.0.0.1 {primary.port}\n"
            (node.folder / "redis.conf").write_text(line)
            node.start()
        for number, sentinel in enumerate(self.sentinels):
            sentinel.wipe()
            (sentinel.folder / "sentinel.conf").write_text(self._layout_of(number))
            sentinel.start()
        self.wait_for(self.is_as_new, "the primary, its replicas and sentinels")

    def is_as_new(self) -> bool:
        """Return True if the first server is the primary, replicas have all data, and the sentinels see all that."""
        primary, *replicas = self.nodes
        return all(is_in_step(replica, primary) for replica in replicas) and all(
            self._sees_all(sentinel) for sentinel in self.sentinels
        )

    def primary(self) -> Node:
        """Return the primary by the word of the first sentinel that runs."""
        sentinel = next(node for node in self.sentinels if node.is_running and not node.is_paused)
        _, port = sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(node for node in self.nodes if node.port == int(port))

    def primaries(self) -> list[Node]:
        """Return the primary."""
        return [self.primary()]

    def replicas_of(self, primary: Node) -> list[Node]:
        """Return the other servers that run."""
        return [node for node in self.nodes if node is not primary and node.is_running]

    def fail_over(self, primary: Node) -> Node:
        """Let a replica take over although the primary works (SENTINEL FAILOVER), and return it when it was chosen."""
        self.sentinels[0].command("SENTINEL", "FAILOVER", SERVICE)
        return self.await_failover(primary)

    def await_failover(self, dead: Node) -> Node:
        """Wait until the sentinels have another primary, and return it."""
        self.wait_for(lambda: self.primary() is not dead, "the election")
        return self.primary()

    def _sees_all(self, sentinel: Node) -> bool:
        state = _pairs(sentinel.command("SENTINEL", "MASTER", SERVICE))
        replicas = [_pairs(replica) for replica in sentinel.command("SENTINEL", "REPLICAS", SERVICE)]
        others = sentinel.command("SENTINEL", "SENTINELS", SERVICE)
        return (
            int(state["port"]) == self.nodes[0].port
            and state["flags"] == "master"
            and [_pairs(other)["flags"] for other in others] == ["sentinel", "sentinel"]
            and [replica["flags"] for replica in replicas] == ["slave", "slave"]
            and all(replica["master-link-status"] == "ok" for replica in replicas)
        )

    def _layout_of(self, number: int) -> str:
        """Return the file from which a sentinel knows the others and all servers at its first start."""
        primary, *replicas = self.nodes
        lines = [
            f"sentinel myid {_id_of(number)}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {self._down_after_ms}",
            f"sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MS}",
        ]
        lines += [f"sentinel known-replica {SERVICE} 127.0.0.1 {replica.port}" for replica in replicas]
        for other, sentinel in enumerate(self.sentinels):
            if other != number:
                lines.append(
                    f"sentinel known-sentinel {SERVICE} 127.0.0.1 {sentinel.own_port} {_id_of(other)}"
                )
        return "\n".join([*lines, ""])


def _id_of(number: int) -> str:
    return f"{number + 1:040x}"


def _pairs(answer: dict[str, str] | list[str]) -> dict[str, str]:
    if isinstance(answer, dict):
        return answer
    return dict(zip(answer[::2], answer[1::2], strict=True))
