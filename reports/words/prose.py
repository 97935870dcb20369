"""Sentences of a load test's result in the language of the page.

Those that are known here are recognised by their pattern and told in the language of the page, with the names and
numbers that they hold; all others stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache

from reports.words.language import DEFAULT, gettext, language, marked

TEXT_LENGTH_MAX = 2000
"""A longer text is no sentence of ours, and stays as it is."""

_NUMBER = r"[\d,.]{1,20}"
_ANYTHING = r".{1,400}?"
_PLACE = re.compile(r"%\((\w+)\)s")

LOAD_VERDICTS = (
    marked(
        "Invalid: the generator was %(milliseconds)s ms behind its schedule (p99), so nothing here tells anything "
        "about the system. Use less load, or more machines for Locust."
    ),
    marked(
        "%(sent)s messages acknowledged, %(answered)s answered, %(lost)s lost, %(twice)s answered twice, "
        "%(displaced)s out of order. Missed: %(missed)s."
    ),
    marked(
        "%(sent)s messages acknowledged, %(answered)s answered, %(lost)s lost, %(twice)s answered twice, "
        "%(displaced)s out of order. Every threshold is met."
    ),
)
"""What a load test says in one sentence."""

OUTCOMES = (marked("lost"), marked("answered"), marked("none"))
TRIGGERS = (
    marked("window"),
    marked("size"),
    marked("idle"),
    marked("retry"),
    marked("direct"),
)
THRESHOLDS = (
    marked("lost messages"),
    marked("dead letters"),
    marked("answered twice"),
    marked("failed requests"),
    marked("acknowledgement p99"),
    marked("dispatch lag p99"),
    marked("Redis memory"),
    marked("highest rate"),
    marked("none measured"),
    marked("acknowledgement"),
    marked("dispatch lag"),
    marked("not all answered"),
    marked("the generator fell behind"),
)
"""Thresholds of a load test, and what a step of a ramp may miss."""

FIGURES = (
    marked("%(value)s ms"),
    marked("%(value)s MB"),
    marked("%(value)s /min"),
    marked("none measured ms"),
)

SETTINGS = (
    marked("scenario"),
    marked("rate"),
    marked("duration"),
    marked("channel"),
    marked("storm users"),
    marked("recording"),
    marked("speed"),
    marked("drain"),
    marked("redeliver"),
    marked("system"),
    marked("workers"),
    marked("AI service time"),
    marked("AI errors"),
    marked("Redis memory limit"),
    marked("Redis durability"),
    marked("faults"),
    marked("machine"),
    marked("cores"),
)
"""Names of settings and of facts about the system under test."""

WORDS = (*OUTCOMES, *TRIGGERS, *THRESHOLDS, *FIGURES, *SETTINGS)


def translated_prose(text: str) -> str:
    """`text` in the language that is spoken, or as it is where that is English or the sentence is not known.

    Values in it come isolated: nothing may strip that off afterwards.
    """
    if language() == DEFAULT or not 0 < len(text) <= TEXT_LENGTH_MAX:
        return text
    told = _as_sentence(text)
    return text if told is None else told


def _as_sentence(text: str) -> str | None:
    if text in _plain():
        return gettext(text)
    for pattern, message in _patterns():
        found = pattern.fullmatch(text)
        if found:
            values = {name: _value(name, value) for name, value in found.groupdict().items()}
            return gettext(message, **values)
    return None


@cache
def _plain() -> frozenset[str]:
    return frozenset(one for one in (*LOAD_VERDICTS, *WORDS) if not _PLACE.search(one))


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Sentences with places, in the order in which they are tried."""
    return tuple((_pattern(one), one) for one in (*LOAD_VERDICTS, *WORDS) if _PLACE.search(one))


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


def _missed(value: str) -> str:
    """Thresholds, each with what came out."""
    return gettext(", ").join(_with_measured(part) for part in value.split(", "))


def _with_measured(text: str) -> str:
    for threshold in sorted((*THRESHOLDS, *OUTCOMES), key=len, reverse=True):
        if text.startswith(f"{threshold} "):
            measured = _word(text.removeprefix(f"{threshold} "))
            return gettext("%(threshold)s %(measured)s", threshold=gettext(threshold), measured=measured)
    return text


_NUMBER_PLACES = frozenset({"number", "milliseconds", "value", "sent", "answered"})
_PLACES_TOLD: Mapping[str, Callable[[str], str]] = {
    "lost": _word,
    "twice": _word,
    "displaced": _word,
    "missed": _missed,
}
"""How the values are told that are not data, but words of ours."""
