"""Faults by name, and the record of one in a result. `sim.faults` says what each does, and which tool can do it."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

FaultName: TypeAlias = Literal[
    "requests-lost",
    "answers-lost",
    "late-copies",
    "connection-resets",
    "redis-away",
    "redis-hangs",
    "redis-restarts",
    "redis-loses-writes",
    "redis-fails-over",
    "redis-readonly",
    "redis-full",
    "scripts-abort",
    "clock-forward",
    "clock-back",
    "process-restarts",
    "worker-dies",
    "worker-freezes",
    "worker-cut-off",
    "web-dies",
    "web-freezes",
    "web-cut-off",
    "timer-dies",
    "http-fails",
    "ai-fails",
    "ai-slow",
    "channel-fails",
    "acknowledgements-lost",
]


class StruckFault(TypedDict):
    """Fault that was planned for a run, and how often it struck: 0 proves nothing about the system.

    It has a `rate`, or times; `end_ms` equals `start_ms` if it struck at one moment.
    """

    name: FaultName
    struck: int
    rate: NotRequired[float]
    start_ms: NotRequired[int]
    end_ms: NotRequired[int]
