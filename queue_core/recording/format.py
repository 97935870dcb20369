"""The format of recordings: names of events and fields, limits, and the values they are read into.

`logs/README.md` defines the format for people. `line.py` checks one line, `reader.py` reads files, `writer.py` writes
them, and `recorder.py` writes what happens while it happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from queue_core.settings import RULE_OPTIONS

FORMAT_VERSION = 1

LINE_BYTES_MAX = 1024 * 1024
MESSAGES_MAX = 2_000_000
IDENTIFIER_LENGTH_MAX = 256
"""Limit on the characters of an instance, a phone or an id."""
KIND_LENGTH_MAX = 64
TEXT_LENGTH_MAX = 65_536
"""Characters of a message's text; WhatsApp itself stops at this length."""
SPAN_MS_MAX = 20 * 366 * 24 * 3600 * 1000
"""Longest recording, and longest time between a provider's timestamp and the arrival: 20 years."""
YEAR_MIN, YEAR_MAX = 1970, 2199
DEFAULT_EPOCH_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z, the start of recordings whose times are milliseconds from the start."""

SETTING_NAMES = frozenset({"ai", "redis-latency", *RULE_OPTIONS})
"""Options of `sim replay`, without their dashes, that a recording may set; values as they would be typed."""
OUTCOMES = ("lost", "duplicated", "reordered", "dead_lettered")
"""Outcomes that a recording may expect, each a set of ids."""
IGNORED_EVENTS = frozenset({"batch", "dead_letter", "fallback", "note", "reply", "sent"})
"""Events that a live recorder notes about the fate of messages: known, and not replayed."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """Expected outcomes of one system.

    Each tuple holds exactly the ids that are expected; None means that the outcome is not checked. Each mapping
    in `log` must match a log line of the run that has at least these fields with these values.
    """

    lost: tuple[str, ...] | None = None
    duplicated: tuple[str, ...] | None = None
    reordered: tuple[str, ...] | None = None
    dead_lettered: tuple[str, ...] | None = None
    log: tuple[Mapping[str, int | str], ...] = ()

    def ids(self) -> tuple[str, ...]:
        """Returns every id that is named, in the order of the fields."""
        named = (self.lost, self.duplicated, self.reordered, self.dead_lettered)
        return tuple(message_id for ids in named if ids is not None for message_id in ids)


@dataclass(frozen=True, slots=True)
class Header:
    """The `recording` event."""

    title: str = ""
    source: str = ""
    notes: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    expect: Mapping[str, Expectation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """The `message` event. Times are Unix milliseconds when `is_iso`, else milliseconds from the start."""

    at: int
    is_iso: bool
    instance: str
    phone: str
    id: str
    text: str
    kind: str
    timestamp: int | None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One delivery of a message to the webhook. A second one has the same id in the same conversation.

    `at_ms` counts from the start of the recording; `timestamp_ms` is the provider's own time on the same
    scale, and may be before the start.
    """

    at_ms: int
    instance: str
    phone: str
    id: str
    text: str
    kind: str
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class BadLine:
    """A broken line that was skipped on request."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A file's arrivals in the order of time (stable), with the fields of its `recording` event.

    `name` is the file's name, with its folders as far as they are needed to tell it from the other files.
    `epoch_ms` is the Unix time of `at_ms` 0.
    """

    name: str
    arrivals: tuple[Arrival, ...]
    title: str = ""
    source: str = ""
    notes: str = ""
    epoch_ms: int = DEFAULT_EPOCH_MS
    settings: Mapping[str, str] = field(default_factory=dict)
    expect: Mapping[str, Expectation] = field(default_factory=dict)
    skipped: tuple[BadLine, ...] = ()
