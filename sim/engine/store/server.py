"""A server on the store, and the network in front of it. `sim/engine/network.py` is its counterpart on fakeredis.

Every request passes `StoreServer.send`, `_arrive` and `_answer`, in this order: failures on the way happen there.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

import redis.exceptions

from sim.engine.distributions import Distribution
from sim.engine.loop import SimLoop
from sim.engine.rest import RestRedis, WriteObserver
from sim.engine.store.client import StoreClient
from sim.engine.store.request import Command, FutureRequest, Request
from sim.engine.store.store import Store, UnknownCommandError

INSPECTOR = "inspector"
"""Name of the client through which the simulator itself asks: no fault strikes it."""


class StoreServer:
    """A Redis server and the network to it. `clock_us` is its clock, in Unix microseconds.

    What happens on the network and in the server runs outside of all processes: it goes on when a process dies.
    """

    may_fail = False
    """True if requests may be lost or delayed, so that clients must watch their deadlines."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        clock_us: Callable[[], int],
        latency: Distribution,
        stream: Callable[[str], Random],
    ) -> None:
        self.loop = loop
        self._outside = loop.outside if isinstance(loop, SimLoop) else contextvars.Context()
        self._at: Callable[[float, Callable[[Any], None], Any], Any] = (
            loop.at if isinstance(loop, SimLoop) else loop.call_at
        )
        self._latency = latency
        self._stream = stream
        self._observers: list[WriteObserver] = []
        self._outage = ""
        self.breaks = 0
        """Number of times that all connections broke."""
        self._held: list[Request] = []
        self._under_way: dict[Request, None] = {}
        self._blocked: dict[Request, asyncio.TimerHandle | None] = {}
        self.store = Store(clock_us)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Do nothing at the start and the end of a simulation: the store has no state outside of it."""
        yield

    def client(self, name: str, **options: Any) -> StoreClient:
        """Make a client for one process; `name` names its stream of latencies."""
        return StoreClient(self, name, self._stream(f"redis/{name}"), **options)

    def rest(self, name: str) -> RestRedis:
        """Make a client that reaches the server over HTTP, by one request for each call."""
        stream = self._stream(f"rest/{name}")

        def carry(execute: Callable[[], Any], half_s: float, answered: asyncio.Future[Any]) -> None:
            self.send(_Http(f"rest/{name}", half_s, answered, execute))

        return RestRedis(self.execute, lambda: self._latency.sample_ms(stream), self._observers, carry)

    def half_trip_s(self, latencies: Random) -> float:
        """Draw a round trip, and return half of it in seconds."""
        return self._latency.sample_ms(latencies) / 2000

    def later(self, delay_s: float, callback: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Call back outside of all processes."""
        return self.loop.call_later(delay_s, callback, *args, context=self._outside)

    # The way of a request.

    def send(self, request: Request) -> None:
        """Send a request to the server."""
        if self._outage == "away":
            request.fail(redis.exceptions.ConnectionError("Connection refused."))
            return
        self._under_way[request] = None
        self._at(request.arrival_s(self.loop.time()), self._arrive, request)

    def _arrive(self, request: Request) -> None:
        """Take a request that has reached the server."""
        if self._outage == "hangs":
            self._held.append(request)
        elif self._outage != "away":
            self._serve(request)

    def _serve(self, request: Request) -> None:
        try:
            answers = request.execute()
        except UnknownCommandError as error:
            request.fail(error)
            return
        wait_ms = request.wait_ms(answers)
        if wait_ms is None:
            self._send_back(request, answers)
        else:
            self._block(request, wait_ms)

    def _send_back(self, request: Request, answers: Any) -> None:
        request.answers = answers
        self._at(request.return_s(self.loop.time()), self._answer, request)

    def _answer(self, request: Request) -> None:
        """Give the client its answer, which has arrived."""
        self._under_way.pop(request, None)
        request.settle(request.answers)

    def execute(self, command: Command) -> Any:
        """Execute a command at the server, and answer the readers that waited for what it wrote."""
        answer = self.store.execute(command)
        if self.store.has_touched:
            self.wake_readers()
        return answer

    def run(self, sha: str, keys_count: int, *inputs: Any) -> Any:
        """Run a script at the server, as `execute` runs a command."""
        answer = self.store.run(sha, keys_count, *inputs)
        if self.store.has_touched:
            self.wake_readers()
        return answer

    def wake_readers(self) -> None:
        """Answer the readers that waited for what was written since the last call."""
        if self.store.touched() and self._blocked:
            for reader in [*self._blocked]:
                answers = reader.execute()
                if reader.wait_ms(answers) is None:
                    self._unblock(reader, answers)

    def _block(self, reader: Request, wait_ms: int) -> None:
        timer = self.later(wait_ms / 1000, self._unblock, reader, [None]) if wait_ms else None
        self._blocked[reader] = timer

    def _unblock(self, reader: Request, answers: Any) -> None:
        if reader in self._blocked:
            timer = self._blocked.pop(reader)
            if timer is not None:
                timer.cancel()
            self._send_back(reader, answers)

    # Outages.

    @property
    def is_away(self) -> bool:
        """True while the server is stopped."""
        return self._outage == "away"

    def begin_outage(self, kind: str) -> None:
        """Begin an outage: `away` breaks all connections, `hangs` keeps them and answers nothing."""
        self.may_fail = True
        self._outage = kind
        if kind == "away":
            self.break_connections()

    def break_connections(self) -> None:
        """Break all connections: the requests under way fail, and no answer comes to them any more."""
        self.breaks += 1
        self._blocked.clear()
        error = redis.exceptions.ConnectionError("Connection closed by server.")
        under_way, self._under_way = self._under_way, {}
        for request in under_way:
            request.fail(error)

    def end_outage(self) -> None:
        """End the outage. Execute the requests that came while the server hung, in their order."""
        self._outage = ""
        held, self._held = self._held, []
        for request in held:
            self._arrive(request)

    async def close(self) -> None:
        """Forget the readers that wait."""
        self._blocked.clear()


class _Http(FutureRequest):
    """A request over HTTP; `work` raises ResponseError for an error reply."""

    __slots__ = ("_work",)
    is_over_http = True

    def __init__(
        self, client: str, half_s: float, answered: asyncio.Future[Any], work: Callable[[], Any]
    ) -> None:
        super().__init__(client, half_s, answered)
        self._work = partial(
            contextvars.copy_context().run, partial(work)
        )  # observers read the caller's context

    def execute(self) -> Any:
        try:
            return self._work()
        except redis.exceptions.ResponseError as error:
            return error

    def settle(self, answers: Any) -> None:
        if isinstance(answers, Exception):
            self.fail(answers)
        else:
            super().settle(answers)
