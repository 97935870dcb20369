"""Pool of connections that opens none after it was closed."""

from __future__ import annotations

import asyncio

from redis import exceptions
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection

CLOSED = "the client was closed"


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
                await connection.disconnect(nowait=True)

    def make_connection(self) -> AbstractConnection:
        """Make a connection that is not connected yet."""
        connection: AbstractConnection = super().make_connection()  # type: ignore[no-untyped-call]  # in redis-py
        connection.register_connect_callback(self._refuse_after_end)  # type: ignore[no-untyped-call]  # in redis-py
        return connection

    async def _refuse_after_end(self, connection: AbstractConnection) -> None:
        if self._ended_in is asyncio.get_running_loop():
            await connection.disconnect(nowait=True)
            raise exceptions.ConnectionError(CLOSED)
