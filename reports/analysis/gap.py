"""The gap between two distributions: where they are farthest apart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_ROUNDING = 1e-12
"""Largest difference of distances that rounding can cause."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Largest gap between two distributions: the time, and the share of each that came within it."""

    at_ms: float
    low: float
    high: float

    @property
    def distance(self) -> float:
        """The distance: 0 for equal distributions, 1 for distributions without a common time."""
        return self.high - self.low


def largest_gap(first: Sequence[float], second: Sequence[float]) -> Gap:
    """Find the first time at which two samples, ascending and not empty, are farthest apart.

    The distance is the statistic of Kolmogorov and Smirnov.
    """
    largest = Gap(first[0], 0, 0)
    for at_ms in sorted({*first, *second}):
        low, high = sorted(bisect_right(sample, at_ms) / len(sample) for sample in (first, second))
        if high - low > largest.distance + _ROUNDING:
            largest = Gap(at_ms, low, high)
    return largest
