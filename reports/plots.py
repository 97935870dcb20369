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

POINTS_MAX = 120
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
# Colours that no plot needs mark the series in what matplotlib writes.
_INK = "#010203"
_SERIES = tuple(f"#0102{16 + index:02x}" for index in range(len(LINE_STYLES)))
_ELEMENT = re.compile(
    r'<path d="(?P<points>[^"]*)"[^>]*?style="(?P<style>[^"]*)"[^>]*/>'
    r'|<text style="(?P<text_style>[^"]*)" x="(?P<x>[^"]*)" y="(?P<y>[^"]*)"[^>]*>(?P<words>[^<]*)</text>'
)
_NUMBER = re.compile(r"-?\d+\.\d+")


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
            spine.set_color(_INK)
            spine.set_visible(place == "bottom")
        axes.grid(visible=True, color=_INK, linewidth=0.8)
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
    (line,) = axes.step([x[0], *x], [0.0, *y], where="post", color=_SERIES[style], linewidth=2)
    line.set_clip_on(False)


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
    """What is in the <svg> element: paths and texts, with the page's classes and colours instead of styles."""
    svg = svg[svg.index("</metadata>") if "</metadata>" in svg else 0 : svg.rindex("</svg>")]
    parts = []
    for found in _ELEMENT.finditer(svg):
        if found["words"] is None:
            points = _NUMBER.sub(lambda number: f"{float(number[0]):.1f}", " ".join(found["points"].split()))
            parts.append(
                f'<path {_look(found["style"])} d="{points.replace(" L ", "L").replace("M ", "M")}"/>'
            )
        else:
            x, y = (f"{float(found[name]):.1f}" for name in ("x", "y"))
            side = "end" if "text-anchor: end" in found["text_style"] else "middle"
            parts.append(f'<text class="{side}" x="{x}" y="{y}">{found["words"]}</text>')
    return "\n".join(parts)


def _look(style: str) -> str:
    """The attributes that draw a path as its style says."""
    colour = re.search(r"stroke: (#\w+)", style)
    if colour is None or colour[1] not in _SERIES:
        return 'class="grid"'
    number = _SERIES.index(colour[1])
    dashes = f' stroke-dasharray="{LINE_STYLES[number]}"' if LINE_STYLES[number] else ""
    return f'stroke="var(--series-{number + 1})"{dashes}'
