"""Strict mode: a message is acknowledged only when it is on Redis's disk (`QueueSettings.wait_for_fsync`).

With `appendfsync always` Redis answers only after the fsync, so no further command is needed. Otherwise WAITAOF (Redis
7.2) at the end of each pipeline waits for the fsync of the pipeline's writes.
"""

from __future__ import annotations

from typing import Any

from redis import exceptions
from redis.asyncio import Redis, RedisCluster

from queue_core.errors import QueueUnavailableError, UnsupportedRedisError
from queue_core.redis.scripts.loader import text


class FsyncWait:
    """Wait for the disk. Finds out once which command makes this server wait, and checks the command's answers."""

    def __init__(self, redis: Redis, deadline_ms: int) -> None:
        self._redis: Redis | RedisCluster = redis
        self._deadline_ms = deadline_ms
        self._command: tuple[Any, ...] | None = None

    async def command(self) -> tuple[Any, ...]:
        """Return the command to put at the end of a pipeline; empty if the server waits for the disk by itself.

        Raises UnsupportedRedisError when this server cannot guarantee that writes are on its disk.
        """
        if self._command is None:
            self._command = await self._choose()
        return self._command

    def check(self, answer: Any) -> None:
        """Raise QueueUnavailableError when WAITAOF's answer says that the write is not on disk."""
        if isinstance(answer, exceptions.RedisError):
            raise QueueUnavailableError(f"Redis cannot say whether the write is on its disk: {answer}")
        if answer[0] < 1:
            raise QueueUnavailableError(
                "the write was not on Redis's disk in time, though it may get there later"
            )

    async def _choose(self) -> tuple[Any, ...]:
        if isinstance(self._redis, RedisCluster):
            raise UnsupportedRedisError(
                "wait_for_fsync works on a single Redis, not on a cluster: switch it off, or use a single Redis"
            )
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
        return ("WAITAOF", 1, 0, self._deadline_ms)


def _pairs(config: Any) -> dict[str, str]:
    """Return CONFIG GET's answer as a mapping; under RESP2 it is a flat list."""
    if not isinstance(config, dict):
        config = dict(zip(config[::2], config[1::2], strict=True))
    return {text(name): text(value) for name, value in config.items()}
