"""Estimates of the probability that each system loses a message, with a drawing of the interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.analysis.figures import SystemFigures
from reports.results.replay import LossEstimate

WIDTH_PX = 180
"""Width of the drawing of an interval."""


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates whose intervals are drawn on one scale, from 0 to `highest`."""

    rows: Sequence[LossEstimate]
    width: int = WIDTH_PX

    @property
    def highest(self) -> float:
        """The upper end of the scale, a share."""
        return max(row["high"] for row in self.rows) or 1.0

    def x(self, share: float) -> float:
        """Return the position at which a share is drawn, in px."""
        return 4 + share * (WIDTH_PX - 8) / self.highest


def overall_estimates(figures: Sequence[SystemFigures]) -> Estimates | None:
    """Estimate the probability of a loss on each system over all recordings; None if each recording ran only once."""
    rows = [
        LossEstimate(
            recording="",
            system=system.system,
            runs=system.runs,
            runs_with_loss=system.runs_with_loss,
            sent=system.counts["sent"],
            lost=system.counts["lost"],
            probability=system.probability,
            low=system.low,
            high=system.high,
        )
        for system in figures
        if system.low is not None and system.high is not None
    ]
    return Estimates(rows) if rows else None
