"""Effect on a figure of samples: its size, its interval, and whether it counts as a change."""

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
    """Compare a figure: it changed if the interval excludes zero, samples are enough, and the threshold is exceeded.

    Neither side may be empty. Paired sides are compared pair by pair, and the effect still has the figure of each side.
    """
    interval = bootstrap_difference(before, after, statistic, confidence=confidence, paired=paired)
    old, new = (statistic.of(np.asarray(side, dtype=np.float64)) for side in (before, after))
    is_sure = (
        interval.excludes_zero
        and enough_to_tell(len(before), len(after), confidence=confidence, paired=paired)
        and statistic.can_tell(min(len(before), len(after)))
    )
    return Effect(
        level=(threshold.level(old, interval.difference) or "same") if is_sure else "same",
        group=group,
        name=name,
        unit=unit,
        before=old,
        after=new,
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
