"""What all pages share: the templates with their filters, and what a browser may do with a page."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.text import printable
from reports.words.language import direction, gettext, language, ngettext
from reports.words.numbers import count, duration, moment, share


@cache
def page_script() -> Markup:
    """The one script of every page. It holds no data."""
    return Markup((Path(__file__).parent / "templates" / "page.js").read_text(encoding="utf-8"))  # noqa: S704 - our own


@cache
def content_policy() -> str:
    """What a browser lets the page do: nothing but show itself, with this script and no other."""
    digest = base64.b64encode(hashlib.sha256(page_script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def environment() -> Environment:
    """Templates that escape whatever is put in, after making it fit to be shown."""
    made = Environment(
        loader=PackageLoader("reports.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        keep_trailing_newline=True,
    )
    made.globals.update(
        content_policy=content_policy,
        page_script=page_script,
        direction=direction,
        gettext=gettext,
        language=language,
        ngettext=ngettext,
    )
    made.filters.update(
        count=count,
        duration=duration,
        moment=moment,
        isolated=_isolated,
        px=_px,
        share=share,
    )
    return made


def _finalize(value: object) -> object:
    """Every value on its way into the page, before it is escaped; what is markup already came this way."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _isolated(text: str) -> Markup:
    """`text` such that its direction of writing cannot touch what stands around it."""
    return Markup("<bdi>{}</bdi>").format(printable(text))


def _px(value: float) -> str:
    """A place in a figure; half a pixel is as fine as it needs to be."""
    return f"{round(value * 2) / 2:.1f}".removesuffix(".0")
