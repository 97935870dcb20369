"""Reader of one line of a recording: checks it, and says why it breaks the format if it does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from queue_core.recording.format import (
    FORMAT_VERSION,
    IDENTIFIER_LENGTH_MAX,
    IGNORED_EVENTS,
    KIND_LENGTH_MAX,
    OUTCOMES,
    SETTING_NAMES,
    SPAN_MS_MAX,
    TEXT_LENGTH_MAX,
    YEAR_MAX,
    YEAR_MIN,
    Expectation,
    Header,
    MessageEvent,
)
from queue_core.text import suggestion, visible

_HEADER_FIELDS = ("event", "version", "title", "source", "notes", "settings", "expect")
_MESSAGE_FIELDS = ("event", "at", "instance", "phone", "id", "text", "kind", "timestamp")
_EXPECT_FIELDS = (*OUTCOMES, "log")
_FREE_FIELD_PREFIX = "x_"

_INTEGER_DIGITS_MAX = 19
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_ISO_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LineError(Exception):
    """A line that breaks the format; the message is the reason in words."""


def parse_line(line: bytes) -> Header | MessageEvent | None:
    """Reads one line; returns None for an event that is known but not replayed. Raises LineError."""
    event = _json_object(line)
    name = event.get("event")
    if "event" not in event:
        raise LineError('has no "event"')
    if not isinstance(name, str):
        raise LineError(f'"event" must be text, not {_type(name)}')
    if name == "message":
        return _message(event)
    if name == "recording":
        return _header(event)
    if name in IGNORED_EVENTS:
        return None
    known = ("message", "recording", *IGNORED_EVENTS)
    raise LineError(f"unknown event {quote(name)}{suggestion(name, known)}")


def quote(value: str) -> str:
    """Quotes text from a file for an error message: shortened, and in one line."""
    short = value if len(value) <= 60 else value[:59] + "…"
    return f'"{visible(short)}"'


def _json_object(line: bytes) -> dict[str, Any]:
    if b"\0" in line:
        raise LineError("holds NUL bytes: it was being written during a crash, or is not text")
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
        raise LineError(f"must be a JSON object, not {_type(value)}")
    return value


def _json_words(error: json.JSONDecodeError, text: str) -> str:
    if error.msg == "Extra data":
        return f"something follows the event at column {error.pos + 1}; write one event per line"
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
        raise LineError(f"holds a number of {count} digits; at most {_INTEGER_DIGITS_MAX}")
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise LineError(f"holds {name}, which is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_without_duplicates, parse_int=_integer, parse_constant=_constant
)


def _message(event: dict[str, Any]) -> MessageEvent:
    _check_event_fields(event, _MESSAGE_FIELDS)
    for name in ("at", "instance", "phone", "id"):
        if name not in event:
            raise LineError(f'has no "{name}"')
    at, is_iso = _time(event["at"], "at")
    if not is_iso and not 0 <= at <= SPAN_MS_MAX:
        raise LineError(f'"at" must be from 0 to {SPAN_MS_MAX} ms (20 years) from the start, not {at} ms')
    kind = event.get("kind", "text")
    if not isinstance(kind, str):
        raise LineError(f'"kind" must be text, not {_type(kind)}')
    if len(kind) > KIND_LENGTH_MAX or not _KIND.fullmatch(kind):
        raise LineError(f'"kind" must be a word such as "text" or "image", not {quote(kind)}')
    return MessageEvent(
        at=at,
        is_iso=is_iso,
        instance=identifier(event["instance"], "instance"),
        phone=identifier(event["phone"], "phone"),
        id=identifier(event["id"], "id"),
        text=_text(event.get("text", ""), "text"),
        kind=kind,
        timestamp=_timestamp(event["timestamp"], at, is_iso) if "timestamp" in event else None,
    )


def _timestamp(value: object, at: int, is_iso: bool) -> int:
    timestamp, timestamp_is_iso = _time(value, "timestamp")
    if timestamp_is_iso != is_iso:
        raise LineError('"at" and "timestamp" must both be ISO times or both milliseconds from the start')
    if abs(timestamp - at) > SPAN_MS_MAX:
        raise LineError('"timestamp" is more than 20 years from "at"')
    return timestamp


def _time(value: object, name: str) -> tuple[int, bool]:
    """Reads a time; returns milliseconds, and whether it was an ISO time."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value, False
    if isinstance(value, str):
        return _iso_ms(value, name), True
    if isinstance(value, float):
        raise LineError(f'"{name}" must be a whole number of milliseconds, not {value}')
    raise LineError(f'"{name}" must be an ISO 8601 time in UTC or milliseconds, not {_type(value)}')


def _iso_ms(value: str, name: str) -> int:
    """Converts an ISO time to Unix milliseconds; digits beyond the millisecond are dropped."""
    match = _ISO_TIME.fullmatch(value)
    if match is None:
        raise LineError(f'"{name}" must look like 2026-01-31T09:30:00.250Z, not {quote(value)}')
    seconds, fraction, zone = match.groups()
    if zone is None:
        raise LineError(f'"{name}" has no zone: {quote(value)}; write UTC, ending in Z')
    try:
        moment = datetime.fromisoformat(seconds + ("+00:00" if zone == "Z" else zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise LineError(f'"{name}" is not a time that exists: {quote(value)}') from None
    if not YEAR_MIN <= moment.year <= YEAR_MAX:
        raise LineError(f'"{name}" must lie in the years {YEAR_MIN} to {YEAR_MAX}, not {quote(value)}')
    since = moment - _UNIX_EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + int((fraction or "0").ljust(3, "0")[:3])


def _header(event: dict[str, Any]) -> Header:
    _check_event_fields(event, _HEADER_FIELDS)
    if "version" not in event:
        raise LineError('has no "version"')
    version = event["version"]
    if isinstance(version, bool) or version != FORMAT_VERSION or not isinstance(version, int):
        shown = version if isinstance(version, int) and not isinstance(version, bool) else _type(version)
        raise LineError(f'"version" must be {FORMAT_VERSION}, not {shown}; a newer simulator may read it')
    return Header(
        title=_text(event.get("title", ""), "title"),
        source=_text(event.get("source", ""), "source"),
        notes=_text(event.get("notes", ""), "notes"),
        settings=_settings(event.get("settings", {})),
        expect={
            identifier(system, "expect"): _expectation(outcomes, f"expect.{system}")
            for system, outcomes in _object(event.get("expect", {}), "expect").items()
        },
    )


def _settings(value: object) -> dict[str, str]:
    settings = _object(value, "settings")
    _check_fields(settings, tuple(sorted(SETTING_NAMES)), "settings.")
    for name, setting in settings.items():
        if not isinstance(setting, str):
            raise LineError(f'"settings.{name}" must be text, as on the command line, not {_type(setting)}')
        identifier(setting, f"settings.{name}")
    return settings


def _expectation(value: object, where: str) -> Expectation:
    outcomes = _object(value, where)
    _check_fields(outcomes, _EXPECT_FIELDS, f"{where}.")
    ids = {name: _ids(outcomes[name], f"{where}.{name}") for name in OUTCOMES if name in outcomes}
    log = outcomes.get("log", [])
    if not isinstance(log, list):
        raise LineError(f"{quote(where + '.log')} must be a list, not {_type(log)}")
    return Expectation(**ids, log=tuple(_log_line(line, f"{where}.log") for line in log))


def _ids(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise LineError(f"{quote(where)} must be a list of ids, not {_type(value)}")
    ids = tuple(identifier(message_id, where) for message_id in value)
    if len(set(ids)) < len(ids):
        raise LineError(f"{quote(where)} names an id more than once")
    return ids


def _log_line(value: object, where: str) -> dict[str, int | str]:
    line = _object(value, where)
    for name, expected in line.items():
        if isinstance(expected, bool) or not isinstance(expected, (int, str)):
            field = quote(f"{where}.{name}")
            raise LineError(f"{field} must be a whole number or text, not {_type(expected)}")
        _text(name, where)
        _text(str(expected), f"{where}.{name}")
    if "event" not in line:
        raise LineError(f'{quote(where)} has a line without "event"')
    return line


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise LineError(f"{quote(where)} must be an object, not {_type(value)}")
    return value


def identifier(value: object, where: str) -> str:
    """Checks an instance, phone, id or other short name; `where` names it in the LineError."""
    if not isinstance(value, str):
        raise LineError(f"{quote(where)} must be text, not {_type(value)}")
    if not value.strip():
        raise LineError(f"{quote(where)} is empty")
    if len(value) > IDENTIFIER_LENGTH_MAX:
        raise LineError(f"{quote(where)} has {len(value)} characters; at most {IDENTIFIER_LENGTH_MAX}")
    if _CONTROL.search(value):
        raise LineError(f"{quote(where)} holds a control character: {quote(value)}")
    return _text(value, where)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise LineError(f"{quote(where)} must be text, not {_type(value)}")
    if len(value) > TEXT_LENGTH_MAX:
        raise LineError(f"{quote(where)} has {len(value)} characters; at most {TEXT_LENGTH_MAX}")
    if "\0" in value:
        raise LineError(f"{quote(where)} holds a NUL character")
    if _SURROGATE.search(value):
        raise LineError(f"{quote(where)} holds half of a surrogate pair, which is not a character")
    return value


def _check_event_fields(event: Mapping[str, Any], known: tuple[str, ...]) -> None:
    _check_fields({name for name in event if not name.startswith(_FREE_FIELD_PREFIX)}, known, "")


def _check_fields(names: Iterable[str], known: tuple[str, ...], where: str) -> None:
    for name in sorted(names):
        if name not in known:
            raise LineError(f"unknown field {quote(where + name)}{suggestion(name, known)}")


def _type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (int, float)):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"
