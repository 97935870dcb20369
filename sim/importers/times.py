"""Times in files: reads them, and finds the time zone of those without one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from sim.importers.base import Context

QUARTER_MS = 15 * 60 * 1000
"""Unit of time zones: all differ from UTC by whole quarters of an hour."""
EARLY_MS, LATE_MS = 5_000, 120_000
"""Limits on how far a log's time may be before or after the provider's time of a message, to show the log's zone."""
OFFSET_MS_MAX = 14 * 3600 * 1000
SIGHTINGS_MIN = 3
"""Number of messages that must agree before a second zone in a file counts."""

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED_MONTH = re.compile(
    r"(?:(\d\d?)[/ ]([A-Za-z]{3})[/ ](\d{4})|([A-Za-z]{3}) (\d\d?) (\d{4}))[: ](\d\d:\d\d:\d\d)(\.\d{1,9})?"
    r"(?: ?((?:GMT)?[+-]\d{4}))?"
)
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec"
_NUMBER = re.compile(r"\d{9,19}(?:\.\d{1,9})?")
_TIME = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T _](\d\d):(\d\d):(\d\d)(?:[.,:](\d{1,9}))?"
    r"\s?(Z|UTC|[+-]\d\d:?\d\d(?!\d)|(?<=\d)[+-](?:0\d|1[0-4])(?![\d:]))?"
)


class Moment:
    """Time in a log: Unix milliseconds; without a zone, local milliseconds as if they were UTC."""

    __slots__ = ("has_zone", "is_whole_second", "ms")

    def __init__(self, ms: int, *, has_zone: bool, is_whole_second: bool) -> None:
        self.ms = ms
        self.has_zone = has_zone
        self.is_whole_second = is_whole_second


def moment_of(value: object) -> Moment | None:
    """Read an ISO-like time, or Unix seconds, milliseconds, microseconds or nanoseconds; else returns None."""
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
    """Find the first time in the beginning of a log line; None without one."""
    if match := _TIME.search(text):
        return _written(match)
    if match := _NAMED_MONTH.search(text):
        return _with_named_month(match)
    if (match2 := _NUMBER.search(text)) and match2.start() < 3:
        return _unix(float(match2[0]), is_whole="." not in match2[0])
    return None


def _with_named_month(match: re.Match[str]) -> Moment | None:
    """Read `11/Feb/2025:19:05:12 +0000` of a web server, or `Feb 11 2025 19:05:12` of JavaScript."""
    day, month, year, name, day2, year2, time, fraction, zone = match.groups()
    position = _MONTHS.find((month or name).lower())
    if position % 4:  # also for -1, an unknown month
        return None
    date = f"{year or year2}-{position // 4 + 1:02d}-{int(day or day2):02d}"
    return moment_of(f"{date} {time}{fraction or ''}{(zone or '').replace('GMT', '')}")


def _unix(number: float, *, is_whole: bool) -> Moment | None:
    for unit_ms, low in ((1e-6, 1e17), (1e-3, 1e14), (1.0, 1e11), (1e3, 1e8)):
        if low <= number < low * 1e3 * 10:
            return Moment(round(number * unit_ms), has_zone=True, is_whole_second=is_whole and unit_ms == 1e3)
    return None


def _written(match: re.Match[str]) -> Moment | None:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    start_ms = _day_ms(year, month, day)
    if start_ms is None or hour > "23" or minute > "59" or second > "60":
        return None
    seconds = int(hour) * 3600 + int(minute) * 60 + int(second)
    ms = start_ms + seconds * 1000 + (int(fraction.ljust(3, "0")[:3]) if fraction else 0)
    if zone and zone not in ("Z", "UTC"):
        digits = zone[1:].replace(":", "")
        offset_ms = (int(digits[:2]) * 60 + int(digits[2:] or 0)) * 60_000
        ms += offset_ms if zone[0] == "-" else -offset_ms
    return Moment(ms, has_zone=bool(zone), is_whole_second=not fraction)


@lru_cache(1024)
def _day_ms(year: str, month: str, day: str) -> int | None:
    """Return the beginning of a day in UTC; None for a day that does not exist."""
    try:
        return (datetime(int(year), int(month), int(day), tzinfo=UTC) - _UNIX_EPOCH).days * 86_400_000
    except ValueError:
        return None


def in_zone(local_ms: int, zone: tzinfo) -> int:
    """Convert local milliseconds to Unix milliseconds."""
    local = (_UNIX_EPOCH + timedelta(milliseconds=local_ms)).replace(tzinfo=None)
    offset = local.replace(tzinfo=zone).utcoffset() or timedelta()
    return local_ms - round(offset.total_seconds() * 1000)


class ZoneFinder:
    """Finder of the time zone of a file's local times, from messages that have the provider's time as well.

    `name` is the name of these times for notes, such as "date_time".
    """

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self._name = name
        self._offset_ms: int | None = None
        self._sightings: dict[int, int] = {}

    def unix_ms(self, local_ms: int, provider_ms: int) -> int:
        """Convert local to Unix milliseconds; `provider_ms` is the provider's time of the message, 0 if unknown."""
        if self._context.zone is not None:
            at_ms = in_zone(local_ms, self._context.zone)
            if provider_ms:
                self._compare(local_ms, at_ms, provider_ms)
            return at_ms
        if provider_ms:
            return local_ms - self._offset(local_ms - provider_ms)
        if self._offset_ms is None:
            self._context.note(
                f"{self._name} has no time zone: taken as UTC; --zone changes that, as in --zone America/Sao_Paulo"
            )
            return local_ms
        return local_ms - self._offset_ms

    def _compare(self, local_ms: int, at_ms: int, provider_ms: int) -> None:
        """Note that the provider's times show another zone than the user named."""
        offset_ms = _nearest_offset(local_ms - provider_ms)
        is_near = local_ms - provider_ms - offset_ms <= LATE_MS and abs(offset_ms) <= OFFSET_MS_MAX
        if not is_near or offset_ms == local_ms - at_ms:
            return
        count = self._sightings[offset_ms] = self._sightings.get(offset_ms, 0) + 1
        if at_ms < provider_ms or count == SIGHTINGS_MIN:
            self._context.note(
                f"{self._name} is read in the zone of --zone, although the provider's times beside it show "
                f"{zone_words(offset_ms)}. Without --zone, that zone counts. To see other times in an audit, import "
                "the file without --zone, then audit the recording with --zone."
            )

    def _offset(self, difference_ms: int) -> int:
        """Return the offset from UTC of a message's local time, and learn from the message.

        A difference that is close to a multiple of a quarter of an hour shows the zone; any other contains a delay.
        """
        offset_ms = _nearest_offset(difference_ms)
        if offset_ms == self._offset_ms:
            return offset_ms
        if difference_ms - offset_ms > LATE_MS or abs(offset_ms) > OFFSET_MS_MAX:
            if self._offset_ms is not None:
                return self._offset_ms
            before: int = self._context.state.get(self._name, offset_ms)  # the offset of the previous files
            return before
        count = self._sightings[offset_ms] = self._sightings.get(offset_ms, 0) + 1
        if self._offset_ms is None:
            self._context.note(
                f"{self._name} is taken as {zone_words(offset_ms)}, by the provider's times beside it."
            )
        elif count < SIGHTINGS_MIN:
            self._context.note(
                f"{self._name} of some messages fits {zone_words(offset_ms)} too. That counts as a second zone "
                f"only from {SIGHTINGS_MIN} such messages on; --zone sets one zone for all."
            )
            return self._offset_ms
        elif count == SIGHTINGS_MIN:
            self._context.note(
                f"{self._name} has more than one time zone (summer time, or several servers): a part is taken as "
                f"{zone_words(offset_ms)}, by the provider's times beside it."
            )
        self._offset_ms = self._context.state[self._name] = offset_ms
        return offset_ms


def _nearest_offset(difference_ms: int) -> int:
    """Return the offset from UTC that a local time shows which is `difference_ms` after the provider's time."""
    return (difference_ms + EARLY_MS) // QUARTER_MS * QUARTER_MS


def zone_words(offset_ms: int) -> str:
    """Write an offset from UTC, as in UTC-03:00."""
    minutes = abs(offset_ms) // 60_000
    if not minutes:
        return "UTC"
    return f"UTC{'-' if offset_ms < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
