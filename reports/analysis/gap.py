"""The gap between two distributions: where they are farthest apart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_SAME = 1e-12
"""Distances that differ by less differ by rounding only."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Where two distributions are farthest apart: the time, and the share of each that came within it."""

    at_ms: float
    low: float
    high: float

    @property
    def distance(self) -> float:
        """From 0 for the same to 1 for what has no time in common."""
        return self.high - self.low


def largest_gap(one: Sequence[float], other: Sequence[float]) -> Gap:
    """Where two samples, ascending and not empty, differ most: the distance is the statistic of Kolmogorov and Smirnov.

    Of several such places it is the first.
    """
    found = Gap(one[0], 0, 0)
    for at_ms in sorted({*one, *other}):
        low, high = sorted((bisect_right(one, at_ms) / len(one), bisect_right(other, at_ms) / len(other)))
        if high - low > found.distance + _SAME:
            found = Gap(at_ms, low, high)
    return found
