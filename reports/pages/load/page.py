"""Page of a load test, made from a `LoadResult` alone: one file that needs neither a network nor a script.

Its size is limited: ids, settings, lines and points beyond limits are left out and counted.
"""

from __future__ import annotations

from pathlib import Path

from reports.pages.load.view import load_page_of
from reports.pages.page import environment
from reports.results.load import LoadResult
from reports.results.writing import write_whole
from reports.words.language import DEFAULT, speaking


def render_load_report(result: LoadResult, language: str = DEFAULT) -> str:
    """Return the page as HTML, in text that UTF-8 can encode. Equal results give equal text."""
    with speaking(language):
        return environment().get_template("load.html").render(page=load_page_of(result))


def write_load_report(result: LoadResult, path: Path, language: str = DEFAULT) -> None:
    """Write the page to `path` as `write_whole` does. Raises OSError."""
    write_whole(render_load_report(result, language), path)
