"""Language of a page.

Every sentence of a page goes through `gettext` or `ngettext`, in Python and in templates alike. English is in the code;
other languages are in `languages/*.po`. Placeholders are written %(name)s and a percent sign %%. Data (texts, names,
ids) are never translated, and are put in as values. On a right-to-left page a value with Latin letters is isolated, so
that the text around it keeps its order.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from markupsafe import Markup

FOLDER = Path(__file__).with_name("languages")
DEFAULT = "en"
LANGUAGES = (DEFAULT, *sorted(file.stem for file in FOLDER.glob("*.po")))
"""Codes that `speaking` accepts."""

_RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur"})
_ISOLATE, _ISOLATE_END = "\u2068", "\u2069"
_ISOLATES = re.compile("[\u2066-\u2069]")
_SIGNS = ("+", "-", "\u2212")
_code: ContextVar[str] = ContextVar("language", default=DEFAULT)


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Use the language `code`, one of LANGUAGES, inside the block."""
    if code not in LANGUAGES:
        raise ValueError(f"there is no language {code!r}; known are {', '.join(LANGUAGES)}")
    token = _code.set(code)
    try:
        yield
    finally:
        _code.reset(token)


def language() -> str:
    """Return the code of the current language."""
    return _code.get()


def direction() -> str:
    """Return the direction of writing as HTML names it, `ltr` or `rtl`."""
    return "rtl" if language() in _RIGHT_TO_LEFT else "ltr"


def marked(message: str) -> str:
    """Mark a constant for translation and return it unchanged; `gettext` translates it later."""
    return message


def gettext(message: str, **values: object) -> str:
    """Translate `message` and fill in the values; the result is Markup if a value is, with the others escaped."""
    return _filled(_translations(language()).gettext(message), values)


def ngettext(singular: str, plural: str, number: int, **values: object) -> str:
    """Translate to the plural form for `number`, and fill it in as %(num)s with thousands separators.

    The number and the word after it stay on one line.
    """
    text = _translations(language()).ngettext(singular, plural, number)
    return _filled(text.replace("%(num)s ", "%(num)s\u00a0"), {"num": f"{number:,}", **values})


def _filled(text: str, values: dict[str, object]) -> str:
    if any(isinstance(value, Markup) for value in values.values()):
        return Markup(text) % values  # noqa: S704 - our own words; Markup escapes the values
    if direction() == "ltr":
        return text % values
    return text % {name: _isolated(value) for name, value in values.items()}


def isolated(text: str) -> str:
    """Isolate a name that becomes part of a list, as `gettext` does with the values that it fills in."""
    return str(_isolated(text)) if direction() == "rtl" else text


def _isolated(value: object) -> object:
    """Isolate a value that would change its place in a right-to-left sentence."""
    if not isinstance(value, str):
        return value
    text = value if _is_balanced(value) else _ISOLATES.sub("", value)
    runs_left_to_right = any(unicodedata.bidirectional(character) == "L" for character in text)
    return f"{_ISOLATE}{text}{_ISOLATE_END}" if runs_left_to_right or text.startswith(_SIGNS) else text


def _is_balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character in "\u2066\u2067\u2068") - (character == _ISOLATE_END)
        if depth < 0:
            return False
    return depth == 0


@cache
def _translations(code: str) -> NullTranslations:
    if code == DEFAULT:
        return NullTranslations()
    with (FOLDER / f"{code}.po").open("rb") as file:
        catalogue = read_po(file, locale=code)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)
