"""Templates of all pages with their filters, and the policy that tells browsers what a page may do."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.command_lines import typed
from reports.text import cut, one_line, printable, with_units
from reports.words.figures import in_unit, relative
from reports.words.language import DEFAULT, direction, gettext, language, ngettext
from reports.words.numbers import EN_DASH, duration, in_two_parts, moment, share

CHECK_SIGNS = {True: ("held", "✓"), False: ("failed", "✗"), None: ("unchecked", "?")}
"""Class and sign of an expectation that holds, does not hold, or was not checked."""
COMMAND_LENGTH_MAX = 4000
_RANGE = re.compile(rf"(?<=\d){EN_DASH}(?=\d)")
_WORD_JOINER = "\u2060"


@cache
def page_script() -> Markup:
    """Read the script of all pages, which has no data in it."""
    return Markup((Path(__file__).parent / "templates" / "page.js").read_text(encoding="utf-8"))  # noqa: S704 - our own


@cache
def content_policy() -> str:
    """Make the content security policy, which allows a page to show itself and to run its script, but nothing else."""
    digest = base64.b64encode(hashlib.sha256(page_script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def environment() -> Environment:
    """Make the environment of the templates, which makes every value printable and escapes it."""
    made = Environment(
        loader=PackageLoader("reports.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        keep_trailing_newline=True,
    )
    made.globals.update(
        check_signs=CHECK_SIGNS,
        content_policy=content_policy,
        page_script=page_script,
        direction=direction,
        gettext=gettext,
        language=language,
        ngettext=ngettext,
    )
    made.filters.update(
        cut=cut,
        duration=duration,
        in_two_parts=in_two_parts,
        in_unit=in_unit,
        isolated=_isolated,
        moment=moment,
        one_line=one_line,
        px=_px,
        relative=relative,
        repeating=_repeating,
        share=share,
        words=words,
    )
    return made


def _finalize(value: object) -> object:
    """Make a value printable before it is escaped; markup has been made printable already."""
    return _unbroken(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _isolated(text: str) -> Markup:
    """Put `text` into an element that isolates its direction of writing."""
    return Markup("<bdi>{}</bdi>").format(_unbroken(text))


def _unbroken(text: str) -> str:
    """Make a text printable, and keep ranges of numbers such as "1 to 3", written with a dash, on one line."""
    return _RANGE.sub(EN_DASH + _WORD_JOINER, printable(text))


def _repeating(command: str) -> str:
    """Write the command that makes a page again, in its language, as the reader can type it."""
    is_in_language = language() == DEFAULT or "--lang" in command
    return cut(
        one_line(typed(command if is_in_language else f"{command} --lang {language()}")), COMMAND_LENGTH_MAX
    )


def _px(value: float) -> str:
    """Write a position or length in a figure, rounded to half a pixel."""
    return f"{round(value * 2) / 2:.1f}".removesuffix(".0")


def words(text: str, length_max: int = 200) -> str:
    """Shorten one of our own texts for a page, and keep its numbers and units together."""
    return cut(with_units(text), length_max)
