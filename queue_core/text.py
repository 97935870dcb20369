"""Text of unknown origin made harmless: everything that could steer a terminal or turn a line around is a code."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable

_JOINERS = "\u200c\u200d"
"""They shape Persian and emoji, and cannot reorder a line."""


def visible(text: str) -> str:
    """Put a text on one line for people: control characters, line breaks and bidi overrides are shown as codes."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in _JOINERS
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def visible_json(line: str) -> str:
    """Do so for a line of a log, with the codes of JSON, so that JSON stays the same JSON."""
    if line.isprintable():
        return line
    return "".join(character if character.isprintable() else _json_code(character) for character in line)


def _json_code(character: str) -> str:
    code = json.dumps(character)[1:-1]
    return code if code != character else f"\\u{ord(character):04x}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """End a message about an unknown name: with the known one that is most like it, or with all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; known are {', '.join(names)}"


def quantity(number: int, noun: str) -> str:
    """Word a number with its noun, in the plural where that is due: "1 message", "1,200 messages"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
