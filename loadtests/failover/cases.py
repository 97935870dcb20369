"""Rows of the table: a deployment, its settings, and a fault that strikes while messages flow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from loadtests.replicated_redis.cluster import ClusterServers
from loadtests.replicated_redis.node import Node
from loadtests.replicated_redis.servers import ReplicatedServers, follows
from reports.results.failover import FailoverCase

PREFIX = "wa"
LINKS_CUT_S = 1.0
AWAY_S = 3.0
FROZEN_S = 5.0
"""Long enough for an election, and for traffic with the new primary."""
LAG_S = 0.7
"""Time for which a replica lags; shorter than the silence after which sentinels take a server for dead."""
CALM_S = 2.0
"""Time after an election before the next step of a case."""
SLOTS_MOVED = 250
KEY_PAUSE_S = 0.02
"""Wait before each key of the slot that moves slowly."""

Strike = Callable[["Scene"], None]


@dataclass(frozen=True, slots=True)
class Scene:
    """Servers under load, on which a fault strikes. Its steps block, so they run in a thread."""

    servers: ReplicatedServers
    partitions: int
    time_factor: float
    """Factor of all waits; below 1 in the short versions."""

    @property
    def struck(self) -> Node:
        """The primary that the fault strikes: that of the first partition."""
        return self.owner_of(0)

    def owner_of(self, partition: int) -> Node:
        """Return the primary of a partition."""
        if isinstance(self.servers, ClusterServers):
            return self.servers.primary_of(self.key_of(partition))
        return self.servers.primaries()[0]

    def key_of(self, partition: int) -> str:
        """Return a key that lies in a partition."""
        return f"{PREFIX}:{{{partition}}}:"

    def wait(self, seconds: float) -> None:
        """Let the load go on for some time."""
        time.sleep(seconds * self.time_factor)


@dataclass(frozen=True, slots=True)
class Case:
    """Row of the table."""

    name: FailoverCase
    deployment: Literal["cluster", "sentinel"]
    strike: Strike
    wait_for_replicas: int = 1
    min_replicas: int = 0
    through_intake: bool = False
    strikes_all: bool = False
    """True if the fault strikes every primary."""

    @property
    def replaces_primary(self) -> bool:
        """Return True if a primary goes away, and then another server takes over or the primary comes back."""
        return self.name not in ("steady", "slots_moved")

    async def carry_out(self, scene: Scene) -> None:
        """Let the fault strike, and return when it is over."""
        await asyncio.to_thread(self.strike, scene)


def _nothing(scene: Scene) -> None:
    scene.wait(CALM_S)


def _kill_primary(scene: Scene) -> None:
    dead = scene.struck
    dead.kill()
    scene.servers.await_failover(dead)
    scene.wait(CALM_S)
    dead.start()


def _move_slots(scene: Scene) -> None:
    servers = scene.servers
    assert isinstance(servers, ClusterServers)
    source = scene.struck
    target = next(node for node in servers.primaries() if node is not source)
    owners = servers.owners()
    busy = [
        slot
        for partition in range(scene.partitions)
        if owners[slot := servers.slot_of(scene.key_of(partition))] is source
    ]
    others = [slot for slot, node in owners.items() if node is source and slot not in busy]
    servers.move_slots(busy[:1], target, key_pause_s=KEY_PAUSE_S)
    servers.move_slots([*busy[1:], *others][: round((SLOTS_MOVED - 1) * scene.time_factor)], target)


def _fail_over_twice(scene: Scene) -> None:
    servers, primary = scene.servers, scene.struck
    promoted = servers.fail_over(primary)
    servers.wait_for(lambda: servers.replicas_of(promoted) == [primary], "the old primary as a replica")
    scene.wait(CALM_S)
    servers.fail_over(promoted)


def _fail_over(scene: Scene) -> None:
    old = scene.struck
    promoted = scene.servers.fail_over(old)
    scene.servers.wait_for(lambda: follows(old, promoted), "the old primary as a replica")


def _freeze(scene: Scene) -> None:
    frozen = scene.struck
    frozen.pause()
    scene.wait(FROZEN_S)
    frozen.resume()


def _all_down(scene: Scene) -> None:
    for node in scene.servers.nodes:
        node.kill()
    scene.wait(AWAY_S)
    for node in scene.servers.nodes:
        node.start()


def _cut_links_and_kill(scene: Scene) -> None:
    dead = scene.struck
    dead.proxy.cut(replicas_only=True)
    scene.wait(LINKS_CUT_S)
    dead.kill()
    scene.servers.await_failover(dead)
    scene.wait(CALM_S)
    dead.start()


def _lose_newest_replica(scene: Scene) -> None:
    """Let only one replica have the newest data, then freeze it, and kill the primary: the other replica is elected."""
    dead = scene.struck
    lagging, newest = scene.servers.replicas_of(dead)
    lagging.pause()
    dead.proxy.cut(replicas_only=True)
    dead.proxy.restore()  # the link of the other replica comes back at once
    scene.wait(LAG_S)
    newest.pause()
    dead.proxy.cut(replicas_only=True)
    lagging.resume()
    dead.kill()
    scene.servers.await_failover(dead)
    scene.wait(CALM_S)
    newest.resume()
    dead.start()


_REPLICA_SETTINGS = ((0, 0), (0, 1), (1, 0), (2, 0), (2, 1))
"""Pairs of `wait_for_replicas` and `min-replicas-to-write`, for a primary with two replicas."""

CASES: tuple[Case, ...] = (
    Case("steady", "cluster", _nothing),
    Case("primary_killed", "cluster", _kill_primary, wait_for_replicas=0),
    Case("primary_killed", "cluster", _kill_primary),
    Case("primary_killed", "cluster", _kill_primary, through_intake=True),
    Case("slots_moved", "cluster", _move_slots),
    Case("failovers", "cluster", _fail_over_twice),
    Case("primary_frozen", "cluster", _freeze, wait_for_replicas=0),
    Case("primary_frozen", "cluster", _freeze),
    Case("all_down", "cluster", _all_down, strikes_all=True),
    Case("primary_killed", "sentinel", _kill_primary),
    *(
        Case(
            "links_cut_and_killed",
            "sentinel",
            _cut_links_and_kill,
            wait_for_replicas=count,
            min_replicas=least,
        )
        for count, least in _REPLICA_SETTINGS
    ),
    *(
        Case("failovers", "sentinel", _fail_over, wait_for_replicas=count, min_replicas=least)
        for count, least in _REPLICA_SETTINGS
    ),
    *(
        Case("newest_replica_away", "sentinel", _lose_newest_replica, wait_for_replicas=count)
        for count in (1, 2)
    ),
)
"""The whole table. Cases that wait for fewer than all replicas show what a failover loses then."""
