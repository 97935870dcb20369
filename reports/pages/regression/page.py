"""Page of a comparison, made from a `Comparison` alone: one file that needs no network.

Its size is limited: lists are cut, and the missing rows are counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from reports.compare.comparison import Comparison
from reports.drawing.plots import Plot
from reports.pages.page import environment
from reports.pages.regression.view import regression_page_of
from reports.words.language import DEFAULT, speaking


def render_regression_report(
    comparison: Comparison, trend: Sequence[Plot] = (), language: str = DEFAULT
) -> str:
    """Make the page as HTML. Equal comparisons give equal text."""
    with speaking(language):
        page = regression_page_of(comparison, trend)
        return environment().get_template("regression.html").render(page=page)
