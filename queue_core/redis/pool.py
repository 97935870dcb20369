"""Ends of connections: a pool that opens none after it was closed, and a close that does not wait for the server."""

from __future__ import annotations

import asyncio

from redis import exceptions
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection

CLOSED = "the client was closed"


async def close_at_once(connection: AbstractConnection) -> None:
    """Close a connection in this turn of the event loop.

    Over TLS, redis-py's `disconnect(nowait=True)` leaves the connection open until the server has answered.
    """
    if connection._writer is not None:
        connection._writer.transport.abort()
    await connection.disconnect(nowait=True)


class Pool(BlockingConnectionPool):
    """Pool of redis-py whose connections, once it is closed, cannot be opened; in another event loop they can again.

    A pool of redis-py closes the connections that are open at that time. A command under way then fails, is repeated,
    and opens a connection that nobody closes. A link does the same for its calls.
    """

    _ended_in: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """Let no connection be opened in this event loop any more."""
        self._ended_in = asyncio.get_running_loop()

    async def aclose(self) -> None:
        """Close all connections."""
        self.end()
        try:
            await super().aclose()
        finally:  # a cancellation may come before the first of them is closed
            for connection in (*self._available_connections, *self._in_use_connections):
                await close_at_once(connection)

    def make_connection(self) -> AbstractConnection:
        """Make a connection that is not connected yet."""
        connection: AbstractConnection = super().make_connection()  # type: ignore[no-untyped-call]  # in redis-py
        connection.register_connect_callback(self._refuse_after_end)  # type: ignore[no-untyped-call]  # in redis-py
        return connection

    async def _refuse_after_end(self, connection: AbstractConnection) -> None:
        if self._ended_in is asyncio.get_running_loop():
            await close_at_once(connection)
            raise exceptions.ConnectionError(CLOSED)
