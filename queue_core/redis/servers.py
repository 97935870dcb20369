"""Servers behind a client, a single Redis or every primary of a cluster, and scans of their keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Literal

from redis.asyncio import RedisCluster

from queue_core.redis.nodes.client import NodesClient
from queue_core.redis.runner import FAILURES, explain, is_single
from queue_core.redis.scripts.loader import text

SCAN_COUNT = 1_000
"""Keys that Redis looks at in one step of a SCAN, which takes it well under a millisecond."""

PARTITIONS_OF_CLUSTER = 16
"""Partitions on a cluster. Of three primaries, two have 6 of their slots and one has 4; four have 4 each."""

UNKNOWN = "unknown"
"""Name that stands for the owner of a key that no server has now."""
Run = Callable[..., Any]
"""Function that runs a command on one server."""


async def on_primaries(redis: Any) -> list[tuple[str, Run]]:
    """Return every server that holds keys: its name ("" for a single Redis), and a function that runs its commands."""
    if isinstance(redis, NodesClient):
        return await redis.primaries()
    if not isinstance(redis, RedisCluster):
        return [("", redis.execute_command)]
    await redis.initialize()

    def run_on(node: Any) -> Run:
        return lambda *command: redis.execute_command(*command, target_nodes=node)

    return [(node.name, run_on(node)) for node in redis.get_primaries()]


async def owners_of(redis: Any, keys: Sequence[str]) -> list[str]:
    """Return the name of the server that has each key: "" for a single Redis, "unknown" if none has it now."""
    await on_primaries(redis)
    if isinstance(redis, NodesClient):
        return [redis.owner_of(key) for key in keys]
    if isinstance(redis, RedisCluster):
        return [getattr(redis.get_node_from_key(key), "name", UNKNOWN) for key in keys]
    return [""] * len(keys)


def partitions_of(redis: Any) -> int:
    """Return the number of partitions that suits a client of `queue_core.connect`."""
    return PARTITIONS_OF_CLUSTER if isinstance(redis, NodesClient) and redis.routes.is_cluster else 1


async def scan(
    redis: Any, pattern: str, redis_type: Literal["list", "hash", "string"]
) -> AsyncGenerator[list[str], None]:
    """Yield all keys of a pattern and type, a page for each step of the SCAN; a key may come twice.

    Raises QueueUnavailableError when Redis does not answer.
    """
    try:
        for _, run in await on_primaries(redis):
            cursor = None
            while cursor != 0:
                cursor, keys = await _scan_step(run, cursor or 0, pattern, "TYPE", redis_type)
                yield keys
    except FAILURES as error:
        raise explain(error, is_single=is_single(redis)) from error


async def scan_part(
    redis: Any, pattern: str, cursors: dict[str, int], steps_max: int
) -> AsyncGenerator[list[str], None]:
    """Yield keys of a pattern, a page for each step of the SCAN, from the given cursors on.

    `cursors` has the cursor of each server, which is 0 at the beginning and at the end; it is updated before each page
    is yielded. Ends after `steps_max` steps on each server; another call with the same `cursors` continues. Raises
    QueueUnavailableError when Redis does not answer.
    """
    try:
        for name, run in await on_primaries(redis):
            for _ in range(steps_max):
                cursors[name], keys = await _scan_step(run, cursors.get(name, 0), pattern)
                yield keys
                if cursors[name] == 0:
                    break
    except FAILURES as error:
        raise explain(error, is_single=is_single(redis)) from error


async def _scan_step(run: Run, cursor: int, pattern: str, *filters: str) -> tuple[int, list[str]]:
    position, keys = await run("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT, *filters)
    if isinstance(position, dict):  # a cluster's client returns a cursor for each server
        (position,) = position.values()
    return int(position), [text(key) for key in keys]
