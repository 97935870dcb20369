"""Statistics of comparisons: bootstrap intervals, sizes of effects, corrections for many comparisons at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from reports.analysis.quantile import rank

Values = NDArray[np.float64]

RESAMPLES_MIN, RESAMPLES_MAX = 4000, 100_000
_BEYOND_TAIL = 20
"""Resamples that should lie beyond each end of an interval: with fewer, the end depends on luck."""
_BEYOND_QUANTILE = 2
"""Samples that must exceed a quantile, so that resampling shows how much it varies."""
_ROUNDING = 1e-12
"""Share of the largest sample below which a difference is an error of floating point."""
_COUNT_MAX = 100_000
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference (after minus before) with the ends of its interval."""

    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """True if luck alone hardly explains the difference."""
        return self.low > 0 or self.high < 0


class Mean:
    """The arithmetic mean."""

    def of(self, samples: Values) -> float:
        """Return the mean of the samples."""
        return float(samples.mean())

    def resampled(self, samples: Values, random: np.random.Generator, number: int) -> Values:
        """Return the means of `number` bootstrap resamples."""
        size = len(samples)
        total = np.zeros(number)
        for _ in range(size):  # one value of every resample at a time, to save memory
            total += samples[random.integers(0, size, number, dtype=np.uint32)]
        return total / size

    def widening(self, sides: Sequence[Values], confidence: float) -> float:
        """Return the factor by which resampling makes the interval too narrow.

        Few samples vary less than the distribution that they were drawn from. With the factor the interval of normal
        samples is that of Student's t, with Welch's degrees of freedom for two sides.
        Source: Hesterberg, What Teachers Should Know About the Bootstrap (The American Statistician 69, 2015).
        """
        parts = [
            (side.var() / len(side), side.var(ddof=1) / len(side), len(side) - 1)
            for side in sides
            if len(side) > 1
        ]
        drawn, unbiased = (sum(part[index] for part in parts) for index in (0, 1))
        if not drawn:
            return 1.0
        freedom = unbiased**2 / sum(variance**2 / own_freedom for _, variance, own_freedom in parts)
        normal = NormalDist().inv_cdf((1 + confidence) / 2)
        return math.sqrt(unbiased / drawn) * student_quantile((1 + confidence) / 2, float(freedom)) / normal

    def can_tell(self, size: int) -> bool:
        """Return whether `size` samples are enough to show by resampling how much the mean varies."""
        return size > 1


@dataclass(frozen=True, slots=True)
class Quantile:
    """The nearest-rank quantile: the smallest sample that at least `share` of them do not exceed."""

    share: float

    def of(self, samples: Values) -> float:
        """Return the quantile of the samples."""
        index = rank(self.share, len(samples)) - 1
        return float(np.partition(samples, index)[index])

    def resampled(self, samples: Values, random: np.random.Generator, number: int) -> Values:
        """Return the quantiles of `number` bootstrap resamples, drawn without resampling.

        A resample picks from the n sorted samples by n uniform numbers; the k-th smallest of those is
        distributed as Beta(k, n - k + 1), and what it picks is the resample's k-th smallest.
        Source: David and Nagaraja, Order Statistics (2003), section 2.3.
        """
        size, drawn = len(samples), rank(self.share, len(samples))
        picked = np.floor(random.beta(drawn, size - drawn + 1, number) * size).astype(np.intp)
        return np.asarray(np.sort(samples)[np.minimum(picked, size - 1)])

    def widening(self, sides: Sequence[Values], confidence: float) -> float:
        """Return 1: quantiles are taken of many samples, whose intervals are wide enough."""
        return 1.0

    def can_tell(self, size: int) -> bool:
        """Return whether enough samples exceed the quantile, since no resample can exceed the largest sample.

        Source: Bickel and Freedman, Some asymptotic theory for the bootstrap (Annals of Statistics 9, 1981).
        """
        return size - rank(self.share, size) >= _BEYOND_QUANTILE


Statistic: TypeAlias = Mean | Quantile
"""A figure of samples."""


def bootstrap_difference(
    before: Sequence[float],
    after: Sequence[float],
    statistic: Statistic,
    *,
    confidence: float,
    paired: bool = False,
    seed: int = 1,
) -> Interval:
    """Return by how much a statistic of `after` exceeds that of `before`, with its percentile bootstrap interval.

    Unpaired sides are resampled separately. For paired sides the statistic is taken of the differences of the pairs.
    Equal arguments give equal results. Samples are treated as independent. Those of a load test are not, so that their
    interval is too narrow, and `compare` asks for a large effect as well.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    Raises:
        ValueError: a side is empty, or paired sides differ in length.
    """
    old, new = _arrays(before, after)
    random = np.random.default_rng(seed)
    number = min(max(math.ceil(2 * _BEYOND_TAIL / (1 - confidence)), RESAMPLES_MIN), RESAMPLES_MAX)
    if paired:
        if len(old) != len(new):
            raise ValueError(f"paired samples must be equally many, not {len(old)} and {len(new)}")
        differences = new - old
        observed = statistic.of(differences)
        drawn = _resampled(differences, statistic, random, number)
    else:
        observed = statistic.of(new) - statistic.of(old)
        drawn = _resampled(new, statistic, random, number) - _resampled(old, statistic, random, number)
    tail = (1 - confidence) / 2
    ends = np.quantile(drawn, (tail, 1 - tail))  # may interpolate, since resamples are not measurements
    sides = [new - old] if paired else [old, new]
    low, high = observed + (ends - observed) * statistic.widening(sides, confidence)
    noise = _ROUNDING * max(np.abs(old).max(), np.abs(new).max())
    return Interval(*(0.0 if abs(end) <= noise else float(end) for end in (observed, low, high)))


def _resampled(samples: Values, statistic: Statistic, random: np.random.Generator, number: int) -> Values:
    if (samples == samples[0]).all():
        return np.full(number, samples[0])
    return statistic.resampled(samples, random, number)


def _arrays(before: Sequence[float], after: Sequence[float]) -> tuple[Values, Values]:
    old, new = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if not len(old) or not len(new):
        raise ValueError("a side of the comparison has no samples")
    return old, new


def enough_to_tell(before: int, after: int, *, confidence: float, paired: bool) -> bool:
    """Return whether the samples are enough to show anything at this confidence.

    By luck the differences of n pairs all have one sign with probability 2 / 2^n; n samples all exceed, or all fall
    below, m samples of the same distribution with probability 2 / C(n + m, n).
    """
    old, new = min(before, 100), min(after, 100)  # 100 samples are always enough
    ways = 2**old if paired else math.comb(old + new, old)
    return (1 - confidence) * ways > 2


def student_quantile(share: float, freedom: float) -> float:
    """Return the quantile of Student's t, for a share above a half and any degrees of freedom above zero.

    With t = sqrt(freedom) / tan(angle) the density is sin(angle) ** (freedom - 1), from 0 to pi for t from its top
    to its bottom: its tail is summed up from 0.
    """
    angles = np.linspace(0, math.pi / 2, 20_001)
    middles = (angles[1:] + angles[:-1]) / 2
    summed = np.concatenate([[0], np.cumsum(np.sin(middles) ** (freedom - 1))])
    angle = np.interp(2 * (1 - share), summed / summed[-1], angles)
    return math.sqrt(freedom) / math.tan(float(angle))


def cliffs_delta(before: Sequence[float], after: Sequence[float]) -> float:
    """Return how often a sample of `after` exceeds one of `before`, less how often it falls below: from -1 to 1.

    Source: Cliff, Dominance statistics (Psychological Bulletin 114, 1993).

    Raises:
        ValueError: a side is empty.
    """
    old, new = _arrays(before, after)
    old = np.sort(old)
    below = np.searchsorted(old, new, side="left").sum()
    above = len(old) * len(new) - np.searchsorted(old, new, side="right").sum()
    return float(int(below) - int(above)) / (len(old) * len(new))


def corrected_confidence(comparisons: int, confidence: float = 0.95) -> float:
    """Return the confidence that each of `comparisons` intervals needs to be right together with `confidence`.

    The correction is Bonferroni's, for figures that depend on each other (p95 moves with p50). Comparisons of samples
    that are all equal need not be counted, since luck cannot change them.
    Sources: Dunn, Multiple comparisons among means (JASA 56, 1961); Tarone, A modified Bonferroni method for discrete
    data (Biometrics 46, 1990).
    """
    return 1 - (1 - confidence) / max(comparisons, 1)


def counts_differ(before: int, after: int, *, before_of: int, after_of: int, confidence: float) -> bool:
    """Return whether two counts of rare events, out of `before_of` and `after_of`, differ by more than luck.

    At one common rate, the share of the events that falls to `after` is binomial. The test is two-sided, and exact up
    to _COUNT_MAX events, beyond which the normal distribution is as good. Source: Przyborowski and Wilenski,
    Homogeneity of results in testing samples from Poisson series (Biometrika 31, 1940).
    """
    number = before + after
    if not number or not before_of or not after_of:
        return False
    share = after_of / (before_of + after_of)
    if number > _COUNT_MAX:
        beyond = abs(after - number * share) / math.sqrt(number * share * (1 - share))
        return beyond > NormalDist().inv_cdf((1 + confidence) / 2)
    numbers = np.arange(number + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, number + 1)))])
    chances = np.exp(
        factorials[number]
        - factorials
        - factorials[::-1]
        + numbers * math.log(share)
        + (number - numbers) * math.log1p(-share)
    )
    tail = min(chances[: after + 1].sum(), chances[after:].sum())
    return bool(2 * tail < 1 - confidence)


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share by Wilson's score, from 0 to 1; (0, 1) without trials.

    Source: Wilson, Probable inference (JASA 22, 1927).
    """
    if trials == 0:
        return 0.0, 1.0
    share, spread = hits / trials, _Z95 * _Z95 / trials
    centre = share + spread / 2
    half = _Z95 * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    low = 0.0 if hits == 0 else max(0.0, (centre - half) / (1 + spread))
    high = 1.0 if hits == trials else min(1.0, (centre + half) / (1 + spread))
    return round(low, 6), round(high, 6)
