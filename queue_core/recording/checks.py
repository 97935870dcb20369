"""Checks of the fields of a recording's events; each raises LineError with the reason in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from queue_core.recording.format import (
    IDENTIFIER_LENGTH_MAX,
    LENGTH_MAX,
    SPAN_MS_MAX,
    TEXT_LENGTH_MAX,
    YEAR_MAX,
    YEAR_MIN,
)
from queue_core.text import suggestion, visible

FREE_FIELD_PREFIX = "x_"
"""Prefix of additional fields, with which programs may extend a recording."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_ISO_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LineError(Exception):
    """Raised for a line that breaks the format. The message is the reason in words."""


def quote(value: str) -> str:
    """Quote text from a file for an error message: shortened, and in one line."""
    short = value if len(value) <= 60 else value[:59] + "…"
    return f'"{visible(short)}"'


def time(value: object, name: str) -> tuple[int, bool]:
    """Read a time; returns milliseconds, and whether it was an ISO time."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value, False
    if isinstance(value, str):
        return _iso_ms(value, name), True
    if isinstance(value, float):
        raise LineError(f'"{name}" must be a whole number of milliseconds, not {value}')
    raise LineError(f'"{name}" must be an ISO 8601 time in UTC or milliseconds, not {kind_of(value)}')


def _iso_ms(value: str, name: str) -> int:
    """Convert an ISO time to Unix milliseconds; digits beyond the millisecond are dropped."""
    match = _ISO_TIME.fullmatch(value)
    if match is None:
        raise LineError(f'"{name}" must look like 2026-01-31T09:30:00.250Z, not {quote(value)}')
    seconds, fraction, zone = match.groups()
    if zone is None:
        raise LineError(f'"{name}" has no time zone: {quote(value)}; write it in UTC, ending in Z')
    try:
        utc = datetime.fromisoformat(seconds + ("+00:00" if zone == "Z" else zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise LineError(f'"{name}" is not a time that exists: {quote(value)}') from None
    if not YEAR_MIN <= utc.year <= YEAR_MAX:
        raise LineError(f'"{name}" must lie in the years {YEAR_MIN} to {YEAR_MAX}, not {quote(value)}')
    since = utc - _UNIX_EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + int((fraction or "0").ljust(3, "0")[:3])


def moment(event: Mapping[str, Any]) -> tuple[int, bool]:
    """Read the time of an event, `at`; returns milliseconds, and whether it was an ISO time."""
    at, is_iso = time(event["at"], "at")
    if not is_iso and not -SPAN_MS_MAX <= at <= SPAN_MS_MAX:
        raise LineError(f'"at" must be at most {SPAN_MS_MAX} ms (20 years) from the start, not {at} ms')
    return at, is_iso


def an_object(value: object, where: str) -> dict[str, Any]:
    """Check an object."""
    if not isinstance(value, dict):
        raise LineError(f"{quote(where)} must be an object, not {kind_of(value)}")
    return value


def identifier(value: object, where: str) -> str:
    """Check an instance, phone, id or other short name; `where` names it in the LineError."""
    if not isinstance(value, str):
        raise LineError(f"{quote(where)} must be text, not {kind_of(value)}")
    if not value.strip():
        raise LineError(f"{quote(where)} is empty")
    if len(value) > IDENTIFIER_LENGTH_MAX:
        raise LineError(f"{quote(where)} has {len(value)} characters; at most {IDENTIFIER_LENGTH_MAX}")
    if _CONTROL.search(value):
        raise LineError(f"{quote(where)} holds a control character: {quote(value)}")
    return text_of(value, where)


def text_of(value: object, where: str) -> str:
    """Check a text, which may be empty."""
    if not isinstance(value, str):
        raise LineError(f"{quote(where)} must be text, not {kind_of(value)}")
    if len(value) > TEXT_LENGTH_MAX:
        raise LineError(f"{quote(where)} has {len(value)} characters; at most {TEXT_LENGTH_MAX}")
    if "\0" in value:
        raise LineError(f"{quote(where)} holds a NUL character")
    if _SURROGATE.search(value):
        raise LineError(f"{quote(where)} holds half of a surrogate pair, which is not a character")
    return value


def length(value: object, where: str) -> int:
    """Check a number of characters."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise LineError(f"{quote(where)} must be a whole number, not {kind_of(value)}")
    if not 0 <= value <= LENGTH_MAX:
        raise LineError(f"{quote(where)} must be from 0 to {LENGTH_MAX:,}, not {value}")
    return value


def word(value: object, where: str, known: Iterable[str]) -> str:
    """Check a word that must be one of `known`."""
    if not isinstance(value, str) or value not in known:
        shown = quote(value) if isinstance(value, str) else kind_of(value)
        raise LineError(f"{quote(where)} must be {' or '.join(sorted(known))}, not {shown}")
    return value


def check_event_fields(event: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Check that an event has no unknown field, apart from free ones."""
    check_fields({name for name in event if not name.startswith(FREE_FIELD_PREFIX)}, known, "")


def check_fields(names: Iterable[str], known: tuple[str, ...], where: str) -> None:
    """Check that all names are known; `where` stands before a name in the LineError."""
    for name in sorted(names):
        if name not in known:
            raise LineError(f"unknown field {quote(where + name)}{suggestion(name, known)}")


def kind_of(value: object) -> str:
    """Name the kind of a JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (int, float)):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"
