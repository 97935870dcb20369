"""Pool of connections that leaves none open after it was closed."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection


class Pool(BlockingConnectionPool):
    """Pool of redis-py that, once closed, closes each connection when its last command ends.

    A pool of redis-py closes the connections that are open at that time. A command under way then fails, is repeated,
    and opens a connection that nobody closes.
    """

    is_closed = False

    async def aclose(self) -> None:
        """Close all connections."""
        self.is_closed = True
        await super().aclose()

    async def release(self, connection: AbstractConnection) -> None:
        """Take a connection back after a command."""
        await super().release(connection)
        if self.is_closed:
            await connection.disconnect(nowait=True)
