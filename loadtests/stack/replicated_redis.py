"""Cluster, or primary behind sentinels, instead of the stack's single Redis. Faults strike the first primary."""

from __future__ import annotations

from pathlib import Path

from loadtests.replicated_redis.cluster import ClusterServers
from loadtests.replicated_redis.node import Node
from loadtests.replicated_redis.sentinel import SentinelServers
from queue_core.redis_server.binaries import RedisBinary, choose_redis_server

KINDS: dict[str, type[ClusterServers | SentinelServers]] = {
    "cluster": ClusterServers,
    "sentinel": SentinelServers,
}


class ReplicatedRedis:
    """Servers with the methods of EmbeddedRedis that the stack uses."""

    def __init__(self, kind: str, memory: str) -> None:
        self._servers = KINDS[kind](append_only=True)
        for node in self._servers.nodes:
            node.config["maxmemory"] = memory
        self._struck: Node = self._servers.nodes[0]
        self._has_started = False

    @property
    def url(self) -> str:
        """Address of all servers together."""
        return self._servers.url

    @property
    def primary_url(self) -> str:
        """Address of the primary that faults strike."""
        return f"redis://127.0.0.1:{self._struck.own_port}"

    @property
    def binary(self) -> RedisBinary:
        """Program and version."""
        return choose_redis_server()

    def pids(self) -> dict[str, int]:
        """Return the process ids of the servers with data that run, by name (redis-1 and so on)."""
        nodes = enumerate(self._servers.nodes, 1)
        return {f"redis-{number}": node.pid for number, node in nodes if node.is_running}

    def is_running(self) -> bool:
        """Return True while all servers with data are alive."""
        return all(node.is_running for node in self._servers.nodes)

    def start(self) -> None:
        """Start the servers; later, start again those that are dead."""
        if not self._has_started:
            self._servers.start()
        for node in self._servers.nodes:
            node.start()
        self._has_started = True

    def stop(self) -> None:
        """End all servers and remove their data."""
        self._servers.stop()

    def keep_logs(self, folder: Path) -> None:
        """Copy the logs of all servers and sentinels into a folder."""
        self._servers.keep_logs(folder)

    def kill(self) -> None:
        """Kill the first primary, which has written all that it acknowledged; a replica takes over.

        With `appendfsync no` Redis writes before each answer: see `Stack.stop_redis`. The next start sets it back.
        """
        self._choose()
        self._struck.command("CONFIG", "SET", "appendfsync", "no")
        self._struck.kill()

    def restart(self) -> None:
        """Kill the first primary, and start it again."""
        self.kill()
        self._struck.start()

    def pause(self) -> None:
        """Freeze the first primary."""
        self._choose()
        self._struck.pause()

    def resume(self) -> None:
        """Undo `pause`."""
        self._struck.resume()

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of the log of the primary that faults strike."""
        return self._struck.log_tail(lines)

    def _choose(self) -> None:
        self._struck = self._servers.primaries()[0]
