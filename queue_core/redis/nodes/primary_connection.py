"""Connections that look up the primary of a slot whenever they connect, for blocking reads."""

from __future__ import annotations

from typing import Any

from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from queue_core.redis.nodes.refusals import is_passing
from queue_core.redis.nodes.routes import Routes
from queue_core.redis.nodes.table import NO_OWNER, Table
from queue_core.redis.nodes.urls import Address
from queue_core.redis.pool import close_at_once


class PrimaryConnection(AbstractConnection):
    """Connection to the primary of a slot. `listening` is the set of those that are open."""

    def __init__(
        self, *, routes: Routes, slot: int, listening: set[PrimaryConnection], **options: Any
    ) -> None:
        super().__init__(**options)
        self._routes = routes
        self._slot = slot
        self._listening = listening
        self._address: Address | None = None

    def check_address(self, table: Table) -> None:
        """Break the connection if its server is not the primary any more; whoever reads gets a ConnectionError."""
        if self._address != table.owners[self._slot] and self._writer:
            self._writer.transport.abort()

    async def disconnect(self, nowait: bool = False, *args: Any, **options: Any) -> None:
        """Close the connection."""
        self._listening.discard(self)
        await super().disconnect(nowait, *args, **options)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Read an answer. Raises ConnectionError, and connects anew the next time, if the server is not the primary."""
        try:
            return await super().read_response(*args, **options)
        except exceptions.ResponseError as error:
            if not is_passing(error):
                raise
            self._routes.look()
            await close_at_once(self)
            raise exceptions.ConnectionError(str(error)) from error

    async def _connect(self) -> None:
        table = await self._routes.known()
        self._address = table.owners[self._slot]
        if self._address is None:
            self._routes.look()
            raise exceptions.ConnectionError(NO_OWNER)
        self.host, self.port = self._address
        try:
            await super()._connect()  # type: ignore[safe-super,no-untyped-call]  # a class of redis-py comes behind
        except (OSError, TimeoutError, exceptions.RedisError):
            self._routes.suspect(self._address)
            raise
        self._listening.add(self)


def primary_connection_class(connection_class: type[Any]) -> type[Any]:
    """Return a class of connections that looks up its server."""
    return type(f"Primary{connection_class.__name__}", (PrimaryConnection, connection_class), {})
