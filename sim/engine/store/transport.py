"""Script calls straight to the store: what `queue_core/redis/runner.py` does, without redis-py and its protocol.

Calls made in one turn of the event loop, and those made while a pipeline is under way, travel together, in one round
trip. One pipeline is under way at a time.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from redis import exceptions

from queue_core.redis.runner import PIPELINE_CALLS_MAX, explain, settle
from queue_core.redis.scripts.loader import Call, LuaScript
from queue_core.redis.transport import Transport
from sim.engine.process_loop import current_process
from sim.engine.store.request import Request

if TYPE_CHECKING:
    from sim.engine.store.server import StoreServer

Result = TypeVar("Result")
_Waiting = tuple[Call[Any], asyncio.Future[Any]]

AGAIN_S = 0.04
"""Wait before the only repetition of what a broken connection lost, as with `queue_core.connect`."""


class StoreTransport(Transport):
    """Transport of one process to the store; `name` is the process, in which it is made."""

    def __init__(self, server: StoreServer, name: str, latencies: Random, *, deadline_ms: int) -> None:
        self._server = server
        self._name = name
        self._latencies = latencies
        self._deadline_s = deadline_ms / 1000
        self._waiting: list[_Waiting] = []
        self._is_sending = False
        self._open: dict[_Pipeline, None] = {}
        """Pipelines without an answer, by their deadlines."""
        self._deadline: asyncio.TimerHandle | None = None
        self._process = contextvars.copy_context() if current_process() else None

    def tell(self, callback: Callable[..., None], *args: Any) -> None:
        """Call back with what comes from the server: in the process, which may be frozen or dead, if it has one."""
        if self._process is None:
            callback(*args)
        else:
            self._server.loop.call_soon(callback, *args, context=self._process)

    def gathered(self, call: Call[Result]) -> asyncio.Future[Result]:
        """Run a call together with others. Cancelling the future does not cancel the call."""
        loop = self._server.loop
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((call, future))
        if not self._is_sending:
            self._is_sending = True
            loop.call_soon(self._send_waiting)
        return future

    async def alone(self, call: Call[Result]) -> Result:
        """Run a call at once, in a round trip of its own."""
        future: asyncio.Future[Result] = self._server.loop.create_future()
        self._begin([(call, future)], is_gathered=False)
        return await future

    async def load(self) -> None:
        """Do nothing: the store has Lua."""

    def _send_waiting(self) -> None:
        if not self._waiting:
            self._is_sending = False
            return
        calls = self._waiting[:PIPELINE_CALLS_MAX]
        del self._waiting[:PIPELINE_CALLS_MAX]
        self._begin(calls, is_gathered=True)

    def _begin(self, calls: list[_Waiting], *, is_gathered: bool) -> None:
        deadline_s = self._server.loop.time() + self._deadline_s
        pipeline = _Pipeline(self, calls, deadline_s, is_gathered=is_gathered)
        self._open[pipeline] = None
        if self._deadline is None:
            self._deadline = self._server.loop.call_at(deadline_s, self._look_at_deadlines)
        pipeline.send()

    def _look_at_deadlines(self) -> None:
        """Give up what is overdue. There is one timer, not one for each pipeline: almost all are answered in time."""
        self._deadline = None
        now_s = self._server.loop.time()
        for pipeline in [*self._open]:
            if pipeline.deadline_s > now_s:
                self._deadline = self._server.loop.call_at(pipeline.deadline_s, self._look_at_deadlines)
                return
            pipeline.end_with(TimeoutError())

    def ended(self, pipeline: _Pipeline) -> None:
        """Go on after a pipeline has ended."""
        del self._open[pipeline]
        if pipeline.is_gathered:
            self._send_waiting()

    def request(self, pipeline: _Pipeline, calls: list[_Waiting], script: LuaScript | None = None) -> None:
        """Send calls of a pipeline, or a script that the server does not have yet."""
        server = self._server
        half_s = server.half_trip_s(self._latencies)
        server.send(_CallsRequest(self._name, half_s, server, pipeline, calls, script))

    def later(self, pipeline: _Pipeline) -> None:
        """Send a pipeline once more."""
        self._server.loop.call_later(AGAIN_S, pipeline.send)


class _Pipeline:
    """Calls that travel together, until each has its answer."""

    __slots__ = ("_calls", "_is_over", "_is_repeated", "_missing", "deadline_s", "is_gathered", "transport")

    def __init__(
        self, transport: StoreTransport, calls: list[_Waiting], deadline_s: float, *, is_gathered: bool
    ) -> None:
        self.transport = transport
        self._calls = calls
        self._missing: list[LuaScript] = []
        self._is_over = self._is_repeated = False
        self.deadline_s = deadline_s
        self.is_gathered = is_gathered

    def send(self) -> None:
        """Send the scripts that the server lacks, one after the other, and then the calls that have no answer."""
        if not self._is_over:
            self.transport.request(self, self._calls, self._missing[0] if self._missing else None)

    def take(self, answers: list[Any]) -> None:
        """Take answers of the server, perhaps that it lacks a script."""
        if self._is_over:
            return
        self._is_repeated = False
        if self._missing:
            self._missing.pop(0)
            self.send()
            return
        missing = []
        for waiting, answer in zip(self._calls, answers, strict=True):
            if type(answer) is exceptions.NoScriptError:
                missing.append(waiting)
            else:
                settle(*waiting, answer)
        if missing:
            self._calls = missing
            scripts = {call.script for call, _ in missing}
            self._missing = sorted(scripts, key=lambda script: script.name)
            self.send()
        else:
            self._end()

    def fail(self, error: Exception) -> None:
        """Repeat what a broken connection lost, once."""
        if self._is_over:
            return
        if self._is_repeated or not isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
            self.end_with(error)
        else:
            self._is_repeated = True
            self.transport.later(self)

    def end_with(self, error: Exception) -> None:
        """Let the calls that have no answer fail."""
        for _, future in self._calls:
            if not future.done():
                future.set_exception(_explained(error))
        self._end()

    def _end(self) -> None:
        self._is_over = True
        self.transport.ended(self)


class _CallsRequest(Request):
    """A request with the calls of a pipeline, or with a script to load."""

    __slots__ = ("_calls", "_pipeline", "_script", "_server")

    def __init__(
        self,
        client: str,
        half_s: float,
        server: StoreServer,
        pipeline: _Pipeline,
        calls: list[_Waiting],
        script: LuaScript | None,
    ) -> None:
        super().__init__(client, half_s)
        self._server = server
        self._pipeline = pipeline
        self._calls = calls
        self._script = script

    def execute(self) -> list[Any]:
        server = self._server
        if self._script is not None:
            return [server.execute(("SCRIPT", "LOAD", self._script.source))]
        return [server.run(*call.command()) for call, _ in self._calls]

    def settle(self, answers: list[Any]) -> None:
        self._pipeline.transport.tell(self._pipeline.take, answers)

    def fail(self, error: Exception) -> None:
        self._pipeline.transport.tell(self._pipeline.fail, error)


def _explained(error: Exception) -> Exception:
    is_of_redis = isinstance(error, exceptions.RedisError | TimeoutError | OSError)
    return explain(error) if is_of_redis else error
