"""Script calls straight to the store: what `queue_core/redis/link_transport.py` does, without sockets and the protocol.

Each process has two connections: one for gathered calls, one for calls that must not wait behind them. Calls made in
one turn of the event loop leave in one write, at once, although others are under way. Requests and answers of a
connection come in order. A test compares the times with those of the shipped transport.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from redis import exceptions

from queue_core.redis.path import LATE_S, TICKS, WRITES_MAX
from queue_core.redis.pending_calls import CallBuffer, CallGroup, PendingCall, Script, groups_of
from queue_core.redis.runner import settle
from queue_core.redis.scripts.loader import Call
from queue_core.redis.transport import Transport
from sim.engine.process_loop import current_process
from sim.engine.store.request import Request

if TYPE_CHECKING:
    from sim.engine.store.server import StoreServer

Result = TypeVar("Result")

CONNECT_AGAIN_S = 0.04
"""Wait before the only repetition of a connection that was refused, as with `queue_core.connect`."""
CONNECT_TRIPS = 2
"""Round trips until a connection can be used: TCP's, and that of redis-py's first commands."""


class StoreTransport(Transport):
    """Transport of one process to the store; `name` is the process, in which it is made."""

    def __init__(self, server: StoreServer, name: str, latencies: Random, *, deadline_ms: int) -> None:
        process = contextvars.copy_context() if current_process() else None
        self._gathered, self._urgent = (
            _Connection(server, name, latencies, deadline_ms / 1000, process) for _ in range(2)
        )

    def gathered(self, call: Call[Result]) -> asyncio.Future[Result]:
        """Run a call after all gathered calls before it. Cancelling the future does not cancel the call."""
        return self._gathered.carry(call)

    async def alone(self, call: Call[Result]) -> Result:
        """Run a call at once, not in order with gathered ones."""
        return await self._urgent.carry(call)

    async def load(self) -> None:
        """Do nothing: the store has Lua."""


class _Connection:
    """Connection of a process to the server. It is open from the start, and opened again after it broke.

    Behaves as `queue_core.redis.path.Path` and its link. Where nothing can fail, it watches no deadlines, except of
    answers that will come too late.
    """

    def __init__(
        self,
        server: StoreServer,
        name: str,
        latencies: Random,
        deadline_s: float,
        process: contextvars.Context | None,
    ) -> None:
        self._server = server
        self._loop = server.loop
        self._name = name
        self._latencies = latencies
        self._deadline_s = deadline_s
        self._tick_s = min(deadline_s / TICKS, LATE_S)
        self._process = process
        self._due: list[PendingCall] = []
        """Calls in the order of their deadlines, as far as these are watched."""
        self._timer: asyncio.TimerHandle | None = None
        self._again: list[PendingCall] = []
        """Calls that are written again, before the waiting ones, as soon as nothing is under way."""
        self._waiting = CallBuffer()
        self._is_opening = False
        self._opening: _Opening | None = None
        """The last try to open the connection, while its answer counts."""
        self._begin()

    def _begin(self) -> None:
        """Begin a connection, over which nothing was sent yet."""
        self._sent: dict[_Write, None] = {}
        self._scripts: set[str] = set()
        """Hashes of the scripts that were sent."""
        self._heard_s = self._loop.time()
        self.arrival_s = self.return_s = 0.0
        """Times at which the last request comes to the server, and the last answer comes back."""
        self._is_open = True
        self._breaks = self._server.breaks

    def carry(self, call: Call[Result]) -> asyncio.Future[Result]:
        """Send a call. The future raises QueueUnavailableError when there is no answer."""
        loop = self._loop
        future: asyncio.Future[Result] = loop.create_future()
        if not self._waiting.calls:
            loop.call_soon(self._ready)
        if self._waiting.add(PendingCall(call, future, loop.time())):
            self._ready()
        return future

    def _ready(self) -> None:
        """Write what waits, as soon as there is a connection."""
        if not self._is_open or self._breaks != self._server.breaks:
            self._is_open = False
            if not self._is_opening:
                self._open()
        elif not (self._again and self._sent):
            self._write(self._take())

    def _take(self) -> list[PendingCall]:
        """Return the calls to write now, without those that were given up."""
        calls, self._again = self._again + self._waiting.take(), []
        return [pending for pending in calls if not pending.is_given_up]

    def _write(self, calls: list[PendingCall]) -> None:
        if not calls:
            return
        now_s = self._loop.time()
        if not self._sent:
            self._heard_s = now_s
        scripts: list[Script] = []
        groups = groups_of(calls)
        for group in groups:
            script = group.script
            if script.sha not in self._scripts:
                self._scripts.add(script.sha)
                scripts.append(script)
        for pending in calls:
            pending.writes += 1
        write = _Write(self._name, self._server, self._latencies, self, groups, scripts)
        self._sent[write] = None
        self._server.send(write)
        if self._server.may_fail or self.arrival_s + write.half_s >= calls[0].since_s + self._deadline_s:
            self._watch(calls)

    # Answers, and what comes instead of them.

    def tell(self, callback: Callable[..., None], *args: Any) -> None:
        """Call back with an answer: in the connection's process, if it has one, which may be frozen or dead."""
        if self._process is None:
            callback(*args)
        else:
            self._loop.call_soon(callback, *args, context=self._process)

    def waits_for(self, write: _Write) -> bool:
        """Return False for a write over an earlier connection, whose answer comes to nobody."""
        return write in self._sent

    def answered(self, write: _Write, answers: list[Any]) -> None:
        """Give callers their results. Calls whose script the server lost, or refused as a whole, are sent again."""
        if not self.waits_for(write):
            return
        del self._sent[write]
        self._heard_s = self._loop.time()
        for group, answer in zip(write.groups, answers, strict=True):
            if type(answer) is exceptions.NoScriptError:
                self._scripts.discard(group.script.sha)
                for pending in group.calls:
                    pending.writes -= 1
                self._again += group.calls
                continue
            parts = group.answers(answer)
            if parts is None:
                for pending in group.calls:
                    pending.goes_alone = True
                self._again += group.calls
            for pending, part in parts or ():
                settle(pending.call, pending.future, part)
        if self._again:
            self._ready()

    def failed(self, write: _Write, error: Exception) -> None:
        """After a lost connection, send what is under way once more over another one; after other errors, fail it."""
        if not self.waits_for(write):
            return
        if isinstance(error, exceptions.ConnectionError):
            self._lost(error)
        else:
            del self._sent[write]
            for pending in write.calls:
                pending.fail(error)

    def _lost(self, error: Exception) -> None:
        calls = [*self._again, *(pending for write in self._sent for pending in write.calls)]
        self._is_open = False
        self._sent.clear()
        self._again = [pending for pending in calls if pending.writes < WRITES_MAX]
        for pending in calls:
            if pending.writes >= WRITES_MAX:
                pending.fail(error)
        self._ready()

    # Opening.

    def _open(self) -> None:
        """Open the connection anew, if calls wait for it."""
        self._again = self._take()
        self._is_opening = bool(self._again)
        if self._is_opening:
            self._watch(self._again)
            self._patience = self._loop.call_later(self._deadline_s, self._give_up_opening)
            self._try_to_open()

    def _try_to_open(self, *, is_again: bool = False) -> None:
        self._opening = _Opening(self._name, self._server, self._latencies, self, is_again=is_again)
        self._server.send(self._opening)

    def _give_up_opening(self) -> None:
        """Begin anew a moment after a try that took too long."""
        self._opening = None
        self._loop.call_later(self._deadline_s / TICKS, self._open)

    def opened(self, opening: _Opening) -> None:
        """Send what has waited for the connection."""
        if opening is self._opening:
            self._end_opening()
            self._begin()
            self._ready()

    def refused(self, opening: _Opening, error: Exception) -> None:
        """Try once more after a moment, or tell the callers."""
        if opening is not self._opening:
            return
        if not opening.is_again:
            self._loop.call_later(CONNECT_AGAIN_S, self._try_again, opening)
            return
        self._end_opening()
        for pending in self._take():
            pending.fail(error)

    def _try_again(self, opening: _Opening) -> None:
        if opening is self._opening:
            self._try_to_open(is_again=True)

    def _end_opening(self) -> None:
        self._patience.cancel()
        self._opening, self._is_opening = None, False

    # Deadlines.

    def _watch(self, calls: list[PendingCall]) -> None:
        self._due += [pending for pending in calls if pending not in self._due]
        if self._timer is None and self._due:
            self._timer = self._loop.call_later(self._tick_s, self._look)

    def _look(self) -> None:
        """Fail calls that are past their deadline; give up a connection that was silent for that time."""
        now_s, patience_s = self._loop.time(), self._deadline_s
        for pending in self._due:
            if not pending.future.done() and now_s - pending.since_s >= self._deadline_s:
                pending.fail(TimeoutError())
                patience_s = self._deadline_s * (1 - 1 / TICKS)  # it was written a little after it was made
        self._due = [pending for pending in self._due if not pending.future.done()]
        if self._is_open and self._sent and now_s - self._heard_s >= patience_s:
            self._lost(exceptions.TimeoutError("Redis is silent"))
        goes_on = self._due or self._sent
        self._timer = self._loop.call_later(self._tick_s, self._look) if goes_on else None


class _Write(Request):
    """A request with calls that leave together, and before them the scripts that the connection has not sent yet."""

    __slots__ = ("_connection", "_scripts", "_server", "groups")

    def __init__(
        self,
        client: str,
        server: StoreServer,
        latencies: Random,
        connection: _Connection,
        groups: list[CallGroup],
        scripts: list[Script],
    ) -> None:
        super().__init__(client, server.half_trip_s(latencies))
        self._server = server
        self._connection = connection
        self._scripts = scripts
        self.groups = groups

    @property
    def calls(self) -> list[PendingCall]:
        """Return the calls, which leave together."""
        return [pending for group in self.groups for pending in group.calls]

    def arrival_s(self, now_s: float) -> float:
        connection = self._connection
        connection.arrival_s = at_s = max(connection.arrival_s, now_s + self.half_s)
        return at_s

    def return_s(self, now_s: float) -> float:
        connection, at_s = self._connection, now_s + self.half_s
        if connection.waits_for(self):
            connection.return_s = at_s = max(connection.return_s, at_s)
        return at_s

    def execute(self) -> list[Any]:
        server = self._server
        for script in self._scripts:
            server.execute(("SCRIPT", "LOAD", script.source))
        return [server.run(*group.command()) for group in self.groups]

    def settle(self, answers: list[Any]) -> None:
        self._connection.tell(self._connection.answered, self, answers)

    def fail(self, error: Exception) -> None:
        self._connection.tell(self._connection.failed, self, error)


class _Opening(Request):
    """A connection being opened: it takes several round trips."""

    __slots__ = ("_connection", "is_again")

    def __init__(
        self, client: str, server: StoreServer, latencies: Random, connection: _Connection, *, is_again: bool
    ) -> None:
        super().__init__(client, CONNECT_TRIPS * server.half_trip_s(latencies))
        self._connection = connection
        self.is_again = is_again

    def execute(self) -> None:
        """Do nothing: the server takes the connection."""

    def settle(self, answers: Any) -> None:
        self._connection.tell(self._connection.opened, self)

    def fail(self, error: Exception) -> None:
        self._connection.tell(self._connection.refused, self, error)
