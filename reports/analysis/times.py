"""Times as a row of a table: how many there are, their quantiles, and the largest."""

from __future__ import annotations

from collections.abc import Sequence

from reports.analysis.quantile import is_maximum, quantile
from reports.words.language import gettext
from reports.words.numbers import duration

SHARES = (0.5, 0.9, 0.95, 0.99)
TAIL_SHARE = 0.99
"""Share of the quantile that thresholds limit. For fewer than 100 times it is their maximum, and is labelled so."""


def time_columns(counted: str) -> list[str]:
    """Return the headings of `time_cells`; `counted` is the plural of what was timed."""
    return [counted, *(f"{100 * share:g}\u00a0%" for share in SHARES), gettext("max")]


def time_cells(ordered: Sequence[float]) -> list[str]:
    """Return the cells for ascending times: their number, quantiles and the largest; dashes for none."""
    if not ordered:
        return ["0", *(duration(None) for _ in range(len(SHARES) + 1))]
    return [f"{len(ordered):,}", *(_cell(ordered, share) for share in SHARES), duration(ordered[-1])]


def _cell(ordered: Sequence[float], share: float) -> str:
    time = duration(quantile(ordered, share))
    if share == TAIL_SHARE and is_maximum(share, len(ordered)):
        return gettext("%(time)s (max)", time=time)
    return time
