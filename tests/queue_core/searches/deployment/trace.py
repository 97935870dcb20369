"""Trace of a run: everything that happened outside of the processes, and inside Redis."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sim.engine.process_loop import Process, ProcessLoop

AskEnd = Literal["open", "answered", "failed", "away", "cancelled"]
SendEnd = Literal["open", "ok", "refused", "away", "uncertain", "cancelled"]


@dataclass(slots=True, eq=False, kw_only=True)
class Work:
    """Work on a turn: a call of the AI or of the send API."""

    process: Process
    conversation: str
    ids: tuple[str, ...]
    token: int
    """0 on the direct path."""
    began_ms: float
    ended_ms: float | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Ask(Work):
    """Call of the AI."""

    text: str = ""
    end: AskEnd = "open"


@dataclass(slots=True, eq=False, kw_only=True)
class Sending(Work):
    """Call of the send API for one part of a reply."""

    part: int
    parts: int
    taken_ms: float | None = None
    """Time at which the user got it; None if he never did."""
    end: SendEnd = "open"


@dataclass(slots=True, frozen=True)
class Executed:
    """Script that Redis ran; for a claim, one of the conversations that it leased."""

    at_ms: float
    process: Process
    script: str
    conversation: str
    token: int
    answer: Any
    ids: tuple[str, ...] = ()
    attempt: int = 0
    waiting: int = 0
    """Messages that wait after an enqueue, the new one included."""
    parts: int = 0
    """Parts that `record_sent` notes; ALL_PARTS stands for the whole reply."""


@dataclass(slots=True, frozen=True)
class Delivery:
    """Delivery of a message by the provider to a web process."""

    message_id: str
    process: Process
    at_ms: float


@dataclass(slots=True, frozen=True)
class Acknowledgement:
    """Answer of a web process to a delivery that it took."""

    message_id: str
    process: Process
    at_ms: float
    answer: str


@dataclass(slots=True)
class Trace:
    """Record of a run. `listeners` are called with the kind of each event and its process."""

    loop: ProcessLoop
    lines: list[str] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    """Number of events of each kind."""
    asks: list[Ask] = field(default_factory=list)
    sendings: list[Sending] = field(default_factory=list)
    executed: list[Executed] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    acknowledgements: list[Acknowledgement] = field(default_factory=list)
    call_faults: list[tuple[float, Process, str, int]] = field(default_factory=list)
    """Faults of single calls: time, process, script, and token of the call, or 0."""
    errors: list[str] = field(default_factory=list)
    """Errors that must not happen, such as an exception that ends a worker."""
    backends_away: list[tuple[float, float]] = field(default_factory=list)
    """Spans in which turns had to wait for the AI or the channel, as Redis saw it; the last one may be open."""
    listeners: list[Callable[[str, Process], None]] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)

    def note(self, who: Process | str, event: str, details: str = "", *, token: int = 0) -> None:
        """Write a line; if it is about a process, call the listeners."""
        self.events[event] += 1
        name = who if isinstance(who, str) else who.name
        if token:
            details = f"{details} lease {self._numbers.setdefault(token, len(self._numbers) + 1)}"
        self.lines.append(f"{self.loop.now_ms() / 1000:9.3f} s  {name:10} {event:14} {details.strip()}")
        if isinstance(who, Process):
            for listener in tuple(self.listeners):
                listener(event, who)

    def note_backends(self, are_away: bool) -> None:
        """Note whether turns have to wait for the AI or the channel now."""
        is_open = bool(self.backends_away) and self.backends_away[-1][1] == math.inf
        now_ms = self.loop.now_ms()
        if are_away and not is_open:
            self.events["waits"] += 1
            self.backends_away.append((now_ms, math.inf))
        elif is_open and not are_away:
            self.backends_away[-1] = (self.backends_away[-1][0], now_ms)

    def had_to_wait(self, from_ms: float, to_ms: float) -> bool:
        """Return True if turns had to wait for the AI or the channel at some moment between two times."""
        return any(began_ms <= to_ms and ended_ms >= from_ms for began_ms, ended_ms in self.backends_away)

    def of_token(self, token: int, *scripts: str) -> Iterator[Executed]:
        """Yield the scripts that ran for a lease."""
        return (step for step in self.executed if step.token == token and step.script in scripts)

    @property
    def acknowledged(self) -> dict[str, float]:
        """Return the ids of messages that need not be delivered again, and since when."""
        return {it.message_id: it.at_ms for it in reversed(self.acknowledgements)}

    @property
    def works(self) -> list[Work]:
        """Return all work on turns."""
        return [*self.asks, *self.sendings]

    def taken(self) -> list[Sending]:
        """Return everything that the user got, in the order in which it came."""
        taken = [sending for sending in self.sendings if sending.taken_ms is not None]
        return sorted(taken, key=lambda sending: sending.taken_ms or 0.0)

    def as_text(self) -> str:
        """Return the trace as text."""
        return "\n".join(self.lines)
