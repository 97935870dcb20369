"""Helpers of the tests of exports: a file from a text, and what an importer makes of it."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar, cast

from queue_core.recording.format import MessageEvent, OtherEvent, Reply
from sim.importers.base import Context, Evidence, ImportedEvent, Importer, Omission
from sim.importers.detection import detect
from sim.importers.sources import Source

Event = TypeVar("Event", bound=OtherEvent)


@dataclass
class Outcome:
    """Events and omissions of a file, and the notes for the user."""

    taken: list[ImportedEvent] = field(default_factory=list)
    omitted: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def messages(self) -> list[MessageEvent]:
        """The messages, in the order of the file."""
        return [taken.event for taken in self.taken if isinstance(taken.event, MessageEvent)]

    @property
    def replies(self) -> list[Reply]:
        """The replies, in the order of the file."""
        return self.others(Reply)

    def others(self, kind: type[Event]) -> list[Event]:
        """Return the events of a kind."""
        return [taken.event for taken in self.taken if isinstance(taken.event, kind)]

    @property
    def precisions(self) -> set[str]:
        """Precisions of all times."""
        return {taken.precision for taken in self.taken}


def source_of(content: str | bytes, name: str = "file") -> Source:
    """Return a file with this content."""
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return Source(name, lambda: cast("BinaryIO", io.BytesIO(data)))


def imported(importer: Importer, content: str | bytes, *, name: str = "file", **given: Any) -> Outcome:
    """Return what an importer makes of a file; `given` are fields of the Context."""
    context = Context(notes={}, **given)
    outcome = Outcome()
    for piece in importer.read(source_of(content, name), context):
        if isinstance(piece, Omission):
            outcome.omitted[piece.reason] += piece.number
        else:
            outcome.taken.append(piece)
    outcome.notes = list(context.notes)
    return outcome


def detected(content: str | bytes, name: str = "file") -> tuple[str, Evidence]:
    """Return the name of the format that is chosen for a file, and the evidence for it."""
    choice = detect(source_of(content, name).sample())
    assert choice is not None, content[:200]
    return choice[0].name, choice[1]


def utc_ms(written: str) -> int:
    """Return the Unix milliseconds of an ISO time, UTC where it names no zone."""
    moment = datetime.fromisoformat(written)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
