"""A replay's runs and turns as pandas tables, and the figures of each system over all recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from reports.analysis.conversations import arrivals_ms, waits_ms
from reports.analysis.quantile import quantile
from reports.analysis.statistics import wilson
from reports.results.baseline import Counts
from reports.results.replay import RecordingInfo, ReplayResult, Run

QUANTILES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "max": 1.0}
COUNTS = tuple(Counts.__annotations__)


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """One system over all recordings and runs.

    Times are in ms, `reply_ms` from a turn's first message to its reply and `lag_ms` from when it was due to its
    hand-over; None without any. `low` and `high` are the 95 % interval of the share of messages that are lost, None
    where each recording was replayed once.
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
    """Count the messages of a run by what became of them, its AI calls and its turns."""
    return {
        "sent": run["sent"],
        "answered": run["answered"],
        "lost": len(run["lost"]),
        "twice": len(run["duplicated"]),
        "order": len(run["reordered"]),
        "dead": len(run["dead_lettered"]),
        "waiting": len(run["pending"]),
        "ai_calls": run["ai_calls"],
        "turns": len(run["batches"]),
    }


def runs_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """Make a table with a row for each run: recording, system, run, and COUNTS."""
    rows = [
        {"recording": run["recording"], "system": run["system"], "run": run["run"], **counts(run)}
        for run in runs
    ]
    return pd.DataFrame(rows, columns=["recording", "system", "run", *COUNTS])


def counts_by(runs: pd.DataFrame, *columns: str) -> dict[tuple[str, ...], dict[str, int]]:
    """Sum COUNTS over the rows of a `runs_frame` that are equal in these columns, by their values."""
    sums = runs.groupby(list(columns), sort=False, as_index=False)[list(COUNTS)].sum()
    keys = sums[list(columns)].itertuples(index=False, name=None)
    rows = sums[list(COUNTS)].itertuples(index=False, name=None)
    return {key: dict(zip(COUNTS, map(int, row), strict=True)) for key, row in zip(keys, rows, strict=True)}


def turns_frame(runs: Sequence[Run], recordings: Mapping[str, RecordingInfo]) -> pd.DataFrame:
    """Make a table with a row for each turn: recording, system, run, and in ms `reply` and `lag`, NaN for none.

    `reply` is the time from the turn's first message to the reply, `lag` from when it was due to its hand-over.
    """
    rows: list[tuple[str, str, int, float | None, float | None]] = []
    for name, recording in recordings.items():
        arrivals = arrivals_ms(recording)
        for run in runs:
            if run["recording"] != name:
                continue
            for batch in run["batches"]:
                due = batch["due_at_ms"]
                lag = None if due is None else batch["claimed_at_ms"] - due
                first, _ = waits_ms(batch, arrivals) or (None, None)
                rows.append((name, run["system"], run["run"], first, lag))
    frame = pd.DataFrame(rows, columns=["recording", "system", "run", "reply", "lag"])
    return frame.astype({"reply": float, "lag": float})


def system_figures(result: ReplayResult) -> list[SystemFigures]:
    """Return the figures of each system that ran, in the order of the result."""
    runs = runs_frame(result["runs"])
    turns = turns_frame(result["runs"], {info["name"]: info for info in result["recordings"]})
    sums = counts_by(runs, "system")
    losing = runs[runs["lost"] > 0].groupby("system").size().to_dict()
    numbers = runs.groupby("system").size().to_dict()
    repeats = runs.groupby("system")["run"].nunique().to_dict()
    reply, lag = _quantiles(turns, "reply"), _quantiles(turns, "lag")
    figures = []
    for system in result["systems"]:
        if (system,) not in sums:
            continue
        total = sums[system,]
        low, high = wilson(total["lost"], total["sent"]) if repeats[system] > 1 else (None, None)
        figures.append(
            SystemFigures(
                system,
                total,
                {name: values.get(system) for name, values in reply.items()},
                {name: values.get(system) for name, values in lag.items()},
                runs_with_loss=losing.get(system, 0),
                runs=numbers[system],
                low=low,
                high=high,
            )
        )
    return figures


def _quantiles(turns: pd.DataFrame, column: str) -> dict[str, dict[str, int | None]]:
    """Return quantiles of a column by their name, then by system."""
    known = turns.dropna(subset=[column]).sort_values(column)
    ordered = {str(system): group[column].tolist() for system, group in known.groupby("system")}
    return {
        name: {system: round(quantile(times, share)) for system, times in ordered.items()}
        for name, share in QUANTILES.items()
    }
