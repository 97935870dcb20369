"""Transport to a single server over links of its own."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from queue_core.errors import UnsupportedRedisError
from queue_core.redis.durability import Durability, wait_of
from queue_core.redis.nodes.sources import read_slots
from queue_core.redis.nodes.urls import Address
from queue_core.redis.path import Guide, Path
from queue_core.redis.pending_calls import PendingCall
from queue_core.redis.runner import (
    FAILURES,
    LEAVE_AGAIN_S,
    check_lua,
    drop_connections,
    explained,
    is_not_primary,
)
from queue_core.redis.scripts.loader import Call
from queue_core.redis.transport import Transport

Result = TypeVar("Result")


class LinkTransport(Transport):
    """Transport to a single Redis over two links, made with the settings of the client's pool.

    One link carries the gathered calls, the other those that must not wait behind them. The pool closes both. Without
    a `guide` (path.py), an error of a server that is not a primary drops all connections, since the address may lead to
    another server by now.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        deadline_ms: int,
        durability: Durability = Durability(),  # noqa: B008 - a tuple
        guide: Guide | None = None,
    ) -> None:
        self._redis = redis
        self._pool: ConnectionPool = redis.connection_pool
        self._deadline_s = deadline_ms / 1000
        self._left_at = -LEAVE_AGAIN_S
        self._leaving: asyncio.Task[None] | None = None
        durable = wait_of(redis, deadline_ms, durability)
        self._gathered, self._urgent = (
            Path(
                self._connection,
                deadline_s=self._deadline_s,
                durable=durable,
                guide=guide or _Alone(self),
                at_once=at_once,
            )
            for at_once in (False, True)
        )

    @property
    def round_trips(self) -> int:
        """Number of writes so far."""
        return self._gathered.writes + self._urgent.writes

    def gathered(self, call: Call[Result]) -> asyncio.Future[Result]:
        """Run a call after those that were made before. Cancelling the future does not cancel the call."""
        return self._gathered.carry(call)

    async def alone(self, call: Call[Result]) -> Result:
        """Run a call at once, not in order with gathered ones."""
        return await self._urgent.carry(call)

    async def load(self) -> None:
        """Check that the server answers, has Lua, and is not one of several primaries of a cluster.

        Raises QueueUnavailableError or UnsupportedRedisError.
        """
        with explained(is_single=True):
            await check_lua(self._redis, self._deadline_s)
        try:
            async with asyncio.timeout(self._deadline_s):
                ranges = await self._redis.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]  # in redis-py
        except (*FAILURES, TimeoutError):
            return  # not a cluster, as a rule
        primaries = {str(address) for address in read_slots(ranges, Address("", 0)).primaries}
        if len(primaries) > 1:
            raise UnsupportedRedisError(
                f"this Redis is one node of a cluster of {len(primaries)} primaries: write redis+cluster:// instead of "
                "redis://"
            )

    def take(self, pending: PendingCall, *, is_urgent: bool) -> None:
        """Carry a call that another server did not carry out."""
        (self._urgent if is_urgent else self._gathered).take(pending)

    def leave(self) -> list[PendingCall]:
        """Give up both links, and return the calls that have no answer."""
        return [*self._gathered.leave(), *self._urgent.leave()]

    def _connection(self) -> AbstractConnection:
        """Make a connection that is not connected yet. The pool gets room for it, and closes it.

        It is tried once: callers hear at once that the server is away, and try again at their own pace.
        """
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # in redis-py
        connection.retry = Retry(NoBackoff(), retries=0)
        self._pool.max_connections += 1
        self._pool._in_use_connections.add(connection)
        return connection

    def leave_server(self) -> None:
        """Drop all connections, once a second at most."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._left_at >= LEAVE_AGAIN_S:
            self._left_at = loop.time()
            self._leaving = loop.create_task(drop_connections(self._pool, self._deadline_s))


class _Alone(Guide):
    """Guide where there is one address."""

    def __init__(self, transport: LinkTransport) -> None:
        self._transport = transport

    def takes(self, pending: PendingCall, error: Exception) -> bool:
        """Take nothing over, but connect anew if the address may lead to another server by now."""
        if is_not_primary(error):
            self._transport.leave_server()
        return False

    def troubled(self) -> None:
        """Do nothing."""
