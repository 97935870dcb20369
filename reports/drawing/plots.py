"""Plots of distributions of times: for each time, the share that came within it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from reports.analysis.gap import Gap
from reports.analysis.quantile import quantile
from reports.analysis.times import time_cells, time_columns
from reports.drawing.svg import GAP, LINE_STYLES, WIDTH_PX, Line, drawn
from reports.words.language import gettext
from reports.words.numbers import duration, round_duration

PLOT_HEIGHT_PX = 288
POINTS_MAX = 120
LOG_TIME_RATIO = 15
TAIL_REPLIES_MIN = 30
TIME_MS_MIN = 0.1
"""Shortest time on a logarithmic scale, where shorter times are drawn too."""
_TAIL_FROM = 0.9
_DECADE = 0.3
"""Height of each factor of ten in the tail, where the linear scale as a whole has the height 1."""
_LOG_TICKS_MS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000),
    *(60_000, 300_000, 1_200_000, 3_600_000, 10_800_000, 36_000_000, 86_400_000),
)
_STEPS_MS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000),
    *(60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000),
)
_TICKS_MAX = 9


@dataclass(frozen=True, slots=True)
class Series:
    """Times in ms, ascending and not empty, under a name.

    `style` is the index of the line style, and of the page's colour too if `colour` is None.
    """

    name: str
    style: int
    times_ms: Sequence[float]
    colour: int | None = None

    @property
    def line(self) -> Line:
        """Style of the line that shows the series."""
        dashes = self.style % len(LINE_STYLES)
        return Line(dashes if self.colour is None else self.colour, dashes)


@dataclass(frozen=True, slots=True)
class PlotRow:
    """One line of a plot: its name, how it is drawn, and its numbers in words."""

    name: str
    line: Line
    cells: Sequence[str]

    @property
    def colour_number(self) -> int:
        """The number of the page's colour."""
        return self.line.colour + 1

    @property
    def dashes(self) -> str:
        """The line's dashes as SVG has them."""
        return LINE_STYLES[self.line.dashes]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot with its description and its numbers. `column` is the heading over the rows' names."""

    id: str
    svg: Markup
    title: str
    description: str
    caption: str
    column: str
    columns: Sequence[str]
    rows: Sequence[PlotRow]
    height: int = PLOT_HEIGHT_PX
    width: int = WIDTH_PX
    has_faults: bool = False
    """True where times of faults are shaded in it, under numbers that a table explains."""
    fault_names: Sequence[str] = ()
    """Names of the faults that are shaded in it, each after its number."""
    has_load_end: bool = False
    """True where the end of the load is marked in it."""


def latency_plot(
    identifier: str, series: Sequence[Series], *, title: str, caption: str, column: str, counted: str
) -> Plot:
    """Plot the share within a time for one series or more, with the tail stretched, and list the numbers.

    `counted` is the plural of what was timed.
    """
    return Plot(
        id=identifier,
        svg=reply_time_plot(series, identifier),
        title=title,
        description=plot_description(series),
        caption=caption,
        column=column,
        columns=time_columns(counted),
        rows=[PlotRow(row.name, row.line, time_cells(row.times_ms)) for row in series],
    )


def plot_description(series: Iterable[Series]) -> str:
    """Describe a plot of these series for readers who cannot see it."""
    return times_description([(row.name, quantile(row.times_ms, 0.5), row.times_ms[-1]) for row in series])


def times_description(figures: Iterable[tuple[str, float | None, float | None]]) -> str:
    """Describe a plot of distributions of times, each given by its name, its median and its maximum in ms."""
    sentences = [
        gettext(
            "%(name)s: half within %(half)s, all within %(all)s",
            name=name,
            half=duration(median_ms),
            all=duration(highest_ms),
        )
        for name, median_ms, highest_ms in figures
    ]
    return gettext("; ").join(sentences) + "."


def reply_time_plot(
    series: Sequence[Series], salt: str, *, tail: bool = True, gap: Gap | None = None
) -> Markup:
    """Draw the share of replies sent within a time, for each series; the slowest tenth on a logarithmic scale.

    Up to 90 % the scale is linear. Above, the steps from 90 % to 99 % and to 99.9 % have equal heights, which shows the
    few slowest replies; with few replies, or without `tail`, this part is missing. `salt` keeps the ids of several
    plots in one page apart, `gap` is marked. There must be at least one series.
    """

    def draw(axes: Axes) -> None:
        heights = _Heights(max(len(row.times_ms) for row in series) if tail else 1)
        first_ms = _scale_times(
            axes, [row.times_ms[0] for row in series], [row.times_ms[-1] for row in series]
        )
        for row in series:
            _draw(axes, row, heights, first_ms)
        if gap is not None and gap.distance:
            (line,) = axes.plot(
                [max(gap.at_ms, first_ms)] * 2, [heights(gap.low), heights(gap.high)], color=GAP, linewidth=2
            )
            line.set_clip_on(False)
        _scale_shares(axes, heights)

    return drawn(draw, height_px=PLOT_HEIGHT_PX, salt=salt)


class _Heights:
    """A scale of shares: linear, or for many replies with a logarithmic tail above 90 %."""

    def __init__(self, replies_max: int) -> None:
        self._least = 0.5 / replies_max
        self._has_tail = replies_max >= TAIL_REPLIES_MIN

    def __call__(self, share: float) -> float:
        if not self._has_tail or share <= _TAIL_FROM:
            return share
        decades = math.log10((1 - _TAIL_FROM) / max(1 - share, self._least))
        return _TAIL_FROM + _DECADE * decades

    def ticks(self) -> list[float]:
        """The shares to be labelled."""
        if not self._has_tail:
            return [0, 0.25, 0.5, 0.75, 1]
        tail = [share for share in (0.99, 0.999, 0.9999) if 1 - share > 2 * self._least]
        return [0, 0.25, 0.5, 0.75, _TAIL_FROM, *tail, 1]


def _draw(axes: Axes, series: Series, height: _Heights, first_ms: float) -> None:
    """Draw a staircase from `first_ms`, thinned where its steps are too fine to be seen."""
    ordered = series.times_ms
    count = len(ordered)
    heights = [height(rank / count) for rank in range(1, count + 1)]
    kept = [0]
    for rank in range(1, count):
        if heights[rank] - heights[kept[-1]] >= heights[-1] / POINTS_MAX or rank == count - 1:
            kept.append(rank)
    x = [max(float(ordered[rank]), first_ms) for rank in kept]
    y = [heights[rank] for rank in kept]
    (line,) = axes.step([x[0], *x], [0.0, *y], where="post", color=series.line.mark, linewidth=2)
    line.set_clip_on(False)


def _scale_times(axes: Axes, fastest: Sequence[float], slowest: Sequence[float]) -> float:
    """Scale the axis of times, and return its lower end in ms."""
    low, high = max(min(fastest), TIME_MS_MIN), max(*slowest, 1)
    ticks: list[float]
    if high / low > LOG_TIME_RATIO:
        axes.set_xscale("log")
        low, high = max(low * 0.8, TIME_MS_MIN), high * 1.25
        ticks = [time for time in _LOG_TICKS_MS if low <= time <= high]
    else:
        span = max(high - low, min(high / 2, 1000))
        low, high = max(low - span / 10, 0), high + span / 10
        step = next((time for time in _STEPS_MS if (high - low) / time <= _TICKS_MAX), high - low)
        ticks = [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([round_duration(time) for time in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    return low


def _scale_shares(axes: Axes, height: _Heights) -> None:
    shares = height.ticks()
    axes.set_ylim(0, height(1) * 1.02)
    axes.yaxis.set_major_locator(FixedLocator([height(share) for share in shares]))
    axes.yaxis.set_major_formatter(FixedFormatter([f"{100 * share:g}\u00a0%" for share in shares]))
    axes.yaxis.set_minor_locator(NullLocator())
