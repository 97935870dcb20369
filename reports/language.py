"""The language that a page is written in.

Every sentence of a page goes through `gettext` or `ngettext`, in Python and in templates alike. English is in the code;
other languages are in `languages/*.po`. Placeholders are written %(name)s and a percent sign %%. Data (texts, names,
ids) are never translated, and are put in as values.
"""

from __future__ import annotations

import io
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
"""Codes that `speaking` takes."""

_RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur"})
_code: ContextVar[str] = ContextVar("language", default=DEFAULT)


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Everything said inside is said in this language, one of LANGUAGES."""
    if code not in LANGUAGES:
        raise ValueError(f"there is no language {code!r}; known are {', '.join(LANGUAGES)}")
    token = _code.set(code)
    try:
        yield
    finally:
        _code.reset(token)


def language() -> str:
    """The code of the language that is spoken now."""
    return _code.get()


def direction() -> str:
    """Its direction of writing, as HTML has it: `ltr` or `rtl`."""
    return "rtl" if language() in _RIGHT_TO_LEFT else "ltr"


def gettext(message: str, **values: object) -> str:
    """`message` in the language that is spoken, with the values in place; Markup if a value is, the others escaped."""
    return _filled(_translations(language()).gettext(message), values)


def ngettext(one: str, many: str, number: int, **values: object) -> str:
    """The form for this number; it is put in as %(num)s, with separators of thousands.

    The number and the word after it stay on one line.
    """
    text = _translations(language()).ngettext(one, many, number)
    return _filled(text.replace("%(num)s ", "%(num)s\u00a0"), {"num": f"{number:,}", **values})


def _filled(text: str, values: dict[str, object]) -> str:
    if any(isinstance(value, Markup) for value in values.values()):
        return Markup(text) % values  # noqa: S704 - our own words; Markup escapes the values
    return text % values


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
