"""Nearest-rank quantile, used by every table, threshold and comparison, so that no two of them disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

Number = TypeVar("Number", int, float)

_ROUNDING = 1e-9
"""Tolerance for floating point, in which 0.07 * 100 is a little more than 7."""


def quantile(ordered: Sequence[Number], share: float) -> Number:
    """Return the smallest value that a `share` of the values do not exceed; `ordered` ascends and is not empty."""
    return ordered[rank(share, len(ordered)) - 1]


def rank(share: float, size: int) -> int:
    """Return the position of the quantile among `size` ascending values, from 1."""
    return max(math.ceil(share * size - _ROUNDING), 1)


def is_maximum(share: float, size: int) -> bool:
    """Return whether the quantile of `size` values is the largest of them, as p99 is of fewer than 100."""
    return size > 0 and rank(share, size) == size
