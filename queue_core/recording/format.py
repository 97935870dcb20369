"""Format of recordings: names of events and fields, limits, and the types into which they are read.

`logs/README.md` defines the format for people. `line.py` checks one line, `reader.py` reads files, `writer.py` writes
them, and `recorder.py` records a bot while it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias, get_args

import msgspec

from queue_core.settings import RULE_OPTIONS

FORMAT_VERSION = 2
"""Version that is written."""
VERSIONS = (1, 2)
"""Versions that are read."""

LINE_BYTES_MAX = 1024 * 1024
MESSAGES_MAX = 2_000_000
OTHERS_MAX = 6_000_000
"""Limit on events other than messages."""
IDENTIFIER_LENGTH_MAX = 256
"""Limit on the characters of an instance, a phone or an id."""
KIND_LENGTH_MAX = 64
TEXT_LENGTH_MAX = 65_536
"""Limit on the characters of a message's text, which is WhatsApp's own."""
LENGTH_MAX = 10_000_000
"""Limit on `characters`, the length of a text that may be left out or cut."""
SPAN_MS_MAX = 20 * 366 * 24 * 3600 * 1000
"""Longest recording, and longest time between a provider's timestamp and the arrival: 20 years."""
YEAR_MIN, YEAR_MAX = 1970, 2199
DEFAULT_EPOCH_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z, the start of recordings whose times are milliseconds from the start."""

SETTING_NAMES = frozenset({"ai", "redis-latency", *RULE_OPTIONS})
"""Options of `sim replay`, without their dashes, that a recording may set, with values as on the command line."""
OUTCOMES = ("lost", "duplicated", "reordered", "dead_lettered")
"""Outcomes that a recording may expect, each a set of ids."""
IGNORED_EVENTS = frozenset({"fallback", "note", "sent"})
"""Events of a live recorder with free fields, which the reader accepts and ignores."""
FREE_IN_VERSION_1 = frozenset({"batch", "dead_letter", "reply"})
"""Events that had free fields in version 1. In such a recording they are ignored if they lack a field of version 2."""

Precision: TypeAlias = Literal["ms", "s", "min"]
"""Precision of the source's times. With "s" or "min", the moments within the second or minute were made up."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""Precisions, the finest first."""
Who: TypeAlias = Literal["", "bot", "human"]
"""Writer of a reply; "" if unknown."""
PresenceState: TypeAlias = Literal["composing", "recording", "paused", "available", "unavailable"]
HumanAct: TypeAlias = Literal["takes_over", "hands_back"]
FaultState: TypeAlias = Literal["", "begins", "ends"]
IDS_MAX = 2_000
"""Limit on the ids in one event."""
LEFT_OUT_MAX = 1_000
"""Limit on the reasons in `left_out`."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """Expected outcomes of one system.

    Each tuple has exactly the expected ids; None means that the outcome is not checked. For each mapping in `log`, the
    run must write a log line that has at least these fields with these values.
    """

    lost: tuple[str, ...] | None = None
    duplicated: tuple[str, ...] | None = None
    reordered: tuple[str, ...] | None = None
    dead_lettered: tuple[str, ...] | None = None
    log: tuple[Mapping[str, int | str], ...] = ()

    def ids(self) -> tuple[str, ...]:
        """Return all ids that are named, in the order of the fields."""
        named = (self.lost, self.duplicated, self.reordered, self.dead_lettered)
        return tuple(message_id for ids in named if ids is not None for message_id in ids)


@dataclass(frozen=True, slots=True)
class Header:
    """Event `recording`, the header of a file."""

    title: str = ""
    source: str = ""
    notes: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    expect: Mapping[str, Expectation] = field(default_factory=dict)
    version: int = FORMAT_VERSION
    precision: Precision = "ms"
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Number of items in the source that were left out of the recording, by the reason in words."""


class MessageEvent(msgspec.Struct, frozen=True, gc=False):
    """Event `message`. Times are Unix milliseconds if `is_iso`, else milliseconds from the start.

    `characters` is the length of the original text; None if that is the length of `text`, or unknown.
    """

    name: ClassVar[str] = "message"

    at: int
    is_iso: bool
    instance: str
    phone: str
    id: str
    text: str
    kind: str
    timestamp: int | None
    characters: int | None = None


class OtherEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Event of a conversation other than a message. Times are as in MessageEvent.

    In `Recording.others`, `at` counts from the start of the recording, as `Arrival.at_ms` does.
    """

    name: ClassVar[str] = ""

    at: int
    is_iso: bool = True
    instance: str
    phone: str


class Reply(OtherEvent, frozen=True, kw_only=True, gc=False):
    """Event `reply`: the bot or a person wrote to the user."""

    name: ClassVar[str] = "reply"

    who: Who = ""
    id: str = ""
    """Id of the reply itself; "" if unknown."""
    ids: tuple[str, ...] = ()
    """Messages that the reply answers, as far as they are known."""
    text: str = ""
    characters: int | None = None
    kind: str = "text"


class Presence(OtherEvent, frozen=True, kw_only=True, gc=False):
    """Event `presence`: the user types, records a voice message, stops, comes online or goes."""

    name: ClassVar[str] = "presence"

    state: PresenceState


class Human(OtherEvent, frozen=True, kw_only=True, gc=False):
    """Event `human`: a person takes the conversation over from the bot, or hands it back."""

    name: ClassVar[str] = "human"

    does: HumanAct


class Edit(OtherEvent, frozen=True, kw_only=True, gc=False):
    """Event `edit`: the user changes an earlier message."""

    name: ClassVar[str] = "edit"

    id: str
    """Id of the earlier message."""
    by: str = ""
    """Id of the `message` event that brought the edit to the bot, if there is one."""
    text: str = ""
    characters: int | None = None


class Delete(OtherEvent, frozen=True, kw_only=True, gc=False):
    """Event `delete`: the user deletes an earlier message. Fields are those of Edit."""

    name: ClassVar[str] = "delete"

    id: str
    by: str = ""


class BatchTaken(OtherEvent, frozen=True, kw_only=True, gc=False):
    """Event `batch`: a worker takes a turn."""

    name: ClassVar[str] = "batch"

    ids: tuple[str, ...]
    trigger: str = ""
    attempt: int | None = None


class GivenUp(OtherEvent, frozen=True, kw_only=True, gc=False):
    """Event `dead_letter`: messages become dead letters."""

    name: ClassVar[str] = "dead_letter"

    ids: tuple[str, ...] = ()
    reason: str = ""


class Fault(OtherEvent, frozen=True, kw_only=True, gc=False):
    """Event `fault`: something fails. `instance` and `phone` are "" if the fault is not limited to them."""

    name: ClassVar[str] = "fault"

    fault: str
    """Word for the fault: `ai`, `redis`, `restart`, `cut`, …"""
    state: FaultState = ""
    reason: str = ""


RecordedEvent: TypeAlias = MessageEvent | OtherEvent
OTHER_EVENTS: tuple[type[OtherEvent], ...] = (
    Reply,
    Presence,
    Human,
    Edit,
    Delete,
    BatchTaken,
    GivenUp,
    Fault,
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Delivery of a message to the webhook. A repeated delivery has the same id in the same conversation.

    `at_ms` counts from the start of the recording; `timestamp_ms` is the provider's time on the same scale, which may
    be before the start.
    """

    at_ms: int
    instance: str
    phone: str
    id: str
    text: str
    kind: str
    timestamp_ms: int
    characters: int | None = None
    """Length of the original text; None if that is the length of `text`, or unknown."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """Broken line that was skipped on request."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Recording:
    """Arrivals of a file, sorted by time (stable), and the fields of its `recording` event.

    `name` is the file's name, with as many of its folders as are needed to tell it from the other files.
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
    others: tuple[OtherEvent, ...] = ()
    """Events other than arrivals, sorted by time (stable)."""
    precision: Precision = "ms"
    left_out: Mapping[str, int] = field(default_factory=dict)
