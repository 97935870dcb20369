"""Redis on simulated time, and for each process a client whose requests and answers can be lost on the way."""

from __future__ import annotations

import asyncio
import queue
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import redis.asyncio
from fakeredis._socket import FakeSocket
from redis import exceptions

from queue_core.redis.listening import SPARE_S
from queue_core.redis.scripts.loader import LuaScript, text
from sim.engine.distributions import Constant
from sim.engine.network import SimulatedRedis, unix_seconds
from sim.engine.process_loop import Process, ProcessLoop
from tests.queue_core.searches.deployment.plan import ClockStep, LossKind, Outage, Plan
from tests.queue_core.searches.deployment.trace import Executed, Trace
from tests.queue_core.searches.planting import ALL

EPOCH_MS = 1_790_000_000_000
HALF_TRIP_MS = 1.0
LATE_MS = 4_000.0
"""Delay of a request that reaches Redis long after its caller gave up."""
PROBED_MS = 5_000.0
"""Time until TCP's probes notice that the connection on which a worker waits for messages delivers nothing."""
WAKE = "wa:{0}:wake"
ALL_PARTS = 1_000_000

Command = tuple[Any, ...]


class Server:
    """Redis behind a network with the outages, refusals and clock steps of the plan."""

    def __init__(self, loop: ProcessLoop, plan: Plan, trace: Trace) -> None:
        self.loop = loop
        self.plan = plan
        self.trace = trace
        self._socket = _emptied_socket()
        self._scripts = {script.sha: script for script in ALL}
        for script in ALL:
            self.run("SCRIPT", "LOAD", script.source)
        self._backlog: list[_Request] = []
        self._links: list[Link] = []
        self._clock_ahead_ms = 0
        self.calls: Counter[int] = Counter()
        """Number of matching calls so far, by the index of the plan's lost call."""
        self._refusals: Counter[str] = Counter()
        for outage in plan.outages:
            loop.later(outage.at_ms, self._begin, outage)
            loop.later(outage.at_ms + outage.for_ms, self._end, outage)
        for step in plan.clock_steps:
            loop.later(step.at_ms, self._set_clock, step)

    def clock(self) -> float:
        """Return the server's Unix time in seconds."""
        return unix_seconds(EPOCH_MS + self._clock_ahead_ms, self.loop.now_ms())

    def _set_clock(self, step: ClockStep) -> None:
        self.trace.note("redis", "clock is set", f"by {step.by_ms} ms")
        self._clock_ahead_ms += step.by_ms

    def link(self, process: Process) -> Link:
        """Make the client of a process."""
        link = Link(self, process)
        self._links.append(link)
        return link

    def run(self, *command: Any) -> Any:
        """Run a command at once. An error reply is returned."""
        self._socket._process_command(
            [part if isinstance(part, bytes) else str(part).encode() for part in command]
        )
        responses: queue.Queue[Any] = self._socket.responses  # type: ignore[assignment]
        return responses.get_nowait()

    def outage_of(self, process: Process) -> Outage | None:
        """Return the outage that the process meets now."""
        now_ms = self.loop.now_ms()
        return next((it for it in self.plan.outages if it.covers(process.name, now_ms)), None)

    def arrive(self, request: _Request) -> None:
        """Receive a request."""
        outage = self.outage_of(request.process)
        if outage and outage.kind == "hangs":
            self._backlog.append(request)
        elif outage and outage.kind == "silent":
            pass
        elif outage:
            request.fail("connection reset")
        else:
            answers = [self._execute(command, request.process) for command in request.commands]
            self._ring()
            self.loop.later(HALF_TRIP_MS, self._deliver, request, answers)

    def _deliver(self, request: _Request, answers: list[Any]) -> None:
        outage = self.outage_of(request.process)
        if request.loses_answer == "reset after" or (outage and outage.kind in ("refuses", "restarts")):
            request.fail("connection reset")
        elif request.loses_answer or (outage and outage.kind == "silent"):
            pass
        elif not request.answer.done():
            request.answer.set_result(answers)

    def _begin(self, outage: Outage) -> None:
        self.trace.note("redis", outage.kind, f"for {outage.for_ms} ms, {outage.process or 'all'}")
        if outage.kind in ("refuses", "restarts"):
            for request in self._backlog:
                request.fail("connection reset")
            self._backlog.clear()
            for link in self._links:
                if outage.process in ("", link.process.name):
                    link.hang_up()

    def _end(self, outage: Outage) -> None:
        self.trace.note("redis", "reachable", f"after it {outage.kind}, {outage.process or 'all'}")
        if outage.kind == "restarts" and not outage.process:
            self.run("SCRIPT", "FLUSH")
        backlog, self._backlog = self._backlog, []
        for request in backlog:
            self.arrive(request)

    def _execute(self, command: Command, process: Process) -> Any:
        if command[0] != "EVALSHA":
            return self.run(*command)
        script = self._scripts[command[1]]
        given = _inputs(script, command)
        token = int(given.get("token", 0))
        self._refusals[script.name] += 1
        for refusal in self.plan.refusals:
            passed = self._refusals[script.name] - refusal.nth
            if refusal.script == script.name and 0 <= passed < refusal.times:
                self.trace.note(process, "refused", script.name, token=token)
                self.trace.call_faults.append((self.loop.now_ms(), process, script.name, token))
                return exceptions.ResponseError("ERR proxy: command not allowed now")
        answer = self.run(*command)
        if not isinstance(answer, Exception):
            self._note(script, given, token, answer, process)
        self.trace.note_backends(bool(self.run("EXISTS", "wa:{0}:outages")))
        return answer

    def _note(
        self, script: LuaScript, given: dict[str, Any], token: int, answer: Any, process: Process
    ) -> None:
        now_ms = self.loop.now_ms()
        if script.name == "look":
            return
        if script.name == "claim":
            for conversation, claimed, attempt, _, _, reply, state, _, _, elements in answer[4]:
                ids = tuple(msgspec.json.decode(element)["id"] for element in elements)
                name = text(conversation)
                step = Executed(now_ms, process, "claim", name, int(claimed), answer, ids, attempt)
                self.trace.executed.append(step)
                kept = f", reply {text(state)}" if reply else ""
                what = f"{name} {' '.join(ids)}, attempt {attempt}{kept}"
                self.trace.note(process, "claimed", what, token=int(claimed))
            return
        conversation = _conversation(given)
        waiting = answer[2] if script.name == "enqueue" else 0
        parts = ALL_PARTS if given.get("is_whole") == 1 else int(given.get("parts", 0))
        ids = (text(given["seen.old"]).rpartition(":")[2],) if "seen.old" in given else ()
        step = Executed(
            now_ms,
            process,
            script.name,
            conversation,
            token,
            _first(answer),
            ids=ids,
            parts=parts,
            waiting=waiting,
        )
        self.trace.executed.append(step)
        if script.name != "extend" or step.answer != "held":
            event = _EVENTS.get((script.name, step.answer), script.name)
            if given.get("mode") == "release":
                event = "handed back"
            what = f"{conversation} {' '.join(ids)} {step.answer}"
            self.trace.note(process, event, what, token=token)

    def _ring(self) -> None:
        waiting = [link for link in self._links if link.waits_after is not None]
        if not waiting:
            return
        entries = self.run("XREVRANGE", WAKE, "+", "-", "COUNT", 1)
        for link in waiting:
            if entries and _stream_id(entries[0][0]) > _stream_id(link.waits_after or b"0-0"):
                link.waits_after = None
                self.loop.later(HALF_TRIP_MS, link.ring, entries)


_EVENTS = {
    ("record_reply", "held"): "recorded",
    ("record_reply", "superseded"): "superseded",
    ("record_sent", "held"): "noted",
    ("complete", "held"): "completed",
    ("fail", "held"): "failed",
    ("enqueue", "queued"): "enqueued",
    ("withdraw", "marked"): "withdrawn",
    ("withdraw", "withdrawn"): "withdrawn",
    ("withdraw", "in flight"): "withdrawn",
}


class _Request:
    def __init__(self, commands: Sequence[Command], process: Process, answer: asyncio.Future[Any]) -> None:
        self.commands = commands
        self.process = process
        self.answer = answer
        self.loses_answer: LossKind | None = None

    def fail(self, reason: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(exceptions.ConnectionError(reason))


class Link:
    """Client of one process, with as much of redis-py's interface as the queue's core uses."""

    def __init__(self, server: Server, process: Process) -> None:
        self.process = process
        self.waits_after: bytes | None = None
        """Entry of the doorbell's stream after which this process waits for the next, or None."""
        self._server = server
        self._bell: asyncio.Future[Any] | None = None

    def pipeline(self, transaction: bool = True) -> Pipeline:
        """Begin a pipeline."""
        assert not transaction
        return Pipeline(self)

    async def script_load(self, source: str) -> Any:
        """Load a script."""
        (answer,) = await self.exchange([("SCRIPT", "LOAD", source)])
        return answer

    async def xread(self, streams: dict[str, bytes | str], block: int) -> Any:
        """Wait for an entry of a stream, over a connection of its own."""
        ((key, after),) = streams.items()
        try:
            async with asyncio.timeout(block / 1000 + SPARE_S):
                (entries,) = await self.exchange([("XREVRANGE", key, "+", "-", "COUNT", 1)])
                if entries and _stream_id(entries[0][0]) > _stream_id(after):
                    return _read(key, entries)
                self.waits_after = after if isinstance(after, bytes) else after.encode()
                bell = self._bell = self._server.loop.create_future()
                try:
                    async with asyncio.timeout(block / 1000):
                        return _read(key, await bell)
                except TimeoutError:
                    await self.exchange([])  # while Redis is away, there is no answer at the end of the block
                    return []
                finally:
                    self.waits_after = self._bell = None
        except TimeoutError:
            raise exceptions.TimeoutError("no answer from the socket") from None

    def ring(self, entries: Any) -> None:
        """Deliver an entry to the doorbell. TCP's probes notice a connection that cannot deliver it."""
        if self._server.outage_of(self.process):
            self._server.loop.later(PROBED_MS, self.hang_up)
        elif self._bell and not self._bell.done():
            self._bell.set_result(entries)

    def hang_up(self) -> None:
        """Break the connection of the doorbell."""
        if self._bell and not self._bell.done():
            self._bell.set_exception(exceptions.ConnectionError("connection reset"))

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send a pipeline and return its answers. It runs even if the caller gives up."""
        loop = self._server.loop
        if self.process.is_buried:
            raise exceptions.ConnectionError("the run is over")
        outage = self._server.outage_of(self.process)
        if outage and outage.kind in ("refuses", "restarts"):
            await asyncio.sleep(HALF_TRIP_MS / 1000)
            raise exceptions.ConnectionError("connection refused")
        request = _Request(commands, self.process, loop.create_future())
        loss = self._loss(commands)
        if loss == "reset before":
            loop.later(HALF_TRIP_MS, request.fail, "connection reset")
        elif loss != "request lost":
            request.loses_answer = loss if loss in ("answer lost", "reset after") else None
            loop.later(LATE_MS if loss == "late" else HALF_TRIP_MS, self._server.arrive, request)
            if loss == "twice":  # as after a retry of redis-py: the second answer counts
                first = _Request(commands, self.process, loop.create_future())
                first.answer.add_done_callback(_read_exception, context=loop.outside)
                loop.later(HALF_TRIP_MS / 2, self._server.arrive, first)
        answers: list[Any] = await request.answer
        return answers

    def _loss(self, commands: Sequence[Command]) -> LossKind | None:
        scripts = {self._server._scripts[command[1]].name for command in commands if command[0] == "EVALSHA"}
        for number, lost in enumerate(self._server.plan.lost_calls):
            if lost.script not in scripts or not self.process.name.startswith(lost.process):
                continue
            self._server.calls[number] += 1
            if 0 <= self._server.calls[number] - lost.nth < lost.times:
                trace = self._server.trace
                trace.note(self.process, lost.kind, f"{lost.script} and {len(commands) - 1} more")
                trace.call_faults.append((self._server.loop.now_ms(), self.process, lost.script, 0))
                return lost.kind
        return None


class Pipeline:
    """Commands that travel together."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._commands: list[Command] = []

    def execute_command(self, *command: Any) -> None:
        """Add a command."""
        self._commands.append(command)

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands and return their answers."""
        answers = await self._link.exchange(self._commands)
        if raise_on_error:
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers


def _inputs(script: LuaScript, command: Command) -> dict[str, Any]:
    return dict(zip((*script.keys, *script.arguments), command[3:], strict=True))


def _conversation(given: dict[str, Any]) -> str:
    if "place.conversation" in given:
        return str(given["place.conversation"])
    return ":".join(str(given["place.lock"]).split(":")[-2:])


def _first(answer: Any) -> Any:
    if isinstance(answer, list):
        answer = answer[0]
    return text(answer) if isinstance(answer, bytes) else answer


def _read(key: str, entries: list[list[Any]]) -> list[Any]:
    """Return an answer of XREAD as redis-py gives it."""
    return [
        [key, [(entry_id, dict(zip(fields[::2], fields[1::2], strict=True))) for entry_id, fields in entries]]
    ]


def _stream_id(entry_id: bytes | str) -> tuple[int, int]:
    milliseconds, _, sequence = text(entry_id).partition("-")
    return int(milliseconds), int(sequence or 0)


_sockets: list[FakeSocket] = []


def _emptied_socket() -> FakeSocket:
    """Return a connection to an empty server. All runs share it, so that Lua scripts are compiled once."""
    if not _sockets:
        loop = ProcessLoop()
        simulated = SimulatedRedis(loop, epoch_ms=0, latency=Constant(0.0), stream=lambda _: random.Random(0))
        simulated.client("search")  # makes the server compile Lua scripts once
        loop.close()
        _sockets.append(
            FakeSocket(simulated.server, 0, client_class=redis.asyncio.Redis, client_info={"resp": 2})
        )
    (socket,) = _sockets
    for command in ([b"FLUSHALL"], [b"SCRIPT", b"FLUSH"]):
        socket._process_command(command)
        socket.responses.get_nowait()  # type: ignore[union-attr]
    return socket


def _read_exception(answer: asyncio.Future[Any]) -> None:
    """Read the error of an answer that nobody waits for, so that asyncio does not log it."""
    if not answer.cancelled():
        answer.exception()
