"""Writer of the lines of recordings: of a whole recording, and of events as they happen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from queue_core.recording.format import (
    DEFAULT_EPOCH_MS,
    FORMAT_VERSION,
    OUTCOMES,
    Expectation,
    Header,
    MessageEvent,
    Recording,
)

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def dump(recording: Recording) -> Iterator[str]:
    """Yields the lines of a recording, each with its newline. Equal recordings give equal bytes.

    A field that the reader would fill in itself is left out. Loading the lines gives an equal recording, except for its
    name and for the lines that were skipped.
    """
    yield header_line(
        Header(recording.title, recording.source, recording.notes, recording.settings, recording.expect)
    )
    is_iso = recording.epoch_ms != DEFAULT_EPOCH_MS
    start = recording.epoch_ms if is_iso else 0
    first_timestamps: dict[tuple[str, str, str], int] = {}
    for arrival in recording.arrivals:
        key = (arrival.instance, arrival.phone, arrival.id)
        usual_ms = first_timestamps.get(key, arrival.at_ms)
        first_timestamps.setdefault(key, arrival.timestamp_ms)
        timestamp = None if arrival.timestamp_ms == usual_ms else start + arrival.timestamp_ms
        yield message_line(
            MessageEvent(start + arrival.at_ms, is_iso, *key, arrival.text, arrival.kind, timestamp)
        )


def header_line(header: Header) -> str:
    """Writes a `recording` event without its empty fields."""
    fields: dict[str, object] = {"version": FORMAT_VERSION}
    for name in ("title", "source", "notes"):
        if value := getattr(header, name):
            fields[name] = value
    if header.settings:
        fields["settings"] = dict(header.settings)
    if header.expect:
        fields["expect"] = {system: _outcomes(expected) for system, expected in header.expect.items()}
    return _line("recording", fields)


def message_line(event: MessageEvent) -> str:
    """Writes a `message` event without fields that have their usual value."""
    time = iso_time if event.is_iso else int
    fields: dict[str, object] = {
        "at": time(event.at),
        "instance": event.instance,
        "phone": event.phone,
        "id": event.id,
    }
    if event.text:
        fields["text"] = event.text
    if event.kind != "text":
        fields["kind"] = event.kind
    if event.timestamp is not None:
        fields["timestamp"] = time(event.timestamp)
    return _line("message", fields)


def fate_line(event: str, at_ms: int, fields: Mapping[str, object]) -> str:
    """Writes an event that is not replayed, at a Unix time."""
    return _line(event, {"at": iso_time(at_ms), **fields})


def iso_time(at_ms: int) -> str:
    """Writes Unix milliseconds as an ISO 8601 time in UTC."""
    moment = _UNIX_EPOCH + timedelta(milliseconds=at_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _outcomes(expected: Expectation) -> dict[str, object]:
    outcomes: dict[str, object] = {}
    for name in OUTCOMES:
        ids = getattr(expected, name)
        if ids is not None:
            outcomes[name] = list(ids)
    if expected.log:
        outcomes["log"] = [dict(line) for line in expected.log]
    return outcomes


def _line(event: str, fields: Mapping[str, object]) -> str:
    return (
        json.dumps({"event": event, **fields}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        + "\n"
    )
