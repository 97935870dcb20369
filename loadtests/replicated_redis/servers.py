"""Parts that a cluster and a primary behind sentinels share: ports, start, repair, end."""

from __future__ import annotations

import abc
import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from redis.exceptions import RedisError

from loadtests.replicated_redis.node import Node
from loadtests.replicated_redis.proxy import Proxy, ProxyThread
from queue_core.redis_server.embedded import LOG_NAME
from queue_core.redis_server.ports import HeldPorts

READY_TIMEOUT_S = 20.0
REPAIR_TIMEOUT_S = 1.5
"""Longest wait for the servers to recover by themselves, before they are started anew."""
POLL_S = 0.02
CHANGEABLE = {
    "min-replicas-to-write": "0",
    "min-replicas-max-lag": "10",
    "appendfsync": "everysec",
    "maxmemory": "0",
}
"""Directives that tests and runs may change by CONFIG SET, with the values that `repair` gives them back."""


class ServersError(Exception):
    """Raised when the servers do not get into the expected state; says which one."""


class ReplicatedServers(abc.ABC):
    """Servers that replicate to each other, and the faults that befall them. All methods block."""

    def __init__(
        self,
        *,
        server: str | os.PathLike[str] | None = None,
        proxied: bool = False,
        tls: ssl.SSLContext | None = None,
        append_only: bool = False,
    ) -> None:
        self.server = server
        self.append_only = append_only
        self.ports = HeldPorts()
        self.thread = ProxyThread(tls) if proxied or tls else None
        self.folder = Path(tempfile.mkdtemp(prefix="burstqueue-servers-"))
        self.nodes: list[Node] = []
        """Servers that hold data."""

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Address of all servers together, for `queue_core.connect`."""

    @abc.abstractmethod
    def is_as_new(self) -> bool:
        """Return True if each server has the role that it had at first, and the replicas have all data."""

    @abc.abstractmethod
    def start(self) -> None:
        """Start the servers, without data, and return when `is_as_new`."""

    @abc.abstractmethod
    def primaries(self) -> list[Node]:
        """Return the servers that take writes now."""

    @abc.abstractmethod
    def replicas_of(self, primary: Node) -> list[Node]:
        """Return the replicas of a server that run."""

    @abc.abstractmethod
    def fail_over(self, primary: Node) -> Node:
        """Let a replica take over although its primary works, and return it when it was chosen."""

    @abc.abstractmethod
    def await_failover(self, dead: Node) -> Node:
        """Wait until a replica of a primary that is away has taken over, and return it."""

    def stop(self) -> None:
        """End all servers and remove their data."""
        for node in self.all_nodes():
            node.close()
        if self.thread:
            self.thread.close()
        self.ports.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def proxy_of(self, port: int) -> Proxy | None:
        """Make the proxy in front of a server, on a port of its own; None if the servers have none."""
        return Proxy(self.thread, self.ports.take(), port) if self.thread else None

    def all_nodes(self) -> list[Node]:
        """Return all servers, those without data too."""
        return self.nodes

    def repair(self) -> None:
        """End all faults and remove all data. Servers that do not recover soon are started anew."""
        for node in self.all_nodes():
            node.resume()
        for node in self.nodes:
            if self.thread and node.is_running:
                node.proxy.restore()
        if not self._comes_back():
            for node in self.all_nodes():
                node.wipe()
            self.start()
        for node in self.nodes:
            for name, value in (CHANGEABLE | {"appendonly": "yes" if self.append_only else "no"}).items():
                node.command("CONFIG", "SET", name, value)
        for node in self.primaries():
            node.command("FLUSHALL")
            node.command("SCRIPT", "FLUSH")

    def keep_logs(self, folder: Path) -> None:
        """Copy the logs of all servers into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for node in self.all_nodes():
            log = node.folder / LOG_NAME
            if log.exists():
                shutil.copy(log, folder / f"{node.folder.name}.log")

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until a condition holds; a server that does not answer does not fulfil it. Raises ServersError."""
        if not _holds_within(timeout_s, condition):
            states = "\n".join(f"{node.address}: {_state_of(node)}" for node in self.all_nodes())
            raise ServersError(f"waited {timeout_s:g} s in vain for {what}:\n{states}")

    def _comes_back(self) -> bool:
        if not all(node.is_running for node in self.all_nodes()):
            return False
        return _holds_within(REPAIR_TIMEOUT_S, self.is_as_new)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def follows(replica: Node, primary: Node) -> bool:
    """Return True if a server takes itself for a replica of another."""
    info = replica.info("replication")
    return bool(info["role"] == "slave" and info["master_port"] == primary.port)


def is_in_step(replica: Node, primary: Node) -> bool:
    """Return True if a replica follows a primary and has all its data."""
    return follows(replica, primary) and replica.info("replication")["master_link_status"] == "up"


def _holds_within(timeout_s: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return True
        except (RedisError, OSError):
            pass
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)


def _state_of(node: Node) -> str:
    if not node.is_running:
        return "does not run"
    try:
        return str(node.info("replication"))
    except (RedisError, OSError) as error:
        return str(error)
