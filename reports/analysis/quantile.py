"""The nearest-rank quantile: of every table, threshold and comparison, so that no two of them disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

Number = TypeVar("Number", int, float)

_ROUNDING = 1e-9
"""0.07 * 100 is a little more than 7 in floating point, and 7 is meant."""


def quantile(ordered: Sequence[Number], share: float) -> Number:
    """Return the smallest of the ascending values, of which there must be one, that `share` of them do not exceed."""
    return ordered[rank(share, len(ordered)) - 1]


def rank(share: float, size: int) -> int:
    """Return the quantile's place among so many ascending values, counted from 1."""
    return max(math.ceil(share * size - _ROUNDING), 1)


def is_maximum(share: float, size: int) -> bool:
    """Say whether the quantile of so many values is the largest of them, as p99 is of fewer than 100."""
    return size > 0 and rank(share, size) == size
