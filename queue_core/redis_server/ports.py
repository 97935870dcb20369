"""Ports for servers that run as child processes."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import Self

BUS = 10_000
"""Distance from a cluster node's port to that of its bus; fixed before Redis 7."""


class HeldPorts:
    """Free ports for servers that are started and killed again and again. Nobody else gets one until `close`.

    Each has an open connection, so the system gives it neither to a server that takes any port nor to an outgoing
    connection. It lets a server bind the port by number with SO_REUSEADDR, as Redis and asyncio do.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._connections = ExitStack()

    def take(self) -> int:
        """Return one more port."""
        return self._hold(0)

    def take_with_bus(self) -> int:
        """Return one more port for a cluster node, whose bus has a free port too."""
        while True:
            port = self._hold(0)
            try:
                self._hold(port + BUS)
            except (
                OSError,
                OverflowError,
            ):  # in use, or there is none so high: the first stays held, and is not tried again
                continue
            return port

    def close(self) -> None:
        """Let go of all ports. For about a minute, nobody who asks for any free port gets one of them."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hold(self, port: int) -> int:
        """Hold a port, or a free one for 0. Raises OSError if it is in use or held."""
        with socket.socket() as listener:
            listener.bind((self._host, port))
            listener.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # only now: else it binds what others hold
            listener.listen(1)
            address = listener.getsockname()
            client = self._connections.enter_context(socket.create_connection(address))
            accepted, _ = listener.accept()
        self._connections.callback(_close_first, accepted, client)
        held: int = address[1]
        return held


def _close_first(accepted: socket.socket, client: socket.socket) -> None:
    """Close the side that has the port, and wait until the other knows: so the port stays in TIME_WAIT."""
    accepted.close()
    client.recv(1)


def claim_port(port: int, host: str = "127.0.0.1") -> int:
    """Claim a port, or a free one for 0, for a server that starts within a minute. Raises OSError if it is in use."""
    if not port:
        with HeldPorts(host) as ports:
            return ports.take()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    return port
