"""A Redis client with the timeouts and retries chosen that a queue needs, instead of redis-py's defaults."""

from __future__ import annotations

from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from queue_core.errors import InvalidSettingsError

_SCHEMES = ("redis", "rediss", "unix")


def connect(url: str, *, socket_timeout_s: float = 5.0, connections_max: int = 32) -> Redis:
    """A client for `redis://`, `rediss://` or `unix://`; it connects when first used.

    One retry: every script is idempotent, and a longer wait is the caller's to decide. The pool waits for a free
    connection instead of failing. Raises InvalidSettingsError for a URL that cannot be one; the message shows no
    password.
    """
    scheme = url.split(":", 1)[0].lower() if ":" in url else ""
    if scheme not in _SCHEMES:
        raise InvalidSettingsError(
            f"a Redis URL starts with redis://, rediss:// or unix://, not {scheme or 'nothing'!r}; "
            "for example redis://localhost:6379/0"
        )
    parts = urlsplit(url)
    if scheme != "unix" and not parts.hostname:
        raise InvalidSettingsError("this Redis URL cannot be used: it names no host")
    try:
        _ = parts.port  # raises ValueError when it is no number
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections_max,
            timeout=socket_timeout_s,
            socket_timeout=socket_timeout_s,
            socket_connect_timeout=min(socket_timeout_s, 2.0),
            socket_keepalive=True,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), retries=1),
            decode_responses=False,
        )
    except ValueError as error:
        raise InvalidSettingsError(f"this Redis URL cannot be used: {error}") from error
    return Redis.from_pool(pool)
