"""Interface of an importer, and the types that it gets and yields."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias

from queue_core.recording.format import Precision, RecordedEvent

if TYPE_CHECKING:
    from sim.importers.sources import Source

CERTAIN = 100
"""Highest certainty of an Evidence."""
UNKNOWN_TEXT = "\ufdd0"
"""Stands in an event for a text that the file has not. Unicode reserves this code for such uses: no text has it."""
DateOrder: TypeAlias = Literal["dmy", "mdy", "ymd"]


class ImportFailedError(Exception):
    """Raised for a file that cannot be imported; the message says why and what to type."""


class Evidence(NamedTuple):
    """Signs that a file has a format."""

    certainty: int
    """From 1 to 100; 0 if `--format` names a format of which the file has no sign."""
    words: str
    """Signs in words, as in "20 of 20 lines are webhooks of the Evolution API"."""


class ImportedEvent(NamedTuple):
    """Event of a file, as it stands there, with its time in Unix milliseconds."""

    event: RecordedEvent
    place: int
    """Number of the line or record in the file, from 1."""
    precision: Precision = "ms"
    """Precision of the time in the file. If it is coarse, the event has the beginning of the second or minute."""
    is_drawn: bool = False
    """True if the importer drew the moment within that second or minute already."""


class Omission(NamedTuple):
    """Part of a file that is left out of the recording."""

    reason: str
    """Reason in a few words. Equal reasons are counted together, so it must not quote the file."""
    place: int
    """Number of the line or record in the file, from 1."""
    number: int = 1
    """Number of parts that were left out."""


@dataclass(frozen=True)
class Context:
    """Information from the user, and notes for the user."""

    zone: tzinfo | None = None
    """Time zone of times without one; None: found from the file, else UTC with a note."""
    date_order: DateOrder | None = None
    """Order of day and month; None: found from the file."""
    bots: frozenset[str] = frozenset()
    """Names or numbers under which the bot writes, for formats that do not say it."""
    instance: str = ""
    """Instance of the bot, for formats that do not name it."""
    notes: dict[str, int] = field(default_factory=dict)
    """Sentences for the user, with the number of times that each was noted."""

    state: dict[str, Any] = field(default_factory=dict)
    """Values that an importer keeps from one file of an import to the next."""

    def note(self, sentence: str) -> None:
        """Note a sentence for the user; it is shown once."""
        self.notes[sentence] = self.notes.get(sentence, 0) + 1


@dataclass(frozen=True)
class Sample:
    """Beginning of a file, in UTF-8."""

    name: str
    """Name of the file."""
    data: bytes
    is_whole: bool
    """True if the sample is the whole file."""

    @cached_property
    def text(self) -> str:
        """The sample as text; bytes that are not UTF-8 are replaced."""
        return self.data.decode("utf-8", "replace")

    @cached_property
    def lines(self) -> list[str]:
        """Lines that are not blank, without the last one if it is cut."""
        lines = self.text.split("\n")
        if not self.is_whole and len(lines) > 1:
            lines.pop()
        return [line for line in (line.rstrip("\r") for line in lines) if line.strip()]

    @cached_property
    def value(self) -> Any:
        """JSON of the whole file; None if the sample is cut, or is not JSON."""
        if not self.is_whole:
            return None
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None


class Importer(ABC):
    """A format that can be imported."""

    name: ClassVar[str]
    """Name for `--format`."""
    title: ClassVar[str]
    """Name for people, in the plural: "webhooks of …"."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Further names for `--format`."""
    keeps_hashes: ClassVar[bool] = False
    """True for a format in which phones and ids may be hashed already."""

    @abstractmethod
    def recognise(self, sample: Sample) -> Evidence | None:
        """Return the signs that a file has this format; None without any."""

    @abstractmethod
    def read(self, source: Source, context: Context) -> Iterator[ImportedEvent | Omission]:
        """Yield the events of a file, and its parts that are left out. Raises ImportFailedError."""
