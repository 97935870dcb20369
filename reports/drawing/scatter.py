"""Scatter plot of choices by two of their costs; choices that would overlap share one mark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

WIDTH_PX, HEIGHT_PX = 860, 320
MARK_PX = 22
"""Height of a mark, and the distance below which two become one."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 8, 36
_PER_CHARACTER_PX = 7.5
_TICKS_MAX = 6


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice to draw: its number in the table, its name, its costs on both axes, and how much its mark stands out.

    `rank` is 2 for the recommended choice, 1 for one that nothing beats, 0 for the others.
    """

    number: int
    name: str
    across: float
    up: float
    rank: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark in px, with the numbers of its choices; `kind` is its class, `title` its choices by name."""

    x: float
    y: float
    width: float
    label: str
    kind: str
    title: str

    @property
    def left(self) -> float:
        """The left end."""
        return self.x - self.width / 2


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on an axis, in px."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """The drawing, WIDTH_PX by HEIGHT_PX, and its description."""

    marks: Sequence[Mark]
    across: Sequence[Tick]
    up: Sequence[Tick]
    description: str
    width: int = WIDTH_PX
    height: int = HEIGHT_PX
    left: int = _LEFT
    bottom: int = HEIGHT_PX - _BOTTOM
    mark: int = MARK_PX


def scatter(
    choices: Sequence[Choice],
    *,
    format_across: Callable[[float], str],
    format_up: Callable[[float], str],
    description: str,
) -> Scatter:
    """Draw a scatter plot of one choice or more; values upwards are whole numbers."""
    across = _Axis([choice.across for choice in choices], _LEFT, WIDTH_PX - _RIGHT)
    up = _Axis([choice.up for choice in choices], HEIGHT_PX - _BOTTOM, _TOP, is_whole=True)
    return Scatter(
        marks=[_mark(group, across, up) for group in _groups(choices, across, up)],
        across=_ticks(across, format_across),
        up=_ticks(up, format_up),
        description=description,
    )


class _Axis:
    """An axis from values to px, with some room at both ends and round values as ticks."""

    def __init__(
        self, values: Sequence[float], start_px: float, end_px: float, *, is_whole: bool = False
    ) -> None:
        low, high = min(values), max(values)
        room = (high - low) * 0.08 or max(abs(low) * 0.05, 1.0)
        self._low, self._high = low - room, high + room
        self._start_px, self._end_px = start_px, end_px
        locator = MaxNLocator(_TICKS_MAX, steps=[1, 2, 5, 10], integer=is_whole, min_n_ticks=1)
        ticks = locator.tick_values(self._low, self._high)
        self.ticks = [float(value) for value in ticks if self._low <= value <= self._high]

    def at(self, value: float) -> float:
        return self._start_px + (value - self._low) / (self._high - self._low) * (
            self._end_px - self._start_px
        )


def _ticks(axis: _Axis, write: Callable[[float], str]) -> list[Tick]:
    """Label an axis; of ticks whose rounded labels are equal only the first is kept."""
    by_label: dict[str, Tick] = {}
    for value in axis.ticks:
        by_label.setdefault(write(value), Tick(axis.at(value), write(value)))
    return list(by_label.values())


def _groups(choices: Sequence[Choice], across: _Axis, up: _Axis) -> list[list[Choice]]:
    """Group choices closer than the height of a mark, the best first in its group; the best group is last, on top."""
    groups: list[list[Choice]] = []
    for choice in sorted(choices, key=lambda choice: (-choice.rank, choice.number)):
        for group in groups:
            width, height = (
                across.at(choice.across) - across.at(group[0].across),
                up.at(choice.up) - up.at(group[0].up),
            )
            if math.hypot(width, height) < MARK_PX:
                group.append(choice)
                break
        else:
            groups.append([choice])
    return groups[::-1]


def _mark(group: Sequence[Choice], across: _Axis, up: _Axis) -> Mark:
    first = group[0]
    label = "\u00a0".join(str(choice.number) for choice in group)
    return Mark(
        x=across.at(first.across),
        y=up.at(first.up),
        width=max(MARK_PX, 12 + _PER_CHARACTER_PX * len(label)),
        label=label,
        kind=("other", "best", "recommended")[first.rank],
        title="\n".join(f"{choice.number}: {choice.name}" for choice in group),
    )
