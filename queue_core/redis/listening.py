"""Client for reads that block: on a connection of its own, which is not taken from the pool, with its own timeout."""

from __future__ import annotations

import socket
from typing import Any

from redis.asyncio import Connection, ConnectionPool, Redis, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

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


def listening_client(redis: Redis, *, block_s: float) -> Redis:
    """Return a client like `redis` with one connection, for reads that block up to `block_s` seconds.

    It does not connect again by itself: whoever listens must know that he may have missed something. A client without
    a pool of connections is returned as it is.
    """
    pool: Any = getattr(redis, "connection_pool", None)
    if pool is None:
        return redis
    options = dict(pool.connection_kwargs)
    options |= {"socket_timeout": block_s + SPARE_S, "retry": Retry(NoBackoff(), retries=0)}
    if issubclass(pool.connection_class, Connection) and not issubclass(
        pool.connection_class, UnixDomainSocketConnection
    ):
        probes = {getattr(socket, name): value for name, value in _PROBES.items() if hasattr(socket, name)}
        options |= {"socket_keepalive": True, "socket_keepalive_options": probes}
    own: Any = ConnectionPool(connection_class=pool.connection_class, max_connections=1, **options)
    return Redis.from_pool(own)
