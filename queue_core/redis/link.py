"""Link: one connection to Redis, made by redis-py, written to and read from without it.

redis-py connects: host or unix socket, TLS, user, password, database, protocol. Then the link takes the socket over.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from redis import exceptions
from redis.asyncio import Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection

from queue_core.redis.protocol import PUSHES, UNFINISHED, new_reader
from queue_core.redis.tls import TlsConnection

_SOCKETS = (Connection, SSLConnection, TlsConnection, UnixDomainSocketConnection)
"""Classes of connections whose sockets a link can take over."""


def can_link(redis: Any) -> bool:
    """Return True if links can take over the sockets of a client's connections.

    False for subclasses of `Redis`, which may have methods of their own that links would bypass.
    """
    return type(redis) is Redis and redis.connection_pool.connection_class in _SOCKETS


class Owner(Protocol):
    """Owner of a link, which learns what comes from it."""

    def answered(self, answer: Any) -> None:
        """Take the next answer; an error is an exception. Raises InvalidResponse if nothing was asked."""

    def heard(self) -> None:
        """Go on after all answers that came together."""

    def ready(self) -> None:
        """Go on writing: the link was full."""

    def lost(self, link: Link, error: Exception) -> None:
        """Go on without this link. The owner knows which answers will not come."""


class Link(asyncio.Protocol):
    """Open connection. `scripts` are those that this connection sent, with the error if Redis refused one."""

    def __init__(self, connection: AbstractConnection, owner: Owner) -> None:
        assert connection._writer is not None
        self._transport = connection._writer.transport
        self._streams = self._transport.get_protocol()
        self._owner: Owner | None = owner
        self._reader = new_reader()
        self.scripts: dict[str, Exception | None] = {}
        self.is_full = False
        self._transport.set_protocol(self)

    def write(self, commands: bytes) -> None:
        """Send bytes as soon as the system takes them."""
        self._transport.write(commands)

    def abandon(self, error: Exception) -> None:
        """Close at once, and tell the owner."""
        owner, self._owner = self._owner, None
        self._transport.abort()
        if owner:
            owner.lost(self, error)

    def data_received(self, data: bytes) -> None:
        """Hand answers to the owner."""
        owner, gets = self._owner, self._reader.gets
        if owner is None:
            return
        try:
            self._reader.feed(data)
            while (answer := gets()) is not UNFINISHED:
                if not isinstance(answer, PUSHES):
                    owner.answered(answer)
        except exceptions.InvalidResponse as error:
            self.abandon(exceptions.ConnectionError(f"an answer of Redis cannot be read: {error}"))
        else:
            owner.heard()

    def pause_writing(self) -> None:
        """Note that the system takes no more for now."""
        self.is_full = True

    def resume_writing(self) -> None:
        """Note that the system takes bytes again."""
        self.is_full = False
        if self._owner:
            self._owner.ready()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the owner, and redis-py, which waits for this when it closes the connection."""
        self._streams.connection_lost(error)
        owner, self._owner = self._owner, None
        if owner:
            owner.lost(self, exceptions.ConnectionError(str(error or "Connection closed by server.")))
