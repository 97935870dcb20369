"""Ports for servers that run as child processes."""

from __future__ import annotations

import socket


def claim_port(port: int, host: str = "127.0.0.1") -> int:
    """Claim a port, or a free one for 0, for a server that starts within a minute. Raises OSError if it is in use.

    On a free port, one connection is made and closed. For a minute the system then gives that port to no other process,
    but lets a server bind it by number with SO_REUSEADDR, as Redis and asyncio do.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        if port:
            return port
        listener.listen(1)
        address = listener.getsockname()
        with socket.create_connection(address) as client:
            accepted, _ = listener.accept()
            accepted.close()  # this side waits: the port stays in TIME_WAIT
            client.recv(1)
        claimed: int = address[1]
        return claimed
