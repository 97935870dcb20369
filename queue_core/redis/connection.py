"""Redis client with the timeouts and retries that a queue needs, instead of redis-py's defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff

from queue_core.errors import InvalidSettingsError
from queue_core.redis.nodes import urls
from queue_core.redis.nodes.client import NodesClient
from queue_core.redis.nodes.routes import Routes
from queue_core.redis.nodes.sources import ClusterSource, SentinelSource, Source
from queue_core.redis.pool import Pool
from queue_core.redis.tls import TlsConnection, sharing

_SCHEMES = ("redis", "rediss", "unix")


def connect(url: str, *, socket_timeout_s: float = 5.0, connections_max: int = 32) -> Redis:
    """Return a client for a Redis; it connects when first used.

    `redis://`, `rediss://` and `unix://` name a single server. `redis+cluster://host:port,host:port` names nodes of a
    cluster, `redis+sentinel://host:port,host:port/service/db` the sentinels of a primary; with `rediss+` all
    connections use TLS. `connections_max` limits the connections to a single server.

    The client retries a command once, since every script is idempotent; callers decide on longer waits. The pool waits
    for a free connection instead of failing. Raises InvalidSettingsError for an unusable URL, without its password, and
    for files of certificates that cannot be read.
    """
    scheme, separator, _ = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in (*_SCHEMES, *urls.SCHEMES):
        raise InvalidSettingsError(
            "a Redis URL starts with redis://, rediss:// or unix://, for example redis://localhost:6379/0; that of a "
            "cluster with redis+cluster://, that of sentinels with redis+sentinel://"
        )
    options: dict[str, Any] = {
        "socket_timeout": socket_timeout_s,
        "socket_connect_timeout": min(socket_timeout_s, 2.0),
        "retry": Retry(ExponentialBackoff(cap=0.2, base=0.02), retries=1),
        "decode_responses": False,
    }
    if scheme != "unix":
        options["socket_keepalive"] = True
    if scheme in urls.SCHEMES:
        return _connect_to_nodes(urls.read_url(url), options)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # each raises ValueError if it is malformed
        pool = Pool.from_url(url, max_connections=connections_max, timeout=socket_timeout_s, **options)
        pool.connection_class = sharing(pool.connection_class)
        connection = pool.make_connection()  # does not connect; raises TypeError for an unknown option
    except (ValueError, TypeError):
        # Not raised from the cause, which may quote a part of the password as if it were the port.
        raise InvalidSettingsError(
            "this Redis URL cannot be used, since its host, port or options cannot be read: "
            "in a password, write / ? # @ : and % as %2F %3F %23 %40 %3A and %25"
        ) from None
    if scheme != "unix" and not host:
        raise InvalidSettingsError(
            "this Redis URL cannot be used, since it names no host: write for example redis://localhost:6379/0"
        )
    if isinstance(connection, TlsConnection):
        connection.read_certificates()
    return Redis.from_pool(pool)


def _connect_to_nodes(seeds: urls.Seeds, options: dict[str, Any]) -> NodesClient:
    """Make the client of a cluster, or of a primary behind sentinels."""

    def new_connection(given: dict[str, Any]) -> Callable[[urls.Address], AbstractConnection]:
        asking = options | given | {"retry": Retry(NoBackoff(), retries=0), "protocol": 2}
        return lambda address: seeds.connection_class(host=address.host, port=address.port, **asking)

    if issubclass(seeds.connection_class, TlsConnection):
        seeds.connection_class(**seeds.options).read_certificates()
    servers = options | seeds.options
    of_server, of_sentinel = new_connection(seeds.options), new_connection(seeds.sentinel_options)
    source: Source
    if seeds.kind == "cluster":
        source = ClusterSource(seeds.addresses, of_server)
    else:
        source = SentinelSource(seeds.service, seeds.addresses, of_sentinel, of_server)
    return NodesClient(Routes(source), seeds.connection_class, servers)
