"""Sentences of results in the language of the page.

A result holds English sentences: what a system is, why a message was lost, what came of an outcome on record. Those
that are known here are recognised by their pattern and told in the language of the page, with the names and numbers
that they hold; all others stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache

from reports.words.language import DEFAULT, gettext, language
from reports.words.prose_sentences import SENTENCES, WORDS
from reports.words.prose_verdict import verdict_part
from reports.words.text import milliseconds

TEXT_LENGTH_MAX = 2000
"""A longer text is no sentence of ours, and stays as it is."""

_NUMBER = r"[\d,.]{1,20}"
_ANYTHING = r".{1,400}?"
_PLACE = re.compile(r"%\((\w+)\)s")
_CLOCK = re.compile(r" at (\d{1,15}) ms(?=[:,]|$)")
_PART_END = _CHANGE_END = "; "
_LISTED_MORE = re.compile(r"(?P<ids>.*) and (?P<number>\d+) more", re.DOTALL)


def translated_prose(text: str) -> str:
    """`text` in the language that is spoken, or as it is where that is English or the sentence is not known.

    The verdict's parts may be given one by one. Values in it come isolated: nothing may strip that off afterwards.
    """
    if language() == DEFAULT or not 0 < len(text) <= TEXT_LENGTH_MAX:
        return text
    for attempt in (_as_sentence, _as_cause_with_clock, _as_verdict):
        told = attempt(text)
        if told is not None:
            return told
    return text


def _as_sentence(text: str) -> str | None:
    if text in _plain():
        return gettext(text)
    for pattern, message in _patterns():
        found = pattern.fullmatch(text)
        if found:
            values = {name: _value(name, value) for name, value in found.groupdict().items()}
            return gettext(message, **values)
    return None


def _as_cause_with_clock(text: str) -> str | None:
    clock = _CLOCK.search(text)
    if clock is None:
        return None
    cause = _as_sentence(text[: clock.start()] + text[clock.end() :])
    if cause is None:
        return None
    return gettext("%(cause)s (at %(time)s)", cause=cause, time=milliseconds(f"{int(clock[1]):,}"))


def _as_verdict(text: str) -> str | None:
    end = "." if text.endswith(".") else ""
    parts = [verdict_part(part) for part in text.removesuffix(".").split(_PART_END)]
    known = [part for part in parts if part is not None]
    return gettext("; ").join(known) + end if len(known) == len(parts) else None


@cache
def _plain() -> frozenset[str]:
    return frozenset(one for one in (*SENTENCES, *WORDS) if not _PLACE.search(one))


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Sentences with places, in the order in which they are tried."""
    return tuple((_pattern(one), one) for one in (*SENTENCES, *WORDS) if _PLACE.search(one))


def _pattern(message: str) -> re.Pattern[str]:
    written = ""
    for at, piece in enumerate(_PLACE.split(message)):  # texts, and names of places between them
        if at % 2:
            written += f"(?P<{piece}>{_NUMBER if piece in _NUMBER_PLACES else _ANYTHING})"
        else:
            written += re.escape(piece.replace("%%", "%"))
    return re.compile(written, re.DOTALL)


def _value(name: str, value: str) -> str:
    told = _PLACES_TOLD.get(name)
    return told(value) if told else value


def _word(value: str) -> str:
    """A word of ours, or what it is."""
    return _as_sentence(value) or value


def _listed(value: str) -> str:
    """Ids, which may be none, and of which the last may only be counted."""
    if value == "none":
        return gettext("none")
    more = _LISTED_MORE.fullmatch(value)
    return gettext("%(ids)s and %(number)s more", **more.groupdict()) if more else value


def _changes(value: str) -> str:
    return gettext(", ").join(_word(part) for part in value.split(_CHANGE_END))


_NUMBER_PLACES = frozenset(
    {
        *("number", "milliseconds", "seconds", "value", "run", "seed", "rate", "sent", "answered"),
        *("messages", "idle", "waited", "calls", "split", "turns", "lossy", "choices"),
    }
)
_PLACES_TOLD: Mapping[str, Callable[[str], str]] = {
    "outcome": _word,
    "verdict": _word,
    "step": _word,
    "detail": _word,
    "lost": _word,
    "twice": _word,
    "displaced": _word,
    "ids": _listed,
    "expected": _listed,
    "changes": _changes,
}
"""How the values are told that are not data, but words of ours."""
