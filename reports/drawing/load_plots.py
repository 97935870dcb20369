"""The plots of a load test: figures second by second, with the faults shaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes

from reports.drawing.plots import Plot, PlotRow
from reports.drawing.svg import LINE_STYLES, MARK, Line, drawn
from reports.drawing.time_axis import draw_shades, scale_seconds, scale_values, shades_of
from reports.results.load import FaultTimes, LoadResult, Second
from reports.text import NO_BREAK, cut, one_line
from reports.words.language import gettext, ngettext
from reports.words.numbers import EN_DASH, moment

TIME_PLOT_HEIGHT_PX = 236
BINS_MAX = 300
LINES_MAX = len(LINE_STYLES)
"""Maximum number of lines in a plot of processes; if there are more, the least busy ones share the last line."""
FAULTS_MAX = 100
"""Maximum number of faults that are shown; later ones are left out."""
_BIN_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_COLOURS = (3, 4, 1, 2, 5, 7, 6, 0)
"""Colours in the order of the lines; the colour of failures comes last."""
_FAILED_COLOUR = 0

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Bins:
    """A timeline in pieces of equal length, at most BINS_MAX of them."""

    width_s: int
    groups: Sequence[Sequence[Second]]

    @property
    def end_s(self) -> int:
        """End of the last piece, in seconds."""
        return self.width_s * len(self.groups)

    def values(self, figure: Callable[[Second], float | None], *, peak: bool = False) -> Values:
        """Return the mean over each piece, or its peak; None for a piece without values."""
        values: list[float | None] = []
        for group in self.groups:
            known = [value for value in map(figure, group) if value is not None]
            values.append(None if not known else max(known) if peak else sum(known) / len(known))
        return values


@dataclass(frozen=True, slots=True)
class TimePlots:
    """Plots of rate, depth, CPU and memory over time; None for a plot without values."""

    rate: Plot | None
    depth: Plot | None
    cpu: Plot | None
    memory: Plot | None


def binned(timeline: Sequence[Second]) -> Bins:
    """Divide a timeline into at most BINS_MAX pieces."""
    seconds = [second for second in timeline if second["t_s"] >= 0]
    end_s = max((int(second["t_s"]) for second in seconds), default=-1) + 1
    width_s = next((width for width in _BIN_S if end_s <= width * BINS_MAX), math.ceil(end_s / BINS_MAX))
    groups: list[list[Second]] = [[] for _ in range(math.ceil(end_s / width_s))]
    for second in seconds:
        groups[int(second["t_s"]) // width_s].append(second)
    return Bins(width_s, groups)


def time_plots(result: LoadResult) -> TimePlots:
    """Draw the plots of the timeline."""
    bins = binned(result["timeline"])
    axis = _TimeAxis(bins, result["faults"][:FAULTS_MAX], result["duration_s"])
    rates = [
        _TimeSeries(gettext("sent"), bins.values(lambda second: second["sent"])),
        _TimeSeries(gettext("acknowledged"), bins.values(lambda second: second["acknowledged"])),
        _TimeSeries(gettext("replied to"), bins.values(lambda second: second["replied"])),
        _TimeSeries(gettext("failed requests"), bins.values(lambda second: second["failed"]), _FAILED_COLOUR),
    ]
    depth = bins.values(lambda second: second["depth"], peak=True)
    memory = bins.values(lambda second: second["redis_bytes"], peak=True)
    return TimePlots(
        rate=axis.plot(
            "rate-plot", gettext("Messages per second"), rates, _format_number, gettext("Messages")
        ),
        depth=axis.plot(
            "depth-plot",
            gettext("Messages in the queue"),
            [_TimeSeries(gettext("waiting"), depth)],
            _format_number,
            gettext("Messages"),
        ),
        cpu=axis.plot(
            "cpu-plot", gettext("CPU, in shares of one core"), _cpu(bins), _format_share, gettext("Process")
        ),
        memory=axis.plot(
            "memory-plot",
            gettext("Memory of Redis"),
            [_TimeSeries("Redis", memory)],
            _format_bytes,
            gettext("Process"),
        ),
    )


@dataclass(frozen=True, slots=True)
class _TimeSeries:
    name: str
    values: Values
    colour: int | None = None


def _cpu(bins: Bins) -> list[_TimeSeries]:
    """Return a series for each process; if they are many, for the busiest and for the sum of the others."""
    used: dict[str, float] = {}
    for group in bins.groups:
        for second in group:
            for name, part in (second["cpu"] or {}).items():
                used[name] = used.get(name, 0.0) + part
    busiest = sorted(used, key=lambda name: (-used[name], name))
    shown = sorted(busiest if len(busiest) <= LINES_MAX else busiest[: LINES_MAX - 1])
    series = [_cpu_series(bins, name, [name]) for name in shown]
    others = [name for name in busiest if name not in shown]
    if others:
        label = ngettext("%(num)s other together", "%(num)s others together", len(others))
        series.append(_cpu_series(bins, label, others))
    return series


def _cpu_series(bins: Bins, label: str, names: Sequence[str]) -> _TimeSeries:
    return _TimeSeries(cut(one_line(label), 40), bins.values(lambda second: _cpu_of(second, names)))


def _cpu_of(second: Second, names: Iterable[str]) -> float | None:
    known = [second["cpu"][name] for name in names if name in second["cpu"]] if second["cpu"] else []
    return sum(known) if known else None


class _TimeAxis:
    """Time axis of all plots over time, with the faults and the end of the load."""

    def __init__(self, bins: Bins, faults: Sequence[FaultTimes], load_s: float) -> None:
        self._bins = bins
        self._load_s = load_s
        self._faults = shades_of(((fault["start_s"], fault["end_s"]) for fault in faults), bins.end_s)

    def plot(
        self,
        identifier: str,
        title: str,
        series: Sequence[_TimeSeries],
        format_value: Callable[[float], str],
        column: str,
    ) -> Plot | None:
        """Draw one plot, with a table of its numbers."""
        known = [line for line in series if any(value is not None for value in line.values)]
        if not known:
            return None
        rows = [
            PlotRow(line.name, self._line(line, number), self._cells(line.values, format_value))
            for number, line in enumerate(known)
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
            svg=self._svg(known, [row.line for row in rows], format_value, identifier),
            title=title,
            description=gettext("; ").join(described) + ".",
            caption=self._caption,
            column=column,
            columns=[gettext("mean"), gettext("highest"), gettext("highest at")],
            rows=rows,
            height=TIME_PLOT_HEIGHT_PX,
            has_faults=bool(self._faults),
            has_load_end=self._ends_before_the_axis,
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

    def _line(self, series: _TimeSeries, number: int) -> Line:
        colour = _COLOURS[number % len(_COLOURS)] if series.colour is None else series.colour
        return Line(colour, number % len(LINE_STYLES))

    def _cells(self, values: Values, format_value: Callable[[float], str]) -> list[str]:
        known = [(value, -index) for index, value in enumerate(values) if value is not None]
        highest, first = max(known)
        mean = sum(value for value, _ in known) / len(known)
        at = moment(1000 * self._bins.width_s * -first) if highest else EN_DASH
        return [format_value(mean), format_value(highest), at]

    def _svg(
        self,
        series: Sequence[_TimeSeries],
        lines: Sequence[Line],
        format_value: Callable[[float], str],
        salt: str,
    ) -> Markup:
        edges = [index * self._bins.width_s for index in range(len(self._bins.groups) + 1)]

        def draw(axes: Axes) -> None:
            self._shade(axes)
            for values, line in zip((part.values for part in series), lines, strict=True):
                heights = [math.nan if value is None else value for value in values]
                axes.step(edges, [*heights, heights[-1]], where="post", color=line.mark, linewidth=2)
            axes.set_xlim(0, self._bins.end_s)
            scale_seconds(axes, self._bins.end_s)
            scale_values(axes, max(value or 0 for part in series for value in part.values), format_value)

        return drawn(draw, height_px=TIME_PLOT_HEIGHT_PX, salt=salt)

    def _shade(self, axes: Axes) -> None:
        draw_shades(axes, self._faults, self._bins.end_s)
        if self._ends_before_the_axis:
            axes.axvline(self._load_s, color=MARK)


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:,.1f}"


def _format_share(value: float) -> str:
    return f"{100 * value:.{0 if value >= 0.1 or not value else 1}f}{NO_BREAK}%"


def _format_bytes(value: float) -> str:
    return gettext("%(value)s MB", value=f"{value / 1e6:,.1f}").replace(" ", NO_BREAK)
