"""Words and numbers for people: durations, shares, shortened names, and hostile text made harmless to read."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

from reports.words.language import direction, gettext

NARROW = "\u00a0"
"""Between a number and its unit: the two stay on one line."""

ELLIPSIS = "…"
EN_DASH = "\u2013"
MINUS = "\u2212"
TIMES = "\u00d7"
LEFT_TO_RIGHT_MARK = "\u200e"
PHONE_DIGITS_MIN = 5
"""A name with at least so many digits may be a phone number, and is shown by its end only."""

PHONE_SHOWN = 4

# Overrides and embeddings make a text read as another; isolates, which phones put around names and numbers, do not.
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e")
_ISOLATES = re.compile("[\u2066-\u2069]")
_SPACES = re.compile(r"\s+")
_TROUBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """`text` with everything made visible that a page cannot hold, or that would disturb what stands around it.

    Control characters become their pictures (␀), characters that override the direction of writing become their
    code points in brackets, halves of surrogate pairs and non-characters become �. Line ends become LF.
    """
    if not _TROUBLE.search(text):
        return text
    return _TROUBLE.sub(lambda found: _visible(found[0]), text.replace("\r\n", "\n").replace("\r", "\n"))


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if character in _OVERRIDES:
        return f"[U+{code:04X}]"
    return "\n" if character in "\u2028\u2029" else "\ufffd"


def one_line(text: str) -> str:
    """`text` for a label: every run of white space is one space, and nothing turns the direction of what follows."""
    return " ".join(printable(_ISOLATES.sub("", text)).split())


def with_units(text: str) -> str:
    """The same for a text of ours on a page: no line ends between a number and its unit."""
    label = printable(_ISOLATES.sub("", text)).strip()
    return _SPACES.sub(lambda found: NARROW if found[0] == NARROW else " ", label)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, the last an ellipsis if some are missing.

    Never cuts between a character and what is joined to it: accents, vowel signs, emoji sequences.
    """
    if len(text) <= limit:
        return text
    end = max(limit - 1, 0)
    while end > 0 and _joined(text, end):
        end -= 1
    return text[:end].rstrip() + ELLIPSIS


def _joined(text: str, at: int) -> bool:
    """Whether text[at] belongs to text[at - 1]."""
    here, before = text[at], text[at - 1]
    skin_tone = "\U0001f3fb" <= here <= "\U0001f3ff"
    return (
        here == "\u200d"
        or before == "\u200d"
        or skin_tone
        or unicodedata.category(here) in ("Mn", "Me", "Mc")
    )


def width_px(text: str, size_px: float) -> float:
    """About how wide a line of `text` is in a sans-serif of `size_px`: rather too wide than too narrow."""
    units = 0.0
    for character in text:
        if unicodedata.category(character) in ("Mn", "Me", "Cf"):
            continue
        wide = unicodedata.east_asian_width(character) in "WF"
        units += 1.25 if wide else 0.7 if character.isupper() else 0.36 if character in " .,:;il|'" else 0.59
    return units * size_px


def is_right_to_left(text: str) -> bool:
    """Whether the first letter that has a direction runs from right to left, which is how dir="auto" decides."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False


def duration(value_ms: float | None) -> str:
    """`3.4 ms`, `850 ms`, `12.1 s`, `2 min 05 s`, `1 h 03 min`; a dash when there was nothing to measure."""
    if value_ms is None:
        return EN_DASH
    sign, size = (MINUS, -value_ms) if value_ms < 0 else ("", value_ms)
    if size < 99.95 and size != round(size):
        return milliseconds(f"{sign}{size:.1f}")
    if size < 999.5:
        return milliseconds(f"{sign}{size:.0f}")
    if size < 59_950:
        return seconds(f"{sign}{size / 1000:.1f}")
    whole_s = round(size / 1000)
    if whole_s < 3600:
        told = {"minutes": f"{sign}{whole_s // 60}", "seconds": f"{whole_s % 60:02}"}
        return _on_one_line(gettext("%(minutes)s min %(seconds)s s", **told))
    whole_min = round(size / 60_000)
    told = {"hours": f"{sign}{whole_min // 60:,}", "minutes": f"{whole_min % 60:02}"}
    return _on_one_line(gettext("%(hours)s h %(minutes)s min", **told))


def round_duration(value_ms: float) -> str:
    """A duration for an axis, without what is zero: `0.5 ms`, `2 s`, `5 min`, `1 h`."""
    value_ms = round(value_ms, 1)
    if value_ms < 100:
        return milliseconds(f"{value_ms:g}")
    for unit_ms, end_ms, told in (
        (1000, 60_000, seconds),
        (60_000, 3_600_000, minutes),
        (3_600_000, math.inf, hours),
    ):
        if unit_ms <= value_ms < end_ms and not value_ms % unit_ms:
            return told(f"{value_ms / unit_ms:,.0f}")
    return duration(value_ms)


def signed(sign: str, number: str) -> str:
    """A number with its sign, which is on its left in every language, as in the patterns of Unicode's CLDR."""
    return (LEFT_TO_RIGHT_MARK if direction() == "rtl" else "") + sign + number


def milliseconds(value: str) -> str:
    """A number of them with the unit's sign; so do the next three."""
    return _on_one_line(gettext("%(value)s ms", value=value))


def seconds(value: str) -> str:
    """As `milliseconds`."""
    return _on_one_line(gettext("%(value)s s", value=value))


def minutes(value: str) -> str:
    """As `milliseconds`."""
    return _on_one_line(gettext("%(value)s min", value=value))


def hours(value: str) -> str:
    """As `milliseconds`."""
    return _on_one_line(gettext("%(value)s h", value=value))


def _on_one_line(text: str) -> str:
    return text.replace(" ", NARROW)


def moment(at_ms: int) -> str:
    """A point on a recording's clock: `0 s`, `8.5 s`, `1 min 10 s`, `15:13:20` after the first hour."""
    if abs(at_ms) < 60_000 and not at_ms % 1000:
        return seconds(f"{MINUS if at_ms < 0 else ''}{abs(at_ms) // 1000}")
    if abs(at_ms) < 3_600_000:
        return duration(at_ms)
    whole_min, rest_s = divmod(round(at_ms / 1000), 60)
    return f"{whole_min // 60}:{whole_min % 60:02}:{rest_s:02}"


def share(part: float) -> str:
    """A share in percent, such that some never reads as none, nor less than all as all."""
    if part <= 0:
        return f"0{NARROW}%"
    if part >= 1:
        return f"100{NARROW}%"
    percent = min(max(100 * part, 0.01), 99.99)
    digits = 1 if 10 <= percent <= 99.9 else 2
    return f"{percent:.{digits}f}{NARROW}%"


def count(number: int, one: str, many: str = "") -> str:
    """`1 message`, `2,000 messages`."""
    return f"{number:,}{NARROW}{one if number == 1 else many or one + 's'}"


def number_list(numbers: Sequence[int], *, last: str = "", parts_max: int = 0) -> str:
    """Ascending numbers with runs drawn together, such as 1 to 3.

    `last` stands before the last part, where a comma does not. Parts beyond `parts_max` are left out.
    """
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    parts: list[str] = []
    for low, high in runs:
        ends = [f"{low}", f"{high}"]
        parts += ends[low == high :] if high <= low + 1 else [EN_DASH.join(ends)]
    comma = gettext(", ")
    if parts_max and len(parts) > parts_max:
        return comma.join([*parts[:parts_max], ELLIPSIS])
    return comma.join(parts[:-1]) + (last or comma) + parts[-1] if len(parts) > 1 else "".join(parts)


def short_phone(phone: str) -> str:
    """The user as a report may show him: a phone number by its last four digits, any other name as it is."""
    if not _looks_like_a_number(phone):
        return cut(one_line(phone), 32)
    return ELLIPSIS + "".join(filter(str.isdecimal, phone))[-PHONE_SHOWN:]


def _looks_like_a_number(name: str) -> bool:
    return sum(character.isdecimal() for character in name) >= PHONE_DIGITS_MIN


class Phones:
    """Takes the phone numbers of a result out of ids, causes and whatever else is prose."""

    def __init__(self, phones: Iterable[str]) -> None:
        numbers = sorted(
            {phone for phone in phones if _looks_like_a_number(phone)}, key=lambda one: (-len(one), one)
        )
        self._pattern = re.compile("|".join(map(re.escape, numbers))) if numbers else None

    def hide(self, text: str) -> str:
        """`text` with each phone number in it shortened."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: short_phone(found[0]), text)
