"""Ports that are claimed for servers: nobody else gets them by chance, and the server does."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from queue_core.redis_server.ports import claim_port

IP_LOCAL_PORT_RANGE = 51
"""Option of Linux 6.3 and newer; Python has no name for it."""


@pytest.fixture
def other() -> Iterator[socket.socket]:
    """A socket of another process."""
    with socket.socket() as made:
        yield made


def test_a_claimed_port_is_left_to_the_server_that_names_it(other: socket.socket) -> None:
    port = claim_port(0)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    other.bind(("127.0.0.1", port))
    other.listen()


@pytest.mark.skipif(sys.platform != "linux", reason="the range of free ports cannot be narrowed down here")
@pytest.mark.parametrize("outgoing", [False, True])
def test_a_claimed_port_is_given_to_nobody_who_takes_any(other: socket.socket, *, outgoing: bool) -> None:
    port = claim_port(0)
    try:  # to leave the system no other choice
        other.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("I", port << 16 | port))
    except OSError:
        pytest.skip("this Linux is older than 6.3")
    with socket.create_server(("127.0.0.1", 0)) as server:
        take = (other.connect, server.getsockname()) if outgoing else (other.bind, ("127.0.0.1", 0))
        with pytest.raises(OSError, match=r"(?i)address"):
            take[0](take[1])


def test_a_port_in_use_cannot_be_claimed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(OSError, match="in use"):
        claim_port(server.getsockname()[1])
