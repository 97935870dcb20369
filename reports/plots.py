"""Plots as SVG to be put into a page.

Text stays text, colours are the page's variables, and the same data give the same bytes.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from reports.text import duration

LINE_STYLES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2 1 2", "1 2", "6 6")
"""Dashes of the series in order, so that they can be told apart without colour."""

POINTS_MAX = 160
LOG_TIME_RATIO = 15
TAIL_REPLIES_MIN = 30
_TAIL_FROM = 0.9
_DECADE = 0.3
"""Height of each factor of ten in the tail, where all of the even scale has the height 1."""
_LOG_TICKS_MS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000),
    *(60_000, 300_000, 1_200_000, 3_600_000, 10_800_000, 36_000_000, 86_400_000),
)
_STEPS_MS = (
    *(100, 200, 500, 1000, 2000, 5000, 10_000, 20_000),
    *(60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000),
)
_TICKS_MAX = 9
# Colours that no plot needs stand for the page's variables until the SVG is written.
_INK, _GRID = "#010203", "#010204"
_SERIES = tuple(f"#0102{16 + index:02x}" for index in range(len(LINE_STYLES)))
_FONT = re.compile(r"font: ?([\d.]+px)[^;\"]*")
_IDS = re.compile(r' id="(?:figure|axes|patch|line2d|text|xtick|ytick|matplotlib\.axis)_\d+"')
_NUMBER = re.compile(r"-?\d+\.\d{2,}")


@dataclass(frozen=True, slots=True)
class Series:
    """Times in ms, ascending and not empty, under a name. `style` counts the line styles from 0."""

    name: str
    style: int
    times_ms: Sequence[int]


def quantile(ordered: Sequence[int], share: float) -> int:
    """The smallest of the ascending values that at least `share` of them do not exceed."""
    return ordered[max(math.ceil(share * len(ordered) - 1e-9), 1) - 1]


def reply_time_plot(series: Sequence[Series], salt: str) -> Markup:
    """The share of replies sent within a time, for each series; the slowest tenth on a logarithmic scale.

    Up to 90 % the scale is even. Above, equal heights lead from 90 % to 99 % and on to 99.9 %, so that the few
    slowest replies are seen; with few replies there is no such tail. `salt` keeps the ids of several plots in one
    page apart. There must be at least one series.
    """
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 11}):
        figure = Figure(figsize=(12.5, 4))
        axes = figure.add_axes((0.065, 0.11, 0.915, 0.85))
        heights = _Heights(max(len(one.times_ms) for one in series))
        for one in series:
            _draw(axes, one.times_ms, heights, one.style % len(LINE_STYLES))
        _scale_times(axes, [one.times_ms[0] for one in series], [one.times_ms[-1] for one in series])
        _scale_shares(axes, heights)
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
    # It holds numbers and this module's own words only: the names of the series are not in it.
    return Markup(_fit_for_page(written.getvalue()))  # noqa: S704


class _Heights:
    """Where shares are drawn: evenly, or, of many replies, with a logarithmic tail above 90 %."""

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


def _draw(axes: Axes, ordered: Sequence[int], height: _Heights, style: int) -> None:
    """A staircase, thinned where its steps are finer than the eye."""
    count = len(ordered)
    heights = [height(rank / count) for rank in range(1, count + 1)]
    kept = [0]
    for rank in range(1, count):
        if heights[rank] - heights[kept[-1]] >= heights[-1] / POINTS_MAX or rank == count - 1:
            kept.append(rank)
    x = [float(ordered[rank]) for rank in kept]
    y = [heights[rank] for rank in kept]
    dashes = LINE_STYLES[style]
    (line,) = axes.step([x[0], *x], [0.0, *y], where="post", color=_SERIES[style], linewidth=2)
    line.set_clip_on(False)
    if dashes:
        line.set_dashes([float(length) / 2 for length in dashes.split()])


def _scale_times(axes: Axes, fastest: Sequence[int], slowest: Sequence[int]) -> None:
    low, high = max(min(fastest), 1), max(*slowest, 1)
    if high / low > LOG_TIME_RATIO:
        axes.set_xscale("log")
        low, high = round(low * 0.8), round(high * 1.25)
        ticks = [time for time in _LOG_TICKS_MS if low <= time <= high]
    else:
        span = max(high - low, 1000)
        low, high = max(low - span // 10, 0), high + span // 10
        step = next((time for time in _STEPS_MS if (high - low) / time <= _TICKS_MAX), high - low)
        ticks = list(range(-(-low // step) * step, high + 1, step))
    axes.set_xlim(max(low, 0.5), max(high, 1))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([_whole(time) for time in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _whole(time_ms: int) -> str:
    return duration(time_ms).replace(".0", "").replace("\u00a000\u00a0s", "").replace("\u00a000\u00a0min", "")


def _scale_shares(axes: Axes, height: _Heights) -> None:
    shares = height.ticks()
    axes.set_ylim(0, height(1) * 1.02)
    axes.yaxis.set_major_locator(FixedLocator([height(share) for share in shares]))
    axes.yaxis.set_major_formatter(FixedFormatter([f"{100 * share:g}\u00a0%" for share in shares]))
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
