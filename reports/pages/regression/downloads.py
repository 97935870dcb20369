"""Downloads from the page of a comparison: its differences, and both sides' figures."""

from __future__ import annotations

from collections.abc import Sequence

from reports.compare.comparison import Comparison
from reports.pages.csv_links import CsvLink, csv_link
from reports.words.language import gettext

BYTES_MAX = 40_000
_CHANGE = ("level", "topic", "recording", "system", "subject", "before", "after", "cause")
_EFFECT = (
    *("level", "group", "name", "unit", "before", "after"),
    *("difference", "low", "high", "confidence", "delta"),
)


def regression_downloads(comparison: Comparison) -> list[tuple[str, CsvLink]]:
    """Make the files that have rows, each with a description. Names of columns are in English, for programs."""
    figures = [
        [system.name, name, *values]
        for system in comparison.figures
        for name, values in system.values.items()
    ]
    files = [
        (gettext("Differences"), _table("differences.csv", _CHANGE, comparison.changes)),
        (gettext("Figures and their intervals"), _table("effects.csv", _EFFECT, comparison.effects)),
        (gettext("Figures"), csv_link("figures.csv", ["system", "figure", "before", "after"], figures)),
    ]
    return [(words, link) for words, link in files if link.rows_shown]


def _table(name: str, columns: Sequence[str], rows: Sequence[object]) -> CsvLink:
    cells = [[getattr(row, column) for column in columns] for row in rows]
    return csv_link(name, columns, cells, bytes_max=BYTES_MAX)
