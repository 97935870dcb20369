"""Order of day, month and year in the dates of a chat, found from all dates of the file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, TypeAlias, get_args

from sim.importers.formats.whatsapp_chat.headers import Header

DateOrder: TypeAlias = Literal["dmy", "mdy", "ymd", "ydm"]
DATE_ORDERS: tuple[DateOrder, ...] = get_args(DateOrder)
_POSITIONS: dict[DateOrder, tuple[int, int, int]] = {
    "dmy": (2, 1, 0),
    "mdy": (2, 0, 1),
    "ymd": (0, 1, 2),
    "ydm": (0, 2, 1),
}
"""Positions of year, month and day."""
_AROUND_YEAR = {0: (0, 1, 2), 1: (1, 0, 2), 2: (2, 1, 0)}
_YEARS = range(2009, 2101)
"""Possible years of a chat; WhatsApp began in 2009."""
_BUDDHIST_FROM = 52
"""First year of two digits that belongs to the Buddhist calendar: 67 is 2567, which is 2024."""
_JALALI_YEARS, _HIJRI_YEARS = range(1387, 1430), range(1430, 1500)
"""Years since 2009 in the Persian and the Islamic calendar; no year is in both ranges."""


def day_number(header: Header, order: DateOrder) -> int | None:
    """Return the days since 1970 of a header's date; None for a date that does not exist in this order.

    If the header shows where its year stands, that position is used, whatever the order says.
    """
    positions = _POSITIONS[order]
    if header.year_at not in (-1, positions[0]):
        positions = _AROUND_YEAR[header.year_at]
    return _day_number(header.date, positions)


def _day_number(numbers: tuple[int, int, int], positions: tuple[int, int, int]) -> int | None:
    year, month, day = (numbers[position] for position in positions)
    year += 0 if year > 99 else 2000 if year < _BUDDHIST_FROM else 2500 - 543
    try:
        if year in _JALALI_YEARS:
            return _jalali_ordinal(year, month, day) - _EPOCH
        if year in _HIJRI_YEARS:
            return _hijri_ordinal(year, month, day) - _EPOCH
        return date(year, month, day).toordinal() - _EPOCH if year in _YEARS else None
    except ValueError:
        return None


def is_hijri(header: Header) -> bool:
    """Return True for a date of the Islamic calendar, whose conversion may be wrong by a day."""
    return any(number in _HIJRI_YEARS for number in header.date)


def _jalali_ordinal(year: int, month: int, day: int) -> int:
    """Convert a date of the Persian calendar. Raises ValueError."""
    if not 1 <= month <= 12 or not 1 <= day <= (31 if month < 7 else 30):
        raise ValueError
    leaps = (year + 1595) // 33 * 8 + ((year + 1595) % 33 + 3) // 4
    months = (month - 1) * 31 if month < 7 else (month - 7) * 30 + 186
    return 365 * (year + 1595) + leaps + months + day - 356_033


def _hijri_ordinal(year: int, month: int, day: int) -> int:
    """Convert a date of the Islamic calendar by arithmetic, which may be wrong by a day. Raises ValueError."""
    if not 1 <= month <= 12 or not 1 <= day <= 30:
        raise ValueError
    return (11 * year + 3) // 30 + 354 * year + 30 * month - (month - 1) // 2 + day + 226_629


_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(slots=True)
class _Tally:
    """Evidence for and against an order."""

    positions: tuple[int, int, int]
    impossible: int = 0
    backwards: int = 0
    first: int | None = None
    last: int = 0
    highest: int = 0

    def add(self, numbers: tuple[int, int, int]) -> None:
        day = _day_number(numbers, self.positions)
        if day is None:
            self.impossible += 1
            return
        self.first = day if self.first is None else min(self.first, day)
        self.highest = max(self.highest, day)
        self.backwards += day < self.last
        self.last = day

    def rank(self) -> tuple[int, int, int]:
        """Return the sort key of an order, the best first: few impossible dates, little time that runs backwards."""
        span = 0 if self.first is None else self.highest - self.first
        return self.impossible, self.backwards, span


@dataclass(slots=True)
class DateEvidence:
    """Dates of a file, as evidence for the order of day, month and year."""

    tallies: dict[DateOrder, _Tally] = field(default_factory=dict)
    year_at: int = -1
    last: tuple[int, int, int] | None = None
    looks_american: bool = False

    def add(self, header: Header) -> None:
        """Count a date."""
        if header.date == self.last:
            return
        self.last = header.date
        if header.year_at >= 0:
            self.year_at = header.year_at
        for order, positions in _POSITIONS.items():
            if order not in self.tallies:
                self.tallies[order] = _Tally(positions)
            self.tallies[order].add(header.date)
        self.looks_american |= header.is_american

    def order(self) -> tuple[DateOrder, bool]:
        """Return the order, and True if it is proven: with any other, dates are impossible or run backwards.

        A year of four digits before the month and the day proves "ymd", unless a date is impossible in it.
        """
        candidates = self._candidates()
        ranks = {order: self.tallies[order].rank() for order in candidates if order in self.tallies}
        if not ranks:
            return candidates[0], False
        best = min(ranks, key=lambda order: ranks[order])
        others = [rank for order, rank in ranks.items() if order != best]
        is_proven = all(rank[:2] > ranks[best][:2] for rank in others)
        return best, is_proven or (best == "ymd" and self.year_at == 0)

    def allows(self, order: DateOrder) -> bool:
        """Return True when no date is impossible in an order."""
        return order not in self.tallies or not self.tallies[order].impossible

    def _candidates(self) -> tuple[DateOrder, ...]:
        """Return the possible orders; among equally good ones, the first is used."""
        if self.year_at == 0:
            return "ymd", "ydm"
        if self.year_at == 2:
            return "dmy", "mdy"
        return "dmy", "mdy", "ymd"


def evidence_of(headers: Iterable[Header]) -> DateEvidence:
    """Return the evidence in the dates of some headers."""
    evidence = DateEvidence()
    for header in headers:
        evidence.add(header)
    return evidence
