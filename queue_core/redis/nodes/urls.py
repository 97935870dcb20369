"""Addresses of deployments of several nodes: `redis+cluster://host,host` and `redis+sentinel://host,host/service/db`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode

from redis.asyncio import Connection, SSLConnection
from redis.asyncio.connection import parse_url

from queue_core.errors import InvalidSettingsError
from queue_core.redis.tls import sharing

SCHEMES = ("redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel")
PORTS = {"cluster": 6379, "sentinel": 26379}
"""Ports of addresses that name none."""
_SENTINEL_OPTIONS = {"sentinel_username": "username", "sentinel_password": "password"}
"""Options of a URL that hold for its sentinels only."""
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s\[\]:@]+)(?::([0-9]{1,5}))?")
_EXAMPLES = {
    "cluster": "redis+cluster://10.0.0.1:6379,10.0.0.2:6379",
    "sentinel": "redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster/0",
}


class Address(NamedTuple):
    """Host and port of a server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Seeds:
    """Addresses of a URL, and the options of redis-py's connections to them."""

    kind: Literal["cluster", "sentinel"]
    addresses: tuple[Address, ...]
    service: str
    """Name by which the sentinels know the primary; "" for a cluster."""
    connection_class: type[Connection]
    options: dict[str, Any]
    """Options of connections to servers, without the address."""
    sentinel_options: dict[str, Any]
    """Options of connections to sentinels, without the address."""


def read_url(url: str) -> Seeds:
    """Read a URL of several nodes. Raises InvalidSettingsError, which quotes nothing: any part may be of a password."""
    scheme, _, rest = url.partition("://")
    tls, kind = scheme.lower().split("+")
    assert kind in PORTS
    authority, path, query = re.fullmatch(r"([^/?#]*)([^?#]*)\??([^#]*).*", rest, re.DOTALL).groups()  # type: ignore[union-attr]  # it fits every text
    user, at, hosts = authority.rpartition("@")
    addresses = tuple(_address(host, kind) for host in hosts.split(","))
    service, database = _service_and_database(path, kind)
    pairs = parse_qsl(query, keep_blank_values=True)
    apart = {_SENTINEL_OPTIONS[name]: value for name, value in pairs if name in _SENTINEL_OPTIONS}
    others = urlencode([(name, value) for name, value in pairs if name not in _SENTINEL_OPTIONS])
    try:
        options: dict[str, Any] = dict(parse_url(f"{tls}://{user}{at}host/{database}?{others}"))
        options = {name: value for name, value in options.items() if name not in ("host", "port")}
        connection_class = sharing(options.pop("connection_class", Connection))
        sentinel = {k: v for k, v in options.items() if k not in ("username", "password", "db")} | apart
        for each in (options, sentinel):  # does not connect; raises TypeError for an unknown option
            connection_class(host="host", port=1, **each)
    except (ValueError, TypeError):
        # Not raised from the cause, which may quote a part of the password.
        raise _unusable(kind, "an option, the user or the password cannot be read") from None
    if kind == "cluster" and options.get("db"):
        raise _unusable(kind, "a cluster has database 0 only")
    assert issubclass(connection_class, Connection | SSLConnection)
    return Seeds(kind, addresses, service, connection_class, options, sentinel)  # type: ignore[arg-type]


def _address(text: str, kind: str) -> Address:
    parts = _HOST.fullmatch(text)
    port = int(parts[2] or PORTS[kind]) if parts else 0
    if not parts or not 1 <= port <= 65_535:
        raise _unusable(kind, "each address must be host:port, with commas between them")
    return Address(parts[1].strip("[]"), port)


def _service_and_database(path: str, kind: str) -> tuple[str, str]:
    parts = [unquote(part) for part in path.strip("/").split("/") if part]
    if kind == "sentinel" and not parts:
        raise _unusable(
            kind, "it names no service: the sentinels' configuration has it in `sentinel monitor`"
        )
    service = parts.pop(0) if kind == "sentinel" else ""
    database = parts.pop(0) if parts else "0"
    if parts or not re.fullmatch(r"[0-9]{1,6}", database):
        raise _unusable(kind, "the database must be a number")
    return service, database


def _unusable(kind: str, why: str) -> InvalidSettingsError:
    return InvalidSettingsError(
        f"this Redis URL cannot be used: {why}. Write for example {_EXAMPLES[kind]}; "
        "in a password, write / ? # @ : , and % as %2F %3F %23 %40 %3A %2C and %25"
    )
