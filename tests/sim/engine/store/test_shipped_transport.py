"""The simulated transport beside the shipped one over simulated sockets: equal answers, at equal times."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from types import SimpleNamespace
from typing import Any

import hiredis
import pytest
import redis.exceptions

from queue_core import MessageQueue, QueueMessage, QueueSettings, QueueUnavailableError
from queue_core.redis.path import Guide, Path
from queue_core.redis.pending_calls import PendingCall
from queue_core.redis.scripts.loader import Call
from queue_core.redis.transport import Transport
from sim.engine.distributions import parse_distribution
from sim.engine.loop import SimLoop, run
from sim.engine.store.request import Request
from sim.engine.store.server import StoreServer
from sim.engine.store.transport import CONNECT_AGAIN_S, CONNECT_TRIPS

DEADLINE_MS = 1_500


class _Server(StoreServer):
    """A server that tells its sockets when connections break."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__(
            loop,
            clock_us=lambda: 1_790_000_000_000_000 + round(loop.env.now * 1000),
            latency=parse_distribution("lognormal:20ms:80ms"),
            stream=lambda _: Random(3),
        )
        self.may_fail = True
        self.sockets: list[_Socket] = []

    def begin_outage(self, kind: str) -> None:
        super().begin_outage(kind)
        broken, self.sockets = (self.sockets, []) if kind == "away" else ([], self.sockets)
        for socket in broken:
            socket.protocol.connection_lost(None)


class _Socket:
    """A socket of the shipped link: bytes go to the server, and come back, in order."""

    def __init__(self, connection: _Wire) -> None:
        self.connection = connection
        self.protocol: Any = SimpleNamespace(connection_lost=lambda _: None)
        self.arrival_s = self.return_s = 0.0

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, commands: bytes) -> None:
        self.connection.server.send(_Bytes(self, commands))

    def abort(self) -> None:
        with suppress(ValueError):  # it may be closed already
            self.connection.server.sockets.remove(self)


class _Wire:
    """A connection as redis-py makes it, in simulated time."""

    def __init__(self, server: _Server, latencies: Random) -> None:
        self.server = server
        self.latencies = latencies
        self._writer: Any = None

    async def connect(self) -> None:
        try:
            await self._reach_server()
        except redis.exceptions.ConnectionError:
            await asyncio.sleep(CONNECT_AGAIN_S)
            await self._reach_server()
        socket = _Socket(self)
        self._writer = SimpleNamespace(transport=socket)
        self.server.sockets.append(socket)

    async def _reach_server(self) -> None:
        handshake = _Handshake(CONNECT_TRIPS * self.server.half_trip_s(self.latencies))
        self.server.send(handshake)
        await handshake.answered

    async def disconnect(self, nowait: bool = False) -> None:
        self._writer = None


class _Handshake(Request):
    def __init__(self, half_s: float) -> None:
        super().__init__("handshake", half_s)
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def execute(self) -> None:
        pass

    def settle(self, answers: Any) -> None:
        if not self.answered.done():
            self.answered.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)


class _Bytes(Request):
    """Content of one write of a link."""

    def __init__(self, socket: _Socket, commands: bytes) -> None:
        super().__init__("web", socket.connection.server.half_trip_s(socket.connection.latencies))
        self._socket = socket
        self._commands = commands

    def arrival_s(self, now_s: float) -> float:
        self._socket.arrival_s = max(self._socket.arrival_s, now_s + self.half_s)
        return self._socket.arrival_s

    def return_s(self, now_s: float) -> float:
        self._socket.return_s = max(self._socket.return_s, now_s + self.half_s)
        return self._socket.return_s

    def execute(self) -> bytes:
        reader = hiredis.Reader()
        reader.feed(self._commands)
        answers = []
        while command := reader.gets():
            answers.append(_resp(self._socket.connection.server.execute(command)))
        return b"".join(answers)

    def settle(self, answers: bytes) -> None:
        if self._socket in self._socket.connection.server.sockets:
            self._socket.protocol.data_received(answers)

    def fail(self, error: Exception) -> None:
        pass


def _resp(answer: Any) -> bytes:
    if isinstance(answer, list):
        return b"*%d\r\n" % len(answer) + b"".join(map(_resp, answer))
    if isinstance(answer, Exception):
        code = "NOSCRIPT " if isinstance(answer, redis.exceptions.NoScriptError) else "ERR "
        return b"-" + (code + str(answer)).encode() + b"\r\n"
    if isinstance(answer, int):
        return b":%d\r\n" % answer
    return b"$-1\r\n" if answer is None else b"$%d\r\n%s\r\n" % (len(answer), answer)


class _NoOtherServer(Guide):
    """Guide of the paths to a single server."""

    def takes(self, pending: PendingCall, error: Exception) -> bool:
        return False

    def troubled(self) -> None:
        pass


class _Shipped(Transport):
    """The shipped paths over simulated sockets, which are open already."""

    def __init__(self, server: _Server, latencies: Random) -> None:
        def made() -> Any:
            return _Wire(server, latencies)

        self.paths = [
            Path(made, deadline_s=DEADLINE_MS / 1000, durable=None, guide=_NoOtherServer()) for _ in range(2)
        ]

    def gathered(self, call: Call[Any]) -> asyncio.Future[Any]:
        return self.paths[0].carry(call)

    async def alone(self, call: Call[Any]) -> Any:
        return await self.paths[1].carry(call)

    async def load(self) -> None:
        pass


Plan = Callable[[_Server, Callable[[float, str], None]], None]


def calm(server: _Server, call_at: Callable[[float, str], None]) -> None:
    draws = Random(5)
    for number in range(60):
        call_at(draws.uniform(0, 0.6), f"enqueue {number}")
        if number % 3 == 0:
            call_at(draws.uniform(0, 0.6), "claim")


def outage(kind: str, begin_s: float, end_s: float, until_s: float) -> Plan:
    def plan(server: _Server, call_at: Callable[[float, str], None]) -> None:
        server.loop.call_at(1 + begin_s, server.begin_outage, kind)
        server.loop.call_at(1 + end_s, server.end_outage)
        draws = Random(7)
        for number in range(40):
            call_at(draws.uniform(0, until_s), f"enqueue {number}")

    return plan


def scripts_lost(server: _Server, call_at: Callable[[float, str], None]) -> None:
    server.loop.call_at(1.1, server.store.forget_scripts)
    for number in range(10):
        call_at(number * 0.03, f"enqueue {number}")


def together(server: _Server, call_at: Callable[[float, str], None]) -> None:
    """More calls at a time than go in one EVALSHA; before the last ones the server loses their script."""
    for at_s in (0, 0.05, 0.2):
        for number in range(20):
            call_at(at_s, f"enqueue {at_s} {number}")
    server.loop.call_at(1.1, server.store.forget_scripts)


PLANS: dict[str, Plan] = {
    "together": together,
    "calm": calm,
    "away while calls are under way": outage("away", 0.1, 0.2, 0.4),
    "away for long": outage("away", 0.1, 2, 3),
    "away and back between two calls": outage("away", 0.0, 0.001, 0.4),
    "hangs": outage("hangs", 0.1, 0.5, 1),
    "hangs for long": outage("hangs", 0.1, 5, 7),
    "scripts are lost": scripts_lost,
}


def what_happens(plan: Plan, *, shipped: bool) -> list[tuple[str, str, float]]:
    """Return the answers of the calls, and their times."""

    async def main(loop: SimLoop) -> list[tuple[str, str, float]]:
        server = _Server(loop)
        latencies = Random(11)
        client = server.client("web")
        client._latencies = latencies
        transport = _Shipped(server, latencies) if shipped else client.transport(deadline_ms=DEADLINE_MS)
        queue = MessageQueue(client, QueueSettings(), rng=Random(1), transport=transport)
        answers: list[tuple[str, str, float]] = []

        async def call(what: str) -> None:
            try:
                if what == "claim":
                    answer = str(len((await queue.claim("worker")).batches))
                else:
                    message = QueueMessage(id=what, instance_name="bot", user_phone=what, message="hi")
                    answer = (await queue.enqueue(message)).status
            except QueueUnavailableError:
                answer = "unavailable"
            answers.append((what, answer, round(loop.time(), 4)))

        if shipped:
            for path in transport.paths:  # type: ignore[union-attr]
                path._loop = loop
                path._link = await path._connect()
        latencies.seed(11)
        await asyncio.sleep(1 - loop.time())
        calls: list[Awaitable[Any]] = []

        async def later(after_s: float, what: str) -> None:
            await asyncio.sleep(after_s)
            await call(what)

        plan(server, lambda after_s, what: calls.append(later(after_s, what)))
        await asyncio.gather(*calls)
        return answers

    return run(main)


@pytest.mark.parametrize("name", PLANS)
def test_callers_get_equal_answers_at_equal_times(name: str) -> None:
    simulated, shipped = (what_happens(PLANS[name], shipped=shipped) for shipped in (False, True))
    assert simulated == shipped
