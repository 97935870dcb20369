"""One line of a recording: what breaks the format, and the words for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from queue_core.recording.checks import LineError
from queue_core.recording.format import (
    IDENTIFIER_LENGTH_MAX,
    IGNORED_EVENTS,
    SPAN_MS_MAX,
    TEXT_LENGTH_MAX,
    Header,
    MessageEvent,
)
from queue_core.recording.line import parse_line


def message(**fields: Any) -> dict[str, Any]:
    """Make a message event; a field set to `...` is left out."""
    event = {"event": "message", "at": 0, "instance": "bot", "phone": "a", "id": "m1", "text": "hi"} | fields
    return {name: value for name, value in event.items() if value is not ...}


def header(**fields: Any) -> dict[str, Any]:
    """Make a recording event."""
    return {"event": "recording", "version": 1} | fields


def reason_of(line: bytes) -> str:
    """Return the reason for which a line is refused; it must be one printable line."""
    with pytest.raises(LineError) as caught:
        parse_line(line)
    reason = str(caught.value)
    assert reason.isprintable()
    return reason


def test_the_limits_themselves_are_allowed() -> None:
    """A limit is the last value that is good."""
    name, text, kind = "x" * IDENTIFIER_LENGTH_MAX, "y" * TEXT_LENGTH_MAX, "z" * 64
    event = message(at=SPAN_MS_MAX, timestamp=0, instance=name, phone=name, id=name, text=text, kind=kind)
    assert parse_line(json.dumps(event).encode()) == MessageEvent(
        SPAN_MS_MAX, False, name, name, name, text, kind, 0
    )


def test_free_fields() -> None:
    """Fields that begin with x_ belong to whoever wrote the file."""
    first = parse_line(json.dumps(header(x_tool="t", title="T")).encode())
    assert first == Header(title="T", version=1)
    assert isinstance(parse_line(json.dumps(message(x_region={"a": 1})).encode()), MessageEvent)


@pytest.mark.parametrize("name", sorted(IGNORED_EVENTS))
def test_known_events_that_are_not_replayed(name: str) -> None:
    """A live recorder's remarks on what became of messages are read and ignored."""
    assert parse_line(json.dumps({"event": name, "whatever": [1.5, None]}).encode()) is None


NOT_EVENTS: list[tuple[bytes, str]] = [
    (b"{", "is not JSON: the line ends in the middle of an event; write one whole event per line"),
    (b'{"event":"message","at":12', "the line ends in the middle of an event"),
    (b'{"event":"mess', "the line ends in the middle of an event"),
    (b"hello", 'is not JSON: column 1 cannot be read, from "hello" on'),
    (
        b'{"event":"note"} {"event":"note"}',
        "there is more text after the event, at column 18; write one event per line",
    ),
    (b'{"event":"note"}\r{"event":"note"}', "there is more text after the event,"),
    (b"{'event':'note'}", "column 2 cannot be read, from \"'event'"),
    (b'"message"', "must be a JSON object, not text"),
    (b"[]", "must be a JSON object, not a list"),
    (b"null", "must be a JSON object, not null"),
    (b"12", "must be a JSON object, not a number"),
    (b"true", "must be a JSON object, not true"),
    (b'{"event":"note","at":NaN}', "has NaN, which is not JSON"),
    (b'{"event":"note","at":-Infinity}', "has -Infinity"),
    (b'{"event":"note","event":"note"}', 'has "event" more than once'),
    (b'{"event":"note","a":{"b":1,"b":1}}', 'has "b" more than once'),
    (b'{"event":"note","at":' + b"9" * 5000 + b"}", "has a number of 5000 digits; at most 19 are allowed"),
    (b'{"event":"note","text":"\xff"}', "is not text in UTF-8 (byte 25)"),
    (b'{"event":"note","text":"\xed\xa0\x80"}', "is not text in UTF-8"),
    (b'{"event":"note","text":"a\x00"}', "has NUL bytes"),
    (b'{"event":"note","text":"a\x01"}', r'column 26 cannot be read, from "\x01'),
    (b'\xef\xbb\xbf{"event":"note"}', "is not JSON"),
    (b"[" * 100_000, "is nested too deeply"),
    (b'{"a":' * 100_000, "is nested too deeply"),
    (b"{}", 'has no "event"'),
    (b'{"event":1}', '"event" must be text, not a number'),
    (b'{"event":"mesage"}', 'unknown event "mesage"; did you mean "message"?'),
    (b'{"event":"zzz"}', 'unknown event "zzz"'),
    (b'{"event":"\\u001b[31m\\n"}', r'unknown event "\x1b[31m\n"'),
]


@pytest.mark.parametrize(("line", "reason"), NOT_EVENTS)
def test_lines_that_are_not_events(line: bytes, reason: str) -> None:
    """The words say what is wrong with the line, in one printable line."""
    assert reason in reason_of(line)


MESSAGES: list[tuple[dict[str, Any], str]] = [
    *(({name: ...}, f'has no "{name}"') for name in ("at", "instance", "phone", "id")),
    *(({name: ""}, f'"{name}" is empty') for name in ("instance", "phone", "id")),
    *(({name: " \u00a0"}, f'"{name}" is empty') for name in ("instance", "phone", "id")),
    *(
        ({name: 5}, f'"{name}" must be text, not a number')
        for name in ("instance", "phone", "id", "text", "kind")
    ),
    *(
        ({name: None}, f'"{name}" must be text, not null')
        for name in ("instance", "phone", "id", "text", "kind")
    ),
    *(
        ({name: "x" * (IDENTIFIER_LENGTH_MAX + 1)}, f'"{name}" has 257 characters; at most 256')
        for name in ("instance", "phone", "id")
    ),
    *(({name: "a\nb"}, f'"{name}" holds a control character') for name in ("instance", "phone", "id")),
    *(
        ({name: "a\ud83d"}, f'"{name}" holds half of a surrogate')
        for name in ("instance", "phone", "id", "text")
    ),
    ({"text": "a\0b"}, '"text" holds a NUL character'),
    ({"text": "x" * (TEXT_LENGTH_MAX + 1)}, '"text" has 65537 characters'),
    ({"kind": ""}, '"kind" must be a word'),
    ({"kind": "a b"}, '"kind" must be a word'),
    ({"kind": "x" * 65}, '"kind" must be a word'),
    ({"at": True}, '"at" must be an ISO 8601 time in UTC or milliseconds, not true'),
    ({"at": None}, '"at" must be an ISO 8601 time in UTC or milliseconds, not null'),
    ({"at": [0]}, "not a list"),
    ({"at": {}}, "not an object"),
    ({"at": 1.0}, '"at" must be a whole number of milliseconds, not 1.0'),
    ({"at": 1e300}, "not 1e+300"),
    ({"at": -1}, '"at" must be from 0 to'),
    ({"at": SPAN_MS_MAX + 1}, '"at" must be from 0 to'),
    ({"at": ""}, '"at" must look like 2026-01-31T09:30:00.250Z, not ""'),
    ({"at": "1234"}, '"at" must look like'),
    ({"at": "2026-03-01"}, '"at" must look like'),
    ({"at": "2026-03-01T10:00:00"}, '"at" has no time zone'),
    ({"at": "2026-03-01T10:00:00z"}, '"at" must look like'),
    ({"at": "2026-03-01T10:00:00+0300"}, '"at" must look like'),
    ({"at": "٢٠٢٦-03-01T10:00:00Z"}, '"at" must look like'),
    ({"at": "2026-03-01T10:00:00Z\n"}, '"at" must look like'),
    ({"at": "2026-02-30T10:00:00Z"}, '"at" is not a time that exists'),
    ({"at": "2026-02-20T10:00:60Z"}, '"at" is not a time that exists'),
    ({"at": "2026-02-20T10:00:00+24:00"}, '"at" is not a time that exists'),
    ({"at": "0001-01-01T00:00:00+01:00"}, '"at" is not a time that exists'),
    ({"at": "0001-01-01T00:00:00Z"}, '"at" must lie in the years 1970 to 2199'),
    ({"at": "9999-12-31T23:59:59Z"}, '"at" must lie in the years'),
    ({"timestamp": False}, '"timestamp" must be an ISO 8601 time'),
    ({"timestamp": "2026-03-01T10:00:00Z"}, '"at" and "timestamp" must both'),
    ({"timestamp": -SPAN_MS_MAX - 1}, '"timestamp" is more than 20 years from "at"'),
    ({"txt": "hello"}, 'unknown field "txt"; did you mean "text"?'),
]


@pytest.mark.parametrize(("fields", "reason"), MESSAGES)
def test_messages_that_break_the_format(fields: dict[str, Any], reason: str) -> None:
    """Each field is checked, and the words name it."""
    assert reason in reason_of(json.dumps(message(**fields)).encode())


HEADERS: list[tuple[dict[str, Any], str]] = [
    ({"event": "recording"}, 'has no "version"'),
    (header(version=3), '"version" must be 1 or 2, not 3'),
    (header(version="1"), '"version" must be 1 or 2, not text'),
    (header(version=True), '"version" must be 1 or 2, not true'),
    (header(version=1.0), '"version" must be 1 or 2, not a number'),
    (header(title=1), '"title" must be text, not a number'),
    (header(notes=None), '"notes" must be text, not null'),
    (header(source="\ud800"), "surrogate"),
    (header(expects={}), 'unknown field "expects"; did you mean "expect"?'),
    (header(settings=[]), '"settings" must be an object, not a list'),
    (header(settings={"Ai": "x"}), 'unknown field "settings.Ai"'),
    (header(settings={"x_ai": "x"}), 'unknown field "settings.x_ai"'),
    (header(settings={"ai": 7}), '"settings.ai" must be text, as on the command line, not a number'),
    (header(settings={"ai": ""}), '"settings.ai" is empty'),
    (header(expect=None), '"expect" must be an object, not null'),
    (header(expect={"": {}}), '"expect" is empty'),
    (header(expect={"queue": []}), '"expect.queue" must be an object, not a list'),
    (header(expect={"queue": {"lots": []}}), 'unknown field "expect.queue.lots"; did you mean "lost"?'),
    (header(expect={"queue": {"lost": None}}), '"expect.queue.lost" must be a list of ids, not null'),
    (header(expect={"queue": {"lost": "m1"}}), '"expect.queue.lost" must be a list of ids, not text'),
    (header(expect={"queue": {"lost": [1]}}), '"expect.queue.lost" must be text, not a number'),
    (header(expect={"queue": {"lost": ["m1", "m1"]}}), '"expect.queue.lost" names an id more than once'),
    (header(expect={"queue": {"log": {}}}), '"expect.queue.log" must be a list, not an object'),
    (header(expect={"queue": {"log": ["x"]}}), '"expect.queue.log" must be an object, not text'),
    (header(expect={"queue": {"log": [{"n": 1}]}}), '"expect.queue.log" has a line without "event"'),
    (header(expect={"queue": {"log": [{"event": True}]}}), "must be a whole number or text, not true"),
    (header(expect={"queue": {"log": [{"event": "a", "n": 1.5}]}}), "must be a whole number or text"),
]


@pytest.mark.parametrize(("first", "reason"), HEADERS)
def test_recording_events_that_break_the_format(first: dict[str, Any], reason: str) -> None:
    """A mistyped expectation or setting must not go unnoticed."""
    assert reason in reason_of(json.dumps(first).encode())
