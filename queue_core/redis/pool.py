"""Closing of connections: at once, for good, and with a clear error for commands under way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

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


@contextlib.contextmanager
def closings_as_errors() -> Iterator[None]:
    """Raise ConnectionError where a connection was closed under a command, as when a primary is replaced."""
    try:
        yield
    except AttributeError as error:  # redis-py writes to a connection that it has not any more
        raise exceptions.ConnectionError("the connection was closed under the command") from error


class Pool(BlockingConnectionPool):
    """Pool of redis-py whose connections, once it is closed, cannot be opened; in another event loop they can again.

    A pool of redis-py closes the connections that are open at that time. A command under way, or a call over a link,
    then fails, is repeated, and opens a connection that nobody closes.
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

    async def get_connection(self, *args: Any, **options: Any) -> AbstractConnection:
        """Take a connection that is free, or open one. Raises redis-py's errors."""
        with closings_as_errors():
            connection: AbstractConnection = await super().get_connection(*args, **options)  # type: ignore[no-untyped-call]  # in redis-py
            return connection

    def make_connection(self) -> AbstractConnection:
        """Make a connection that is not connected yet."""
        connection: AbstractConnection = super().make_connection()  # type: ignore[no-untyped-call]  # in redis-py
        connection.register_connect_callback(self._refuse_after_end)  # type: ignore[no-untyped-call]  # in redis-py
        return connection

    async def _refuse_after_end(self, connection: AbstractConnection) -> None:
        if self._ended_in is asyncio.get_running_loop():
            await close_at_once(connection)
            raise exceptions.ConnectionError(CLOSED)
