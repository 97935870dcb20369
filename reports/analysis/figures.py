"""Figures of a replay: counts of messages, AI calls and turns, and each system over all recordings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from reports.analysis.quantile import quantile
from reports.analysis.statistics import wilson
from reports.analysis.waits import Waits, counted_quantile, together, waits_of
from reports.results.baseline import Counts
from reports.results.replay import ReplayResult, Run

QUANTILES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "max": 1.0}
COUNTS = tuple(Counts.__annotations__)


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """One system over all recordings and runs.

    Times are in ms, `reply_ms` from a turn's first message to its reply and `lag_ms` from its due time to its
    hand-over; None if there are none. `low` and `high` are the 95 % interval of the share of lost messages, None
    if each recording was replayed once.
    """

    system: str
    counts: Mapping[str, int]
    reply_ms: Mapping[str, int | None]
    lag_ms: Mapping[str, int | None]
    runs_with_loss: int
    runs: int
    low: float | None
    high: float | None

    @property
    def probability(self) -> float:
        """The share of messages that were lost."""
        return self.counts["lost"] / self.counts["sent"] if self.counts["sent"] else 0.0


def counts(run: Run) -> Counts:
    """Count the messages of a run by fate, its AI calls and turns, and the answers that were dropped."""
    return {
        "sent": run["sent"],
        "answered": run["answered"],
        "lost": len(run["lost"]),
        "twice": len(run["duplicated"]),
        "order": len(run["reordered"]),
        "dead": len(run["dead_lettered"]),
        "waiting": len(run["pending"]),
        "ai_calls": run["ai_calls"],
        "turns": turns_of(run),
        "superseded": run.get("superseded", 0),
        "superseded_ai_ms": run.get("superseded_ai_ms", 0),
    }


def turns_of(run: Run) -> int:
    """Count the turns of a run, without those whose answers were dropped."""
    if folded := run.get("folded"):
        return folded["turns"]
    return sum("superseded_at_ms" not in batch for batch in run["batches"])


def counts_by(
    runs: Iterable[Run], *keys: Literal["recording", "system"]
) -> dict[tuple[str, ...], dict[str, int]]:
    """Add up the counts of the runs that have equal values of `keys`, by these values."""
    grouped: dict[tuple[str, ...], list[Counts]] = {}
    for run in runs:
        grouped.setdefault(tuple(run[key] for key in keys), []).append(counts(run))
    return {values: total(parts) for values, parts in grouped.items()}


def total(parts: Iterable[Counts]) -> dict[str, int]:
    """Add up counts."""
    sums = dict.fromkeys(COUNTS, 0)
    for part in parts:
        for name in COUNTS:
            sums[name] += part.get(name, 0)  # type: ignore[operator] # all of them are numbers
    return sums


def system_figures(result: ReplayResult) -> list[SystemFigures]:
    """Return the figures of each system that ran, in the order of the result."""
    by_system: dict[str, list[Run]] = {}
    for run in result["runs"]:
        by_system.setdefault(run["system"], []).append(run)
    waits = waits_of(result)
    return [
        _figures(system, by_system[system], together(part for key, part in waits.items() if key[1] == system))
        for system in result["systems"]
        if system in by_system
    ]


def _figures(system: str, runs: Sequence[Run], waits: Waits) -> SystemFigures:
    sums = total(map(counts, runs))
    is_repeated = len({run["run"] for run in runs}) > 1
    low, high = wilson(sums["lost"], sums["sent"]) if is_repeated else (None, None)
    return SystemFigures(
        system,
        sums,
        reply_ms=_counted_quantiles(waits.first),
        lag_ms=_counted_quantiles(waits.lag),
        runs_with_loss=sum(bool(run["lost"]) for run in runs),
        runs=len(runs),
        low=low,
        high=high,
    )


def _counted_quantiles(counted: Mapping[int, int]) -> dict[str, int | None]:
    return {name: counted_quantile(counted, share) for name, share in QUANTILES.items()}


def quantiles(times: Iterable[int | None]) -> dict[str, int | None]:
    """Return the QUANTILES of the times that are not None; None for each if there are none."""
    ordered = sorted(time for time in times if time is not None)
    return {name: quantile(ordered, share) if ordered else None for name, share in QUANTILES.items()}
