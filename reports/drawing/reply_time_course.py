"""The plot of reply times over the time of a recording, with the faults shaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from reports.drawing.plots import Plot, PlotRow
from reports.drawing.svg import LINE_STYLES, Line, drawn
from reports.drawing.time_axis import draw_shades, scale_seconds, shades_of
from reports.results.faults import StruckFault
from reports.words.faults import fault_words
from reports.words.language import gettext
from reports.words.numbers import duration, moment, round_duration, seconds

HEIGHT_PX = 236
STEPS_MAX = 120
"""Maximum number of steps of a line."""
FAULTS_MAX = 20
"""Maximum number of faults that are shaded and named."""
TICKS_MAX = 5
_STEP_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)

Turn = tuple[int, int]
"""Moment of a turn's first message, and the time from it to the reply, in ms."""


def reply_time_course(
    identifier: str,
    turns: Mapping[str, Sequence[Turn]],
    systems: Sequence[str],
    faults: Sequence[StruckFault],
) -> Plot | None:
    """Plot the slowest reply of each step of time, by system; None without replies or timed faults."""
    timed = [fault for fault in faults if "start_ms" in fault and "end_ms" in fault][:FAULTS_MAX]
    known = {name: sorted(of_system) for name, of_system in turns.items() if of_system}
    if not timed or not known:
        return None
    last_s = max(at_ms + wait_ms for of_system in known.values() for at_ms, wait_ms in of_system) / 1000
    step_s = next((step for step in _STEP_S if last_s / step <= STEPS_MAX), last_s / STEPS_MAX)
    count = math.floor(last_s / step_s) + 1
    shades = shades_of(
        ((fault["start_ms"] / 1000, fault["end_ms"] / 1000) for fault in timed), step_s * count
    )
    lines = [systems.index(name) % len(LINE_STYLES) for name in known]
    rows = [
        PlotRow(name, Line(line, line), _cells(of_system))
        for line, (name, of_system) in zip(lines, known.items(), strict=True)
    ]

    def draw(axes: Axes) -> None:
        draw_shades(axes, shades, step_s * count)
        for row, of_system in zip(rows, known.values(), strict=True):
            heights = _slowest(of_system, step_s, count)
            edges = [index * step_s for index in range(count + 1)]
            axes.step(edges, [*heights, heights[-1]], where="post", color=row.line.mark, linewidth=2)
        axes.set_xlim(0, step_s * count)
        scale_seconds(axes, step_s * count)
        slowest_ms = max(wait_ms for of_system in known.values() for _, wait_ms in of_system)
        _scale_waits(axes, slowest_ms / 1000)

    return Plot(
        id=identifier,
        svg=drawn(draw, height_px=HEIGHT_PX, salt=identifier),
        title=gettext("Slowest reply over time, with the faults"),
        description=gettext("; ").join(_described(row) for row in rows) + ".",
        caption=gettext(
            "Time from a turn's first message to its reply, at the moment of that message. Each step of the lines is "
            "the slowest turn that began within %(time)s. Lost messages have no reply and are not in it.",
            time=round_duration(1000 * step_s),
        ),
        column=gettext("System"),
        columns=[gettext("mean"), gettext("highest"), gettext("highest at")],
        rows=rows,
        height=HEIGHT_PX,
        fault_names=[f"{number}: {fault_words(timed[number - 1])}" for number, _, _ in shades],
    )


def _scale_waits(axes: Axes, longest_s: float) -> None:
    step_s = next((step for step in _STEP_S if longest_s / step <= TICKS_MAX), longest_s / TICKS_MAX)
    ticks = [index * step_s for index in range(math.floor(longest_s / step_s) + 1)]
    axes.set_ylim(0, longest_s * 1.04)
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(
        FixedFormatter([round_duration(1000 * tick) if tick else seconds("0") for tick in ticks])
    )
    axes.yaxis.set_minor_locator(NullLocator())


def _slowest(turns: Sequence[Turn], step_s: float, count: int) -> list[float]:
    """Return the longest time to a reply in s of the turns in each step; a gap where no turn began."""
    heights = [math.nan] * count
    for at_ms, wait_ms in turns:
        step = min(max(int(at_ms / 1000 / step_s), 0), count - 1)
        heights[step] = wait_ms / 1000 if math.isnan(heights[step]) else max(heights[step], wait_ms / 1000)
    return heights


def _cells(turns: Sequence[Turn]) -> list[str]:
    at_ms, longest_ms = max(turns, key=lambda turn: turn[1])
    mean_ms = sum(wait_ms for _, wait_ms in turns) / len(turns)
    return [duration(round(mean_ms)), duration(longest_ms), moment(at_ms)]


def _described(row: PlotRow) -> str:
    return gettext(
        "%(name)s: %(mean)s on average, at most %(highest)s",
        name=row.name,
        mean=row.cells[0],
        highest=row.cells[1],
    )
