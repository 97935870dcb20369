"""How likely each system loses a message, with its interval drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.analysis.figures import SystemFigures
from reports.results.replay import LossEstimate
from reports.words.language import gettext
from reports.words.numbers import share

ESTIMATE_PX = 180
"""Width of the drawing of an interval."""


@dataclass(frozen=True, slots=True)
class EstimateRow:
    """How likely a system loses a message: figures in words, and the interval drawn, in px."""

    system: str
    lost: str
    probability: str
    interval: str
    runs: str
    is_lossy: bool
    left: float
    width: float
    at: float


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates on one scale, which ends at `scale_end`."""

    rows: Sequence[EstimateRow]
    scale_end: str


def overall_estimates(figures: Sequence[SystemFigures]) -> Estimates | None:
    """How likely each system loses a message, over all recordings; None where nothing was repeated."""
    return estimates_of(
        [
            LossEstimate(
                recording="",
                system=one.system,
                runs=one.runs,
                runs_with_loss=one.runs_with_loss,
                sent=one.counts["sent"],
                lost=one.counts["lost"],
                probability=one.probability,
                low=one.low,
                high=one.high,
            )
            for one in figures
            if one.low is not None and one.high is not None
        ]
    )


def estimates_of(estimates: Sequence[LossEstimate]) -> Estimates | None:
    """The estimates with their intervals drawn on one scale from 0 to the highest."""
    if not estimates:
        return None
    highest = max(one["high"] for one in estimates) or 1.0
    scale = (ESTIMATE_PX - 8) / highest

    def row(one: LossEstimate) -> EstimateRow:
        left, right, at = (4 + one[name] * scale for name in ("low", "high", "probability"))
        return EstimateRow(
            system=one["system"],
            lost=gettext("%(part)s of %(whole)s", part=f"{one['lost']:,}", whole=f"{one['sent']:,}"),
            probability=share(one["probability"]),
            interval=gettext("%(low)s to %(high)s", low=share(one["low"]), high=share(one["high"])),
            runs=gettext("%(part)s of %(whole)s", part=one["runs_with_loss"], whole=one["runs"]),
            is_lossy=one["lost"] > 0,
            left=left,
            width=max(right - left, 1.5),
            at=at,
        )

    return Estimates([row(one) for one in estimates], share(highest))
