"""Doorbell: tells a worker, without polling, that a conversation is due earlier than the worker knows.

Scripts add an entry to the stream `wake` of a partition when they schedule a conversation before everything else in its
index; the entry says when that is due. One blocking read, over a connection of its own, hears all partitions of a
server. A stream, unlike pub/sub, keeps its last entry: a ring during a reconnect is still heard.

All workers hear each ring, and only note its time. Which of them looks first is decided in `watch.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from redis.asyncio import Redis, RedisCluster

from queue_core.queue.watch import Watch
from queue_core.redis.listening import SPARE_S, listening_client
from queue_core.redis.nodes.client import NodesClient
from queue_core.redis.runner import FAILURES, prepare
from queue_core.redis.scripts.loader import text
from queue_core.waiting import cancellable

_log = logging.getLogger(__name__)

BLOCK_MS = 45_000
"""Longest blocking read: below a minute, after which proxies close connections that are silent."""
RECONNECT_S = (0.05, 0.5)
"""First and longest wait before it reads again after an error; it doubles each time."""
QUIET_S = 2.0
"""Time without an error after which the next wait is the first again."""


class Doorbell:
    """Listener for the rings of some partitions of one server: `watches` by the keys of their streams.

    `now` returns the time of a queue whose clock was given, "" for Redis's clock.
    """

    def __init__(
        self, redis: Redis, watches: Mapping[str, Watch], *, now: Callable[[], int | str] = lambda: ""
    ) -> None:
        self._redis = redis
        self._watches = dict(watches)
        self._names = list(watches)
        self._now = now
        self._silences = 0

    async def listen(self) -> None:
        """Run until cancelled. Rings at the start and after each reconnect, and at each new entry of a stream."""
        own = listening_client(self._redis, block_s=BLOCK_MS / 1000)
        clock = asyncio.get_running_loop().time
        pause_s = RECONNECT_S[0]
        try:
            while True:
                began_s = clock()
                try:
                    await self._hear(own)
                except FAILURES as error:
                    _log.debug("doorbell: %s", error)
                    if clock() - began_s >= QUIET_S:
                        pause_s = RECONNECT_S[0]
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, RECONNECT_S[1])
        finally:
            if own is not self._redis:
                await own.aclose()

    async def _hear(self, redis: Redis) -> None:
        """Hear rings until the connection breaks."""
        await prepare(redis)
        heard = dict(zip(self._names, await self._last_entries(redis, self._names), strict=True))
        for watch in self._watches.values():
            watch.ring()
        while True:
            answer: Any = await cancellable(redis.xread(heard, block=_block_ms(redis)))  # type: ignore[arg-type]  # str and bytes
            for name, last, fields in _rings(answer or ()):
                heard[name] = last
                self._watches[name].ring(self._wait_ms(last, fields))
            if not answer:
                await self._check_one(redis, heard)

    async def _check_one(self, redis: Redis, heard: dict[str, bytes | str]) -> None:
        """Read the last entry of one of the streams, each in its turn, after a silence.

        A stream that was deleted, and begun again while the clock was set back, ends before the entry waited for.
        """
        name = self._names[self._silences % len(self._names)]
        self._silences += 1
        (last,) = await self._last_entries(redis, [name])
        if last != heard[name]:
            heard[name] = last
            self._watches[name].ring()

    async def _last_entries(self, redis: Redis, names: list[str]) -> list[bytes | str]:
        pipeline = redis.pipeline(transaction=False)
        for name in names:
            pipeline.execute_command("XREVRANGE", name, "+", "-", "COUNT", 1)
        async with asyncio.timeout(SPARE_S):
            answers: list[Any] = await cancellable(pipeline.execute())
        return [entries[0][0] if entries else "0-0" for entries in answers]

    def _wait_ms(self, entry_id: bytes | str, fields: Mapping[str, str]) -> float:
        """Return the time from a ring to what is due. The id of an entry begins with Redis's time."""
        now = self._now()
        try:
            return int(fields["at"]) - int(text(entry_id).partition("-")[0] if now == "" else now)
        except (KeyError, ValueError):
            return 0.0


def doorbells(
    redis: Redis | RedisCluster, watches: Mapping[str, Watch], *, now: Callable[[], int | str] = lambda: ""
) -> list[Doorbell]:
    """Return the listeners for some partitions: one for a server. A cluster allows no read across partitions."""
    if isinstance(redis, NodesClient):
        groups = redis.by_slot(watches)
        return [
            Doorbell(redis.near(names[0]), {name: watches[name] for name in names}, now=now)
            for names in groups
        ]
    if isinstance(redis, RedisCluster):
        cluster: Any = redis
        return [Doorbell(cluster, {name: watch}, now=now) for name, watch in watches.items()]
    return [Doorbell(redis, watches, now=now)]


def _block_ms(redis: Redis | RedisCluster) -> int:
    """Return the limit of a blocking read. On a cluster's connections it must end before the socket's timeout."""
    if not isinstance(redis, RedisCluster):
        # A client that reaches its server without a proxy may name a longer limit.
        return getattr(redis, "block_ms", BLOCK_MS)
    options: dict[str, Any] = redis.get_connection_kwargs()
    timeout_s = options.get("socket_timeout")
    return BLOCK_MS if timeout_s is None else max(1, min(BLOCK_MS, int(timeout_s * 500)))


def _rings(answer: Any) -> list[tuple[str, bytes | str, dict[str, str]]]:
    """Return key, last id and fields of each stream in XREAD's answer.

    Under RESP2 it is a list of pairs, under RESP3 a mapping to nested lists.
    """
    rings = []
    for name, entries in answer.items() if isinstance(answer, dict) else answer:
        entry_id, fields = (entries[0] if isinstance(entries[0], list) else entries)[-1]
        rings.append(
            (text(name), entry_id, {text(key): text(value) for key, value in (fields or {}).items()})
        )
    return rings
