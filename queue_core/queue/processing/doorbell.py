"""Doorbell: tells a worker, without polling, that a conversation is due earlier than the worker knows.

Scripts add an entry to the stream `wake` of a partition when a conversation becomes due before all others there; the
entry says when. One blocking read, over a connection of its own, hears all partitions of a
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
from queue_core.redis.listening import EntryId, Listener, NewEntry, listener_on
from queue_core.redis.nodes.client import NodesClient
from queue_core.redis.runner import FAILURES
from queue_core.redis.scripts.loader import text

_log = logging.getLogger(__name__)

BLOCK_MS = 45_000
"""Longest blocking read: below a minute, after which proxies close connections that are silent."""
RECONNECT_S = (0.05, 0.5)
"""First and longest wait before it reads again after an error; it doubles each time."""
QUIET_S = 2.0
"""Time without an error after which waits are short again."""


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
        listener = listener_on(self._redis, block_ms=BLOCK_MS)
        clock = asyncio.get_running_loop().time
        pause_s = RECONNECT_S[0]
        try:
            while True:
                began_s = clock()
                try:
                    await self._hear(listener)
                except FAILURES as error:
                    _log.debug("doorbell: %s", error)
                    if clock() - began_s >= QUIET_S:
                        pause_s = RECONNECT_S[0]
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, RECONNECT_S[1])
        finally:
            await listener.aclose()

    async def _hear(self, listener: Listener) -> None:
        """Hear rings until the connection breaks."""
        heard = dict(zip(self._names, await listener.last_ids(self._names), strict=True))
        for watch in self._watches.values():
            watch.ring()
        while True:
            entries = await listener.newer(heard)
            for entry in entries:
                heard[entry.name] = entry.id
                self._watches[entry.name].ring(self._wait_ms(entry))
            if not entries:
                await self._check_one(listener, heard)

    async def _check_one(self, listener: Listener, heard: dict[str, EntryId]) -> None:
        """Read the last entry of one of the streams, each in its turn, after a silence.

        If the stream was deleted and the clock set back, new entries have lower ids, which the read does not return.
        """
        name = self._names[self._silences % len(self._names)]
        self._silences += 1
        (last,) = await listener.last_ids([name])
        if last != heard[name]:
            heard[name] = last
            self._watches[name].ring()

    def _wait_ms(self, entry: NewEntry) -> float:
        """Return the time from a ring to what is due. The id of an entry begins with Redis's time."""
        now = self._now()
        try:
            return int(entry.fields["at"]) - int(text(entry.id).partition("-")[0] if now == "" else now)
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
