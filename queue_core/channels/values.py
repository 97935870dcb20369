"""Values in webhooks, read without trust: each function returns its type for any input."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

Object = Mapping[str, Any]
"""A JSON object of a webhook."""

NAME_CHARACTERS_MAX = 200
"""Limit on a name inside a placeholder; a longer one is cut."""
JSON_CHARACTERS_MAX = 100_000
"""Limit on a text in a webhook that is JSON; a longer one is not read."""
_DIGITS = re.compile(r"\s*-?[0-9]{1,20}\s*")


def text(value: Any) -> str:
    """Return a text as it is; "" for anything else."""
    return value if isinstance(value, str) else ""


def name(value: Any) -> str:
    """Return a name on one line, cut to NAME_CHARACTERS_MAX; "" for anything but a text."""
    return " ".join(text(value)[: NAME_CHARACTERS_MAX * 10].split())[:NAME_CHARACTERS_MAX]


def profile_name(value: Any) -> str:
    """Return the name that a user chose; "" for mere punctuation, such as "~" or "-", which means no name."""
    chosen = name(value)
    return chosen if any(map(_says_something, chosen)) else ""


def _says_something(letter: str) -> bool:
    """Return True for letters, digits and emoji."""
    return letter.isalnum() or (not letter.isascii() and unicodedata.category(letter)[0] == "S")


def label(value: Any) -> str:
    """Return a name, or a number as a text; "" for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.15g}" if is_number(value) else ""
    return name(value)


def mapping(value: Any) -> Object:
    """Return an object as it is; {} for anything else."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[Object]:
    """Return the objects of a list; [] for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def at(value: Any, *path: str) -> Any:
    """Return the value at a path of keys; None where the path leads nowhere."""
    for key in path:
        value = mapping(value).get(key)
    return value


def whole_number(value: Any) -> int:
    """Read a number written as 12, 12.0, "12" or the protobuf Long {"low": 12, "high": 0}; 0 for anything else."""
    if isinstance(value, Mapping):
        low, high = value.get("low"), value.get("high")
        if isinstance(low, Mapping) or isinstance(high, Mapping):
            return 0
        return (whole_number(high) << 32) + (whole_number(low) & 0xFFFFFFFF)
    if isinstance(value, bool):
        return 0
    if isinstance(value, str):
        return int(value) if _DIGITS.fullmatch(value) else 0
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    return value if isinstance(value, int) else 0


def timestamp_ms(value: Any) -> int:
    """Convert Unix seconds or an ISO date to milliseconds; keeps milliseconds; returns 0 for anything else."""
    if isinstance(value, str) and "T" in value[:32]:
        return _iso_ms(value)
    seconds = whole_number(value)
    if not 0 < seconds < 2**53 // 1000:
        return 0
    return seconds if seconds > 100_000_000_000 else seconds * 1000


def is_number(value: Any) -> bool:
    """Return True for a number below 1e15."""
    return isinstance(value, float | int) and not isinstance(value, bool) and abs(value) < 1e15


def json_object(value: Any) -> Object:
    """Read a text that is a JSON object; {} for anything else."""
    if not isinstance(value, str) or len(value) > JSON_CHARACTERS_MAX:
        return mapping(value)
    try:
        return mapping(msgspec.json.decode(value))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return {}


def filled(**facts: Any) -> dict[str, Any]:
    """Return the known facts, which are neither None nor empty, 0 or False."""
    return {key: value for key, value in facts.items() if value}


def _iso_ms(value: str) -> int:
    try:
        moment = datetime.fromisoformat(value)
        utc = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0, int(utc.timestamp() * 1000))
    except (ValueError, OverflowError):
        return 0
