"""The page of a load test: one file that needs no network and no script, from a `LoadResult` alone.

Its size is bounded, for whatever could be long is cut or counted: ids, settings, lines, points.
"""

from __future__ import annotations

from pathlib import Path

from reports.pages.load.view import load_page_of
from reports.pages.page import environment
from reports.results.load import LoadResult
from reports.results.writing import write_whole
from reports.words.language import DEFAULT, speaking


def render_load_report(result: LoadResult, language: str = DEFAULT) -> str:
    """The page as HTML. The same result gives the same text, which can always be encoded as UTF-8."""
    with speaking(language):
        return environment().get_template("load.html").render(page=load_page_of(result))


def write_load_report(result: LoadResult, path: Path, language: str = DEFAULT) -> None:
    """Writes the page to `path`, whole or not at all; folders on the way are made.

    A link is followed, and what is no regular file (a pipe, /dev/null) is written to, never replaced.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(render_load_report(result, language), path)
