"""Watch over the servers that a fault strikes: when there is a primary again that can take and keep writes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from loadtests.replicated_redis.node import Node

LOOK_EVERY_S = 0.02
ANSWER_S_MAX = 0.25


@dataclass(frozen=True, slots=True)
class State:
    """Answer of a server about itself."""

    is_primary: bool
    replicas: int
    """Number of replicas that it reports as online."""
    serves: bool
    """False while a cluster's node refuses commands, as for two seconds after its start."""
    offset: int = field(default=0, compare=False)
    """Bytes of the replication stream that it has."""


class ElectionWatch:
    """Thread that notes each moment at which a struck primary, or its successor, becomes able to take writes.

    A primary is able to take writes once enough replicas follow it. The old primary no longer counts as soon as a
    replica is promoted, even while the old primary still says that it is the primary.
    """

    def __init__(self, struck: Node, replicas: Sequence[Node], replicas_needed: int) -> None:
        self.writable_at_s: list[float] = []
        """Moments at which a primary became able to take writes, as times of `time.monotonic`."""
        self.elections = 0
        """Number of times that another server became the primary."""
        self.history: list[tuple[float, dict[Node, State | None]]] = []
        """States of all servers whenever those of one changed, with times of `time.monotonic`."""
        self._owner = struck
        self._is_writable = True
        self._replicas = set(replicas)
        """Servers that were replicas when they answered last."""
        self._needed = replicas_needed
        self._clients = {node: _client(node) for node in (struck, *replicas)}
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="elections", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        for client in self._clients.values():
            client.close()

    def _watch(self) -> None:
        while not self._ends.wait(LOOK_EVERY_S):
            states = self._states()
            self.note(states)
            if not self.history or states != self.history[-1][1]:
                self.history.append((time.monotonic(), states))

    def note(self, states: dict[Node, State | None]) -> None:
        """Note what servers say about themselves; None: the server is away. A server that was slow may be missing."""
        for node, state in states.items():
            if state and state.is_primary and node in self._replicas:
                self._elect(node)
            if state:
                (self._replicas.discard if state.is_primary else self._replicas.add)(node)
        if self._owner not in states:
            return
        owner = states[self._owner]
        if owner and not owner.is_primary:  # another server took over, which was never seen as a replica
            others = [node for node, state in states.items() if state and state.is_primary]
            if others:
                self._elect(others[0])
            return
        is_writable = bool(owner and owner.is_primary and owner.serves and owner.replicas >= self._needed)
        if is_writable and not self._is_writable:
            self.writable_at_s.append(time.monotonic())
        self._is_writable = is_writable

    def _elect(self, node: Node) -> None:
        self._owner, self._is_writable = node, False
        self.elections += 1

    def _states(self) -> dict[Node, State | None]:
        states = {}
        for node, client in self._clients.items():
            with contextlib.suppress(exceptions.TimeoutError):
                states[node] = _state_of(node, client)
        return states


def _client(node: Node) -> redis.Redis:
    return redis.Redis(
        port=node.own_port,
        socket_timeout=ANSWER_S_MAX,
        decode_responses=True,
        protocol=2,
        retry=Retry(NoBackoff(), retries=0),
    )


def _state_of(node: Node, client: redis.Redis) -> State | None:
    """Ask a server. Raises TimeoutError if it is slow, as on a busy machine."""
    if not node.is_running or node.is_paused:
        return None
    try:
        info = client.info("replication")
        serves = "cluster-enabled" not in node.config or "cluster_state:ok" in str(
            client.execute_command("CLUSTER", "INFO")  # type: ignore[no-untyped-call]  # in redis-py
        )
    except exceptions.TimeoutError:
        raise
    except (exceptions.RedisError, OSError):
        return None
    replicas = [info[f"slave{number}"] for number in range(info["connected_slaves"])]
    in_step = sum(replica["state"] == "online" for replica in replicas)
    is_primary = info["role"] == "master"
    return State(
        is_primary, in_step, serves, info["master_repl_offset" if is_primary else "slave_repl_offset"]
    )
