"""Cluster, or primary behind sentinels, in the place of the stack's single Redis. Faults strike its first primary."""

from __future__ import annotations

from pathlib import Path

from loadtests.redis_groups.cluster import ClusterServers
from loadtests.redis_groups.node import Node
from loadtests.redis_groups.sentinel import SentinelServers
from queue_core.redis_server.binaries import RedisBinary, choose_redis_server

GROUPS: dict[str, type[ClusterServers | SentinelServers]] = {
    "cluster": ClusterServers,
    "sentinel": SentinelServers,
}


class GroupRedis:
    """Servers with the methods of EmbeddedRedis that the stack uses."""

    def __init__(self, kind: str, memory: str) -> None:
        self._group = GROUPS[kind](append_only=True)
        for node in self._group.nodes:
            node.config["maxmemory"] = memory
        self._struck: Node = self._group.nodes[0]
        self._has_started = False

    @property
    def url(self) -> str:
        """Address of the whole group."""
        return self._group.url

    @property
    def primary_url(self) -> str:
        """Address of the primary that faults strike."""
        return f"redis://127.0.0.1:{self._struck.own_port}"

    @property
    def binary(self) -> RedisBinary:
        """Program and version."""
        return choose_redis_server()

    @property
    def pid(self) -> int:
        """Process id of the primary that faults strike."""
        return self._struck.pid

    def is_running(self) -> bool:
        """Return True while all servers with data are alive."""
        return all(node.is_running for node in self._group.nodes)

    def start(self) -> None:
        """Start the group, or again the servers of it that are dead."""
        if not self._has_started:
            self._group.start()
        for node in self._group.nodes:
            node.start()
        self._has_started = True

    def stop(self) -> None:
        """End all servers and remove their data."""
        self._group.stop()

    def keep_logs(self, folder: Path) -> None:
        """Copy the logs of all servers and sentinels into a folder."""
        self._group.keep_logs(folder)

    def kill(self) -> None:
        """Kill the first primary; a replica takes over."""
        self._choose()
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
        """Return the last lines of the log of that primary."""
        return self._struck.log_tail(lines)

    def _choose(self) -> None:
        self._struck = self._group.primaries()[0]
