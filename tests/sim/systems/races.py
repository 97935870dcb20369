"""The races of the old systems as data: arrivals, and the messages that each system loses.

Times are exact: latencies and service times are constant, faults strike by number, and the scheduler of the lists
ticks at 0, 3000, 6000 ms, ... So each interleaving is certain. A Redis call started at t is executed at
t + latency / 2 and returns at t + latency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from queue_core.recording.format import Arrival, Recording
from reports.results.causes import CauseCode
from reports.results.faults import FaultName
from reports.results.replay import Run
from sim.engine.distributions import Distribution
from sim.engine.settings import SimSettings
from sim.engine.world import World
from sim.faults import Fault
from sim.replay import replay
from sim.systems import System, all_systems
from sim.systems._buffer import BufferSystem
from sim.systems._list import ListSystem

V1, V2, LIST_V1, LIST_V2, QUEUE = "buffer-v1", "buffer-v2", "list-v1", "list-v2", "queue"

OVERWRITTEN: CauseCode = "overwritten_by_webhook"
MARK_OVERWROTE: CauseCode = "overwritten_by_mark"
MARKED: CauseCode = "marked_unread"
NO_TIMER: CauseCode = "written_back_unread"
TIMER_DIED: CauseCode = "timer_died"
EXPIRED: CauseCode = "buffer_expired"
CALL_FAILED: CauseCode = "calls_failed"
AI_FAILED: CauseCode = "ai_failed"
DROPPED: CauseCode = "dropped_unread"
LIST_EXPIRED: CauseCode = "list_expired"


@dataclass(frozen=True, slots=True)
class Race:
    """A scenario. `loses` names the old systems to test, with the lost messages and the cause of each loss.

    `ai` are the service times of calls, in order; the last one is repeated. `strikes` lists for a fault whether it
    strikes at its first occasion, its second, and so on; `rates` is for faults that always strike. `slow_calls` are
    round trips in ms of an old system's calls of Redis, by the number of the call, from 1. For systems of the market:
    `doubles` and `dead` are the messages that are answered twice and dead-lettered, and `options` are the system's
    settings.
    """

    name: str
    arrivals: tuple[Arrival, ...]
    loses: Mapping[str, Mapping[str, CauseCode]]
    reorders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ai: tuple[str, ...] = ("7s",)
    latency: str = "100ms"
    strikes: Mapping[FaultName, tuple[bool, ...]] = field(default_factory=dict)
    rates: Mapping[FaultName, float] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    slow_calls: Mapping[int, float] = field(default_factory=dict)
    doubles: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


def said(*messages: tuple[int, str], instance: str = "bot", phone: str = "1") -> tuple[Arrival, ...]:
    """Make the messages of one user, given as (time in ms, id)."""
    return tuple(
        Arrival(at_ms, instance, phone, name, f"text of {name}", "text", at_ms) for at_ms, name in messages
    )


def recording_of(name: str, arrivals: Iterable[Arrival]) -> Recording:
    """Make a recording of these messages, without expectations or settings."""
    return Recording(
        name=name,
        title=name,
        source="made up",
        notes="",
        epoch_ms=1_767_225_600_000,
        arrivals=tuple(sorted(arrivals, key=lambda arrival: arrival.at_ms)),
        settings={},
        expect={},
        skipped=(),
    )


def play(race: Race, system: str, prepare: Callable[[System], None] | None = None) -> Run:
    """Replay the scenario against a system; `prepare` may change the system before it starts."""
    rates = dict(race.rates) | dict.fromkeys(race.strikes, 0.5)
    settings = SimSettings(
        ai=f"constant:{race.ai[0]}",
        redis_latency=f"constant:{race.latency}",
        faults=tuple(Fault(name, rate=rate) for name, rate in rates.items()) + race.faults,
        seed=1,
        of_systems={system: race.options} if system != QUEUE else {},
    )
    system_class: Any = all_systems()[system]

    def start(self: System, world: World) -> None:
        _stage(world, race)
        system_class.__init__(self, world)
        if isinstance(self, BufferSystem):
            self.redis._round_trip_ms = _with_slow_calls(self.redis._round_trip_ms, race.slow_calls)
        if isinstance(self, ListSystem):
            self.poll_offset_ms = 0
        if prepare is not None:
            prepare(self)

    staged: Any = type("Staged", (system_class,), {"__init__": start})
    return replay(recording_of(race.name, race.arrivals), staged, settings)


def _with_slow_calls(usual_ms: Callable[[], float], slow_calls: Mapping[int, float]) -> Callable[[], float]:
    numbers = count(1)
    return lambda: slow_calls.get(next(numbers), usual_ms())


class _ByNumber(Random):
    """A stream for a fault of rate 0.5 that strikes at chosen occasions and never after them."""

    def __init__(self, strikes: tuple[bool, ...]) -> None:
        super().__init__(0)
        self._strikes = list(strikes)

    def random(self) -> float:
        return 0.0 if self._strikes and self._strikes.pop(0) else 0.99


class _OneAfterAnother(Distribution):
    """Service times in a given order; the last one is repeated."""

    def __init__(self, times_ms: list[float]) -> None:
        self._times_ms = times_ms

    def quantile_ms(self, share: float) -> float:
        return self._times_ms.pop(0) if len(self._times_ms) > 1 else self._times_ms[0]


def _stage(world: World, race: Race) -> None:
    world.ai._service_time = _OneAfterAnother([float(time.removesuffix("s")) * 1000 for time in race.ai])
    for fault, strikes in race.strikes.items():
        world.faults.streams[fault] = _ByNumber(strikes)


RACES: tuple[Race, ...] = (
    Race(
        name="a message while the AI is working",
        arrivals=said((0, "m1"), (3100, "m2"), (6649, "m3"), (10976, "m4"), (13200, "m5")),
        loses={V1: {"m4": MARKED, "m5": MARKED}, V2: {"m4": MARKED, "m5": MARKED}, LIST_V1: {}, LIST_V2: {}},
    ),
    Race(
        name="two webhooks at once: both read, the later write wins",
        arrivals=said((0, "m1"), (3000, "m2"), (3050, "m3")),
        loses={V1: {"m2": OVERWRITTEN}, V2: {}, LIST_V1: {}, LIST_V2: {}},
    ),
    Race(
        name="two first messages at once: both create a buffer",
        arrivals=said((0, "m1"), (50, "m2")),
        loses={V1: {"m1": OVERWRITTEN}, V2: {}, LIST_V1: {}, LIST_V2: {}},
    ),
    # m3 gets the lock at its third try; m4's three tries fail, it goes on and reads before m3 writes.
    Race(
        name="three webhooks at once: the third gives up on the lock and goes on",
        arrivals=said((0, "m1"), (3000, "m2"), (3010, "m3"), (3020, "m4")),
        loses={V1: {"m2": OVERWRITTEN, "m3": OVERWRITTEN}, V2: {"m3": OVERWRITTEN}},
    ),
    # m1's write takes 6 s, so its lock (3 s) has run out when its DEL at 6250 deletes the lock that m2 took at 6180. m3
    # takes it at 6255 and reads at 6355, before m2 writes at 6380.
    Race(
        name="a plain DEL deletes somebody else's lock",
        arrivals=said((0, "m1"), (6130, "m2"), (6205, "m3")),
        slow_calls={3: 6000.0},
        loses={V2: {"m2": OVERWRITTEN}},
    ),
    # The mark reads at 15500 and writes at 15600; m3 writes at 15550.
    Race(
        name="the processor's write-back overwrites a message",
        arrivals=said((0, "m1"), (10000, "m2"), (15400, "m3")),
        loses={V1: {"m2": MARKED, "m3": MARK_OVERWROTE}},
    ),
    # m3 reads at 15550, the mark writes at 15600, m3 writes at 15650.
    Race(
        name="a webhook writes a finished buffer back as unprocessed",
        arrivals=said((0, "m1"), (10000, "m2"), (15500, "m3")),
        loses={V1: {"m2": MARKED, "m3": NO_TIMER}},
    ),
    # m2 holds the lock from 15650 to 15950, so the mark gives up at 15900 and goes on: it reads at 16000 and writes at
    # 16100. m3, with the lock, reads at 16060 and writes at 16160.
    Race(
        name="the processor gives up on the lock and goes on",
        arrivals=said((0, "m1"), (15600, "m2"), (15910, "m3")),
        loses={V2: {"m2": MARKED, "m3": NO_TIMER}},
    ),
    Race(
        name="the timer of a new buffer dies",
        arrivals=said((0, "m1"), (20000, "m2"), (21000, "m3")),
        strikes={"timer-dies": (False, True)},
        loses={
            V1: {"m2": TIMER_DIED, "m3": TIMER_DIED},
            V2: {"m2": TIMER_DIED, "m3": TIMER_DIED},
            LIST_V1: {},
        },
    ),
    # The write-back happens to m2's buffer: its cause must not be the dead timer of m1's buffer.
    Race(
        name="after a dead timer, a webhook writes a finished buffer back as unprocessed",
        arrivals=said((0, "m1"), (20000, "m2"), (30000, "m3"), (35500, "m4")),
        strikes={"timer-dies": (True,)},
        loses={V1: {"m1": TIMER_DIED, "m3": MARKED, "m4": NO_TIMER}},
    ),
    # The buffer dies at 25150, 15 s after m2 was written; the mark comes at 28500 and finds none.
    Race(
        name="a buffer expires during a long AI call",
        arrivals=said((0, "m1"), (10000, "m2")),
        ai=("20s",),
        loses={V1: {"m2": EXPIRED}, V2: {"m2": MARKED}, LIST_V1: {}, LIST_V2: {}},
    ),
    Race(
        name="the legacy buffer's processor marks its successor",
        arrivals=said((0, "m1"), (22000, "m2")),
        ai=("20s",),
        loses={V1: {"m2": MARKED}},
    ),
    # m2 waits 200 ms, from 8120 to 8320; the buffer is marked at 8300.
    Race(
        name="the grace window helps when the AI is done within it",
        arrivals=said((0, "m1"), (8100, "m2")),
        ai=("0.1s",),
        latency="10ms",
        loses={V1: {"m2": MARKED}, V2: {}},
    ),
    Race(
        name="the grace window does not help against an AI of seconds",
        arrivals=said((0, "m1"), (8100, "m2")),
        latency="10ms",
        loses={V1: {"m2": MARKED}, V2: {"m2": MARKED}},
    ),
    Race(
        name="after the grace window nothing has changed",
        arrivals=said((0, "m1"), (8600, "m2")),
        ai=("1s",),
        latency="10ms",
        loses={V1: {"m2": MARKED}, V2: {"m2": MARKED}},
    ),
    Race(
        name="the AI fails once",
        arrivals=said((0, "m1"), (1000, "m2")),
        strikes={"ai-fails": (True,)},
        loses={
            V1: {"m1": AI_FAILED, "m2": AI_FAILED},
            V2: {"m1": AI_FAILED, "m2": AI_FAILED},
            LIST_V1: {"m1": AI_FAILED, "m2": AI_FAILED},
            LIST_V2: {"m1": AI_FAILED, "m2": AI_FAILED},
        },
    ),
    Race(
        name="one HTTP call of the bot to itself fails",
        arrivals=said((0, "m1"), (1000, "m2")),
        strikes={"http-fails": (True,)},
        loses={V1: {"m1": CALL_FAILED, "m2": CALL_FAILED}, V2: {}, LIST_V1: {}, LIST_V2: {}},
    ),
    Race(
        name="a retry of the HTTP call is a timer too, and dies",
        arrivals=said((0, "m1")),
        strikes={"http-fails": (True, True), "timer-dies": (False, False, True)},
        loses={V2: {"m1": TIMER_DIED}},
    ),
    Race(
        name="every HTTP call of the bot to itself fails",
        arrivals=said((0, "m1")),
        rates={"http-fails": 1.0},
        loses={
            V1: {"m1": CALL_FAILED},
            V2: {"m1": CALL_FAILED},
            LIST_V1: {"m1": LIST_EXPIRED},
            LIST_V2: {"m1": LIST_EXPIRED},
        },
    ),
    # The pass of 9000 reads the list at 9300. list-v1 rewrites it at 9400; list-v2 reads it again then.
    Race(
        name="a message between the read and mark-as-processing",
        arrivals=said((500, "m1"), (9300, "m2")),
        loses={LIST_V1: {"m2": DROPPED}, LIST_V2: {}},
    ),
    # list-v2 reads the list again at 9400 and rewrites it at 9500: the race is as wide as one round trip.
    Race(
        name="a message between the second read and mark-as-processing",
        arrivals=said((500, "m1"), (9400, "m2")),
        loses={LIST_V1: {}, LIST_V2: {"m2": DROPPED}},
    ),
    # Mark-as-completed reads at 11600 and rewrites at 11700; list-v2 is 100 ms behind.
    Race(
        name="a message between the read and mark-as-completed",
        arrivals=said((500, "m1"), (11600, "m2")),
        ai=("2s",),
        loses={LIST_V1: {"m2": DROPPED}, LIST_V2: {}},
    ),
    Race(
        name="a message between the read and mark-as-completed, 100 ms later",
        arrivals=said((500, "m1"), (11700, "m2")),
        ai=("2s",),
        loses={LIST_V1: {}, LIST_V2: {"m2": DROPPED}},
    ),
    Race(
        name="two messages in one millisecond come out reversed",
        arrivals=said((500, "m1"), (500, "m2")),
        loses={LIST_V1: {}, LIST_V2: {}},
        reorders={LIST_V1: ("m1",), LIST_V2: ("m1",)},
    ),
    # m2's processor starts at 72000, when the lock of m1's has run out; its AI is quicker.
    Race(
        name="a lock that nobody renews runs out during the AI call",
        arrivals=said((500, "m1"), (20000, "m2")),
        ai=("70s", "1s"),
        loses={LIST_V1: {}, LIST_V2: {}},
        reorders={LIST_V1: ("m1",), LIST_V2: ("m1",)},
    ),
)
