"""The page of a comparison: one file that needs no network and no script, from a `Comparison` alone.

Its size is bounded: of what could be long, the rest is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reports.compare.comparison import Comparison
from reports.drawing.plots import Plot
from reports.pages.page import environment
from reports.pages.regression.view import regression_page_of
from reports.results.writing import write_whole
from reports.words.language import DEFAULT, speaking


def render_regression_report(
    comparison: Comparison, trend: Sequence[Plot] = (), language: str = DEFAULT
) -> str:
    """The page as HTML. The same comparison gives the same text, which can always be encoded as UTF-8."""
    with speaking(language):
        page = regression_page_of(comparison, trend)
        return environment().get_template("regression.html").render(page=page)


def write_regression_report(
    comparison: Comparison, path: Path, trend: Sequence[Plot] = (), language: str = DEFAULT
) -> None:
    """Writes the page to `path`, whole or not at all; folders on the way are made.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(render_regression_report(comparison, trend, language), path)
