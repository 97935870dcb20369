"""Replay of one recording against one system: a pure function of (recording, system, settings, run)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Generator, Iterator
from typing import Any

import simpy

from queue_core.recording.format import Arrival, Recording
from reports.results.replay import Run
from sim.engine.deployment import Deployment
from sim.engine.ledger import Conversation
from sim.engine.loop import SimLoop, run
from sim.engine.outcome import outcome
from sim.engine.process_loop import ProcessLoop
from sim.engine.settings import SimSettings
from sim.engine.streams import derived_seed
from sim.engine.system import System, WebhookFailedError
from sim.engine.world import SimulatedFault, World, result_or_failure
from sim.faults import strikes_processes

REST_LIMIT_MS = 2 * 3600 * 1000
"""Time after the last message, or the last planned fault if that is later, by which all must have come to rest."""
REST_CHECK_S = 1.0
"""Time between two checks of a system that is idle but not at rest."""
DELIVER_AGAIN_S = (5.0, 300.0)
"""First and longest wait before a refused message is delivered again; it doubles each time. Those of Evolution API."""
DELIVERIES_MAX = 10
GC_THRESHOLDS = (50_000, 20, 20)
"""Thresholds of Python's search for cycles during a run."""


def run_seed(seed: int, run_number: int) -> int:
    """Return the seed of a run. Run 0 has the seed itself, so a single run repeats the first of several."""
    return seed if run_number == 0 else derived_seed("run", seed, run_number)


def replay(recording: Recording, system: type[System], settings: SimSettings, run_number: int = 0) -> Run:
    """Replay a recording against a system once. Equal arguments give an equal result, on every machine.

    Raises SimulationError when the simulation cannot go on, and any exception that a bug in the system's code raises.
    """
    seed = run_seed(settings.seed, run_number)

    async def main(loop: SimLoop) -> Run:
        world = World(loop, recording=recording, system=system.name, settings=settings, seed=seed)
        with world.redis.running():
            return await _Replay(world, system(world), run_number, seed).result()

    with _collecting_rarely():
        return run(main, ProcessLoop() if strikes_processes(settings.faults) else None)


@contextlib.contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Let Python look for cycles less often: almost all that a run makes stays until its end."""
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Replay:
    """A replay under way: users send and the system answers, until all is at rest."""

    def __init__(self, world: World, system: System, run_number: int, seed: int) -> None:
        self._world = world
        self._system = system
        self._deployment = Deployment(world, system)
        self._run_number = run_number
        self._seed = seed

    async def result(self) -> Run:
        world, system = self._world, self._system
        try:
            came_to_rest = await result_or_failure(self._reach_rest(), world)
            at_rest_ms = world.ledger.changed_at_ms if came_to_rest else world.now_ms()
            await result_or_failure(system.settle(), world)
            pending = system.pending_ids()
            result = outcome(
                world,
                system,
                pending=pending,
                run_number=self._run_number,
                seed=self._seed,
                at_rest_ms=at_rest_ms,
                came_to_rest=came_to_rest,
            )
            await result_or_failure(system.stop(), world)
            return result
        finally:
            await self._deployment.bury()
            await world.cancel_daemons()
            await world.redis.close()

    async def _reach_rest(self) -> bool:
        """Send all messages and wait for rest; returns False when it does not come within REST_LIMIT_MS."""
        world = self._world
        await self._deployment.start()
        conversations: dict[Conversation, list[Arrival]] = {}
        for arrival in world.recording.arrivals:
            conversations.setdefault(Conversation(arrival.instance, arrival.phone), []).append(arrival)
        users = [world.env.process(self._user(arrivals)) for arrivals in conversations.values()]
        await world.loop.until(world.env.all_of(users))
        faults_left_ms = max(0.0, world.faults.last_end_ms - world.now_ms())
        try:
            async with asyncio.timeout((faults_left_ms + REST_LIMIT_MS) / 1000):
                await self._rest()
        except TimeoutError:
            return False
        return True

    async def _rest(self) -> None:
        """Wait until no activity is alive and the system expects nothing more."""
        await self._world.quiet()
        while not self._system.at_rest():
            await asyncio.sleep(REST_CHECK_S)
            await self._world.quiet()

    def _user(self, arrivals: list[Arrival]) -> Generator[simpy.Event, Any, None]:
        """Send a user's messages, each at its recorded time, even when an earlier one failed."""
        world = self._world
        for arrival in arrivals:
            if arrival.at_ms > world.env.now:
                yield world.env.timeout(arrival.at_ms - world.env.now)
            world.spawn(self._deliver(arrival), name=f"webhook {arrival.id}")

    async def _deliver(self, arrival: Arrival) -> None:
        """Deliver a message, and repeat that as a provider does, until it is acknowledged or can never be."""
        pause_s, pause_s_max = DELIVER_AGAIN_S
        for _ in range(DELIVERIES_MAX - 1):
            if not await self._deliver_once(arrival):
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, pause_s_max)
        await self._deliver_once(arrival)

    async def _deliver_once(self, arrival: Arrival) -> bool:
        """Deliver a message once. Returns True if it is to be delivered again."""
        ledger = self._world.ledger
        conversation = Conversation(arrival.instance, arrival.phone)
        ledger.sent(arrival)
        delay_s = self._world.settings.webhook_delay_ms / 1000
        if delay_s:
            await asyncio.sleep(delay_s)
        try:
            await self._deployment.webhook(arrival)
        except (WebhookFailedError, SimulatedFault) as error:
            ledger.refused(conversation, arrival.id, error.reason)
            return error.reason != "invalid"
        if delay_s:
            await asyncio.sleep(delay_s)
        if self._world.fault("acknowledgements-lost"):
            return True
        ledger.acknowledged(conversation, arrival.id)
        return False
