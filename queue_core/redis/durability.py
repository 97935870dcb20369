"""Strict modes: a message is acknowledged only when it is on Redis's disk, and when replicas have it.

`QueueSettings.wait_for_fsync`: with `appendfsync always` Redis answers only after the fsync, so no further command is
needed. Otherwise WAITAOF (Redis 7.2) at the end of each pipeline waits for the fsync of the pipeline's writes.
`QueueSettings.wait_for_replicas`: WAIT at the end of each pipeline waits until so many replicas have its writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from redis import exceptions
from redis.asyncio import Redis, RedisCluster

from queue_core.errors import QueueUnavailableError, UnsupportedRedisError
from queue_core.redis.scripts.loader import text

Command = tuple[Any, ...]

REPLICAS_SHARE = 0.75
"""Share of the deadline that replicas have to confirm. In the rest, the answer that they did not still arrives."""


class Durability(NamedTuple):
    """Disk and replicas that must have a write before it is acknowledged."""

    fsync: bool = False
    replicas: int = 0


class DurableWait:
    """Wait for disk and replicas. Finds out once which commands make this server wait, and checks their answers."""

    def __init__(self, redis: Redis, deadline_ms: int, durability: Durability) -> None:
        self._redis: Redis | RedisCluster = redis
        self._deadline_ms = deadline_ms
        self._durability = durability
        self._commands: tuple[Command, ...] | None = None

    async def commands(self) -> tuple[Command, ...]:
        """Return the commands to put at the end of a pipeline; none if the server waits by itself.

        Raises UnsupportedRedisError when this server cannot guarantee what is asked for.
        """
        if self._commands is None:
            chosen = await self._choose_fsync() if self._durability.fsync else ()
            if self._durability.replicas:
                if isinstance(self._redis, RedisCluster):
                    raise UnsupportedRedisError(_NEEDS_OWN_CLIENT.format(name="wait_for_replicas"))
                patience_ms = max(1, int(self._deadline_ms * REPLICAS_SHARE))
                chosen = (*chosen, ("WAIT", self._durability.replicas, patience_ms))
            self._commands = chosen
        return self._commands

    def check(self, answers: Sequence[Any]) -> None:
        """Raise QueueUnavailableError when the commands' answers say that the write is not safe."""
        for command, answer in zip(self._commands or (), answers, strict=True):
            if isinstance(answer, exceptions.RedisError):
                owner = "its disk" if command[0] == "WAITAOF" else "its replicas"
                raise QueueUnavailableError(f"Redis cannot say whether the write is on {owner}: {answer}")
            if command[0] == "WAITAOF":
                if answer[0] < 1:
                    raise QueueUnavailableError(
                        "the write was not on Redis's disk in time, though it may get there later"
                    )
            elif answer < self._durability.replicas:
                raise QueueUnavailableError(
                    f"of {self._durability.replicas} replicas that must have the write (wait_for_replicas), {answer} "
                    "confirmed it in time, though others may get it later"
                )

    async def _choose_fsync(self) -> tuple[Command, ...]:
        if isinstance(self._redis, RedisCluster):
            raise UnsupportedRedisError(_NEEDS_OWN_CLIENT.format(name="wait_for_fsync"))
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.execute_command("CONFIG", "GET", "append*")
        pipeline.execute_command("WAITAOF", 0, 0, 1)
        config, waitaof = await pipeline.execute(raise_on_error=False)
        values = {} if isinstance(config, Exception) else _pairs(config)
        if values.get("appendonly", "yes") != "yes":
            raise UnsupportedRedisError(
                "wait_for_fsync needs a Redis that writes to disk: set appendonly yes"
            )
        if values.get("appendfsync") == "always":
            return ()
        if isinstance(waitaof, Exception):
            raise UnsupportedRedisError("wait_for_fsync needs Redis 7.2 or newer, or appendfsync always")
        return (("WAITAOF", 1, 0, self._deadline_ms),)


_NEEDS_OWN_CLIENT = (
    "{name} does not work with a client of redis.asyncio for clusters: connect with "
    'queue_core.connect("redis+cluster://host:port"), or switch it off'
)


def wait_of(redis: Redis, deadline_ms: int, durability: Durability) -> DurableWait | None:
    """Return the wait at the end of pipelines; None if there is nothing to wait for."""
    return DurableWait(redis, deadline_ms, durability) if any(durability) else None


def _pairs(config: Any) -> dict[str, str]:
    """Return CONFIG GET's answer as a mapping; under RESP2 it is a flat list."""
    if not isinstance(config, dict):
        config = dict(zip(config[::2], config[1::2], strict=True))
    return {text(name): text(value) for name, value in config.items()}
