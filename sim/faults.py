"""Faults, as they are typed for simulator and load tests: `redis-away@20s:5s`, `worker-dies@20s`, `ai-fails=0.1`.

One table says of each fault what it does, how it is written, and which tool can make it happen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from queue_core.durations import DAY_MS, DurationError, format_duration_ms, parse_duration_ms
from queue_core.text import suggestion
from reports.results.faults import FaultName

Tool: TypeAlias = Literal["sim", "load"]
Length: TypeAlias = Literal["none", "optional", "duration", "amount"]
"""Meaning of what follows the colon. An `amount` of time belongs to a fault that strikes at one moment."""

FAULTS_MAX = 100
AT_MS_MAX = 400 * DAY_MS
DURATION_MS_MAX = 3_600_000.0
AWAY_MS = 1_000.0
"""Time for which a process that died, or Redis, is away if the fault gives no duration."""


class FaultKind(NamedTuple):
    """A kind of fault: how it is written, what it does, and which tools can do it."""

    meaning: str
    length: Length | None
    """None for a fault that has a rate only."""
    has_rate: bool = False
    tools: Sequence[Tool] = ("sim",)
    group: str = ""
    """Faults of one group cannot overlap, nor can those of one name."""

    @property
    def spelling(self) -> str:
        """Return how the fault is written, after its name."""
        lengths = {"none": "@TIME", "optional": "@TIME[:DURATION]"}
        timed = "" if self.length is None else lengths.get(self.length, "@TIME:DURATION")
        return " or ".join(filter(None, [timed, "=RATE" if self.has_rate else ""]))


_BOTH: Sequence[Tool] = ("sim", "load")
OF_REDIS = "redis"
"""Group of the faults during which Redis does not do what it is asked."""

FAULTS: Mapping[FaultName, FaultKind] = MappingProxyType(
    {
        "requests-lost": FaultKind("requests never reach Redis", "duration", True),
        "answers-lost": FaultKind("Redis does what it is asked, and its answers are lost", "duration", True),
        "late-copies": FaultKind("a request is carried out once more, up to 20 s later", "duration", True),
        "connection-resets": FaultKind(
            "connections break, before or after Redis did what it was asked", "none", True
        ),
        "redis-away": FaultKind(
            "Redis is killed: connections are refused until it starts on its data",
            "duration",
            tools=_BOTH,
            group=OF_REDIS,
        ),
        "redis-hangs": FaultKind(
            "Redis stands still: it takes connections and requests, and answers afterwards",
            "duration",
            tools=_BOTH,
            group=OF_REDIS,
        ),
        "redis-restarts": FaultKind(
            "Redis is stopped in good order and started at once", "none", tools=_BOTH, group=OF_REDIS
        ),
        "redis-loses-writes": FaultKind(
            "Redis crashes and starts without the writes of the last DURATION", "amount", group=OF_REDIS
        ),
        "redis-fails-over": FaultKind(
            "a replica takes over that lacks the writes of the last DURATION", "amount", group=OF_REDIS
        ),
        "redis-readonly": FaultKind("Redis answers all writes with READONLY", "duration", group=OF_REDIS),
        "redis-full": FaultKind("Redis refuses writes that need memory", "duration", group=OF_REDIS),
        "scripts-abort": FaultKind(
            "a script ends with an error after some of its writes, which stay", "duration", True
        ),
        "clock-forward": FaultKind("Redis's clock is set forward by DURATION", "amount"),
        "clock-back": FaultKind("Redis's clock is set back by DURATION", "amount"),
        "process-restarts": FaultKind(
            "all processes of the bot die at once and start again: what they held in memory is gone",
            "optional",
        ),
        "worker-dies": FaultKind(
            "a worker is killed, at any of its steps, and started again; with @TIME, each time the next worker",
            "optional",
            True,
            tools=_BOTH,
        ),
        "worker-freezes": FaultKind("a worker stands still and goes on afterwards", "duration"),
        "worker-cut-off": FaultKind("a worker alone cannot reach Redis", "duration"),
        "web-dies": FaultKind(
            "the web process is killed and started again, at any of its steps", "optional", True
        ),
        "web-freezes": FaultKind("the web process stands still and goes on afterwards", "duration"),
        "web-cut-off": FaultKind("the web process alone cannot reach Redis", "duration"),
        "timer-dies": FaultKind(
            "a buffer's timer in memory dies silently, with its serverless function", "duration", True
        ),
        "http-fails": FaultKind(
            "an HTTP call of the bot to itself fails before it reaches its handler", "duration", True
        ),
        "ai-fails": FaultKind("the AI answers with an error after its time", "duration", True, tools=_BOTH),
        "ai-slow": FaultKind("the AI takes ten times as long", "duration", True),
        "channel-fails": FaultKind(
            "the send API refuses: the user gets nothing", "duration", True, tools=_BOTH
        ),
        "acknowledgements-lost": FaultKind(
            "the provider misses the webhook's answer, and delivers the message again", "duration", True
        ),
    }
)
"""All faults by name."""

OF_PROCESSES: Sequence[FaultName] = (
    "process-restarts",
    "worker-dies",
    "worker-freezes",
    "web-dies",
    "web-freezes",
)
"""Faults that stop the code of a process."""

OF_OUTSIDE: Sequence[FaultName] = (
    "timer-dies",
    "http-fails",
    "ai-fails",
    "ai-slow",
    "channel-fails",
    "acknowledgements-lost",
)
"""Faults of neither Redis nor processes, which every engine can do."""

RENAMED: Mapping[str, FaultName] = MappingProxyType(
    {
        "away": "redis-away",
        "hangs": "redis-hangs",
        "kill-worker": "worker-dies",
        "pause-redis": "redis-hangs",
        "stop-redis": "redis-away",
        "restart-redis": "redis-restarts",
        "ai-errors": "ai-fails",
        "channel-errors": "channel-fails",
    }
)
"""Names of earlier releases."""

_FAULT = re.compile(r"(?P<name>[^@:=]*)(?:@(?P<at>[^@:=]+)(?::(?P<length>[^@:=]+))?|=(?P<rate>[^@:=]+))")
_TOOLS: Mapping[Tool, str] = {"sim": "the simulator", "load": "the load test"}


class FaultError(ValueError):
    """Raised for a fault that cannot be read or carried out; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault to inject. `at_ms` counts from the start; `length_ms` is 0 where the fault gives no length.

    `rate` is the probability at each occasion; None for a fault at a time.
    """

    name: FaultName
    at_ms: float = 0.0
    length_ms: float = 0.0
    rate: float | None = None

    @property
    def lasts_ms(self) -> float:
        """Return for how long it goes on; 0 for a fault of one moment."""
        return self.length_ms if FAULTS[self.name].length in ("optional", "duration") else 0.0

    def __str__(self) -> str:
        if self.rate is not None:
            return f"{self.name}={self.rate:g}"
        length = f":{format_duration_ms(self.length_ms)}" if self.length_ms else ""
        return f"{self.name}@{format_duration_ms(self.at_ms)}{length}"


def parse_faults(texts: Iterable[str], tool: Tool) -> tuple[Fault, ...]:
    """Read faults, several in a text separated by commas. Those with a time are sorted by it. Raises FaultError."""
    parts = [part.strip() for text in texts for part in text.split(",")]
    if len(parts) > FAULTS_MAX:
        raise FaultError(f"there are {len(parts)} faults; {FAULTS_MAX} is the limit")
    faults = tuple(sorted((_parse(part, tool) for part in parts), key=lambda fault: fault.at_ms))
    check_overlaps(faults, tool)
    return faults


def check_overlaps(faults: Sequence[Fault], tool: Tool) -> None:
    """Refuse faults that cannot happen together. Raises FaultError."""
    restart_ms = AWAY_MS if tool == "sim" else 0.0  # a load test waits until Redis is back
    grouped: dict[str, list[Fault]] = {}
    for fault in faults:
        if fault.rate is None:
            grouped.setdefault(FAULTS[fault.name].group or fault.name, []).append(fault)
        elif any(other is not fault and other.name == fault.name for other in faults):
            raise FaultError(
                f"{fault}: {fault.name} is given more than once, and {fault} covers the whole run"
            )
    for group, members in grouped.items():
        for fault, later in pairwise(members):
            lasts = group == OF_REDIS or FAULTS[fault.name].length == "duration"
            lasts_ms = fault.lasts_ms or (restart_ms if group == OF_REDIS else 0.0)
            if lasts and later.at_ms <= fault.at_ms + lasts_ms:
                raise FaultError(f"{later} falls into {fault}: let it begin later")


def strikes_processes(faults: Iterable[Fault]) -> bool:
    """Return True if one of the faults stops the code of a process."""
    return any(fault.name in OF_PROCESSES for fault in faults)


def faults_in_words(tool: Tool) -> str:
    """Return a line for each fault that a tool can inject: its spelling and its meaning."""
    return "\n".join(
        f"  {name:<22}{kind.spelling}\n      {kind.meaning}" for name, kind in kinds_of(tool).items()
    )


def kinds_of(tool: Tool) -> dict[FaultName, FaultKind]:
    """Return the kinds of faults that a tool can inject. The load test has no rates, and restarts at once."""
    kinds = {name: kind for name, kind in FAULTS.items() if tool in kind.tools}
    if tool == "sim":
        return kinds
    return {
        name: kind._replace(has_rate=False, length="none" if kind.length == "optional" else kind.length)
        for name, kind in kinds.items()
    }


def _parse(text: str, tool: Tool) -> Fault:
    match = _FAULT.fullmatch(text)
    if not match:
        raise FaultError(
            f"{text!r} is not a fault: write NAME@TIME, NAME@TIME:DURATION or NAME=RATE, as in redis-away@20s:5s"
        )
    name = _known(match["name"], text, tool)
    kind = kinds_of(tool)[name]
    if match["rate"] is not None:
        return _with_rate(name, kind, match["rate"], text)
    return _at_a_time(name, kind, match["at"], match["length"], text)


def _known(name: str, text: str, tool: Tool) -> FaultName:
    """Return the name if the tool has such a fault. Raises FaultError with the nearest name."""
    if name in RENAMED:
        raise FaultError(
            f"{text!r}: {name} is now {RENAMED[name]}: write {text.replace(name, RENAMED[name], 1)}"
        )
    known = next((each for each in FAULTS if each == name), None)
    names = kinds_of(tool)
    if known is None:
        raise FaultError(f"{text!r}: there is no fault {name!r}{suggestion(name, names)}")
    if known not in names:
        raise FaultError(f"{text!r}: {_TOOLS[tool]} has no {name}; it has {', '.join(names)}")
    return known


def _with_rate(name: FaultName, kind: FaultKind, rate_text: str, text: str) -> Fault:
    if not kind.has_rate:
        raise FaultError(f"{text!r}: {name} has no rate; write {name}{kind.spelling}")
    try:
        rate = float(rate_text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise FaultError(f"{text!r}: the rate must be a number from 0 to 1, as in {name}=0.1")
    return Fault(name, rate=rate)


def _at_a_time(name: FaultName, kind: FaultKind, at: str, length: str | None, text: str) -> Fault:
    if kind.length in ("duration", "amount") and length is None:
        raise FaultError(f"{text!r}: how long? Write {name}@{at}:5s")
    if kind.length == "none" and length is not None:
        raise FaultError(f"{text!r}: {name} takes no duration; write {name}@{at}")
    try:
        at_ms = parse_duration_ms(at, at_most_ms=AT_MS_MAX)
        length_ms = parse_duration_ms(length, is_above_0=True, at_most_ms=DURATION_MS_MAX) if length else 0.0
    except DurationError as error:
        raise FaultError(f"{text!r}: {error}") from None
    return Fault(name, at_ms, length_ms)
