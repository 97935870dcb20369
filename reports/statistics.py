"""The statistics of comparisons: bootstrap intervals, sizes of effects, and what many comparisons at once ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

RESAMPLES_MIN, RESAMPLES_MAX = 4000, 200_000
_BEYOND_TAIL = 20
"""So many resamples should lie beyond each end of an interval, or the end is luck."""
_CHUNK_VALUES = 4_000_000
"""So many resampled values are in memory at a time."""
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference (after less before), and where it lies with the confidence asked for."""

    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether chance alone would hardly give it."""
        return self.low > 0 or self.high < 0


class Statistic(Protocol):
    """A figure of samples."""

    def of(self, samples: Values) -> float:
        """The figure itself."""

    def resampled(self, samples: Values, random: np.random.Generator, number: int) -> Values:
        """The figures of so many bootstrap resamples."""


class Mean:
    """The arithmetic mean."""

    def of(self, samples: Values) -> float:
        """The figure itself."""
        return float(samples.mean())

    def resampled(self, samples: Values, random: np.random.Generator, number: int) -> Values:
        """The figures of so many bootstrap resamples."""
        size = len(samples)
        rows = max(_CHUNK_VALUES // size, 1)
        drawn = [
            samples[random.integers(0, size, (min(rows, number - start), size))].mean(axis=1)
            for start in range(0, number, rows)
        ]
        return np.concatenate(drawn)


@dataclass(frozen=True, slots=True)
class Quantile:
    """The nearest-rank quantile: the smallest sample that at least `share` of them do not exceed."""

    share: float

    def of(self, samples: Values) -> float:
        """The figure itself."""
        return float(np.partition(samples, self._rank(len(samples)) - 1)[self._rank(len(samples)) - 1])

    def resampled(self, samples: Values, random: np.random.Generator, number: int) -> Values:
        """The figures of so many bootstrap resamples, drawn without resampling.

        A resample picks from the n sorted samples by n uniform numbers; the k-th smallest of those is
        distributed as Beta(k, n - k + 1), and what it picks is the resample's k-th smallest.
        Source: David and Nagaraja, Order Statistics (2003), section 2.3.
        """
        size, rank = len(samples), self._rank(len(samples))
        picked = np.floor(random.beta(rank, size - rank + 1, number) * size).astype(np.intp)
        return np.asarray(np.sort(samples)[np.minimum(picked, size - 1)])

    def _rank(self, size: int) -> int:
        return max(math.ceil(self.share * size - 1e-9), 1)


def bootstrap_difference(
    before: Sequence[float],
    after: Sequence[float],
    statistic: Statistic,
    *,
    confidence: float,
    paired: bool = False,
    seed: int = 1,
) -> Interval:
    """How much a statistic of `after` exceeds that of `before`, with its percentile bootstrap interval.

    Unpaired, both sides are resampled on their own. Paired, the pairs are resampled, and the statistic is taken of
    their differences. Equal arguments give equal results. Samples are taken for independent: those of one load test
    follow each other and are not quite that, so the interval is too narrow there, which is why `compare` asks for a
    large effect as well. Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    Raises:
        ValueError: a side is empty, or paired sides differ in length.
    """
    one, other = _both(before, after)
    random = np.random.default_rng(seed)
    number = min(max(math.ceil(2 * _BEYOND_TAIL / (1 - confidence)), RESAMPLES_MIN), RESAMPLES_MAX)
    if paired:
        if len(one) != len(other):
            raise ValueError(f"paired samples must be equally many, not {len(one)} and {len(other)}")
        differences = other - one
        observed = statistic.of(differences)
        drawn = _resampled(differences, statistic, random, number)
    else:
        observed = statistic.of(other) - statistic.of(one)
        drawn = _resampled(other, statistic, random, number) - _resampled(one, statistic, random, number)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Interval(observed, float(low), float(high))


def _resampled(samples: Values, statistic: Statistic, random: np.random.Generator, number: int) -> Values:
    if (samples == samples[0]).all():
        return np.full(number, samples[0])
    return statistic.resampled(samples, random, number)


def _both(before: Sequence[float], after: Sequence[float]) -> tuple[Values, Values]:
    one, other = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if not len(one) or not len(other):
        raise ValueError("a side of the comparison has no samples")
    return one, other


def enough_to_tell(before: int, after: int, *, confidence: float, paired: bool) -> bool:
    """Whether so few samples can show anything at this confidence at all.

    With n pairs chance makes all differences of one sign with probability 2 / 2^n; of n and m samples that are
    alike all of one side exceed all of the other with probability 2 / C(n + m, n).
    """
    one, other = min(before, 100), min(after, 100)  # more than that is enough for anything
    ways = 2**one if paired else math.comb(one + other, one)
    return (1 - confidence) * ways > 2


def cliffs_delta(before: Sequence[float], after: Sequence[float]) -> float:
    """How often a sample of `after` exceeds one of `before`, less how often it falls below: from -1 to 1, 0 for alike.

    Source: Cliff, Dominance statistics (Psychological Bulletin 114, 1993).

    Raises:
        ValueError: a side is empty.
    """
    one, other = _both(before, after)
    one = np.sort(one)
    below = np.searchsorted(one, other, side="left").sum()
    above = len(one) * len(other) - np.searchsorted(one, other, side="right").sum()
    return float(int(below) - int(above)) / (len(one) * len(other))


def corrected_confidence(comparisons: int, confidence: float = 0.95) -> float:
    """The confidence of each of so many intervals such that all of them together are right with `confidence`.

    By Bonferroni, which needs no independence: figures of one run depend on each other (p95 moves with p50).
    Source: Dunn, Multiple comparisons among means (JASA 56, 1961).
    """
    return 1 - (1 - confidence) / max(comparisons, 1)


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's score, from 0 to 1; (0, 1) when nothing was tried.

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
