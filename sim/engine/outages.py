"""Outages of Redis, in the form in which users type them: `away@20s:5s`, `hangs@20s:5s`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from queue_core.durations import DurationError, format_duration_ms, parse_duration_ms
from queue_core.text import suggestion

OUTAGES: Mapping[str, str] = MappingProxyType(
    {
        "away": "Redis is stopped: connections break, new ones are refused, and what it holds is there afterwards",
        "hangs": "Redis stands still: it takes connections and requests, and answers afterwards",
    }
)
"""Kinds of outages by name."""

_OUTAGE = re.compile(r"([^@:]*)@([^@:]+):([^@:]+)")


class OutageError(ValueError):
    """Raised for an outage that cannot be read; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Outage of Redis, with its start (from the start of the recording) and its length in ms."""

    kind: str
    start_ms: float
    length_ms: float

    def __str__(self) -> str:
        return f"{self.kind}@{format_duration_ms(self.start_ms)}:{format_duration_ms(self.length_ms)}"


def parse_outage(text: str) -> Outage:
    """Read an outage; the module's docstring has examples. Raises OutageError."""
    parts = _OUTAGE.fullmatch(text)
    if parts is None:
        raise OutageError(f"{text!r} is not KIND@TIME:LENGTH, as in away@20s:5s")
    kind, start, length = parts.groups()
    if kind not in OUTAGES:
        raise OutageError(f"there is no outage {kind!r}{suggestion(kind, OUTAGES)}")
    try:
        return Outage(kind, parse_duration_ms(start), parse_duration_ms(length))
    except DurationError as error:
        raise OutageError(f"{text!r}: {error}") from None
