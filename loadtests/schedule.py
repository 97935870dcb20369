"""Who writes what, and when: every arrival of a scenario, drawn before the load begins.

An open model: the schedule does not wait for answers. Equal options and seed give equal arrivals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Literal

from queue_core.recording.format import Recording
from queue_core.recording.reader import RecordingError, load
from sim.synthetic.day import MESSAGES_MAX, SyntheticSettings, synthesize

Scenario = Literal["steady", "bursts", "recorded", "storm", "ramp", "soak"]
SCENARIOS: tuple[Scenario, ...] = ("steady", "bursts", "recorded", "storm", "ramp", "soak")

WARM_UP_S = 300.0
"""Turns last up to so long: bursts are taken from the middle of a stream that has run for that time."""
STORM_USERS = 8
STORM_MESSAGES = 100
STORM_S = 10.0
AT_ONCE_S = 1.0
"""Everybody at once is everybody within this."""
RAMP_STEPS = 8
RAMP_FACTOR = 1.5
TEXTS = ("مرحبا", "كم السعر؟", "hello", "are you open today?", "طيب", "شكرا ⭐", "until when?", "وين موقعكم")


class ScheduleError(Exception):
    """The scenario cannot be drawn; says why."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message of a user. `at_s` counts from the start of the load."""

    at_s: float
    user: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Arrivals to draw. `rate` is messages a minute."""

    scenario: Scenario = "bursts"
    rate: float = 600.0
    duration_s: float = 60.0
    seed: int = 1
    users: int = 0
    """storm: so many users write one message each, within a second; 0: 100 messages in 10 s from 8 users."""
    recording: Path | None = None
    speed: float = 1.0
    """recorded: so many times as fast."""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a ramp: from when, until when (seconds), at how many messages a minute."""

    from_s: float
    to_s: float
    rate: float


def arrivals_of(plan: Plan) -> list[Arrival]:
    """All arrivals, in order of time. Raises ScheduleError."""
    rng = Random(f"{plan.seed}:{plan.scenario}")
    drawn: Iterable[Arrival]
    match plan.scenario:
        case "steady":
            drawn = _poisson(0, plan.duration_s, plan.rate, rng)
        case "ramp":
            drawn = (
                one for step in steps_of(plan) for one in _poisson(step.from_s, step.to_s, step.rate, rng)
            )
        case "storm":
            drawn = _storm(plan.users, rng)
        case "recorded":
            drawn = _recorded(plan)
        case _:  # bursts, and soak: for as long as it takes
            drawn = _bursts(plan)
    arrivals = sorted(drawn, key=lambda arrival: arrival.at_s)
    if not arrivals:
        raise ScheduleError("the scenario has no message: raise the rate or the duration")
    return arrivals


def steps_of(plan: Plan) -> list[Step]:
    """The steps of a ramp: each half as fast again as the one before, the first at `rate`."""
    length_s = plan.duration_s / RAMP_STEPS
    return [
        Step(number * length_s, (number + 1) * length_s, plan.rate * RAMP_FACTOR**number)
        for number in range(RAMP_STEPS)
    ]


def _poisson(from_s: float, to_s: float, rate: float, rng: Random) -> Iterator[Arrival]:
    """Single messages, each of a user who has not written before."""
    if rate <= 0:
        raise ScheduleError(f"the rate is {rate:g}, must be over 0 messages a minute")
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
    """Turns as people write them, from the simulator's synthetic day, whose figures were measured on real chats."""
    total_s = WARM_UP_S + plan.duration_s
    messages = round(plan.rate / 60 * total_s)
    if not 0 < messages <= MESSAGES_MAX:
        raise ScheduleError(f"{messages} messages would have to be drawn, must be from 1 to {MESSAGES_MAX}")
    settings = SyntheticSettings(
        messages=messages, hours=total_s / 3600, seed=plan.seed, language="mixed", redeliveries=0
    )
    for arrival in _arrivals(synthesize(settings)):
        if WARM_UP_S <= arrival.at_s < total_s:
            yield replace(arrival, at_s=arrival.at_s - WARM_UP_S)


def _recorded(plan: Plan) -> Iterator[Arrival]:
    if plan.recording is None:
        raise ScheduleError("the scenario `recorded` needs --recording FILE.jsonl")
    if plan.speed <= 0:
        raise ScheduleError(f"the speed is {plan.speed:g}, must be over 0")
    try:
        (recording,) = load([plan.recording])
    except RecordingError as error:
        raise ScheduleError(str(error)) from None
    for arrival in _arrivals(recording):
        yield replace(arrival, at_s=arrival.at_s / plan.speed)


def _arrivals(recording: Recording) -> Iterator[Arrival]:
    """Yield each message once, whenever the provider delivered it again; times count from the first."""
    first_ms = recording.arrivals[0].at_ms
    seen: set[tuple[str, str, str]] = set()
    for delivery in recording.arrivals:
        key = (delivery.instance, delivery.phone, delivery.id)
        if key not in seen:
            seen.add(key)
            user = f"{delivery.instance}/{delivery.phone}"
            yield Arrival((delivery.at_ms - first_ms) / 1000, user, delivery.text)
