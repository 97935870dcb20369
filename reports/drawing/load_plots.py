"""The plots of a load test: what went on second by second with the faults shaded, and two distributions compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from reports.analysis.gap import Gap, largest_gap
from reports.analysis.times import time_cells, time_columns
from reports.drawing.plots import (
    Plot,
    PlotRow,
    Series,
    reply_time_plot,
    told_in_words,
)
from reports.drawing.svg import FAULT, LINE_STYLES, MARK, Line, drawn
from reports.results.load import FaultTimes, LoadResult, Second
from reports.text import NARROW, cut, one_line
from reports.words.language import gettext, ngettext
from reports.words.numbers import EN_DASH, hours, minutes, moment, number_list, seconds

TIME_PLOT_HEIGHT_PX = 236
BINS_MAX = 300
LINES_MAX = len(LINE_STYLES)
"""Processes with a line of their own; of more, the busiest have one and the others share the last."""
FAULTS_MAX = 100
"""Faults that are shown, at most: the first ones."""
_BIN_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_UNITS = ((3600, hours), (60, minutes), (1, seconds))
_UNITS_MIN = 3
"""A time axis is labelled in the largest unit of which it has so many."""
_TICKS = (1, 2, 5, 10, 20, 30, 60, 120)
_TICKS_MAX = 10
_FAULT_SHARE_MIN = 0.004
"""A fault of a moment is shaded over so much of the axis."""
_LABEL_SHARE_MIN = 0.02
"""Faults closer than this share one label."""
_COLOURS = (3, 4, 1, 2, 5, 7, 6, 0)
"""In the order in which lines take them: the colour of trouble comes last."""
_FAILED_COLOUR = 0

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Bins:
    """A timeline in pieces of equal length; a run of hours has no more of them than one of minutes."""

    width_s: int
    groups: Sequence[Sequence[Second]]

    @property
    def end_s(self) -> int:
        """Where the last piece ends."""
        return self.width_s * len(self.groups)

    def values(self, of: Callable[[Second], float | None], *, peak: bool = False) -> Values:
        """The mean over each piece, or its `peak`; None where nothing is known."""
        found: list[float | None] = []
        for group in self.groups:
            known = [value for value in map(of, group) if value is not None]
            found.append(None if not known else max(known) if peak else sum(known) / len(known))
        return found


@dataclass(frozen=True, slots=True)
class TimePlots:
    """Rate, depth, CPU and memory over time; None where nothing is known."""

    rate: Plot | None
    depth: Plot | None
    cpu: Plot | None
    memory: Plot | None


@dataclass(frozen=True, slots=True)
class Overlay:
    """Two distributions in one plot, and where they are farthest apart."""

    plot: Plot
    gap: Gap


def binned(timeline: Sequence[Second]) -> Bins:
    """The timeline in at most BINS_MAX pieces."""
    seconds = [second for second in timeline if second["t_s"] >= 0]
    end_s = max((int(second["t_s"]) for second in seconds), default=-1) + 1
    width_s = next((one for one in _BIN_S if end_s <= one * BINS_MAX), math.ceil(end_s / BINS_MAX))
    groups: list[list[Second]] = [[] for _ in range(math.ceil(end_s / width_s))]
    for second in seconds:
        groups[int(second["t_s"]) // width_s].append(second)
    return Bins(width_s, groups)


def time_plots(result: LoadResult) -> TimePlots:
    """What the timeline tells."""
    bins = binned(result["timeline"])
    around = _Around(bins, result["faults"][:FAULTS_MAX], result["duration_s"])
    rates = [
        _TimeSeries(gettext("sent"), bins.values(lambda one: one["sent"])),
        _TimeSeries(gettext("acknowledged"), bins.values(lambda one: one["acknowledged"])),
        _TimeSeries(gettext("replied to"), bins.values(lambda one: one["replied"])),
        _TimeSeries(gettext("failed requests"), bins.values(lambda one: one["failed"]), _FAILED_COLOUR),
    ]
    depth = bins.values(lambda one: one["depth"], peak=True)
    memory = bins.values(lambda one: one["redis_bytes"], peak=True)
    return TimePlots(
        rate=around.plot(
            "rate-plot", gettext("Messages per second"), rates, _tell_number, gettext("Messages")
        ),
        depth=around.plot(
            "depth-plot",
            gettext("Messages in the queue"),
            [_TimeSeries(gettext("waiting"), depth)],
            _tell_number,
            gettext("Messages"),
        ),
        cpu=around.plot(
            "cpu-plot", gettext("CPU, in shares of one core"), _cpu(bins), _tell_share, gettext("Process")
        ),
        memory=around.plot(
            "memory-plot",
            gettext("Memory of Redis"),
            [_TimeSeries("Redis", memory)],
            _tell_bytes,
            gettext("Process"),
        ),
    )


def ecdf_overlay(one: Iterable[float], other: Iterable[float], labels: tuple[str, str]) -> Overlay:
    """Two distributions of times in ms over each other; the largest distance between the two is marked.

    Raises:
        ValueError: one of the two holds nothing.
    """
    times = [sorted(max(time_ms, 0.0) for time_ms in sample) for sample in (one, other)]
    if not all(times):
        raise ValueError("a distribution without a single time cannot be compared")
    gap = largest_gap(*times)
    series = [
        Series(label, style, sample, _COLOURS[2 * style])
        for style, (label, sample) in enumerate(zip(labels, times, strict=True))
    ]
    distance = gettext(
        "The largest distance is %(distance)s, at %(moment)s.",
        distance=f"{gap.distance:.3f}",
        moment=moment(round(gap.at_ms)),
    )
    plot = Plot(
        id="overlay-plot",
        svg=reply_time_plot(series, "overlay-plot", tail=False, gap=gap),
        title=gettext("Two distributions compared"),
        description=f"{told_in_words(series)} {distance}",
        caption=gettext(
            "The share of replies that came within a time. %(distance)s The upright line marks it.",
            distance=distance,
        ),
        column=gettext("Distribution"),
        columns=time_columns(gettext("replies")),
        rows=[PlotRow(row.name, row.line, time_cells(row.times_ms)) for row in series],
    )
    return Overlay(plot, gap)


@dataclass(frozen=True, slots=True)
class _TimeSeries:
    name: str
    values: Values
    colour: int | None = None


def _cpu(bins: Bins) -> list[_TimeSeries]:
    """CPU by process: by name if there are few, else the busiest and the sum of the others."""
    used: dict[str, float] = {}
    for group in bins.groups:
        for second in group:
            for name, part in (second["cpu"] or {}).items():
                used[name] = used.get(name, 0.0) + part
    busiest = sorted(used, key=lambda name: (-used[name], name))
    own = sorted(busiest if len(busiest) <= LINES_MAX else busiest[: LINES_MAX - 1])
    series = [_cpu_series(bins, name, [name]) for name in own]
    others = [name for name in busiest if name not in own]
    if others:
        told = ngettext("%(num)s other together", "%(num)s others together", len(others))
        series.append(_cpu_series(bins, told, others))
    return series


def _cpu_series(bins: Bins, label: str, names: Sequence[str]) -> _TimeSeries:
    return _TimeSeries(cut(one_line(label), 40), bins.values(lambda one: _cpu_of(one, names)))


def _cpu_of(second: Second, names: Iterable[str]) -> float | None:
    known = [second["cpu"][name] for name in names if name in second["cpu"]] if second["cpu"] else []
    return sum(known) if known else None


class _Around:
    """What all plots over time share: the time axis, the faults, the end of the load."""

    def __init__(self, bins: Bins, faults: Sequence[FaultTimes], load_s: float) -> None:
        self._bins = bins
        self._load_s = load_s
        least = _FAULT_SHARE_MIN * bins.end_s
        self._faults = [  # (number, start, end), as far as they are on the axis
            (number, max(one["start_s"], 0.0), min(max(one["end_s"], one["start_s"] + least), bins.end_s))
            for number, one in enumerate(faults, 1)
            if one["start_s"] < bins.end_s and one["end_s"] >= 0
        ]

    def plot(
        self,
        identifier: str,
        title: str,
        series: Sequence[_TimeSeries],
        tell: Callable[[float], str],
        column: str,
    ) -> Plot | None:
        """One plot with its numbers; `tell` words a value."""
        known = [one for one in series if any(value is not None for value in one.values)]
        if not known:
            return None
        rows = [
            PlotRow(one.name, self._line(one, place), self._cells(one.values, tell))
            for place, one in enumerate(known)
        ]
        described = [
            gettext(
                "%(name)s: %(mean)s on average, at most %(highest)s",
                name=row.name,
                mean=row.cells[0],
                highest=row.cells[1],
            )
            for row in rows
        ]
        return Plot(
            id=identifier,
            svg=self._svg(known, [row.line for row in rows], tell, identifier),
            title=title,
            description=gettext("; ").join(described) + ".",
            caption=self._caption,
            column=column,
            columns=[gettext("mean"), gettext("highest"), gettext("highest at")],
            rows=rows,
            height=TIME_PLOT_HEIGHT_PX,
            faults=bool(self._faults),
            drain=self._ends_before_the_axis,
        )

    @property
    def _ends_before_the_axis(self) -> bool:
        return 0 < self._load_s < self._bins.end_s

    @property
    def _caption(self) -> str:
        width_s = self._bins.width_s
        if width_s == 1:
            return ""
        return gettext("Each step of the lines stands for %(time)s.", time=moment(1000 * width_s))

    def _line(self, series: _TimeSeries, place: int) -> Line:
        colour = _COLOURS[place % len(_COLOURS)] if series.colour is None else series.colour
        return Line(colour, place % len(LINE_STYLES))

    def _cells(self, values: Values, tell: Callable[[float], str]) -> list[str]:
        known = [(value, place) for place, value in enumerate(values) if value is not None]
        highest, place = max(known, key=lambda one: (one[0], -one[1]))
        mean = sum(value for value, _ in known) / len(known)
        at = moment(1000 * self._bins.width_s * place) if highest else EN_DASH
        return [tell(mean), tell(highest), at]

    def _svg(
        self,
        series: Sequence[_TimeSeries],
        lines: Sequence[Line],
        tell: Callable[[float], str],
        salt: str,
    ) -> Markup:
        edges = [place * self._bins.width_s for place in range(len(self._bins.groups) + 1)]

        def draw(axes: Axes) -> None:
            self._shade(axes)
            for one, line in zip(series, lines, strict=True):
                heights = [math.nan if value is None else value for value in one.values]
                axes.step(edges, [*heights, heights[-1]], where="post", color=line.mark, linewidth=2)
            axes.set_xlim(0, self._bins.end_s)
            _scale_seconds(axes, self._bins.end_s)
            _scale_values(axes, max(value or 0 for one in series for value in one.values), tell)

        return drawn(draw, height_px=TIME_PLOT_HEIGHT_PX, salt=salt)

    def _shade(self, axes: Axes) -> None:
        labels: list[tuple[list[int], float]] = []  # numbers and the middle of their faults
        for number, start_s, end_s in sorted(self._faults, key=lambda one: (one[1] + one[2], one[0])):
            axes.axvspan(start_s, end_s, facecolor=FAULT, edgecolor="none", linewidth=0)
            middle_s = (start_s + end_s) / 2
            if labels and middle_s - labels[-1][1] < _LABEL_SHARE_MIN * len(labels[-1][0]) * self._bins.end_s:
                labels[-1][0].append(number)
            else:
                labels.append(([number], middle_s))
        for numbers, middle_s in labels:
            axes.text(middle_s, 1.01, number_list(numbers), transform=axes.get_xaxis_transform(), ha="center")
        if self._ends_before_the_axis:
            axes.axvline(self._load_s, color=MARK)


def _scale_seconds(axes: Axes, end_s: float) -> None:
    unit_s, in_unit = next((one for one in _UNITS if end_s >= one[0] * _UNITS_MIN), _UNITS[-1])
    step = next((one for one in _TICKS if end_s / (one * unit_s) <= _TICKS_MAX), math.ceil(end_s / unit_s))
    ticks = range(0, math.floor(end_s / unit_s) + 1, step)
    axes.xaxis.set_major_locator(FixedLocator([one * unit_s for one in ticks]))
    axes.xaxis.set_major_formatter(FixedFormatter([in_unit(f"{one}") for one in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())


def _scale_values(axes: Axes, highest: float, tell: Callable[[float], str]) -> None:
    """Four steps or five from nothing to above the highest."""
    highest = max(highest, 1e-3)
    power = 10.0 ** math.floor(math.log10(highest / 4))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if highest / (factor * power) <= 5)
    ticks = [place * step for place in range(math.floor(highest / step + 1e-9) + 1)]
    axes.set_ylim(0, highest * 1.04)
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FixedFormatter([tell(one) for one in ticks]))
    axes.yaxis.set_minor_locator(NullLocator())


def _tell_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:,.1f}"


def _tell_share(value: float) -> str:
    return f"{100 * value:.{0 if value >= 0.1 or not value else 1}f}{NARROW}%"


def _tell_bytes(value: float) -> str:
    return gettext("%(value)s MB", value=f"{value / 1e6:,.1f}").replace(" ", NARROW)
