"""One figure of samples on both sides: how much it changed, how sure that is, and whether it matters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reports.analysis.statistics import Statistic, bootstrap_difference, cliffs_delta, enough_to_tell
from reports.compare.comparison import Effect
from reports.compare.thresholds import Threshold


def effect_of(  # noqa: PLR0913 - what an Effect is made of
    before: Sequence[float],
    after: Sequence[float],
    statistic: Statistic,
    *,
    group: str,
    name: str,
    unit: str,
    threshold: Threshold,
    confidence: float,
    paired: bool = False,
) -> Effect:
    """A change only if the interval excludes zero, the samples are enough to tell, and the threshold is exceeded.

    Neither side may be empty. What is paired is compared pair by pair; the figures shown are of each side.
    """
    interval = bootstrap_difference(before, after, statistic, confidence=confidence, paired=paired)
    one, other = (statistic.of(np.asarray(side, dtype=np.float64)) for side in (before, after))
    is_sure = (
        interval.excludes_zero
        and enough_to_tell(len(before), len(after), confidence=confidence, paired=paired)
        and statistic.can_tell(min(len(before), len(after)))
    )
    return Effect(
        level=(threshold.level(one, interval.difference) or "same") if is_sure else "same",
        group=group,
        name=name,
        unit=unit,
        before=one,
        after=other,
        difference=interval.difference,
        low=interval.low,
        high=interval.high,
        confidence=confidence,
        delta=cliffs_delta(before, after),
        samples=(len(before), len(after)),
        relative_min=threshold.relative,
        absolute_min=threshold.absolute,
        threshold=threshold.words(unit),
    )
