"""Beginnings of messages in a chat export: date, time and the rest of the line, in all forms that phones write.

Seen in public files: `[17/09/2024, 21:40:05] Ana: …` (iOS), `17/09/2024, 21:40 - Ana: …` (Android), dates in any
order and with any separator, `24.3.2022 klo 21.15`, `22/03/2024 à 21:15`, `[21:41:35, 3/27/22]` (Vietnamese),
`2024년 3월 22일 오후 9:15, 이름 : …`, digits of other scripts, direction marks between any two parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sim.importers.formats.whatsapp_chat.day_periods import half_of_day, hour_of_day

MARKS = "\u200b\u200c\u200d\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff"
"""Characters without width, for use in a character class of a regular expression."""
HEADER_CHARACTERS_MAX = 90
_M = f"[{MARKS}]*"
_S = r"[ \t\u00a0\u202f\u2009]"
_YEAR = r"(?:[RHS]|令和|平成|昭和)?\d{1,4}"
_DATE = (
    rf"(?P<a>{_YEAR}){_M}(?P<sep>[-/.年년]){_S}?{_M}(?P<b>\d{{1,4}}){_M}[-/.月월]{_S}?{_M}(?P<c>{_YEAR}){_M}[日일.]?"
    rf"(?P<era>{_S}?(?:BE|AP|AH|г\.?|พ\.ศ\.)(?!\w))?{_M}"
)
_TIME = (
    rf"(?P<hour>\d{{1,2}}){_M}(?P<colon>[:.٫時时시]|{_S}?h{_S}?){_S}?{_M}(?P<minute>\d{{2}})"
    rf"(?:{_M}(?:[:.٫分분]|{_S}?min{_S}?){_S}?{_M}(?P<second>\d{{2}}))?(?:{_S}?[分秒분초]|{_S}s(?![^\W_]))?{_M}"
)
_BEFORE = rf"(?P<comma>[,،、])?{_M}{_S}*{_M}(?:(?P<before>[^\W\d_][^\d\[\]():/,،、]{{0,15}}?){_S}*)?{_M}"
_AFTER = r"(?P<after>[^\d\[\]:\-–—]{1,20}?)??"
_DATE_FIRST = _DATE + _BEFORE + _TIME + _AFTER + _M
_TIME_FIRST = (
    _TIME + rf"(?P<after>{_S}[^\d\[\]:\-–—,،]{{1,12}}?)??(?P<comma>[,،、])?{_S}*(?P<before>)" + _DATE
)
_BRACKET = re.compile(rf"{_M}(?P<open>\[){_M}(?:{_DATE_FIRST})\](?P<dash>){_S}?(?P<rest>.*)", re.DOTALL)
_BRACKET_TIME = re.compile(rf"{_M}(?P<open>\[){_M}(?:{_TIME_FIRST})\](?P<dash>){_S}?(?P<rest>.*)", re.DOTALL)
_DASH = re.compile(rf"{_M}(?P<open>){_DATE_FIRST}{_S}(?P<dash>[-–—]){_S}(?P<rest>.*)", re.DOTALL)
_DASH_TIME = re.compile(rf"{_M}(?P<open>){_TIME_FIRST}{_S}(?P<dash>[-–—]){_S}(?P<rest>.*)", re.DOTALL)
_KOREAN = re.compile(rf"{_M}(?P<open>){_DATE_FIRST}(?P<dash>,){_S}(?P<rest>[^:]+{_S}?:.*)", re.DOTALL)
_HALF = rf"(?P<after>{_S}?(?:[AaPp]\.?{_S}?[Mm]\.?|ص|م)(?!\w))?"
_BARE = re.compile(
    rf"{_M}(?P<open>){_DATE}{_BEFORE}{_TIME}{_HALF}{_M}(?P<dash>:?){_S}(?P<rest>.*)", re.DOTALL
)
_PATTERNS = (_BRACKET, _DASH, _BRACKET_TIME, _DASH_TIME, _KOREAN, _BARE)
_ERAS = {"R": 2018, "令和": 2018, "H": 1988, "平成": 1988, "S": 1925, "昭和": 1925}
_BUDDHIST = 543


@dataclass(frozen=True, slots=True)
class Header:
    """Beginning of a message, and the rest of its line.

    `form` describes how date and time are written, without their values; all messages of an export have the same form.
    """

    form: str
    date: tuple[int, int, int]
    """Numbers of the date in the order of the file; a year with an era is converted."""
    year_at: int
    """Index of the year in `date`; -1 if it is unknown."""
    second_of_day: int
    has_seconds: bool
    is_american: bool
    """True if the date is written as in the United States: `3/7/22, 9:41 PM`, without leading zeros."""
    is_marked: bool
    """True if a direction mark stands before the date, as iOS writes it before media."""
    rest: str


def read_header(line: str) -> Header | None:
    """Read the beginning of a line; returns None for a line that continues the previous message."""
    if not _may_begin(line):
        return None
    if match := _USUAL.match(line):
        return _usual(match)
    head, tail = line[:HEADER_CHARACTERS_MAX], line[HEADER_CHARACTERS_MAX:]
    for pattern in _PATTERNS:
        if (match := pattern.match(head)) and (header := _header(match, tail)):
            return header
    return None


_USUAL = re.compile(
    r"(\[?)(\d{1,4})([-/.])(\d{1,2})\3(\d{2,4})(,?) (\d{1,2})([:.])(\d\d)(?:\8(\d\d))?"
    r"(?(1)\] ?| (-) )(?=[^ ])([^\n]*\n?)\Z",
    re.ASCII,
)
"""Most frequent forms, with ASCII digits and without words or marks; a separate pattern for speed."""


def _usual(match: re.Match[str]) -> Header | None:
    opening, a, sep, b, c, comma, hour, colon, minute, second, dash, rest = match.groups(default="")
    hours, minutes, seconds = int(hour), int(minute), int(second or 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    date, year_at = _date(a, b, c)
    width = str(len(c)) if year_at < 0 else ""
    form = f"{opening or dash}d{sep}{year_at}{width}{comma or ' '}{colon}{'s' if second else 'm'}24"
    return Header(
        form, date, year_at, hours * 3600 + minutes * 60 + seconds, bool(second), False, False, rest
    )


_FIRST = re.compile(rf"{_M}\[?{_M}(?:[RHS令平昭]\D?)?\d{{1,4}}")


def _may_begin(line: str) -> bool:
    return _FIRST.match(line) is not None


def _header(match: re.Match[str], tail: str) -> Header | None:
    group = match.groupdict
    parts = group(default="")
    hour, minute, second = int(parts["hour"]), int(parts["minute"]), int(parts["second"] or 0)
    halves = [half_of_day(parts["before"]), half_of_day(parts["after"])]
    half = next((half for half in halves if half), "")
    hour = hour_of_day(hour, half, parts["before"] + parts["after"])
    if hour > 23 or minute > 59 or second > 59:
        return None
    date, year_at = _date(parts["a"], parts["b"], parts["c"])
    form = "".join(
        (
            "[" if parts["open"] else parts["dash"] or "_",
            "t" if match.start("hour") < match.start("a") else "d",
            parts["sep"],
            str(year_at),
            str(len(parts["c"])) if year_at < 0 else "",
            "," if parts["comma"] else " ",
            parts["colon"].strip(),
            "s" if parts["second"] else "m",
            "?" if None in halves else "12" if half else "24",
        )
    )
    is_marked = match.start("open" if parts["open"] else "a") > 0
    words = (parts["before"] + parts["after"]).strip()
    has_zeros = any(part.startswith("0") for part in (parts["a"], parts["b"], parts["hour"]))
    return Header(
        form,
        date,
        year_at,
        hour * 3600 + minute * 60 + second,
        bool(parts["second"]),
        parts["sep"] == "/" and len(parts["c"]) == 2 and words in ("AM", "PM") and not has_zeros,
        is_marked,
        parts["rest"] + tail,
    )


@lru_cache(10_000)
def _date(*parts: str) -> tuple[tuple[int, int, int], int]:
    """Return the numbers of a date, and the index of the year; -1 if no number must be a year."""
    numbers, year_at = [], -1
    for position, part in enumerate(parts):
        era = part.rstrip("0123456789")
        era = era if era in _ERAS else ""
        number = int(part[len(era) :]) + _ERAS.get(era, 0)
        if era or len(part) == 4:
            year_at = position
            number -= _BUDDHIST if 2400 < number < 2700 else 0
        numbers.append(number)
    return (numbers[0], numbers[1], numbers[2]), year_at
