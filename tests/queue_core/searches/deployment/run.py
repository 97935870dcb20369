"""Run of a plan: two workers, two web processes, Redis and the outside, until everything is at rest."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from queue_core import Batch, Intake, MessageQueue, Processor, QueueError
from queue_core.queue.outages import OutageNews
from queue_core.queue.processing.attempt import Outcome
from sim.engine.network import server_time
from sim.engine.process_loop import Process, ProcessLoop
from tests.queue_core.searches.deployment.network import EPOCH_MS, Server
from tests.queue_core.searches.deployment.outside import Bot, Outside, Provider
from tests.queue_core.searches.deployment.plan import (
    PASS_S,
    WEBS,
    WORKERS,
    BackendOutage,
    Outage,
    Plan,
    ProcessFault,
)
from tests.queue_core.searches.deployment.trace import Trace

REST_MS = 500
"""Time between two looks at whether all is at rest."""
BOUND_MS = 300_000
"""Time after the last fault or acknowledgement until all is at rest, enough for all retries of a slow turn."""


@dataclass(slots=True)
class Result:
    """Trace of a run, and what was left in Redis at its end."""

    plan: Plan
    trace: Trace
    processes: list[Process]
    is_at_rest: bool
    ended_ms: float
    left: list[str]
    """Keys of Redis that hold messages, leases or replies."""
    dead: dict[str, tuple[str, float]]
    """Reasons of dead letters and their times, by message id."""
    archive: str
    """All finished messages, as Redis keeps them."""


class _Observer:
    """Observer of a worker, for the trace."""

    def __init__(self, trace: Trace, process: Process) -> None:
        self._trace = trace
        self._process = process

    def claimed(self, batch: Batch) -> None:
        """Do nothing: Redis notes the claim."""

    def ended(self, batch: Batch, outcome: Outcome, reason: str, dead_lettered: int) -> None:
        """Note how an attempt ended."""
        if not self._process.is_buried:
            self._trace.note(self._process, "attempt ends", f"{outcome} {reason}".strip(), token=batch.token)

    def given_up(self, messages: int) -> None:
        """Note dead letters of a claim."""
        self._trace.note(self._process, "gives up", str(messages))

    def backend_changed(self, news: OutageNews) -> None:
        """Do nothing: a failure shows at the turn."""


class Deployment:
    """Processes of a run, and the faults that end them or make them stand still."""

    def __init__(self, loop: ProcessLoop, plan: Plan) -> None:
        self.loop = loop
        self.plan = plan
        self.trace = Trace(loop)
        self.server = Server(loop, plan, self.trace)
        self.outside = Outside(loop, plan, self.trace)
        self.provider = Provider(self.outside, self._webs_alive)
        self.processes: list[Process] = []
        spans: tuple[Outage | BackendOutage, ...] = (*plan.outages, *plan.backend_outages)
        self.last_fault_ms: float = max((it.at_ms + it.for_ms for it in spans), default=0)
        self._intakes: dict[str, Intake] = {}
        self._processors: dict[str, Processor] = {}
        self._pending = 0
        self._counted: Counter[int] = Counter()
        self.trace.listeners.append(self._on_event)

    # Processes.

    def start(self, name: str) -> None:
        """Start a worker or a web process."""
        process = Process(self.loop, name)
        self.processes.append(process)
        seed = len(self.processes)
        queue = MessageQueue(
            self.server.link(process),  # type: ignore[arg-type]  # has what the core uses of a client
            self.plan.settings,
            rng=random.Random(seed),
        )
        bot = Bot(self.outside, process)
        send: Any = bot.send_in_parts if self.plan.parts > 1 else bot.send
        if name.startswith("web"):
            intake = self._intakes[f"{name} {seed}"] = Intake(queue, bot.handle, send)
            self._watch(process, process.start(intake.settle_when_back(), "settle"))
        else:
            processor = self._processors[f"{name} {seed}"] = Processor(
                queue,
                bot.handle,
                send,
                processor_id=f"{name}-{seed}",
                concurrency=self.plan.concurrency,
                grace_s=self.plan.grace_s,
                observer=_Observer(self.trace, process),
            )
            process.makes_passes = self.plan.passes and name == WORKERS[1]
            working = _make_passes(process, processor) if process.makes_passes else processor.run()
            self._watch(process, process.start(working, "run"))
        self.trace.note(process, "start")

    def _watch(self, process: Process, task: asyncio.Task[Any]) -> None:
        def ended(task: asyncio.Task[Any]) -> None:
            if process.is_buried or process.state == "dead":
                return
            if not task.cancelled() and task.exception():
                self.trace.errors.append(f"{process.name} ended by {task.exception()!r}")
            self.trace.note(process, "ends")
            process.die()

        task.add_done_callback(ended, context=self.loop.outside)

    def _webs_alive(self) -> list[tuple[Process, Intake]]:
        webs = {f"{process.name} {number}": process for number, process in enumerate(self.processes, 1)}
        return [(webs[key], intake) for key, intake in self._intakes.items() if webs[key].state != "dead"]

    def _processor_of(self, process: Process) -> Processor:
        return self._processors[f"{process.name} {self.processes.index(process) + 1}"]

    # Faults.

    def _on_event(self, event: str, process: Process) -> None:
        for number, fault in enumerate(self.plan.process_faults):
            if fault.moment == event and process.name.startswith(fault.process):
                self._counted[number] += 1
                if self._counted[number] == fault.nth and fault.delay_ms:
                    self.loop.later(fault.delay_ms, self._strike, fault, process)
                elif self._counted[number] == fault.nth:
                    self._strike(fault, process)

    def _strike(self, fault: ProcessFault, process: Process) -> None:
        if process.state == "dead" or process.is_buried or process.is_stopping:
            return
        self.last_fault_ms = max(self.last_fault_ms, self.loop.now_ms() + fault.for_ms)
        if fault.kind == "freezes":
            if process.state == "frozen":
                return
            process.freeze(fault.for_ms)
            self.trace.note(process, "freezes", f"for {fault.for_ms} ms")
            self.loop.later(fault.for_ms, self._thaw, process)
        elif fault.kind == "dies":
            process.die()
            self.trace.note(process, "dies")
            self._replace(process.name, fault.for_ms)
        else:
            process.is_stopping = True
            process.stopped_ms = self.loop.now_ms()
            self.trace.note(process, "stops")
            process.start(self._processor_of(process).stop(), "stop")
            self._replace(process.name, fault.for_ms)

    def _thaw(self, process: Process) -> None:
        if process.state == "frozen":
            self.trace.note(process, "goes on")
            process.thaw()

    def _replace(self, name: str, after_ms: float) -> None:
        self._pending += 1
        self.loop.later(after_ms, self._start_replacement, name)

    def _start_replacement(self, name: str) -> None:
        self._pending -= 1
        self.start(name)

    # The run.

    async def run(self) -> Result:
        """Run until everything is at rest, or the time for it is over."""
        for name in (*WORKERS, *WEBS):
            self.start(name)
        deliveries = [
            self.loop.create_task(self.provider.deliver(number, message), name=f"delivery {number}")
            for number, message in enumerate(self.plan.messages, 1)
        ]
        await self._rest_or_limit()
        result = Result(
            plan=self.plan,
            trace=self.trace,
            processes=self.processes,
            is_at_rest=self._is_at_rest(),
            ended_ms=self.loop.now_ms(),
            left=self._left(),
            dead=self._dead(),
            archive=self._archive(),
        )
        for task in deliveries:
            task.cancel()
        for process in self.processes:
            await process.bury()
        return result

    async def _rest_or_limit(self) -> None:
        while not self._is_at_rest() and not self._is_too_late():  # noqa: ASYNC110 - time is simulated
            await asyncio.sleep(REST_MS / 1000)

    def _is_too_late(self) -> bool:
        last_ms = max([self.last_fault_ms, *self.trace.acknowledged.values()])
        return self.loop.now_ms() > last_ms + BOUND_MS

    def _is_at_rest(self) -> bool:
        trace = self.trace
        return (
            self.provider.unfinished == 0
            and self.loop.now_ms() > self.last_fault_ms
            and self._pending == 0
            and not self._left()
            and all(process.state != "frozen" for process in self.processes)
            and all(ask.ended_ms or ask.process.state == "dead" for ask in trace.asks)
            and all(sending.ended_ms or sending.process.state == "dead" for sending in trace.sendings)
            and all(intake.unsettled == 0 for _, intake in self._webs_alive())
        )

    def _left(self) -> list[str]:
        kinds = ("msg_queue", "processing_lock", "reply", "active_queues")
        keys = [key.decode() for key in self.server.run("KEYS", "wa:*")]
        return sorted(key for key in keys if key.split(":")[2] in kinds)

    def _archive(self) -> str:
        keys = self.server.run("KEYS", "wa:*:completed:*")
        return " ".join(str(self.server.run("LRANGE", key, 0, -1)) for key in keys)

    def _dead(self) -> dict[str, tuple[str, float]]:
        dead: dict[str, tuple[str, float]] = {}
        for _, raw in self.server.run("XRANGE", "wa:{0}:dead_letters", "-", "+"):
            fields = dict(zip(raw[::2], raw[1::2], strict=True))
            message_id = str(fields[b"message"]).partition('"id":"')[2].partition('"')[0]
            at_ms = self._to_loop_ms(float(fields[b"at"]) - EPOCH_MS)
            dead[message_id] = (fields[b"reason"].decode(), at_ms)
        return dead

    def _to_loop_ms(self, redis_ms: float) -> float:
        """Convert a time of Redis's clock to the loop's, which is never set; at best one at which a script ran."""
        ahead_ms, begins_ms, candidates = 0, 0.0, []
        steps = sorted((step.at_ms, step.by_ms) for step in self.plan.clock_steps)
        for ends_ms, by_ms in (*steps, (math.inf, 0)):
            if begins_ms <= redis_ms - ahead_ms + 1 <= ends_ms + 2:
                candidates.append(redis_ms - ahead_ms)
            ahead_ms, begins_ms = ahead_ms + by_ms, ends_ms
        executed = [step.at_ms for step in self.trace.executed]
        return next(
            (it for it in candidates if any(0 <= at_ms - it < 2 for at_ms in executed)), candidates[-1]
        )


async def _make_passes(process: Process, processor: Processor) -> None:
    while not process.is_stopping:
        with contextlib.suppress(QueueError):  # a scheduler would start the next pass
            await processor.process_all_queues()
        await asyncio.sleep(PASS_S)


def run(plan: Plan) -> Result:
    """Run a plan."""
    loop = ProcessLoop()
    try:
        deployment = Deployment(loop, plan)
        with server_time(deployment.server.clock):
            result = loop.run_until_complete(deployment.run())
        if loop.errors:
            result.trace.errors += [repr(error) for error in loop.errors]
        return result
    finally:
        loop.shut_down()
