"""The processes of a system under test: they start, take webhooks, and die and freeze when faults strike."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from queue_core.recording.format import Arrival
from reports.results.faults import FaultName
from sim.engine.process_loop import Process, ProcessLoop, current_process
from sim.engine.system import System
from sim.engine.world import ProcessDiedError, World
from sim.faults import AWAY_MS, OF_PROCESSES, Fault

Role = str
"""Beginning of the names of processes: `worker` or `web`. A system without it has one process, which does both."""


class Deployment:
    """The processes of a system in a run.

    Without faults of processes, all code of the system runs outside of any process, which is faster and behaves alike.
    """

    def __init__(self, world: World, system: System) -> None:
        self._world = world
        self._system = system
        self._loop = world.loop if isinstance(world.loop, ProcessLoop) else None
        self._processes: dict[str, Process] = {}
        self._deaths: list[Process] = []
        self._turn = 0
        self._is_over = False

    async def start(self) -> None:
        """Start all processes, and let the faults strike them at their times."""
        for name in self._system.processes:
            await self._start(name)
        world = self._world
        world.took_step = self._took_step
        world.lost_writes = self._system.redis_lost_writes
        for fault in world.faults.of(*OF_PROCESSES):
            world.spawn(self._carry_out(fault), name=f"fault {fault}")

    async def webhook(self, arrival: Arrival) -> None:
        """Have the web process take a delivery. Raises the errors of the system, and ProcessDiedError."""
        if self._loop is None:
            await self._system.webhook(arrival)
            return
        process = self._processes[self._of_role("web")[0]]
        await self._within(process, self._system.webhook(arrival), f"webhook {arrival.id}")

    async def bury(self) -> None:
        """End the tasks of dead and frozen processes, after the run; no fault strikes any more."""
        self._is_over = True
        for process in [*self._deaths, *self._processes.values()]:
            if process.state != "running":
                await process.bury()

    async def _start(self, name: str) -> None:
        if self._loop is None:
            await self._system.start(name)
            return
        process = self._processes[name] = Process(self._loop, name)
        await self._within(process, self._system.start(name), "start")

    async def _within(self, process: Process, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do work in a process. Raises ProcessDiedError if it is dead, or dies meanwhile."""
        if process.state == "dead":
            work.close()
            raise ProcessDiedError("connection refused")
        task = process.start(work, name)
        await asyncio.wait({task, process.ended}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ProcessDiedError("the process died before it answered")
        task.result()

    # Faults.

    async def _carry_out(self, fault: Fault) -> None:
        """Let a fault strike at its time. The run does not come to rest before the fault is over."""
        await asyncio.sleep(fault.at_ms / 1000)
        if fault.name == "process-restarts":
            names = list(self._processes)
        else:
            role, _, verb = fault.name.partition("-")
            names = self._of_role(role)
            if role == "worker":
                names = [names[self._turn % len(names)]]
                self._turn += 1
            if verb == "freezes":
                await self._freeze(self._processes[names[0]], fault)
                return
        self._world.faults.struck(fault)
        await self._restart(names, fault.length_ms or AWAY_MS)

    async def _freeze(self, process: Process, fault: Fault) -> None:
        if process.state != "running":
            return
        self._world.faults.struck(fault)
        process.freeze(fault.length_ms)
        await asyncio.sleep(fault.length_ms / 1000)
        if process.died_ms is None:
            process.thaw()

    async def _restart(self, names: list[str], away_ms: float) -> None:
        """Kill processes, and start them again after some time."""
        killed = [name for name in names if self._processes[name].state != "dead"]
        for name in killed:
            self._kill(self._processes[name])
        await asyncio.sleep(away_ms / 1000)
        for name in killed:
            await self._start(name)

    def _kill(self, process: Process) -> None:
        process.die()
        self._deaths.append(process)
        self._world.forget(process.tasks)
        self._system.died(process.name)
        self._world.incidents.append((self._world.now_ms(), "process_died"))

    def _took_step(self) -> None:
        """Let a process die at a call to the outside, by the rates of its faults.

        It stands still at once, and is killed by code that does not run in it.
        """
        process = current_process()
        if process is None or process.state != "running" or self._loop is None or self._is_over:
            return
        if any(
            process.name in self._of_role(role) and self._world.faults.strikes(name)
            for role, name in _BY_STEP.items()
        ):
            process.state = "frozen"
            self._loop.call_soon(self._replace, process.name, context=self._loop.outside)

    def _replace(self, name: str) -> None:
        self._world.spawn(self._restart([name], AWAY_MS), name=f"restart of {name}")

    def _of_role(self, role: Role) -> list[str]:
        names = self._system.processes
        return [name for name in names if name.startswith(role)] or list(names)


_BY_STEP: dict[Role, FaultName] = {"worker": "worker-dies", "web": "web-dies"}
