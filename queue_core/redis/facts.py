"""Facts that a Redis server reports (INFO, CONFIG GET), and errors and warnings about those that endanger messages.

Names of fields and directives: https://redis.io/docs/latest/commands/info/ and the redis.conf of 6.2 to 8.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from redis.exceptions import NoPermissionError, ResponseError

from queue_core.redis.scripts.loader import text

VERSION_MIN = (6, 2)
WAITAOF_VERSION = (7, 2)
MEMORY_SHARE_MAX = 0.8
"""Largest share of maxmemory in use without a warning."""

Availability = Literal["answered", "forbidden", "no such command"]
"""Reaction of a server to INFO or CONFIG GET: it answers, the Redis user has no right, or the server lacks it."""


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about one server. None and "" stand for unknown facts."""

    name: str = ""
    """Host and port on a cluster, "" for a single server."""
    info: Availability = "answered"
    config: Availability = "answered"
    version: str = ""
    is_cluster: bool = False
    memory_used_bytes: int | None = None
    memory_limit_bytes: int | None = None
    """0 when there is no limit."""
    eviction_policy: str = ""
    append_only: bool | None = None
    append_fsync: str = ""
    append_failed: bool = False
    """True if the last write to the append-only file failed."""
    loads_truncated: bool = False
    """True if the server starts on an append-only file whose end a crash has torn (aof-load-truncated)."""
    snapshot_failed: bool = False
    role: Literal["", "primary", "replica"] = ""
    replicas: int = 0
    replicas_min: int | None = None
    """Number of replicas without which the server takes no writes (min-replicas-to-write)."""
    primary: str = ""
    """Address of a replica's primary."""
    serves_in_part: bool | None = None
    """False for a node of a cluster that refuses all commands while any slot has no primary."""

    @property
    def version_numbers(self) -> tuple[int, ...]:
        """Return the version as in (7, 2, 4); empty when unknown."""
        return tuple(int(number) for number in re.findall(r"\d+", self.version)[:3])

    @property
    def memory_share(self) -> float:
        """Return used memory as a share of the limit; 0 without a limit."""
        return (self.memory_used_bytes or 0) / self.memory_limit_bytes if self.memory_limit_bytes else 0.0


async def ask(name: str, run: Callable[..., Any]) -> ServerFacts:
    """Ask one server for its facts, and whether it refuses to tell. Raises redis-py's errors when it is away."""
    info_availability, info = await _try_command(run, "INFO")
    config_availability, append = await _try_command(run, "CONFIG", "GET", "a*")
    _, memory = await _try_command(run, "CONFIG", "GET", "maxmemory*")
    _, minimum = await _try_command(run, "CONFIG", "GET", "min-replicas-to-write")
    is_cluster = info.get("redis_mode") == "cluster" or bool(name)
    coverage: dict[str, str] = {}
    if is_cluster and config_availability == "answered":
        _, coverage = await _try_command(run, "CONFIG", "GET", "cluster-require-full-coverage")
    config = append | memory | minimum
    primary = f"{info.get('master_host', '')}:{info.get('master_port', '')}"
    role = info.get("role", "")
    enabled = info.get("aof_enabled", config.get("appendonly", ""))
    return ServerFacts(
        name=name,
        info=info_availability,
        config=config_availability,
        version=info.get("redis_version", ""),
        is_cluster=is_cluster,
        memory_used_bytes=_number(info.get("used_memory")),
        memory_limit_bytes=_number(info.get("maxmemory", config.get("maxmemory"))),
        eviction_policy=info.get("maxmemory_policy", config.get("maxmemory-policy", "")),
        append_only=enabled in ("1", "yes") if enabled else None,
        append_fsync=config.get("appendfsync", ""),
        append_failed=info.get("aof_last_write_status", "ok") != "ok",
        loads_truncated=config.get("aof-load-truncated") == "yes",
        snapshot_failed=info.get("rdb_last_bgsave_status", "ok") != "ok",
        role="replica" if role in ("slave", "replica") else "primary" if role else "",
        replicas=_number(info.get("connected_slaves")) or 0,
        replicas_min=_number(config.get("min-replicas-to-write")),
        primary=primary if len(primary) > 1 else "",
        serves_in_part={"no": True, "yes": False}.get(coverage.get("cluster-require-full-coverage", "")),
    )


def worst(servers: list[ServerFacts]) -> ServerFacts:
    """Return the worst of each fact that a health report shows, over all servers."""
    fsyncs = {server.append_fsync for server in servers}
    append_only = {server.append_only for server in servers}
    roles = {server.role for server in servers}
    policies = {server.eviction_policy for server in servers}
    fullest = max(servers, key=lambda server: (server.memory_share, server.memory_used_bytes or 0))
    return ServerFacts(
        version=min(servers, key=lambda server: server.version_numbers).version,
        is_cluster=any(server.is_cluster for server in servers),
        memory_used_bytes=fullest.memory_used_bytes,
        memory_limit_bytes=fullest.memory_limit_bytes,
        eviction_policy=max(policies, key=lambda policy: (policy != "noeviction", policy)),
        append_only=False if False in append_only else None if None in append_only else True,
        append_fsync=next((fsync for fsync in ("no", "", "everysec", "always") if fsync in fsyncs), ""),
        append_failed=any(server.append_failed for server in servers),
        loads_truncated=any(server.loads_truncated for server in servers),
        snapshot_failed=any(server.snapshot_failed for server in servers),
        role=next((role for role in ("replica", "", "primary") if role in roles), ""),
        replicas=max(server.replicas for server in servers),
        replicas_min=min(
            (server.replicas_min for server in servers if server.replicas_min is not None), default=None
        ),
    )


def errors_of(facts: ServerFacts, *, waits_for_replicas: int = 0) -> list[str]:
    """Return sentences on facts that break the guarantee that no message is lost; each says what to do.

    `waits_for_replicas` is the queue's setting.
    """
    errors = []
    if facts.version and facts.version_numbers < VERSION_MIN:
        errors.append(f"Redis {facts.version} is too old: use 6.2 or newer")
    if facts.role == "replica":
        address = f", {facts.primary}" if facts.primary else ""
        errors.append(
            f"this is a replica, which takes no writes: connect to its primary{address}, or by redis+sentinel:// to "
            "the sentinels that name it"
        )
    if facts.eviction_policy not in ("", "noeviction"):
        errors.append(
            f"maxmemory-policy is {facts.eviction_policy}, so a full Redis would delete messages: "
            "set maxmemory-policy noeviction"
        )
    if facts.append_only is False:
        errors.append(
            "the append-only file is off, so a restart of Redis loses everything since its last snapshot, if it makes "
            "any: set appendonly yes"
        )
    if facts.append_fsync == "no" and facts.append_only is not False:
        errors.append(
            "appendfsync is no, so a crash of the machine can lose the messages of the last 30 s: "
            "set appendfsync everysec or always"
        )
    if facts.role == "primary" and facts.replicas < waits_for_replicas:
        errors.append(
            f"wait_for_replicas is {waits_for_replicas}, but replicas connected: {facts.replicas}; until there are "
            "more, no message is taken and none is answered: start replicas, or lower it"
        )
    if facts.append_failed:
        errors.append(
            "the last write to the append-only file failed: Redis refuses messages, or forgets them at a restart; "
            "free space on its disk, and see its log"
        )
    if facts.info == "forbidden" and (facts.append_only is None or not facts.eviction_policy):
        errors.append(
            "this Redis user may run neither INFO nor CONFIG GET, so it is unknown whether messages survive a restart: "
            "allow +info and +config|get (before Redis 7: +config)"
        )
    return errors


def warnings_of(facts: ServerFacts, *, waits_for_fsync: bool, waits_for_replicas: int = 0) -> list[str]:
    """Return sentences on facts that need attention; each says what to do. The keywords are the queue's settings."""
    warnings = _unknowns(facts)
    if facts.append_only and facts.append_fsync == "everysec" and not waits_for_fsync:
        warnings.append(
            "appendfsync is everysec, so a crash of the machine, or of Redis while its disk is slow, can lose the "
            "messages of the last 2 s: set appendfsync always, or wait_for_fsync on Redis 7.2 or newer"
        )
    if facts.append_only and facts.loads_truncated:
        warnings.append(
            "aof-load-truncated is yes, so after a crash in the middle of a write, the second start may carry out half "
            "a transaction, which loses or doubles messages: set it to no and run BGREWRITEAOF once. If Redis then "
            "does not start after a crash, repair its file as docs/guarantees.md says under Torn writes"
        )
    if facts.memory_limit_bytes == 0:
        warnings.append(
            "maxmemory is not set, so a Redis that fills the machine's memory is killed: set it below that memory"
        )
    if facts.memory_share >= 1:
        warnings.append("Redis is full and refuses new messages: raise maxmemory, or see what fills it")
    elif facts.memory_share > MEMORY_SHARE_MAX:
        warnings.append(
            f"Redis uses {facts.memory_share:.0%} of maxmemory: raise maxmemory before Redis is full"
        )
    if facts.serves_in_part is False:
        warnings.append(
            "cluster-require-full-coverage is yes, so all nodes refuse messages while one has no primary: set it to no"
        )
    if facts.snapshot_failed:
        warnings.append("the last snapshot (RDB) failed, so Redis may refuse writes: free space on its disk")
    if facts.replicas > waits_for_replicas:
        why = (
            f"wait_for_replicas is {waits_for_replicas} and there are {facts.replicas} replicas, so a failover loses "
            "the last messages if the replicas that confirmed them are away or slow too"
            if waits_for_replicas
            else "a failover to a replica can lose the last messages, since writes do not wait for replicas"
        )
        warnings.append(
            f"{why}: set wait_for_replicas to {facts.replicas}, the number of replicas; then no message is taken while "
            "one of them is away"
        )
    if facts.replicas and facts.replicas_min == 0:
        warnings.append(
            "min-replicas-to-write is 0, so a primary that lost its replicas still takes writes, which a failover "
            "loses: set min-replicas-to-write 1 on each server"
        )
    return warnings


def _unknowns(facts: ServerFacts) -> list[str]:
    unknowns = []
    if facts.info == "no such command":
        unknowns.append(
            "this server has no INFO, so it is not a real Redis: memory, persistence and eviction are unknown"
        )
    elif facts.info == "forbidden":
        unknowns.append(
            "this Redis user may not run INFO, so version, memory use and role are unknown: allow +info"
        )
    if facts.config != "answered" and facts.info == "answered":
        why = (
            "this Redis user may not run CONFIG GET"
            if facts.config == "forbidden"
            else "CONFIG is switched off here"
        )
        unknowns.append(
            f"{why}, so appendfsync is unknown: make sure that it is everysec or always (for a managed Redis, in the "
            "settings of its provider)"
        )
    return unknowns


async def _try_command(run: Callable[..., Any], *command: str) -> tuple[Availability, dict[str, str]]:
    try:
        answer = await run(*command)
    except NoPermissionError:
        return "forbidden", {}
    except ResponseError as error:
        if "unknown command" not in str(error).lower():
            raise
        return "no such command", {}
    if not isinstance(answer, Mapping):  # CONFIG GET under RESP2: names and values in turn
        answer = dict(zip(answer[::2], answer[1::2], strict=True))
    return "answered", {text(name): text(value) for name, value in answer.items()}


def _number(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None
