"""Cleaning of untrusted text for display: visible characters, one line, a maximum length, no phone numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

NO_BREAK = "\u00a0"
"""No-break space: it keeps a number and its unit on one line."""

ELLIPSIS = "…"
PHONE_DIGITS_MIN = 5
"""Number of digits that makes a name look like a phone number, of which only the end is shown."""

PHONE_SHOWN = 4

# Overrides and embeddings make a text read as another; isolates, which phones put around names and numbers, do not.
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e")
_ISOLATES = re.compile("[\u2066-\u2069]")
_SPACES = re.compile(r"\s+")
_WIDE_LETTERS = frozenset("سشصض")
_TROUBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """Replace characters that a page cannot hold, or that disturb the text around them, by visible ones.

    Control characters become their pictures (␀), characters that override the direction of writing become their
    code points in brackets, halves of surrogate pairs and non-characters become �. Line ends become LF.
    """
    if not _TROUBLE.search(text):
        return text
    return _TROUBLE.sub(lambda match: _visible(match[0]), text.replace("\r\n", "\n").replace("\r", "\n"))


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
    """Put `text` on one line, with single spaces and without characters that change the direction of other text."""
    return " ".join(printable(_ISOLATES.sub("", text)).split())


def with_units(text: str) -> str:
    """Put one of our own texts on one line, and keep the no-break spaces between numbers and units."""
    label = printable(_ISOLATES.sub("", text)).strip()
    return _SPACES.sub(lambda match: NO_BREAK if match[0] == NO_BREAK else " ", label)


def cut(text: str, limit: int) -> str:
    """Shorten `text` to at most `limit` characters, the last of them an ellipsis.

    Accents, vowel signs and emoji sequences are not separated from their character.
    """
    if len(text) <= limit:
        return text
    end = max(limit - 1, 0)
    while end > 0 and _joined(text, end):
        end -= 1
    return text[:end].rstrip() + ELLIPSIS


def _joined(text: str, at: int) -> bool:
    """Return whether text[at] belongs to text[at - 1]."""
    here, before = text[at], text[at - 1]
    skin_tone = "\U0001f3fb" <= here <= "\U0001f3ff"
    return (
        here == "\u200d"
        or before == "\u200d"
        or skin_tone
        or unicodedata.category(here) in ("Mn", "Me", "Mc")
    )


def width_px(text: str, size_px: float) -> float:
    """Estimate the width of a line of `text` in a sans-serif of `size_px`; the estimate is rather too large."""
    units = 0.0
    for character in text:
        if unicodedata.category(character) in ("Mn", "Me", "Cf"):
            continue
        if unicodedata.east_asian_width(character) in "WF":
            units += 1.25
        elif character in _WIDE_LETTERS:
            units += 1.0
        else:
            units += 0.7 if character.isupper() else 0.36 if character in " .,:;il|'" else 0.59
    return units * size_px


def is_right_to_left(text: str) -> bool:
    """Return whether the first letter with a direction runs from right to left, as dir="auto" decides."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False


def short_phone(phone: str) -> str:
    """Return a user's name for display: the last four digits of a phone number, or any other name, shortened."""
    if not _looks_like_a_number(phone):
        return cut(one_line(phone), 32)
    return ELLIPSIS + "".join(filter(str.isdecimal, phone))[-PHONE_SHOWN:]


def _looks_like_a_number(name: str) -> bool:
    return sum(character.isdecimal() for character in name) >= PHONE_DIGITS_MIN


class Phones:
    """Phone numbers of a result, to hide them in ids, causes and other texts."""

    def __init__(self, phones: Iterable[str]) -> None:
        numbers = sorted(filter(_looks_like_a_number, set(phones)), key=lambda phone: (-len(phone), phone))
        self._pattern = re.compile("|".join(map(re.escape, numbers))) if numbers else None

    def hide(self, text: str) -> str:
        """Shorten each phone number in `text`."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: short_phone(match[0]), text)
