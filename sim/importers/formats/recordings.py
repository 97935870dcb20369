"""Recordings of this project, of either version, and the other files of the live recorder."""

from __future__ import annotations

import json
from collections.abc import Iterator

from msgspec.structs import replace

from queue_core.recording.checks import LineError
from queue_core.recording.format import (
    DEFAULT_EPOCH_MS,
    IGNORED_EVENTS,
    OTHER_EVENTS,
    Header,
    MessageEvent,
    OtherEvent,
    Precision,
)
from queue_core.recording.line import parse_line
from sim.importers.base import CERTAIN, Context, Evidence, ImportedEvent, Importer, Omission, Sample
from sim.importers.sources import Source

EVENTS = frozenset({"recording", MessageEvent.name, *IGNORED_EVENTS, *(event.name for event in OTHER_EVENTS)})
"""Names of all events of a recording."""
_TOO_LONG = "a line that is too long"
_NOT_AN_EVENT = "a line that is not an event of a recording"
BROKEN_LINES = frozenset({_TOO_LONG, _NOT_AN_EVENT})
"""Reasons for which a broken line is left out."""


class Recordings(Importer):
    """Recordings, with one event on each line."""

    name = "recording"
    title = "recordings of this project"
    keeps_hashes = True

    def recognise(self, sample: Sample) -> Evidence | None:
        """See Importer.recognise."""
        lines = sample.lines[:50]
        count = sum(is_event(line) for line in lines)
        if not count or not is_event(lines[0]):
            return None
        words = f"{count} of the first {len(lines)} lines are events of a recording"
        return Evidence(CERTAIN if count == len(lines) else 60, words)

    def read(self, source: Source, context: Context) -> Iterator[ImportedEvent | Omission]:
        """See Importer.read. Times in milliseconds count from 2026-01-01, as the format says."""
        version = 1
        precision: Precision = "ms"
        for number, line in source.lines():
            if line is None:
                yield Omission(_TOO_LONG, number)
                continue
            if not line.strip():
                continue
            try:
                event = parse_line(line, version)
            except LineError:
                yield Omission(_NOT_AN_EVENT, number)
                continue
            if isinstance(event, Header):
                version, precision = event.version, event.precision
                if event.settings or event.expect:
                    context.note("Settings and expected outcomes of recordings are not imported.")
                for reason, count in event.left_out.items():
                    yield Omission(reason, number, count)
            elif event is not None:
                yield ImportedEvent(_in_unix_ms(event), number, precision, is_drawn=True)


def is_event(line: str) -> bool:
    """Return True for a JSON object that names an event of a recording."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict) or value.get("event") not in EVENTS:
        return False
    return "data" not in value and "payload" not in value  # an `event: message` of other programs


def _in_unix_ms(event: MessageEvent | OtherEvent) -> MessageEvent | OtherEvent:
    if event.is_iso:
        return event
    at = event.at + DEFAULT_EPOCH_MS
    if isinstance(event, MessageEvent) and event.timestamp is not None:
        return replace(event, at=at, is_iso=True, timestamp=event.timestamp + DEFAULT_EPOCH_MS)
    return replace(event, at=at, is_iso=True)
