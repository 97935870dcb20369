"""Choices of a sweep in the order in which console, page and CSV show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.results.sweep import SweepResult, SweepRow, is_clean


@dataclass(frozen=True, slots=True)
class Choice:
    """Choice of settings with its number, 1 for the best."""

    number: int
    row: SweepRow
    is_recommended: bool


def choices_of(result: SweepResult) -> Sequence[Choice]:
    """Number the choices, the best first: the recommended one, those that nothing beats, then the others.

    Those that nothing beats, and the others, are ordered by the time within which 95 % of the turns are answered.
    Choices that harmed a message or did not come to rest come last.
    """
    recommended = None if result["recommended"] is None else result["rows"][result["recommended"]]

    def rank(row: SweepRow) -> tuple[bool, bool, bool, float]:
        return (row is not recommended, not is_clean(row), not row["is_best"], row["first_ms"]["p95"] or 0)

    ordered = sorted(result["rows"], key=rank)
    return [Choice(number, row, row is recommended) for number, row in enumerate(ordered, 1)]
