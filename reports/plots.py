"""Plots as SVG to be put into a page: text stays text, colours are the page's variables, the same data the same bytes."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from reports.schema import Quantiles
from reports.text import duration

LINE_STYLES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2 1 2", "1 2", "6 6")
"""Dashes of the series in order, so that they can be told apart without colour."""

POINTS_MAX = 160
LOG_TIME_RATIO = 15
_SHARES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999)
_TIMES_MS = tuple(
    step * unit for unit in (1, 1000, 60_000, 3_600_000) for step in (1, 2, 5, 10, 20, 50, 100, 200, 500)
)
# Colours that no plot needs stand for the page's variables until the SVG is written.
_INK, _GRID = "#010203", "#010204"
_SERIES = tuple(f"#0102{16 + index:02x}" for index in range(len(LINE_STYLES)))
_FONT = re.compile(r"font: ?([\d.]+px)[^;\"]*")
_IDS = re.compile(r' id="(?:figure|axes|patch|line2d|text|xtick|ytick|matplotlib\.axis)_\d+"')
_NUMBER = re.compile(r"-?\d+\.\d{2,}")


@dataclass(frozen=True, slots=True)
class Series:
    """Times in ms, ascending and not empty, under a name."""

    name: str
    times_ms: Sequence[int]


def quantile(ordered: Sequence[int], share: float) -> int:
    """The smallest of the ascending values that at least `share` of them do not exceed."""
    return ordered[max(math.ceil(share * len(ordered) - 1e-9), 1) - 1]


def quantiles_of(ordered: Sequence[int]) -> Quantiles:
    """Median, 95th percentile and maximum of ascending values, which must not be empty."""
    return {"p50": quantile(ordered, 0.5), "p95": quantile(ordered, 0.95), "max": ordered[-1]}


def reply_time_plot(series: Sequence[Series], salt: str) -> str:
    """The share of replies sent within a time, for each series, with a tail on a logarithmic scale.

    Each tenth of the height that is left holds the next nine tenths of the replies: 90 %, 99 %, 99.9 %.
    `salt` keeps the ids of several plots in one page apart. There must be at least one series.
    """
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 11}):
        figure = Figure(figsize=(9, 3.4))
        axes = figure.add_axes((0.075, 0.15, 0.9, 0.8))
        top = math.log10(2 * max(len(one.times_ms) for one in series)) + 0.05
        for index, one in enumerate(series):
            _draw(axes, one.times_ms, index)
        _scale_times(axes, [one.times_ms[0] for one in series], [one.times_ms[-1] for one in series])
        _scale_shares(axes, top)
        for place, spine in axes.spines.items():
            spine.set_color(_GRID)
            spine.set_visible(place == "bottom")
        axes.grid(visible=True, color=_GRID, linewidth=0.8)
        axes.tick_params(length=0, labelcolor=_INK, pad=6)
        axes.patch.set_visible(False)
        figure.patch.set_visible(False)
        written = io.StringIO()
        figure.savefig(
            written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return _fit_for_page(written.getvalue())


def _draw(axes: Axes, ordered: Sequence[int], index: int) -> None:
    """A staircase, thinned where its steps are finer than the eye; the slowest tenth keeps its steps longest."""
    count = len(ordered)
    heights = [_height(rank / count, count) for rank in range(1, count + 1)]
    kept = [0]
    for rank in range(1, count):
        if heights[rank] - heights[kept[-1]] >= heights[-1] / POINTS_MAX or rank == count - 1:
            kept.append(rank)
    x = [float(ordered[rank]) for rank in kept]
    y = [heights[rank] for rank in kept]
    dashes = LINE_STYLES[index % len(LINE_STYLES)]
    (line,) = axes.step([x[0], *x], [0.0, *y], where="post", color=_SERIES[index % len(_SERIES)], linewidth=2)
    line.set_clip_on(False)
    if dashes:
        line.set_dashes([float(length) / 2 for length in dashes.split()])


def _height(share: float, count: int) -> float:
    """Where a share is drawn; all of `count` replies stand where all but half a reply would."""
    return -math.log10(max(1 - share, 0.5 / count))


def _scale_times(axes: Axes, fastest: Sequence[int], slowest: Sequence[int]) -> None:
    low, high = max(min(fastest), 1), max(*slowest, 1)
    if high / low > LOG_TIME_RATIO:
        axes.set_xscale("log")
        low, high = round(low * 0.8), round(high * 1.25)
        ticks = [
            time
            for time in _TIMES_MS
            if low <= time <= high and time < 60_000 or time in _ROUND_MINUTES and low <= time <= high
        ]
    else:
        span = max(high - low, 1000)
        low, high = max(low - span // 10, 0), high + span // 10
        step = next(time for time in _TIMES_MS if (high - low) / time <= 9)
        ticks = list(range(-(-low // step) * step, high + 1, step))
    axes.set_xlim(max(low, 0.5), max(high, 1))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([_whole(time) for time in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


_ROUND_MINUTES = (60_000, 300_000, 1_200_000, 3_600_000, 7_200_000, 18_000_000, 36_000_000)


def _whole(time_ms: int) -> str:
    return duration(time_ms).replace(".0", "").replace("\u00a000\u00a0s", "").replace("\u00a000\u00a0min", "")


def _scale_shares(axes: Axes, top: float) -> None:
    shown = [share for share in _SHARES if -math.log10(1 - share) < top]
    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(FixedLocator([-math.log10(1 - share) for share in shown]))
    axes.yaxis.set_major_formatter(FixedFormatter([f"{100 * share:g}\u00a0%" for share in shown]))
    axes.yaxis.set_minor_locator(NullLocator())


def _fit_for_page(svg: str) -> str:
    """The <svg> element's content: without prolog, metadata and ids, with the page's font and colours."""
    svg = svg[svg.index("<defs>") : svg.rindex("</svg>")]
    svg = _FONT.sub(r"font: \1 var(--sans)", svg)
    svg = _IDS.sub("", svg).replace(_INK, "var(--muted)").replace(_GRID, "var(--line)")
    for index, colour in enumerate(_SERIES):
        svg = svg.replace(colour, f"var(--series-{index + 1})")
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = _NUMBER.sub(lambda found: f"{float(found[0]):.1f}", svg)
    return re.sub(r"\s*\n\s*", "\n", svg).strip()
