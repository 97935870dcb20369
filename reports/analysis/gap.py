"""The gap between two distributions: where they are farthest apart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_SAME = 1e-12
"""Difference of distances that is an error of rounding."""


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


def largest_gap(one: Sequence[float], other: Sequence[float]) -> Gap:
    """Find where two samples, ascending and not empty, differ most; of several such places the first.

    The distance is the statistic of Kolmogorov and Smirnov.
    """
    largest = Gap(one[0], 0, 0)
    for at_ms in sorted({*one, *other}):
        low, high = sorted((bisect_right(one, at_ms) / len(one), bisect_right(other, at_ms) / len(other)))
        if high - low > largest.distance + _SAME:
            largest = Gap(at_ms, low, high)
    return largest
