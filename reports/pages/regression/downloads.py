"""What can be downloaded from the page of a comparison: its differences, and both sides' figures."""

from __future__ import annotations

from reports.compare.comparison import Comparison
from reports.pages.csv_links import CsvLink, csv_link
from reports.words.language import gettext

BYTES_MAX = 40_000
_CHANGE = ("level", "topic", "recording", "system", "subject", "before", "after", "cause")
_EFFECT = (
    "level",
    "group",
    "name",
    "unit",
    "before",
    "after",
    "difference",
    "low",
    "high",
    "confidence",
    "delta",
)


def regression_downloads(comparison: Comparison) -> list[tuple[str, CsvLink]]:
    """Each file that holds something, with what that is in words. Names of columns are in English, for programs."""
    files = [
        (
            gettext("Differences"),
            csv_link(
                "differences.csv",
                _CHANGE,
                [[getattr(one, name) for name in _CHANGE] for one in comparison.changes],
                bytes_max=BYTES_MAX,
            ),
        ),
        (
            gettext("Figures and their intervals"),
            csv_link(
                "effects.csv",
                _EFFECT,
                [[getattr(one, name) for name in _EFFECT] for one in comparison.effects],
                bytes_max=BYTES_MAX,
            ),
        ),
        (
            gettext("Figures"),
            csv_link(
                "figures.csv",
                ["system", "figure", "before", "after"],
                [
                    [one.name, name, *values]
                    for one in comparison.figures
                    for name, values in one.values.items()
                ],
            ),
        ),
    ]
    return [(words, link) for words, link in files if link.rows]
