"""Text of strangers made harmless to show: visible, on one line, cut, without phone numbers. It needs no language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

NARROW = "\u00a0"
"""Between a number and its unit: the two stay on one line."""

ELLIPSIS = "…"
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
    """`text` of ours for a page: one line at will, which does not end between a number and its unit."""
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
