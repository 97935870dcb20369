"""A time axis that leaves out the hours in which nothing happened, so that seconds stay visible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GAP_MS_MIN = 20_000
"""Silence longer than this is cut out of the axis."""
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
class Tick:
    """A labelled moment."""

    x: float
    ms: int


@dataclass(frozen=True, slots=True)
class Break:
    """A gap that was cut out: where its middle is drawn, and how long it was."""

    x: float
    ms: int


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Moments in ms to places in px."""

    stretches: Sequence[Stretch]

    def x(self, at_ms: float) -> float:
        """Where a moment is drawn; one in a gap or outside goes to the nearest end."""
        for stretch in self.stretches:
            if at_ms <= stretch.end_ms:
                share = (max(at_ms, stretch.start_ms) - stretch.start_ms) / (
                    stretch.end_ms - stretch.start_ms
                )
                return stretch.left_px + share * (stretch.right_px - stretch.left_px)
        return self.stretches[-1].right_px

    @property
    def right_px(self) -> float:
        """The axis's right end."""
        return self.stretches[-1].right_px

    def breaks(self) -> list[Break]:
        """The gaps between the stretches."""
        return [
            Break((before.right_px + after.left_px) / 2, round(after.start_ms - before.end_ms))
            for before, after in zip(self.stretches, self.stretches[1:], strict=False)
        ]

    def ticks(self) -> list[Tick]:
        """Round moments far enough apart to be labelled; at least one for each stretch that has room."""
        scale = max((one.right_px - one.left_px) / (one.end_ms - one.start_ms) for one in self.stretches)
        step = next((one for one in _STEPS_MS if one * scale >= TICK_PX_MIN), _STEPS_MS[-1])
        found: list[Tick] = []
        for stretch in self.stretches:
            first = -(-max(round(stretch.start_ms), 0) // step) * step
            moments = range(first, round(stretch.end_ms) + 1, step)
            found += [
                Tick(self.x(ms), ms) for ms in moments if not found or self.x(ms) - found[-1].x >= TICK_PX_MIN
            ]
        return found


def busy_times(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Intervals (from, to) in ms, merged where less than GAP_MS_MIN of silence lies between them."""
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
    """A scale over the busy times from `left_px` to `right_px`, or as far as `right_px_max` when `scale_min` needs it.

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
