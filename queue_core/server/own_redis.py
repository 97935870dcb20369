"""Redis server that `serve` runs without REDIS_URL, and its address for other commands on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from queue_core.command_lines import typed
from queue_core.errors import InvalidSettingsError, QueueUnavailableError
from queue_core.queue.message_queue import MessageQueue
from queue_core.redis.connection import connect
from queue_core.redis.facts import ServerFacts, warnings_of
from queue_core.redis_server.address import announced, read_address
from queue_core.redis_server.binaries import EmbeddedRedisError
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.server.config import ServerSettings

APPEND_FSYNC: Literal["everysec"] = "everysec"
EXPECTED_WARNINGS = frozenset(
    warnings_of(
        ServerFacts(append_only=True, append_fsync=APPEND_FSYNC, memory_limit_bytes=0), waits_for_fsync=False
    )
)
"""Warnings about settings of Redis that this module chooses itself, so that no operator can change them."""
LOOK_EVERY_S = 0.5
"""Time between two checks that the server lives; a dead server is started again."""

_log = logging.getLogger(__name__)


def redis_url(settings: ServerSettings) -> str:
    """Return the address of the Redis to use: REDIS_URL, or that of a `serve` or `redis` with its data in DATA_DIR.

    Raises InvalidSettingsError when there is neither of them.
    """
    if url := settings.redis_url.get_secret_value():
        return url
    if url := read_address(settings.data_dir):
        return url
    raise InvalidSettingsError(f"{no_redis_words(settings)}: set REDIS_URL=redis://…, or start `serve`")


def no_redis_words(settings: ServerSettings) -> str:
    """Say that no Redis was found, and where it was looked for."""
    return typed(
        "REDIS_URL is not set, and neither `python -m queue_core serve` nor `python -m queue_core redis` runs with its "
        f"data in {settings.data_dir}/"
    )


@asynccontextmanager
async def open_queue(settings: ServerSettings, *, checks_layout: bool = True) -> AsyncIterator[MessageQueue]:
    """Open the queue for a command. Raises InvalidSettingsError when no Redis is configured.

    Unless `checks_layout` is False, raises NewerLayoutError or PartitionsError if this process cannot use the queue.
    """
    async with connect(redis_url(settings)) as client:
        queue = MessageQueue(client, settings.queue)
        if checks_layout:
            with contextlib.suppress(QueueUnavailableError):  # the command finds out by itself
                await queue.check_layout()
        yield queue


@asynccontextmanager
async def own_redis(settings: ServerSettings, *, is_temporary: bool = False) -> AsyncIterator[EmbeddedRedis]:
    """Run a redis-server with its data in DATA_DIR, start it again whenever it dies, and stop it at the end.

    If it is temporary, its data are in a folder of its own, which is removed.

    Raises EmbeddedRedisError when there is no redis-server on this machine, or the folder is in use.
    """
    server = EmbeddedRedis(
        None if is_temporary else settings.data_dir, append_only=True, append_fsync=APPEND_FSYNC
    )
    async with server:
        watch = asyncio.create_task(_keep_running(server), name="own-redis")
        try:
            with announced(server.url, server.data_dir):
                yield server
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


async def _keep_running(server: EmbeddedRedis) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if server.is_running():
            continue
        _log.error("redis-server died; starting it again")
        start = asyncio.ensure_future(asyncio.to_thread(server.restart))
        try:
            await asyncio.shield(start)
        except asyncio.CancelledError:
            await asyncio.wait([start])  # or a server that is just being started would be left running
            raise
        except EmbeddedRedisError as error:
            _log.error("redis-server cannot be started; trying again: %s", error)
