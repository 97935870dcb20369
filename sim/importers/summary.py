"""Summary of an import: the events taken, the parts left out with reasons, and the precision of times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from queue_core.recording.format import PRECISIONS, MessageEvent, Precision, RecordedEvent
from sim.importers.base import Omission

PLACES_MAX = 1_000
"""Limit on the places that are kept for each reason."""
REASONS_MAX = 500


@dataclass
class LeftOut:
    """Parts of a file that were left out for one reason."""

    number: int = 0
    places: list[int] = field(default_factory=list)
    """Numbers of the lines or records, the first PLACES_MAX."""


@dataclass
class FileSummary:
    """Summary of one file of an import."""

    name: str
    format: str = ""
    """Name of the file's format; "" for a file that was left out."""
    title: str = ""
    evidence: str = ""
    """Signs of the format, in words."""
    events: Counter[str] = field(default_factory=Counter)
    """Number of events taken, by name."""
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)

    def omit(self, omission: Omission) -> None:
        """Count a part that was left out."""
        reason = omission.reason
        if reason not in self.left_out and len(self.left_out) >= REASONS_MAX:
            reason = "other reasons"
        entry = self.left_out.setdefault(reason, LeftOut())
        entry.number += omission.number
        if len(entry.places) < PLACES_MAX:
            entry.places.append(omission.place)


@dataclass
class Summary:
    """Summary of a whole import. Times are those of messages, in Unix milliseconds; None without messages."""

    files: list[FileSummary] = field(default_factory=list)
    first_ms: int | None = None
    last_ms: int | None = None
    precision: Precision = "ms"
    coarse: int = 0
    """Number of events whose time is known only to the second or minute."""
    drawn: int = 0
    """Number of those for which this import draws a moment."""
    instances: set[str] = field(default_factory=set)
    conversations: set[int] = field(default_factory=set)
    """Hashes of the conversations with messages."""

    def take(self, event: RecordedEvent, precision: Precision, *, is_drawn: bool) -> None:
        """Count an event of the recording, with the names that it has there."""
        if precision != "ms":
            self.coarse += 1
            self.drawn += is_drawn
            self.precision = max(self.precision, precision, key=PRECISIONS.index)
        if isinstance(event, MessageEvent):
            self.first_ms = event.at if self.first_ms is None else min(self.first_ms, event.at)
            self.last_ms = event.at if self.last_ms is None else max(self.last_ms, event.at)
            self.instances.add(event.instance)
            self.conversations.add(hash((event.instance, event.phone)))

    @property
    def events(self) -> Counter[str]:
        """Number of events taken, by name."""
        return sum((file.events for file in self.files), Counter[str]())

    @property
    def left_out(self) -> Counter[str]:
        """Number of parts left out, by reason, the most frequent first."""
        counts = Counter[str]()
        for file in self.files:
            for reason, entry in file.left_out.items():
                counts[reason] += entry.number
        return Counter(dict(counts.most_common()))

    def as_json(self) -> dict[str, object]:
        """Return the facts as a JSON object."""
        return {
            "schema": 1,
            "kind": "import",
            "files": [
                {
                    "name": file.name,
                    "format": file.format,
                    "evidence": file.evidence,
                    "events": dict(file.events),
                    "left_out": {
                        reason: {"number": entry.number, "places": entry.places}
                        for reason, entry in file.left_out.items()
                    },
                    "notes": list(file.notes),
                }
                for file in self.files
            ],
            "events": dict(self.events),
            "left_out": dict(self.left_out),
            "instances": len(self.instances),
            "conversations": len(self.conversations),
            "first_ms": self.first_ms,
            "last_ms": self.last_ms,
            "precision": self.precision,
            "coarse": self.coarse,
        }
