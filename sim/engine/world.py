"""World around a system under test: time, network, AI, send API, faults, and the ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import cached_property
from random import Random
from typing import Any, ClassVar

import redis.exceptions
import simpy

from queue_core.recording.format import Recording
from reports.results.causes import CauseCode
from reports.results.faults import FaultName
from reports.results.replay import Refusal
from sim.engine.distributions import parse_distribution
from sim.engine.injector import Injector
from sim.engine.ledger import Conversation, Ledger
from sim.engine.loop import SimLoop
from sim.engine.network import SimulatedRedis
from sim.engine.rest import RestRedis
from sim.engine.settings import SimSettings
from sim.engine.store.faulty import OF_NETWORK, OF_SERVER, FaultyServer
from sim.engine.store.server import StoreServer
from sim.engine.streams import AI_DRAW, share, stream
from sim.faults import AWAY_MS

AI_SLOWER = 10
"""Factor of the AI's time while the fault `ai-slow` strikes."""
REDIS_AWAY = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
)
"""Errors of a Redis that cannot be used now."""


class SimulatedFault(Exception):  # noqa: N818 - the base of the errors that a World raises on purpose
    """A failure outside the system, caused by a fault of the plan."""

    reason: ClassVar[Refusal]
    """Reason that a webhook gives when the fault makes it fail."""


class AiError(SimulatedFault):
    """An error of the AI (fault `ai-fails`)."""

    reason = "ai_failed"


class HttpError(SimulatedFault):
    """A failed HTTP call of the bot to itself (fault `http-fails`), or an error of its handler."""

    reason = "http_failed"


class World:
    """Environment that a system can use. Times are milliseconds from the start of the recording.

    Random streams depend on seed, recording, run and purpose. Streams of the AI's times and of faults are equal for all
    systems: the n-th AI call of a conversation takes equally long in each. Streams of latencies differ by system.
    """

    def __init__(
        self, loop: SimLoop, *, recording: Recording, system: str, settings: SimSettings, seed: int
    ) -> None:
        self.loop = loop
        self.env: simpy.Environment = loop.env
        self.recording = recording
        self.settings = settings
        self.epoch_ms = recording.epoch_ms
        self._now_ms = 0
        self.ledger = Ledger(self.now_ms)
        self.log_lines: list[dict[str, int | str]] = []
        self._seed = seed
        self._system = system
        self.faults = Injector(
            settings.faults,
            now_ms=lambda: self.env.now,
            stream=self.shared_random,
            last_sent_ms=max((arrival.at_ms for arrival in recording.arrivals), default=0.0),
        )
        self.incidents: list[tuple[int, CauseCode]] = []
        """Deaths of processes and losses of writes, which explain losses of messages."""
        self.took_step: Callable[[], None] = _nothing
        """Function that is called at each call of a process to the outside: there it may die."""
        self.lost_writes: Callable[[], None] = _nothing
        """Function that is called when Redis has lost writes."""
        self._latency = parse_distribution(settings.redis_latency)
        self._rest_clients = 0
        self._activities: dict[asyncio.Task[Any], None] = {}
        self._daemons: dict[asyncio.Task[Any], None] = {}
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._failed: asyncio.Future[None] = loop.create_future()
        self.redis = self._server()
        if self.faults.last_end_ms:
            self.spawn(self._outlast_faults(), name="faults")
        self.ai = Ai(self)
        self.whatsapp = WhatsApp(self)

    def _server(self) -> StoreServer | SimulatedRedis:
        """Make the Redis server that the settings name."""
        if self.settings.engine == "fakeredis":
            return SimulatedRedis(
                self.loop, epoch_ms=self.epoch_ms, latency=self._latency, stream=self.random
            )
        options: dict[str, Any] = {
            "clock_us": self._clock_us,
            "latency": self._latency,
            "stream": self.random,
        }
        if not self.faults.has(*OF_NETWORK, *OF_SERVER):
            return StoreServer(self.loop, **options)
        return FaultyServer(
            self.loop,
            **options,
            faults=self.faults,
            took_step=self._step,
            lost_writes=self._redis_lost_writes,
        )

    def _step(self) -> None:
        self.took_step()

    def _redis_lost_writes(self) -> None:
        self.incidents.append((self.now_ms(), "redis_lost_writes"))
        self.lost_writes()

    def _clock_us(self) -> int:
        return self.epoch_ms * 1000 + round(self.env.now * 1000)

    def now_ms(self) -> int:
        """Return simulated time in whole milliseconds, on the scale of `Arrival.at_ms`.

        Equal times are one object, since the ledger keeps seven of them for each message.
        """
        now_ms = round(self.env.now)
        if now_ms != self._now_ms:
            self._now_ms = now_ms
        return self._now_ms

    def random(self, purpose: str) -> Random:
        """Make a random stream of this system: equal for equal (seed, recording, run, system, purpose)."""
        return stream(self._seed, self.recording.name, f"system {self._system}", purpose)

    def shared_random(self, purpose: str) -> Random:
        """Make a random stream that is equal for every system: for equal (seed, recording, run, purpose)."""
        return stream(self._seed, self.recording.name, purpose)

    def shared_draw(self, *purpose: str | int) -> float:
        """Draw a number above 0 and below 1 that is equal for every system.

        It depends on seed, recording, run and purpose.
        """
        return share(self._seed, self.recording.name, *purpose)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Start a foreground activity: the run is not at rest while it lives.

        An exception in it fails the run. A simulated fault does not: only a caller that awaits the task gets it.
        """
        task = self.loop.create_task(coroutine, name=name)
        self._activities[task] = None
        self._quiet.clear()
        task.add_done_callback(self._activity_ended, context=self.loop.outside)
        return task

    def spawn_daemon(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Start a poller or worker: it does not keep the run alive and is cancelled at its end.

        An exception in it fails the run.
        """
        task = self.loop.create_task(coroutine, name=name)
        self._daemons[task] = None
        task.add_done_callback(self._daemon_ended, context=self.loop.outside)
        return task

    def rest_redis(self) -> RestRedis:
        """Make a client that reaches Redis over HTTP; every call costs one sampled round trip."""
        self._rest_clients += 1
        return self.redis.rest(str(self._rest_clients))

    async def http_call(self, handler: Callable[[], Awaitable[None]]) -> None:
        """Make an HTTP request of the bot to itself, which runs the handler after half a round trip, as an activity.

        A caller that is cancelled does not stop the handler. Raises HttpError when the fault `http-fails` strikes
        (the handler never runs) or when the handler ended with a simulated fault (status 500).
        """
        half_s = self._latency.sample_ms(self._http_stream) / 2000
        await asyncio.sleep(half_s)
        if self.fault("http-fails"):
            raise HttpError("the HTTP call of the bot to itself failed")
        try:
            await asyncio.shield(self.spawn(_await(handler), name="http handler"))
        except (SimulatedFault, *REDIS_AWAY) as error:
            raise HttpError(f"the handler answered 500: {error}") from error
        await asyncio.sleep(half_s)

    def fault(self, name: FaultName) -> bool:
        """Return True if this fault strikes now. Each call takes a draw from the stream of its rate."""
        return self.faults.strikes(name)

    def forget(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Forget activities and daemons of a process that has died: they never end."""
        for task in tasks:
            self._activities.pop(task, None)
            self._daemons.pop(task, None)
        if not self._activities:
            self._quiet.set()

    def log(self, event: str, **fields: int | str) -> None:
        """Write a line to the run's log, with the event and fields of the system's real log."""
        self.log_lines.append({"at_ms": self.now_ms(), "event": event, **fields})

    async def quiet(self) -> None:
        """Return once no foreground activity is alive."""
        while self._activities:
            await self._quiet.wait()

    async def failure(self) -> None:
        """Wait for an activity or daemon to fail, and raise its exception. Never returns otherwise."""
        await asyncio.shield(self._failed)  # a caller that is cancelled must not cancel it for others

    async def cancel_daemons(self) -> None:
        """Cancel every daemon and activity, and wait until they have ended."""
        tasks = [*self._activities, *self._daemons]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _outlast_faults(self) -> None:
        """Keep the run from coming to rest before all faults have struck."""
        await asyncio.sleep((self.faults.last_end_ms + AWAY_MS) / 1000)

    @cached_property
    def _http_stream(self) -> Random:
        return self.random("http")

    def _activity_ended(self, task: asyncio.Task[Any]) -> None:
        self._activities.pop(task, None)
        if not self._activities:
            self._quiet.set()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, (SimulatedFault, *REDIS_AWAY)):
            self._fail(error)

    def _daemon_ended(self, task: asyncio.Task[Any]) -> None:
        self._daemons.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)


class ChannelError(SimulatedFault):
    """A send that the send API refused (fault `channel-fails`): the user got nothing."""

    reason = "channel_failed"


class ProcessDiedError(SimulatedFault):
    """A webhook whose process was dead, or died before it answered."""

    reason = "process_died"


def _nothing() -> None:
    """Do nothing."""


class Ai:
    """The AI backend: answers after a sampled service time. Any number of calls run side by side."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._service_time = parse_distribution(world.settings.ai)
        self._calls_of: Counter[Conversation] = Counter()
        self.calls = 0

    async def answer(self, conversation: Conversation, ids: Sequence[str], text: str) -> str:
        """Reply to the messages. Raises AiError when the fault `ai-fails` strikes, after the service time."""
        world = self._world
        world.took_step()
        self.calls += 1
        service_ms = self.next_service_ms(conversation, ids)
        if world.fault("ai-slow"):
            service_ms *= AI_SLOWER
        fails = world.fault("ai-fails")
        asked_at_ms = world.now_ms()
        try:
            await asyncio.sleep((service_ms + world.settings.ai_delay_ms) / 1000)
        finally:
            world.ledger.asked(conversation, ids, asked_at_ms)
        if fails:
            raise AiError("the AI answered with an error")
        return f"Reply to {', '.join(ids)}"

    def next_service_ms(self, conversation: Conversation, ids: Sequence[str]) -> float:
        """Draw the service time: for the n-th call of a conversation, or for a turn by its first message.

        All that is kept of a conversation is a count: a random stream would take 2.5 KB.
        """
        world = self._world
        if world.settings.ai_by_turn:
            return self._service_time.quantile_ms(share(world.settings.seed, AI_DRAW, ids[0]))
        self._calls_of[conversation] += 1
        drawn = world.shared_draw(AI_DRAW, *conversation, self._calls_of[conversation])
        return round(self._service_time.quantile_ms(drawn), 3)


class WhatsApp:
    """The send API. The user sees a reply half a round trip after it is sent."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._latency = parse_distribution(world.settings.redis_latency)
        self._stream = world.random("whatsapp")

    async def send(self, conversation: Conversation, ids: Sequence[str], text: str) -> None:
        """Send a reply to these messages. It arrives even when the sender is cancelled meanwhile.

        Raises ChannelError when the fault `channel-fails` strikes.
        """
        world = self._world
        world.took_step()
        half_s = self._latency.sample_ms(self._stream) / 2000
        if world.fault("channel-fails"):
            await asyncio.sleep(2 * half_s)
            raise ChannelError("the send API refused the reply")
        loop = world.loop
        loop.at(loop.time() + half_s, lambda _: world.ledger.answered(conversation, ids), None)
        await asyncio.sleep(2 * half_s)


async def _await(handler: Callable[[], Awaitable[None]]) -> None:
    await handler()


async def result_or_failure(work: Awaitable[Any], world: World) -> Any:
    """Wait for the work, or raise as soon as an activity or daemon of the world fails."""
    task = asyncio.ensure_future(work)
    watchdog = asyncio.ensure_future(world.failure())
    try:
        await asyncio.wait([task, watchdog], return_when=asyncio.FIRST_COMPLETED)
        if watchdog.done():
            watchdog.result()
        return task.result() if task.done() else await task
    finally:
        task.cancel()
        watchdog.cancel()
        await asyncio.gather(task, watchdog, return_exceptions=True)
