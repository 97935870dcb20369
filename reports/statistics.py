"""The statistics that results and reports share. Pure functions, no dependencies."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reports.schema import Quantiles

Z_95 = 1.959963984540054
"""The standard normal quantile of a two-sided 95 % interval."""


def nearest_rank(values: Sequence[int], share: float) -> int:
    """The smallest of `values` that at least `share` (0 < share <= 1) of them do not exceed.

    Always one of the values, never a value between two: a p95 is a reply time that somebody had.

    Raises:
        ValueError: `values` is empty, or `share` is not in (0, 1].
    """
    if not values:
        raise ValueError("no quantile of no values")
    if not 0 < share <= 1:
        raise ValueError(f"a share is in (0, 1], not {share}")
    # The subtraction keeps 0.95 * 20 = 19.000000000000004 from reading as rank 20.
    rank = math.ceil(share * len(values) - 1e-9)
    return sorted(values)[max(rank, 1) - 1]


def quantiles(values: Sequence[int]) -> Quantiles:
    """Median, 95th percentile and maximum by nearest rank, in the unit of `values`; None each when empty."""
    if not values:
        return {"p50": None, "p95": None, "max": None}
    ordered = sorted(values)
    return {"p50": nearest_rank(ordered, 0.5), "p95": nearest_rank(ordered, 0.95), "max": ordered[-1]}


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a proportion: (low, high), each in [0, 1].

    Holds near 0 and 1 and for few trials, where the normal approximation does not: 0 of 20 is
    (0, 0.16), not (0, 0). With no trials nothing is known: (0, 1).
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Raises:
        ValueError: a negative count, or more successes than trials.
    """
    if successes < 0 or trials < 0 or successes > trials:
        raise ValueError(f"{successes} of {trials} is not a proportion")
    if trials == 0:
        return (0.0, 1.0)
    proportion = successes / trials
    square = Z_95 * Z_95
    centre = (proportion + square / (2 * trials)) / (1 + square / trials)
    spread = (
        Z_95
        / (1 + square / trials)
        * math.sqrt(proportion * (1 - proportion) / trials + square / (4 * trials * trials))
    )
    # At the ends the interval touches 0 or 1 exactly; rounding must not take that away.
    low = 0.0 if successes == 0 else max(0.0, centre - spread)
    high = 1.0 if successes == trials else min(1.0, centre + spread)
    return (low, high)


def ecdf(values: Sequence[int]) -> list[tuple[int, float]]:
    """The empirical distribution function's steps: (value, share of values not above it), ascending.

    One step for each distinct value; the last has the share 1.0.
    """
    ordered = sorted(values)
    count = len(ordered)
    return [
        (value, (rank + 1) / count)
        for rank, value in enumerate(ordered)
        if rank + 1 == count or ordered[rank + 1] != value
    ]
