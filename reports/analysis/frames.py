"""A replay's runs and turns as pandas tables, and the figures of each system over all recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from reports.analysis.quantile import quantile
from reports.analysis.statistics import wilson
from reports.results.replay import RecordingInfo, ReplayResult, Run

COUNTS = ("sent", "answered", "lost", "twice", "order", "dead", "waiting", "ai_calls", "turns")
QUANTILES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "max": 1.0}
_LISTS = {
    "lost": "lost",
    "twice": "duplicated",
    "order": "reordered",
    "dead": "dead_lettered",
    "waiting": "pending",
}


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """One system over all recordings and runs.

    Times in ms, from a turn's first message to its reply and from when it was due to its hand-over; None where
    there is nothing to tell. `low` and `high` are the 95 % interval of the share of messages that are lost,
    None where each recording was replayed but once.
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


def runs_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a run: recording, system, run, and COUNTS."""
    rows = [
        {
            "recording": run["recording"],
            "system": run["system"],
            "run": run["run"],
            "sent": run["sent"],
            "answered": run["answered"],
            **{name: len(run[key]) for name, key in _LISTS.items()},  # type: ignore[literal-required] # lists of ids
            "ai_calls": run["ai_calls"],
            "turns": len(run["batches"]),
        }
        for run in runs
    ]
    return pd.DataFrame(rows, columns=["recording", "system", "run", *COUNTS])


def counts_by(runs: pd.DataFrame, *columns: str) -> dict[tuple[str, ...], dict[str, int]]:
    """The sums of COUNTS over the rows of a `runs_frame` that are alike in these columns, by what these hold."""
    sums = runs.groupby(list(columns), sort=False, as_index=False)[list(COUNTS)].sum()
    keys = sums[list(columns)].itertuples(index=False, name=None)
    rows = sums[list(COUNTS)].itertuples(index=False, name=None)
    return {key: dict(zip(COUNTS, map(int, row), strict=True)) for key, row in zip(keys, rows, strict=True)}


def turns_frame(runs: Sequence[Run], recordings: Mapping[str, RecordingInfo]) -> pd.DataFrame:
    """One row a turn: recording, system, run, and in ms `reply` (from its first message) and `lag`; NaN for none."""
    rows: list[tuple[str, str, int, float | None, float | None]] = []
    for name, recording in recordings.items():
        arrivals: dict[tuple[str, str, str], int] = {}
        for one in recording["messages"]:
            arrivals.setdefault((one["instance"], one["phone"], one["id"]), one["at_ms"])
        for run in runs:
            if run["recording"] != name:
                continue
            for batch in run["batches"]:
                keys = [(batch["instance"], batch["phone"], one) for one in batch["ids"]]
                first = min((arrivals[key] for key in keys if key in arrivals), default=None)
                replied, due = batch["replied_at_ms"], batch["due_at_ms"]
                reply = None if replied is None or first is None else replied - first
                lag = None if due is None else batch["claimed_at_ms"] - due
                rows.append((name, run["system"], run["run"], reply, lag))
    frame = pd.DataFrame(rows, columns=["recording", "system", "run", "reply", "lag"])
    return frame.astype({"reply": float, "lag": float})


def system_figures(result: ReplayResult) -> list[SystemFigures]:
    """Each system's figures, in the order of the result; only systems that ran."""
    runs = runs_frame(result["runs"])
    turns = turns_frame(result["runs"], {one["name"]: one for one in result["recordings"]})
    sums = counts_by(runs, "system")
    losing = runs[runs["lost"] > 0].groupby("system").size().to_dict()
    numbers = runs.groupby("system").size().to_dict()
    repeats = runs.groupby("system")["run"].nunique().to_dict()
    reply, lag = _quantiles(turns, "reply"), _quantiles(turns, "lag")
    found = []
    for system in result["systems"]:
        if (system,) not in sums:
            continue
        counts = sums[system,]
        low, high = wilson(counts["lost"], counts["sent"]) if repeats[system] > 1 else (None, None)
        found.append(
            SystemFigures(
                system,
                counts,
                {name: values.get(system) for name, values in reply.items()},
                {name: values.get(system) for name, values in lag.items()},
                runs_with_loss=losing.get(system, 0),
                runs=numbers[system],
                low=low,
                high=high,
            )
        )
    return found


def _quantiles(turns: pd.DataFrame, column: str) -> dict[str, dict[str, int | None]]:
    """By name of the quantile, then by system."""
    known = turns.dropna(subset=[column]).sort_values(column)
    ordered = {str(system): group[column].tolist() for system, group in known.groupby("system")}
    return {
        name: {system: round(quantile(times, share)) for system, times in ordered.items()}
        for name, share in QUANTILES.items()
    }
