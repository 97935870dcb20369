"""Parts of plots over time: the scales, and the times of faults as numbered shades."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from reports.drawing.svg import FAULT
from reports.words.numbers import hours, minutes, number_list, seconds

FAULT_SHARE_MIN = 0.004
"""Least width of a shaded fault, as a share of the axis."""
_LABEL_SHARE_MIN = 0.02
"""Least distance of two labels of faults, as a share of the axis; closer faults share a label."""
_UNITS = ((3600, hours), (60, minutes), (1, seconds))
_UNITS_MIN = 3
"""Least number of units on a time axis; the largest unit that reaches it is used."""
_TICKS = (1, 2, 5, 10, 20, 30, 60, 120)
_TICKS_MAX = 10


class Shade(NamedTuple):
    """Time of a fault on an axis in seconds, with the number of the fault."""

    number: int
    start_s: float
    end_s: float


def shades_of(times_s: Iterable[tuple[float, float]], axis_end_s: float) -> list[Shade]:
    """Return the parts of the faults' times that are on an axis from 0, each wide enough to be seen."""
    least = FAULT_SHARE_MIN * axis_end_s
    return [
        Shade(
            number, max(min(start_s, axis_end_s - least), 0.0), min(max(end_s, start_s + least), axis_end_s)
        )
        for number, (start_s, end_s) in enumerate(times_s, 1)
        if start_s < axis_end_s and end_s >= 0
    ]


def draw_shades(axes: Axes, shades: Iterable[Shade], axis_end_s: float) -> None:
    """Shade the times, and write the faults' numbers above them."""
    labels: list[tuple[list[int], float]] = []  # numbers and the middle of their faults
    for number, start_s, end_s in sorted(
        shades, key=lambda shade: (shade.start_s + shade.end_s, shade.number)
    ):
        axes.axvspan(start_s, end_s, facecolor=FAULT, edgecolor="none", linewidth=0)
        middle_s = (start_s + end_s) / 2
        if labels and middle_s - labels[-1][1] < _LABEL_SHARE_MIN * len(labels[-1][0]) * axis_end_s:
            labels[-1][0].append(number)
        else:
            labels.append(([number], middle_s))
    for numbers, middle_s in labels:
        axes.text(middle_s, 1.01, number_list(numbers), transform=axes.get_xaxis_transform(), ha="center")


def scale_seconds(axes: Axes, end_s: float) -> None:
    """Scale the axis of time, with a tick at each round moment."""
    unit_s, in_unit = next((unit for unit in _UNITS if end_s >= unit[0] * _UNITS_MIN), _UNITS[-1])
    step = next(
        (count for count in _TICKS if end_s / (count * unit_s) <= _TICKS_MAX), math.ceil(end_s / unit_s)
    )
    ticks = range(0, math.floor(end_s / unit_s) + 1, step)
    axes.xaxis.set_major_locator(FixedLocator([tick * unit_s for tick in ticks]))
    axes.xaxis.set_major_formatter(FixedFormatter([in_unit(f"{tick}") for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())


def scale_values(axes: Axes, highest: float, format_value: Callable[[float], str]) -> None:
    """Scale the axis from 0 to above the highest value, with up to five round steps."""
    highest = max(highest, 1e-3)
    power = 10.0 ** math.floor(math.log10(highest / 4))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if highest / (factor * power) <= 5)
    ticks = [index * step for index in range(math.floor(highest / step + 1e-9) + 1)]
    axes.set_ylim(0, highest * 1.04)
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FixedFormatter([format_value(tick) for tick in ticks]))
    axes.yaxis.set_minor_locator(NullLocator())
