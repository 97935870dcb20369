"""Schedule: all messages of a scenario and their times, drawn before the load begins.

The model is open: the schedule does not wait for answers. Equal options and seed give equal arrivals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from random import Random

from loadtests.scenarios import Scenario
from queue_core.recording.format import Recording
from queue_core.recording.reader import RecordingError, load
from sim.synthetic.day import MESSAGES_MAX, SyntheticSettings, synthesize

WARM_UP_S = 300.0
"""Time at the start of drawn bursts that is not sent: turns begin in it, and none from before goes on, so it has too
few messages. Few turns are longer."""
STORM_USERS = 8
STORM_MESSAGES = 100
STORM_S = 10.0
AT_ONCE_S = 1.0
"""Time within which all users of a storm write."""
RAMP_STEPS = 8
RAMP_FACTOR = 1.5
RECORDING_NEEDED = "the scenario recorded needs a recording: add --recording FILE.jsonl"
TEXTS = ("مرحبا", "كم السعر؟", "hello", "are you open today?", "طيب", "شكرا ⭐", "until when?", "وين موقعكم")


class ScheduleError(Exception):
    """Raised for a scenario that cannot be drawn; the message says why."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Message of a user. `at_s` counts from the start of the load."""

    at_s: float
    user: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Description of the messages to draw. `rate` is in messages a minute."""

    scenario: Scenario = "bursts"
    rate: float = 600.0
    duration_s: float = 60.0
    seed: int = 1
    users: int = 0
    """Users of a storm with one message each; 0: STORM_USERS with STORM_MESSAGES in all."""
    recording: Path | None = None
    speed: float = 1.0
    """Factor by which a recording is sent faster."""


@dataclass(frozen=True, slots=True)
class Step:
    """Part of a ramp, in seconds from the start of the load. `rate` is in messages a minute."""

    from_s: float
    to_s: float
    rate: float


def arrivals_of(plan: Plan) -> list[Arrival]:
    """Draw all arrivals, in order of time. Raises ScheduleError."""
    rng = Random(f"{plan.seed}:{plan.scenario}")
    drawn: Iterable[Arrival]
    match plan.scenario:
        case "steady":
            _require_size(plan.rate * plan.duration_s / 60)
            drawn = _poisson(0, plan.duration_s, plan.rate, rng)
        case "ramp":
            _require_size(sum(step.rate * (step.to_s - step.from_s) / 60 for step in steps_of(plan)))
            drawn = chain.from_iterable(
                _poisson(step.from_s, step.to_s, step.rate, rng) for step in steps_of(plan)
            )
        case "storm":
            _require_size(plan.users)
            drawn = _storm(plan.users, rng)
        case "recorded":
            drawn = _recorded(plan)
        case "bursts" | "soak":
            drawn = _bursts(plan)
    arrivals = sorted(drawn, key=lambda arrival: arrival.at_s)
    if not arrivals:
        raise ScheduleError("the schedule has no messages: raise --rate or --duration")
    return arrivals


def steps_of(plan: Plan) -> list[Step]:
    """Return the steps of a ramp: the first at `rate`, each RAMP_FACTOR times as fast as the step before."""
    length_s = plan.duration_s / RAMP_STEPS
    return [
        Step(number * length_s, (number + 1) * length_s, plan.rate * RAMP_FACTOR**number)
        for number in range(RAMP_STEPS)
    ]


def _require_size(messages: float) -> None:
    if messages > MESSAGES_MAX:
        raise ScheduleError(
            f"the schedule would have {messages:,.0f} messages; it takes {MESSAGES_MAX:,} at most"
        )


def _poisson(from_s: float, to_s: float, rate: float, rng: Random) -> Iterator[Arrival]:
    """Yield single messages, each of a new user."""
    if rate <= 0:
        raise ScheduleError(f"--rate: must be more than 0 messages a minute, not {rate:g}")
    at_s, number = from_s, 0
    while (at_s := at_s + rng.expovariate(rate / 60)) < to_s:
        number += 1
        yield _arrival(at_s, f"{int(from_s * 1000)}{number:07}", rng)


def _storm(users: int, rng: Random) -> Iterator[Arrival]:
    if users:
        for number in range(users):
            yield _arrival(rng.uniform(0, AT_ONCE_S), f"1{number:07}", rng)
        return
    for _ in range(STORM_MESSAGES):
        yield _arrival(rng.uniform(0, STORM_S), f"2{rng.randrange(STORM_USERS):07}", rng)


def _arrival(at_s: float, user: str, rng: Random) -> Arrival:
    return Arrival(at_s, user, rng.choice(TEXTS))


def _bursts(plan: Plan) -> Iterator[Arrival]:
    """Yield messages of the simulator's synthetic day, whose turns are like those of real chats."""
    total_s = WARM_UP_S + plan.duration_s
    messages = round(plan.rate / 60 * total_s)
    if not 0 < messages <= MESSAGES_MAX:
        raise ScheduleError(
            f"--rate and --duration make {messages:,} messages, {WARM_UP_S:.0f} s of warm-up included; "
            f"the scenario takes 1 to {MESSAGES_MAX:,}"
        )
    settings = SyntheticSettings(
        messages=messages, hours=total_s / 3600, seed=plan.seed, language="mixed", redeliveries=0
    )
    for arrival in _arrivals(synthesize(settings)):
        if WARM_UP_S <= arrival.at_s < total_s:
            yield replace(arrival, at_s=arrival.at_s - WARM_UP_S)


def _recorded(plan: Plan) -> Iterator[Arrival]:
    if plan.recording is None:
        raise ScheduleError(RECORDING_NEEDED)
    if plan.speed <= 0:
        raise ScheduleError(f"--speed: must be more than 0, not {plan.speed:g}")
    try:
        (recording,) = load([plan.recording])
    except RecordingError as error:
        raise ScheduleError(str(error)) from None
    for arrival in _arrivals(recording):
        yield replace(arrival, at_s=arrival.at_s / plan.speed)


def _arrivals(recording: Recording) -> Iterator[Arrival]:
    """Yield each message once, without repeated deliveries; times count from the first message."""
    first_ms = recording.arrivals[0].at_ms
    seen: set[tuple[str, str, str]] = set()
    for delivery in recording.arrivals:
        key = (delivery.instance, delivery.phone, delivery.id)
        if key not in seen:
            seen.add(key)
            user = f"{delivery.instance}/{delivery.phone}"
            text = delivery.text or f"[{delivery.kind}]"  # media, or a recording without texts
            yield Arrival((delivery.at_ms - first_ms) / 1000, user, text)
