"""Ports that are claimed for servers: nobody else gets them by chance, and the server does."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from queue_core.redis_server.ports import BUS, HeldPorts, claim_port

IP_LOCAL_PORT_RANGE = 51
"""Option of Linux 6.3 and newer; Python has no name for it."""


@pytest.fixture(params=["claimed", "held"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port for a server, claimed once or held."""
    with HeldPorts() as ports:
        yield ports.take() if request.param == "held" else claim_port(0)


def listen_on(port: int) -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()


def is_given_away(port: int, *, outgoing: bool) -> bool:
    """Return True if a process that takes any port, or connects, gets this one when it has no other choice."""
    with socket.socket() as other, socket.create_server(("127.0.0.1", 0)) as server:
        try:  # without effect on a port that is never given away
            other.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("I", port << 16 | port))
        except OSError:
            pytest.skip("this Linux is older than 6.3")
        try:
            other.connect(server.getsockname()) if outgoing else other.bind(("127.0.0.1", 0))
        except OSError:
            return False
        return bool(other.getsockname()[1] == port)


def test_a_claimed_port_is_left_to_the_server_that_names_it(port: int) -> None:
    listen_on(port)


@pytest.mark.skipif(sys.platform != "linux", reason="the range of free ports cannot be narrowed down here")
@pytest.mark.parametrize("outgoing", [False, True])
def test_a_claimed_port_is_given_to_nobody_who_takes_any(port: int, *, outgoing: bool) -> None:
    assert not is_given_away(port, outgoing=outgoing)


@pytest.mark.skipif(sys.platform != "linux", reason="the range of free ports cannot be narrowed down here")
@pytest.mark.parametrize("outgoing", [False, True])
def test_a_free_port_is_given_away(*, outgoing: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert is_given_away(port, outgoing=outgoing)


def test_held_ports_stay_apart_also_those_of_a_bus() -> None:
    with HeldPorts() as ports, HeldPorts() as others:
        held = [ports.take_with_bus() for _ in range(20)]
        for port in held:
            listen_on(port)
            listen_on(port + BUS)
            with pytest.raises(OSError, match="in use"):
                others._hold(port + BUS)
        assert len({*held, *(port + BUS for port in held)}) == 40


def test_a_port_in_use_cannot_be_claimed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(OSError, match="in use"):
        claim_port(server.getsockname()[1])
