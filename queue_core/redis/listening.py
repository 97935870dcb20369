"""Listening: reads of streams that block, on a connection of its own, which is not taken from the pool.

The connection is not made again by itself within a read: whoever listens must know that something may have been missed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from redis import exceptions
from redis.asyncio import Connection, ConnectionPool, Redis, RedisCluster, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from queue_core.redis.link import Link, can_link
from queue_core.redis.pool import close_at_once, closings_as_errors
from queue_core.redis.protocol import pack_fast
from queue_core.redis.scripts.loader import text
from queue_core.waiting import cancellable

SPARE_S = 5.0
"""Time on top of the longest block until a read that is not answered ends."""
_PROBES = {
    "TCP_KEEPIDLE": 3,
    "TCP_KEEPALIVE": 3,
    "TCP_KEEPINTVL": 1,
    "TCP_KEEPCNT": 2,
    "TCP_USER_TIMEOUT": 5_000,
}
"""Options of TCP by which the system notices in about 5 s that the other end is gone; Redis sees nothing of it."""

EntryId = bytes | str


class NewEntry(NamedTuple):
    """Newest entry of a stream, after one that was known."""

    name: str
    """Key of the stream."""
    id: EntryId
    fields: dict[str, str]


class Listener(Protocol):
    """Reader of streams. After an error, the next read connects anew if need be."""

    async def last_ids(self, names: Sequence[str]) -> list[EntryId]:
        """Return the ids of the last entries of some streams. Raises FAILURES."""

    async def newer(self, known: Mapping[str, EntryId]) -> list[NewEntry]:
        """Wait for entries after those that are known; [] after a long silence. Raises FAILURES."""

    async def aclose(self) -> None:
        """Close the connection."""


def listener_on(redis: Redis | RedisCluster, *, block_ms: int) -> Listener:
    """Return a listener to the server of a client, with reads that block up to `block_ms`."""
    pool: Any = getattr(redis, "connection_pool", None)
    if pool is None:
        return ClientListener(redis, block_ms=block_ms, is_own=False)
    options = dict(pool.connection_kwargs)
    options |= {
        "socket_timeout": block_ms / 1000 + SPARE_S,
        "retry": Retry(NoBackoff(), retries=0),
    }
    if issubclass(pool.connection_class, Connection) and not issubclass(
        pool.connection_class, UnixDomainSocketConnection
    ):
        probes = {getattr(socket, name): value for name, value in _PROBES.items() if hasattr(socket, name)}
        options |= {"socket_keepalive": True, "socket_keepalive_options": probes}
    if can_link(redis):
        return LinkListener(pool.connection_class(**options), block_ms=block_ms)
    single: Any = ConnectionPool(connection_class=pool.connection_class, max_connections=1, **options)
    return ClientListener(Redis.from_pool(single), block_ms=block_ms, is_own=True)


class ClientListener(Listener):
    """Listener over any client; with `is_own`, it closes the client."""

    def __init__(self, redis: Redis | RedisCluster, *, block_ms: int, is_own: bool) -> None:
        self._redis: Any = redis
        self._is_own = is_own
        self._block_ms = block_ms
        if isinstance(
            redis, RedisCluster
        ):  # a read must end before the timeout of the cluster's own connections
            timeout_s = redis.get_connection_kwargs().get("socket_timeout")
            self._block_ms = block_ms if timeout_s is None else max(1, min(block_ms, int(timeout_s * 500)))
        elif not is_own:  # the simulator's client may name a longer limit: it has no proxy
            self._block_ms = getattr(redis, "block_ms", block_ms)

    async def last_ids(self, names: Sequence[str]) -> list[EntryId]:
        """Return the ids of the last entries."""
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.execute_command(*_last_entry(name))
        with closings_as_errors():
            async with asyncio.timeout(SPARE_S):
                answers: list[Any] = await cancellable(pipeline.execute())
        return _ids_in(answers)

    async def newer(self, known: Mapping[str, EntryId]) -> list[NewEntry]:
        """Wait for newer entries.

        A cluster's client sends such a read to any node until it knows the slots, and forgets them after five MOVED.
        """
        if isinstance(self._redis, RedisCluster):
            await cancellable(self._redis.initialize())
        with closings_as_errors():
            return _entries_in(await cancellable(self._redis.xread(known, block=self._block_ms)))

    async def aclose(self) -> None:
        """Close the client if it is the listener's own."""
        if self._is_own:
            await self._redis.aclose()


class LinkListener(Listener):
    """Listener over a link: with redis-py's reads a worker hears of what is due about half a millisecond later."""

    def __init__(self, connection: AbstractConnection, *, block_ms: int) -> None:
        self._connection = connection
        self._block_ms = block_ms
        self._link: Link | None = None
        self._answers: list[Any] = []
        self._missing = 0
        """Number of answers that have not come yet."""
        self._answered: asyncio.Future[None] | None = None

    async def last_ids(self, names: Sequence[str]) -> list[EntryId]:
        """Return the ids of the last entries."""
        return _ids_in(await self._ask(SPARE_S, *map(_last_entry, names)))

    async def newer(self, known: Mapping[str, EntryId]) -> list[NewEntry]:
        """Wait for newer entries."""
        read = ("XREAD", "BLOCK", self._block_ms, "STREAMS", *known, *known.values())
        return _entries_in(*await self._ask(self._block_ms / 1000 + SPARE_S, read))

    async def aclose(self) -> None:
        """Close the connection."""
        self._drop()
        await close_at_once(self._connection)

    async def _ask(self, limit_s: float, *commands: tuple[Any, ...]) -> list[Any]:
        """Send commands, and return their answers. Raises the first error among them."""
        try:
            async with asyncio.timeout(limit_s):
                link = self._link or await self._open()
                self._answers, self._missing = [], len(commands)
                self._answered = asyncio.get_running_loop().create_future()
                link.write(b"".join(map(pack_fast, commands)))
                await self._answered
        except BaseException:
            self._drop()  # else late answers would count as those of the next commands
            raise
        if error := next((answer for answer in self._answers if isinstance(answer, Exception)), None):
            raise error
        return self._answers

    async def _open(self) -> Link:
        await close_at_once(self._connection)
        await cancellable(self._connection.connect())  # type: ignore[no-untyped-call]  # in redis-py
        link = self._link = Link(self._connection, self)
        return link

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link:
            link.abandon(exceptions.ConnectionError("the listener has closed this"))

    def answered(self, answer: Any) -> None:
        """Take the next answer. Raises InvalidResponse if nothing was asked."""
        if not self._missing:
            raise exceptions.InvalidResponse("nothing was asked")
        self._answers.append(answer)
        self._missing -= 1
        if not self._missing and self._answered and not self._answered.done():
            self._answered.set_result(None)

    def heard(self) -> None:
        """Do nothing: nothing else waits."""

    def ready(self) -> None:
        """Do nothing: the system takes all that a listener writes."""

    def lost(self, link: Link, error: Exception) -> None:
        """End a read that is under way with the error."""
        if link is self._link:
            self._link = None
            if self._answered and not self._answered.done():
                self._answered.set_exception(error)


def _last_entry(name: str) -> tuple[Any, ...]:
    return "XREVRANGE", name, "+", "-", "COUNT", 1


def _ids_in(answers: Sequence[Any]) -> list[EntryId]:
    """Return the ids of the last entries; "0-0" for an empty stream."""
    return [entries[0][0] if entries else "0-0" for entries in answers]


def _entries_in(answer: Any) -> list[NewEntry]:
    """Return the newest entry of each stream in XREAD's answer.

    Streams come as a list of pairs under RESP2, as a mapping under RESP3, where redis-py nests the entries once more.
    The fields of an entry come as a list, or through redis-py as a mapping.
    """
    newest = []
    pairs = answer.items() if isinstance(answer, dict) else answer or ()
    for name, entries in pairs:
        entry_id, fields = (entries[0] if isinstance(entries[0][0], list | tuple) else entries)[-1]
        listed = fields or {}
        pairs_of_fields = (
            listed.items() if isinstance(listed, dict) else zip(listed[::2], listed[1::2], strict=True)
        )
        newest.append(
            NewEntry(text(name), entry_id, {text(key): text(value) for key, value in pairs_of_fields})
        )
    return newest
