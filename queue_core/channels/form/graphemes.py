"""Borders between characters as a reader sees them: an emoji, a flag or a letter with its vowel signs is one character.

In doubt there is no border, and the text is cut elsewhere. Only a word of thousands of characters is cut at such a
border, so the full rules of Unicode (UAX #29), which need tables that Python lacks, are not worth it.
"""

from __future__ import annotations

import unicodedata

LOOK_BACK_MAX = 256
"""Number of characters in which a border is searched for; a longer stack of combining signs is cut inside."""

_JOINER = "\u200d"
_CONTINUES = frozenset(
    [
        "\u200c",
        _JOINER,
        "\uff9e",
        "\uff9f",
        *map(chr, range(0x1F3FB, 0x1F400)),  # skin tones
        *map(chr, range(0xE0020, 0xE0080)),  # tags, as in the flag of Scotland
        *map(chr, range(0x1160, 0x1200)),  # vowels and finals of Hangul
        *map(chr, range(0xD7B0, 0xD800)),
    ]
)
_FLAG_LETTERS = frozenset(map(chr, range(0x1F1E6, 0x1F200)))


def border_before(text: str, index: int, start: int) -> int | None:
    """Return the last border at or before `index`, and after `start`; None if there is none near it."""
    for at in range(index, max(start, index - LOOK_BACK_MAX), -1):
        if is_border(text, at):
            return at
    return None


def is_border(text: str, index: int) -> bool:
    """Return True if a character may end before `index`."""
    if not 0 < index < len(text):
        return True
    before, after = text[index - 1], text[index]
    if after in _CONTINUES or before == _JOINER or unicodedata.category(after).startswith("M"):
        return False
    if before in _FLAG_LETTERS and after in _FLAG_LETTERS:
        return _flag_letters_before(text, index) % 2 == 0
    if before == "\r" and after == "\n":
        return False
    # A virama joins two letters of an Indian script; a sign such as U+0600 stands around the number that follows.
    return unicodedata.combining(before) != 9 and not (
        unicodedata.category(before) == "Cf" and after.isalnum()
    )


def _flag_letters_before(text: str, index: int) -> int:
    count = 0
    while index > count and count < LOOK_BACK_MAX and text[index - count - 1] in _FLAG_LETTERS:
        count += 1
    return count
