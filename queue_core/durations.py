"""Durations as people write them, such as `250ms`, `8s`, `2m`, `1h`: the grammar of every command and recording.

A duration is a number and its unit: `us`, `ms`, `s`, `m`, `h` or `d`. The number has up to 12 digits, and up to 9 more
after a point. Capital letters and surrounding blanks are allowed, blanks inside are not. 0 needs no unit; any other
number needs one. Settings in the environment are plain numbers, since their names say the unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

DAY_MS = 86_400_000.0

_UNIT_MS = {
    "us": Decimal("0.001"),
    "ms": Decimal(1),
    "s": Decimal(1000),
    "m": Decimal(60_000),
    "h": Decimal(3_600_000),
    "d": Decimal(86_400_000),
}
_DURATION = re.compile(r"(-?)([0-9]{1,12}(?:\.[0-9]{1,9})?)(us|ms|s|m|h|d|)")
_NEGATIVE = re.compile(r"-[0-9.]")


class DurationError(ValueError):
    """A duration that cannot be read or is out of range; the message says what to write."""


def parse_duration_ms(text: str, *, is_above_0: bool = False, at_most_ms: float = DAY_MS) -> float:
    """Read a duration and return its milliseconds. Raises DurationError.

    The limit is a day unless the caller sets another: a longer duration is mostly a wrong unit. `is_above_0` refuses 0.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if not match:
        raise DurationError(
            f"{text!r} is not a duration: write a number and its unit, as in 250ms, 8s, 2m or 1h"
        )
    sign, number, unit = match.groups()
    written = match[0]
    if sign:
        raise DurationError(
            f"{written} is negative: a duration is {'more than 0' if is_above_0 else '0 or more'}"
        )
    amount = Decimal(number)
    if amount and not unit:
        raise DurationError(f"{written} has no unit: write {number}ms, {number}s, {number}m or {number}h")
    value_ms = float(amount * _UNIT_MS[unit or "ms"])
    if is_above_0 and not value_ms:
        raise DurationError(f"{written} is too short: it must be more than 0")
    if value_ms > at_most_ms:
        raise DurationError(f"{written} is too long: at most {format_duration_ms(at_most_ms)}")
    return value_ms


def format_duration_ms(value_ms: float) -> str:
    """Write a duration of whole microseconds as it is typed: `0`, `80us`, `250ms`, `1.5s`, `90s`, `2m`, `1h`."""
    value = Decimal(str(value_ms))
    if not value:
        return "0"
    unit = next(
        (name for name in ("h", "m") if not value % _UNIT_MS[name]),
        "s" if value >= 1000 else "ms" if value >= 1 else "us",
    )
    return f"{(value / _UNIT_MS[unit]).normalize():f}{unit}"


def age(milliseconds: float) -> str:
    """Write a time that passed for people: "1.2 s", "3 min 05 s", "1 h", "2 d 04 h"; a negative one counts as 0."""
    seconds = max(0.0, milliseconds / 1000)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return _in_units(minutes, "min", seconds, "s")
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return _in_units(hours, "h", minutes, "min")
    return _in_units(hours // 24, "d", hours % 24, "h")


def _in_units(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit}" + (f" {small:02} {small_unit}" if small else "")


def with_negative_values(arguments: Iterable[str]) -> list[str]:
    """Write `--idle -3s` as `--idle=-3s`: argparse takes a value that begins with a dash for another option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1].startswith("--") and "=" not in joined[-1] and _NEGATIVE.match(argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined
