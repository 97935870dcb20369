"""Text from unknown sources made safe to show: characters that control a terminal or reorder a line become codes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable

_JOINERS = "\u200c\u200d"
"""Joiners, which Persian and emoji need; they cannot reorder a line."""


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
    """Make a line of a log safe to show with the escapes of JSON, so that a line of JSON keeps its value."""
    if line.isprintable():
        return line
    return "".join(character if character.isprintable() else _json_code(character) for character in line)


def _json_code(character: str) -> str:
    code = json.dumps(character)[1:-1]
    return code if code != character else f"\\u{ord(character):04x}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the known name most like it, or all known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; known are {', '.join(names)}"


def quantity(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural unless it is 1: "1 message", "1,200 messages"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
