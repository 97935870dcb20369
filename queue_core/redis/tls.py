"""Connections with TLS that share their certificates. Reading those of the system takes 25 ms of CPU."""

from __future__ import annotations

import time
from typing import Any

from redis.asyncio import SSLConnection
from redis.asyncio.connection import RedisSSLContext

KEPT_S = 60.0
"""Time after which certificates are read again, since they may be renewed while a process runs."""

_shared: dict[str, tuple[float, RedisSSLContext]] = {}
"""Contexts by the options of their connections, with the time of their making."""


class TlsConnection(SSLConnection):
    """Connection with TLS that shares its context with the others of the same options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        key = repr(sorted((name, value) for name, value in options.items() if name.startswith("ssl_")))
        now_s = time.monotonic()
        made_s, context = _shared.get(key, (now_s, self.ssl_context))
        if now_s - made_s >= KEPT_S:
            made_s, context = now_s, self.ssl_context
        _shared[key] = made_s, context
        self.ssl_context = context


def sharing(connection_class: type[Any]) -> type[Any]:
    """Return the class of connections to use in place of one of redis-py's."""
    return TlsConnection if connection_class is SSLConnection else connection_class
