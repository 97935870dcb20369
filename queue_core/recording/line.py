"""Reader of one line of a recording, which says why a line breaks the format."""

from __future__ import annotations

import json
from typing import Any, NoReturn, cast

from queue_core.recording.checks import (
    LineError,
    an_object,
    check_event_fields,
    check_fields,
    identifier,
    kind_of,
    quote,
    text_of,
    time,
    word,
)
from queue_core.recording.format import (
    FORMAT_VERSION,
    FREE_IN_VERSION_1,
    IGNORED_EVENTS,
    LEFT_OUT_MAX,
    OTHER_EVENTS,
    OUTCOMES,
    PRECISIONS,
    SETTING_NAMES,
    SPAN_MS_MAX,
    VERSIONS,
    Expectation,
    Header,
    MessageEvent,
    OtherEvent,
    Precision,
)
from queue_core.recording.other_events import characters, kind_word, read_other
from queue_core.text import suggestion

_HEADER_FIELDS = ("event", "version", "title", "source", "notes", "settings", "expect")
_HEADER_FIELDS_2 = (*_HEADER_FIELDS, "precision", "left_out")
_MESSAGE_FIELDS = ("event", "at", "instance", "phone", "id", "text", "kind", "timestamp", "characters")
_EXPECT_FIELDS = (*OUTCOMES, "log")
_VERSIONS_WORDS = " or ".join(map(str, VERSIONS))
_OTHERS = frozenset(event.name for event in OTHER_EVENTS)

_INTEGER_DIGITS_MAX = 19


def parse_line(line: bytes, version: int = FORMAT_VERSION) -> Header | MessageEvent | OtherEvent | None:
    """Read one line of a recording of `version`. Returns None for an event that is ignored. Raises LineError."""
    event = _json_object(line)
    name = event.get("event")
    if "event" not in event:
        raise LineError('has no "event"')
    if not isinstance(name, str):
        raise LineError(f'"event" must be text, not {kind_of(name)}')
    if name == "message":
        return _message(event)
    if name == "recording":
        return _header(event)
    if name in _OTHERS:
        return read_other(event, name, is_free=version == 1 and name in FREE_IN_VERSION_1)
    if name in IGNORED_EVENTS:
        return None
    known = ("message", "recording", *_OTHERS, *IGNORED_EVENTS)
    raise LineError(f"unknown event {quote(name)}{suggestion(name, known)}")


def _json_object(line: bytes) -> dict[str, Any]:
    if b"\0" in line:
        raise LineError("has NUL bytes: it was being written during a crash, or is not text")
    try:
        text = line.decode("utf-8").rstrip(" \t\r\n")
    except UnicodeDecodeError as error:
        raise LineError(f"is not text in UTF-8 (byte {error.start + 1})") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise LineError(f"is not JSON: {_json_words(error, text)}") from None
    except RecursionError:
        raise LineError("is nested too deeply") from None
    if not isinstance(value, dict):
        raise LineError(f"must be a JSON object, not {kind_of(value)}")
    return value


def _json_words(error: json.JSONDecodeError, text: str) -> str:
    if error.msg == "Extra data":
        return f"there is more text after the event, at column {error.pos + 1}; write one event per line"
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return "the line ends in the middle of an event; write one whole event per line"
    return f"column {error.pos + 1} cannot be read, from {quote(text[error.pos :])} on"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise LineError(f"has {quote(twice)} more than once")
    return fields


def _integer(digits: str) -> int:
    count = len(digits.lstrip("-"))
    if count > _INTEGER_DIGITS_MAX:
        raise LineError(f"has a number of {count} digits; at most {_INTEGER_DIGITS_MAX} are allowed")
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise LineError(f"has {name}, which is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_without_duplicates, parse_int=_integer, parse_constant=_constant
)


def _message(event: dict[str, Any]) -> MessageEvent:
    check_event_fields(event, _MESSAGE_FIELDS)
    for name in ("at", "instance", "phone", "id"):
        if name not in event:
            raise LineError(f'has no "{name}"')
    at, is_iso = time(event["at"], "at")
    if not is_iso and not 0 <= at <= SPAN_MS_MAX:
        raise LineError(f'"at" must be from 0 to {SPAN_MS_MAX} ms (20 years) from the start, not {at} ms')
    return MessageEvent(
        at=at,
        is_iso=is_iso,
        instance=identifier(event["instance"], "instance"),
        phone=identifier(event["phone"], "phone"),
        id=identifier(event["id"], "id"),
        text=text_of(event.get("text", ""), "text"),
        kind=kind_word(event),
        timestamp=_timestamp(event["timestamp"], at, is_iso) if "timestamp" in event else None,
        characters=characters(event),
    )


def _timestamp(value: object, at: int, is_iso: bool) -> int:
    timestamp, timestamp_is_iso = time(value, "timestamp")
    if timestamp_is_iso != is_iso:
        raise LineError('"at" and "timestamp" must both be ISO times or both milliseconds from the start')
    if abs(timestamp - at) > SPAN_MS_MAX:
        raise LineError('"timestamp" is more than 20 years from "at"')
    return timestamp


def _header(event: dict[str, Any]) -> Header:
    if "version" not in event:
        check_event_fields(event, _HEADER_FIELDS_2)
        raise LineError('has no "version"')
    version = event["version"]
    if isinstance(version, bool) or version not in VERSIONS or not isinstance(version, int):
        shown = version if isinstance(version, int) and not isinstance(version, bool) else kind_of(version)
        raise LineError(f'"version" must be {_VERSIONS_WORDS}, not {shown}; a newer simulator may read it')
    check_event_fields(event, _HEADER_FIELDS if version == 1 else _HEADER_FIELDS_2)
    return Header(
        title=text_of(event.get("title", ""), "title"),
        source=text_of(event.get("source", ""), "source"),
        notes=text_of(event.get("notes", ""), "notes"),
        settings=_settings(event.get("settings", {})),
        expect={
            identifier(system, "expect"): _expectation(outcomes, f"expect.{system}")
            for system, outcomes in an_object(event.get("expect", {}), "expect").items()
        },
        version=version,
        precision=cast("Precision", word(event.get("precision", "ms"), "precision", PRECISIONS)),
        left_out=_left_out(event.get("left_out", {})),
    )


def _left_out(value: object) -> dict[str, int]:
    counts = an_object(value, "left_out")
    if len(counts) > LEFT_OUT_MAX:
        raise LineError(f'"left_out" has {len(counts):,} reasons; at most {LEFT_OUT_MAX:,}')
    for reason, count in counts.items():
        identifier(reason, "left_out")
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise LineError(f"{quote('left_out.' + reason)} must be a whole number")
    return counts


def _settings(value: object) -> dict[str, str]:
    settings = an_object(value, "settings")
    check_fields(settings, tuple(sorted(SETTING_NAMES)), "settings.")
    for name, setting in settings.items():
        if not isinstance(setting, str):
            raise LineError(f'"settings.{name}" must be text, as on the command line, not {kind_of(setting)}')
        identifier(setting, f"settings.{name}")
    return settings


def _expectation(value: object, where: str) -> Expectation:
    outcomes = an_object(value, where)
    check_fields(outcomes, _EXPECT_FIELDS, f"{where}.")
    ids = {name: _ids(outcomes[name], f"{where}.{name}") for name in OUTCOMES if name in outcomes}
    log = outcomes.get("log", [])
    if not isinstance(log, list):
        raise LineError(f"{quote(where + '.log')} must be a list, not {kind_of(log)}")
    return Expectation(**ids, log=tuple(_log_line(line, f"{where}.log") for line in log))


def _ids(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise LineError(f"{quote(where)} must be a list of ids, not {kind_of(value)}")
    ids = tuple(identifier(message_id, where) for message_id in value)
    if len(set(ids)) < len(ids):
        raise LineError(f"{quote(where)} names an id more than once")
    return ids


def _log_line(value: object, where: str) -> dict[str, int | str]:
    line = an_object(value, where)
    for name, expected in line.items():
        if isinstance(expected, bool) or not isinstance(expected, (int, str)):
            field = quote(f"{where}.{name}")
            raise LineError(f"{field} must be a whole number or text, not {kind_of(expected)}")
        text_of(name, where)
        text_of(str(expected), f"{where}.{name}")
    if "event" not in line:
        raise LineError(f'{quote(where)} has a line without "event"')
    return line
