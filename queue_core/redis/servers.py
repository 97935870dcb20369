"""The servers behind a client, one by one: a single Redis, or every primary of a cluster; and walks over their keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from redis.asyncio import RedisCluster

from queue_core.redis.scripts.loader import text

SCAN_COUNT = 1_000
"""Keys that Redis looks at in one step of a SCAN: well under a millisecond of its time."""

Run = Callable[..., Any]
"""Runs a command on one server."""


async def on_primaries(redis: Any) -> list[tuple[str, Run]]:
    """Return every server that keys lie on: its name ("" for a single Redis), and how to run a command there."""
    if not isinstance(redis, RedisCluster):
        return [("", redis.execute_command)]
    await redis.initialize()

    def run_on(node: Any) -> Run:
        return lambda *command: redis.execute_command(*command, target_nodes=node)

    return [(node.name, run_on(node)) for node in redis.get_primaries()]


async def scan_step(
    run: Run, cursor: int, pattern: str, redis_type: Literal["list", "hash", "string"]
) -> tuple[int, list[str]]:
    """Take one step of a SCAN from a cursor. Returns the next cursor, 0 at the end, and the keys met."""
    command = ("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT, "TYPE", redis_type)
    position, keys = await run(*command)
    if isinstance(position, dict):  # a cluster's client names one for each server that it asked
        (position,) = position.values()
    return int(position), [text(key) for key in keys]
