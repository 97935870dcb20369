"""A time axis that leaves out the hours in which nothing happened, so that seconds stay visible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

GAP_MS_MIN = 20_000
"""Silence that is longer is cut out of the axis."""
PADDING_MS = 500
BREAK_PX = 44.0
TICK_PX_MIN = 64.0
_STEPS_MS = [
    *(100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000),
    *(60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000),
]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the axis without a break, in ms and in px."""

    start_ms: float
    end_ms: float
    left_px: float
    right_px: float


@dataclass(frozen=True, slots=True)
class Label:
    """A label at `x`: a time, or the length of a gap that was cut out."""

    x: float
    ms: int


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Scale from times in ms to positions in px."""

    stretches: Sequence[Stretch]

    def x(self, at_ms: float) -> float:
        """Return the position of a time; a time outside of the stretches is drawn at an end of one."""
        for stretch in self.stretches:
            if at_ms <= stretch.end_ms:
                share = (max(at_ms, stretch.start_ms) - stretch.start_ms) / (
                    stretch.end_ms - stretch.start_ms
                )
                return stretch.left_px + share * (stretch.right_px - stretch.left_px)
        return self.stretches[-1].right_px

    def shows(self, start_ms: float, end_ms: float) -> bool:
        """Return True if a part of the time from `start_ms` to `end_ms` is on the scale."""
        return any(each.start_ms <= end_ms and start_ms <= each.end_ms for each in self.stretches)

    @property
    def right_px(self) -> float:
        """The axis's right end."""
        return self.stretches[-1].right_px

    def breaks(self) -> list[Label]:
        """Return the gaps between the stretches."""
        return [
            Label((before.right_px + after.left_px) / 2, round(after.start_ms - before.end_ms))
            for before, after in pairwise(self.stretches)
        ]

    def ticks(self) -> list[Label]:
        """Return the round moments on the stretches, far enough apart to be labelled."""
        scale = max(
            (stretch.right_px - stretch.left_px) / (stretch.end_ms - stretch.start_ms)
            for stretch in self.stretches
        )
        step = next((step for step in _STEPS_MS if step * scale >= TICK_PX_MIN), _STEPS_MS[-1])
        ticks: list[Label] = []
        for stretch in self.stretches:
            first = -(-max(round(stretch.start_ms), 0) // step) * step
            for ms in range(first, round(stretch.end_ms) + 1, step):
                if not ticks or self.x(ms) - ticks[-1].x >= TICK_PX_MIN:
                    ticks.append(Label(self.x(ms), ms))
        return ticks


def busy_times(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge intervals (from, to) in ms where at most GAP_MS_MIN of silence lies between them."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if merged and start - merged[-1][1] <= GAP_MS_MIN:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def time_scale(
    busy: Sequence[tuple[int, int]],
    left_px: float,
    right_px: float,
    *,
    right_px_max: float,
    scale_min: float,
    room_px: float = 0,
) -> TimeScale:
    """Make a scale over the busy times from `left_px` to `right_px`, or to `right_px_max` when `scale_min` needs it.

    `scale_min` is in px/ms. After each stretch `room_px` are left for labels.
    """
    padded = [(start - PADDING_MS, end + PADDING_MS) for start, end in busy]
    total_ms = sum(end - start for start, end in padded)
    taken_px = left_px + BREAK_PX * (len(padded) - 1) + room_px * len(padded)
    scale_max = max(right_px_max - taken_px, 100) / total_ms
    scale = max((right_px - taken_px) / total_ms, min(scale_min, scale_max))
    stretches = []
    for start, end in padded:
        width = (end - start) * scale + room_px
        stretches.append(Stretch(start, end + room_px / scale, left_px, left_px + width))
        left_px += width + BREAK_PX
    return TimeScale(stretches)
