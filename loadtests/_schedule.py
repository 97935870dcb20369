"""Who writes what, and when: every arrival of a scenario, drawn before the load begins.

An open model: the schedule does not wait for answers. The same options and seed give the same arrivals.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Literal

Scenario = Literal["steady", "bursts", "recorded", "storm", "ramp", "soak"]
SCENARIOS: tuple[Scenario, ...] = ("steady", "bursts", "recorded", "storm", "ramp", "soak")

WARM_UP_S = 300.0
"""Turns last up to so long: bursts are taken from the middle of a stream that has run for that time."""
ARRIVALS_MAX = 2_000_000
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
    """One message of one user. `at_s` counts from the start of the load."""

    at_s: float
    phone: str
    id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to draw. `rate` is messages a minute."""

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
        yield _arrival(at_s, f"{int(from_s * 1000)}{number:07}", f"s{from_s:g}-{number}", rng)


def _storm(users: int, rng: Random) -> Iterator[Arrival]:
    if users:
        for number in range(users):
            yield _arrival(rng.uniform(0, AT_ONCE_S), f"1{number:07}", f"u{number}", rng)
        return
    for number in range(STORM_MESSAGES):
        yield _arrival(rng.uniform(0, STORM_S), f"2{rng.randrange(STORM_USERS):07}", f"m{number}", rng)


def _arrival(at_s: float, user: str, message_id: str, rng: Random) -> Arrival:
    return Arrival(at_s, f"999{user}", message_id, rng.choice(TEXTS))


def _bursts(plan: Plan) -> Iterator[Arrival]:
    """Turns as people write them, from `sim synth`, whose figures were measured on real chats."""
    total_s = WARM_UP_S + plan.duration_s
    messages = round(plan.rate / 60 * total_s)
    if not 0 < messages <= ARRIVALS_MAX:
        raise ScheduleError(f"{messages} messages would have to be drawn, must be from 1 to {ARRIVALS_MAX}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bursts.jsonl"
        command = [
            sys.executable,
            "-m",
            "sim",
            "synth",
            "--messages",
            str(messages),
            "--hours",
            f"{total_s / 3600:.9f}",
        ]
        command += ["--seed", str(plan.seed), "--redeliveries", "0", "--lang", "mixed", "-o", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
        if done.returncode:
            raise ScheduleError(
                f"the bursts could not be drawn: {done.stderr.strip() or done.stdout.strip()}"
            )
        for arrival in read_recording(path):
            if WARM_UP_S <= arrival.at_s < total_s:
                yield Arrival(arrival.at_s - WARM_UP_S, arrival.phone, arrival.id, arrival.text)


def _recorded(plan: Plan) -> Iterator[Arrival]:
    if plan.recording is None:
        raise ScheduleError("the scenario `recorded` needs --recording FILE.jsonl")
    if plan.speed <= 0:
        raise ScheduleError(f"the speed is {plan.speed:g}, must be over 0")
    for arrival in read_recording(plan.recording):
        yield Arrival(arrival.at_s / plan.speed, arrival.phone, arrival.id, arrival.text)


def read_recording(path: Path) -> list[Arrival]:
    """The messages of a recording (logs/README.md), each id once a conversation. Raises ScheduleError."""
    found: dict[tuple[str, str, str], Arrival] = {}
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                event = _event(line, path, number)
                if event.get("event") == "message":
                    phone = f"{event['instance']}/{event['phone']}"
                    arrival = Arrival(
                        _seconds(event["at"]), phone, str(event["id"]), str(event.get("text", ""))
                    )
                    found.setdefault((event["instance"], event["phone"], arrival.id), arrival)
    except (OSError, UnicodeDecodeError) as error:
        raise ScheduleError(f"{path} cannot be read: {error}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise ScheduleError(f"{path} is no recording: {error!r}; logs/README.md has the format") from None
    first_s = min((arrival.at_s for arrival in found.values()), default=0.0)
    return [Arrival(one.at_s - first_s, one.phone, one.id, one.text) for one in found.values()]


def _event(line: str, path: Path, number: int) -> dict[str, Any]:
    if not line.strip():
        return {}
    try:
        event = json.loads(line)
    except ValueError as error:
        raise ScheduleError(f"{path}:{number}: {error}") from None
    return event if isinstance(event, dict) else {}


def _seconds(at: Any) -> float:
    """From milliseconds, or an ISO time with its zone."""
    return datetime.fromisoformat(at).timestamp() if isinstance(at, str) else at / 1000
