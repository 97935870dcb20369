"""Times in files: reading them, finding the zone of those that name none, and spreading whole seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from sim.importers.base import Context

QUARTER_MS = 15 * 60 * 1000
"""Unit of zones: all are whole quarters of an hour from UTC."""
EARLY_MS, LATE_MS = 5_000, 120_000
"""Time by which a log may be earlier or later than the provider's time of a message, to show the zone of the log."""
OFFSET_MS_MAX = 14 * 3600 * 1000
SIGHTINGS_MIN = 3
"""Number of messages that must agree before a second zone in a file is believed."""

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"\d{9,19}(?:\.\d{1,9})?")
_TIME = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T _](\d\d):(\d\d):(\d\d)(?:[.,:](\d{1,9}))?\s?(Z|UTC|[+-]\d\d:?\d\d)?"
)


class Moment:
    """A time as a log writes it: Unix milliseconds, or local milliseconds (as if they were UTC) without a zone."""

    __slots__ = ("has_zone", "is_whole_second", "ms")

    def __init__(self, ms: int, *, has_zone: bool, is_whole_second: bool) -> None:
        self.ms = ms
        self.has_zone = has_zone
        self.is_whole_second = is_whole_second


def moment_of(value: object) -> Moment | None:
    """Reads an ISO-like time, or Unix seconds, milliseconds, microseconds or nanoseconds; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _unix(float(value), is_whole=isinstance(value, int))
    if not isinstance(value, str):
        return None
    if match := _TIME.match(value.strip()):
        return _written(match)
    if _NUMBER.fullmatch(value.strip()):
        return _unix(float(value), is_whole="." not in value)
    return None


def moment_in(text: str) -> Moment | None:
    """Finds the first time in the beginning of a log line; None without one."""
    if match := _TIME.search(text):
        return _written(match)
    if (match2 := _NUMBER.search(text)) and match2.start() < 3:
        return _unix(float(match2[0]), is_whole="." not in match2[0])
    return None


def _unix(number: float, *, is_whole: bool) -> Moment | None:
    for unit_ms, low in ((1e-6, 1e17), (1e-3, 1e14), (1.0, 1e11), (1e3, 1e8)):
        if low <= number < low * 1e3 * 10:
            return Moment(round(number * unit_ms), has_zone=True, is_whole_second=is_whole and unit_ms == 1e3)
    return None


def _written(match: re.Match[str]) -> Moment | None:
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    try:
        since = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC) - _UNIX_EPOCH
    except ValueError:
        return None
    fraction, zone = match[7], match[8]
    ms = (since.days * 86_400 + since.seconds) * 1000 + (int(fraction.ljust(3, "0")[:3]) if fraction else 0)
    if zone and zone not in ("Z", "UTC"):
        digits = zone[1:].replace(":", "")
        offset_ms = (int(digits[:2]) * 60 + int(digits[2:])) * 60_000
        ms += offset_ms if zone[0] == "-" else -offset_ms
    return Moment(ms, has_zone=bool(zone), is_whole_second=not fraction)


def in_zone(local_ms: int, zone: tzinfo) -> int:
    """Converts local milliseconds to Unix milliseconds."""
    local = (_UNIX_EPOCH + timedelta(milliseconds=local_ms)).replace(tzinfo=None)
    offset = local.replace(tzinfo=zone).utcoffset() or timedelta()
    return local_ms - round(offset.total_seconds() * 1000)


class ZoneFinder:
    """Finder of the zone in which a file writes local times, by messages that have the provider's time as well.

    `name` says which times, as in "date_time".
    """

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self._name = name
        self._offset_ms: int | None = None
        self._sightings: dict[int, int] = {}

    def unix_ms(self, local_ms: int, provider_ms: int) -> int:
        """Converts local to Unix milliseconds; `provider_ms` is the provider's time of the message, 0 if unknown."""
        if self._context.zone is not None:
            return in_zone(local_ms, self._context.zone)
        if provider_ms:
            return local_ms - self._offset(local_ms - provider_ms)
        if self._offset_ms is None:
            self._context.note(
                f"{self._name} names no zone: taken as UTC; --zone changes that, as in --zone America/Sao_Paulo"
            )
            return local_ms
        return local_ms - self._offset_ms

    def _offset(self, difference_ms: int) -> int:
        """Returns the offset of a message, and learns from it.

        A difference that is hardly more than whole quarters of an hour shows the zone; a larger one is a delay.
        """
        offset_ms = (difference_ms + EARLY_MS) // QUARTER_MS * QUARTER_MS
        is_late = difference_ms - offset_ms > LATE_MS or abs(offset_ms) > OFFSET_MS_MAX
        if is_late or offset_ms == self._offset_ms:
            return offset_ms if self._offset_ms is None else self._offset_ms
        count = self._sightings[offset_ms] = self._sightings.get(offset_ms, 0) + 1
        if self._offset_ms is None:
            self._context.note(
                f"{self._name} is taken as {zone_words(offset_ms)}, by the provider's times beside it."
            )
        elif count < SIGHTINGS_MIN:
            return self._offset_ms
        elif count == SIGHTINGS_MIN:
            self._context.note(
                f"{self._name} is in more than one zone (summer time, or several servers): a part is taken as "
                f"{zone_words(offset_ms)}, by the provider's times beside it."
            )
        self._offset_ms = offset_ms
        return offset_ms


def zone_words(offset_ms: int) -> str:
    """Writes an offset from UTC, as in UTC-03:00."""
    minutes = abs(offset_ms) // 60_000
    if not minutes:
        return "UTC"
    return f"UTC{'-' if offset_ms < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
