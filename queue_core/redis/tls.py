"""Connections with TLS that share their certificates, and the words for what TLS refuses.

Reading the certificates of the system takes 25 ms of CPU.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from copy import copy
from typing import Any

from redis.asyncio import SSLConnection
from redis.asyncio.connection import RedisSSLContext

from queue_core.errors import InvalidSettingsError

KEPT_S = 60.0
"""Time after which certificates are read again, since they may be renewed while a process runs."""

_REFUSED = re.compile(r"\[SSL: (\w+)\] ([^(]*[^(\s])")
"""Reason and text of OpenSSL, as Python writes them into an error."""
_ADDRESS = re.compile(r"(?:connecting to|reading from) (\S+?)[.:]?\s")
_OF_CLIENTS = re.compile(r"ALERT_(?:CERTIFICATE_REQUIRED|UNKNOWN_CA|BAD_CERTIFICATE|HANDSHAKE_FAILURE)")
"""Reasons of a server that wants to see a certificate of its clients (`tls-auth-clients`, Redis's default)."""

_shared: dict[str, tuple[float, RedisSSLContext]] = {}
"""Contexts by the options of their connections, with the time of their making."""


class TlsConnection(SSLConnection):
    """Connection with TLS that shares its context with the others of the same options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._key = repr(sorted((name, value) for name, value in options.items() if name.startswith("ssl_")))
        self._unread = self.ssl_context
        """Context that stays without certificates, so that its copies read them anew."""
        self._share_context()

    def _share_context(self) -> None:
        now_s = time.monotonic()
        made_s, context = _shared.get(self._key, (0.0, None))
        if context is None or now_s - made_s >= KEPT_S:
            context = copy(self._unread)
            _shared[self._key] = now_s, context
        self.ssl_context = context

    def _connection_arguments(self) -> Mapping[str, Any]:
        """Return the arguments of the next connect: a connection that breaks is made again, perhaps days later."""
        self._share_context()
        arguments: Mapping[str, Any] = super()._connection_arguments()
        return arguments

    def read_certificates(self) -> None:
        """Read the certificates, so that they are there when the connection is made. Raises InvalidSettingsError."""
        try:
            self.ssl_context.get()
        except OSError as error:  # ssl.SSLError too
            reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
            raise InvalidSettingsError(
                "this Redis URL cannot be used, since a file that it names cannot be read "
                f"({reason.lower().replace('_', ' ')}): ssl_ca_certs, ssl_certfile and ssl_keyfile must be PEM files, "
                "and the key must belong to the certificate"
            ) from None


def sharing(connection_class: type[Any]) -> type[Any]:
    """Return the class of connections to use in place of one of redis-py's."""
    return TlsConnection if connection_class is SSLConnection else connection_class


def refusal(words: str) -> str:
    """Return a sentence on an error that TLS ended a connection with, and what to do; "" for other errors."""
    refused = _REFUSED.search(words)
    if not refused:
        return ""
    address = _ADDRESS.search(words)
    server = address[1] if address else "the server"
    reason, text = refused[1], refused[2]
    if _OF_CLIENTS.search(reason):
        return (
            f"{server} wants to see a certificate that it trusts ({text}): name it and its key in the URL, "
            "?ssl_certfile=client.pem&ssl_keyfile=client.key, or set tls-auth-clients no on the server"
        )
    if reason != "CERTIFICATE_VERIFY_FAILED":
        return f"no TLS with {server} ({text}): is this its port for TLS? Without TLS write redis instead of rediss"
    cause = text.partition(": ")[2] or text
    if "mismatch" in cause:
        todo = (
            "use an address that stands in it; a cluster announces names by cluster-announce-hostname, sentinels by "
            "sentinel announce-hostnames"
        )
    elif "expired" in cause or "not yet valid" in cause:
        todo = "renew it"
    else:
        todo = "name the file of the CA that signed it in the URL, ?ssl_ca_certs=ca.pem"
    return f"the certificate of {server} is refused ({cause.rstrip('.')}): {todo}"
