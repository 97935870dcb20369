"""Writer of the lines of recordings: of a whole recording, and of events as they happen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

from queue_core.recording.format import (
    DEFAULT_EPOCH_MS,
    FORMAT_VERSION,
    OUTCOMES,
    BatchTaken,
    Expectation,
    Header,
    MessageEvent,
    OtherEvent,
    Recording,
)

_LEFT_OUT = (None, "", ())
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def dump(recording: Recording) -> Iterator[str]:
    """Yield the lines of a recording, each with its newline. Equal recordings give equal bytes.

    A field that the reader would fill in itself is left out. Loading the lines gives an equal recording, except for its
    name and its skipped lines.
    """
    yield header_line(
        Header(
            recording.title,
            recording.source,
            recording.notes,
            recording.settings,
            recording.expect,
            precision=recording.precision,
            left_out=recording.left_out,
        )
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
            MessageEvent(
                start + arrival.at_ms,
                is_iso,
                *key,
                arrival.text,
                arrival.kind,
                timestamp,
                arrival.characters,
            )
        )
    for event in recording.others:
        yield other_line(msgspec.structs.replace(event, at=start + event.at, is_iso=is_iso))


def header_line(header: Header) -> str:
    """Write a `recording` event without its empty fields."""
    values: dict[str, object] = {"version": FORMAT_VERSION}
    for name in ("title", "source", "notes"):
        if value := getattr(header, name):
            values[name] = value
    if header.settings:
        values["settings"] = dict(header.settings)
    if header.expect:
        values["expect"] = {system: _outcomes(expected) for system, expected in header.expect.items()}
    if header.precision != "ms":
        values["precision"] = header.precision
    if header.left_out:
        values["left_out"] = dict(header.left_out)
    return _line("recording", values)


def message_line(event: MessageEvent) -> str:
    """Write a `message` event without fields that have their usual value."""
    time = iso_time if event.is_iso else int
    values: dict[str, object] = {
        "at": time(event.at),
        "instance": event.instance,
        "phone": event.phone,
        "id": event.id,
    }
    if event.text:
        values["text"] = event.text
    if event.kind != "text":
        values["kind"] = event.kind
    if event.timestamp is not None:
        values["timestamp"] = time(event.timestamp)
    if event.characters is not None:
        values["characters"] = event.characters
    return _line("message", values)


def other_line(event: OtherEvent, free: Mapping[str, object] | None = None) -> str:
    """Write an event other than a message, without fields that have their usual value; `free` has fields x_…."""
    written: dict[str, object] = {"at": iso_time(event.at) if event.is_iso else event.at}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name in ("at", "is_iso") or value in _LEFT_OUT or (name == "kind" and value == "text"):
            continue
        written[name] = value
    if isinstance(event, BatchTaken):
        written["ids"] = event.ids
    return _line(event.name, {**written, **(free or {})})


def free_line(event: str, at_ms: int, values: Mapping[str, object]) -> str:
    """Write an event with free fields, at a Unix time."""
    return _line(event, {"at": iso_time(at_ms), **values})


def iso_time(at_ms: int) -> str:
    """Write Unix milliseconds as an ISO 8601 time in UTC."""
    return f"{_iso_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@lru_cache(4096)
def _iso_second(unix_s: int) -> str:
    days, seconds = divmod(unix_s, 86_400)
    minutes, second = divmod(seconds, 60)
    return f"{_date(days)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}"


@lru_cache(1024)
def _date(days: int) -> str:
    return f"{_UNIX_EPOCH + timedelta(days=days):%Y-%m-%d}"


def _outcomes(expected: Expectation) -> dict[str, object]:
    outcomes: dict[str, object] = {}
    for name in OUTCOMES:
        ids = getattr(expected, name)
        if ids is not None:
            outcomes[name] = list(ids)
    if expected.log:
        outcomes["log"] = [dict(line) for line in expected.log]
    return outcomes


def _line(event: str, values: Mapping[str, object]) -> str:
    return msgspec.json.encode({"event": event, **values}).decode() + "\n"
