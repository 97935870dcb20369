"""The plot of several distributions of times over each other, with the largest distance of the last one marked."""

from __future__ import annotations

from collections.abc import Sequence

from reports.analysis.gap import largest_gap
from reports.analysis.times import time_cells, time_columns
from reports.drawing.plots import Plot, PlotRow, Series, plot_description, reply_time_plot
from reports.words.language import gettext
from reports.words.numbers import moment

_COLOURS = (3, 1, 4)
"""Colours in the order of the distributions."""


def overlay_plot(identifier: str, title: str, samples: Sequence[tuple[str, Sequence[float]]]) -> Plot:
    """Draw distributions of times in ms, each with its name, over each other.

    The largest distance of the last to any of the others is marked.

    Raises:
        ValueError: a distribution is empty.
    """
    ordered = [(name, sorted(max(time_ms, 0.0) for time_ms in times_ms)) for name, times_ms in samples]
    if not all(times_ms for _, times_ms in ordered):
        raise ValueError("a distribution without a single time cannot be compared")
    series = [
        Series(name, style, times_ms, _COLOURS[style % len(_COLOURS)])
        for style, (name, times_ms) in enumerate(ordered)
    ]
    last_ms = series[-1].times_ms
    gap = max((largest_gap(other.times_ms, last_ms) for other in series[:-1]), key=lambda each: each.distance)
    distance = gettext(
        "The largest distance to one live run is %(distance)s, at %(moment)s.",
        distance=f"{gap.distance:.3f}",
        moment=moment(round(gap.at_ms)),
    )
    return Plot(
        id=identifier,
        svg=reply_time_plot(series, identifier, tail=False, gap=gap),
        title=title,
        description=f"{plot_description(series)} {distance}",
        caption=gettext(
            "The share of replies that came within a time. %(distance)s The vertical line marks it.",
            distance=distance,
        ),
        column=gettext("Distribution"),
        columns=time_columns(gettext("replies")),
        rows=[PlotRow(row.name, row.line, time_cells(row.times_ms)) for row in series],
    )
