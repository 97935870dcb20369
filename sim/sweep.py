"""A sweep: recordings replayed on the queue under many settings, with the costs of each and a recommendation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from operator import itemgetter

from reports.analysis.conversations import arrivals_ms, waits_ms
from reports.results.replay import ReplayResult, Run
from reports.results.sweep import (
    SWEEP_SCHEMA_VERSION,
    TURNS_NEEDED,
    NoRecommendation,
    SweepResult,
    SweepRow,
    is_clean,
)
from sim.engine.outcome import quantiles
from sim.engine.settings import SettingsError, with_options
from sim.study import Study, carry_out_all

CHOICES_MAX = 200
SAMPLES_MAX = 300
"""Number of reply times that a result keeps for each choice."""
DEFAULT_GRID: Mapping[str, Sequence[str]] = {"window": ("4s", "8s", "12s"), "max-messages": ("3", "5", "8")}


def choices(grid: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Make every combination of the values, as options by name.

    Raises SettingsError for more than CHOICES_MAX, or for an empty value.
    """
    for name, values in grid.items():
        if not values or not all(value.strip() for value in values):
            raise SettingsError(f"--{name}: write a list of values such as 4s,8s,12s, none of them empty")
    combinations = [
        dict(zip(grid, (value.strip() for value in values), strict=True))
        for values in product(*grid.values())
    ]
    if len(combinations) > CHOICES_MAX:
        raise SettingsError(f"these are {len(combinations)} combinations; give at most {CHOICES_MAX}")
    return combinations


def sweep(
    study: Study,
    combinations: Sequence[Mapping[str, str]],
    *,
    jobs: int = 1,
    done: Callable[[Run], None] = lambda _: None,
) -> SweepResult:
    """Replay the study's recordings under each choice, which overrides the study's options and a recording's settings.

    Raises the errors of `carry_out_all`.
    """
    studies = [replace(study, options={**study.options, **choice}, keeps_all=True) for choice in combinations]
    results = carry_out_all(studies, jobs=jobs, done=done)
    rows = [_row(choice, result) for choice, result in zip(studies, results, strict=True)]
    for row, is_best in zip(rows, are_best(rows), strict=True):
        row["is_best"] = is_best
    turns_of_several = max((row["turns_of_several"] for row in rows), default=0) // study.runs
    nearest = nearest_to_best(rows)
    no_recommendation: NoRecommendation | None = None
    if nearest is None:
        no_recommendation = "none_clean"
    elif len(rows) == 1:
        no_recommendation = "one_choice"
    elif turns_of_several < TURNS_NEEDED:
        no_recommendation = "few_turns"
    return SweepResult(
        schema=SWEEP_SCHEMA_VERSION,
        kind="sweep",
        seed=study.settings.seed,
        settings=with_options(study.settings, study.options).as_json(),
        recordings=[recording.name for recording in study.recordings],
        runs=study.runs,
        rows=rows,
        turns_of_several=turns_of_several,
        recommended=None if no_recommendation else nearest,
        no_recommendation=no_recommendation,
        ok=all(is_clean(row) for row in rows),
        command=study.command,
    )


def _row(study: Study, result: ReplayResult) -> SweepRow:
    runs = result["runs"]
    settings = with_options(study.settings, study.options)
    first, last, lags, split = _times(result)
    turns = [batch for run in runs for batch in run["batches"] if "superseded_at_ms" not in batch]
    return SweepRow(
        window_ms=settings.window_ms,
        max_messages=settings.max_messages,
        idle_ms=settings.idle_ms,
        sent=sum(run["sent"] for run in runs),
        lost=sum(len(run["lost"]) for run in runs),
        twice=sum(len(run["duplicated"]) for run in runs),
        order=sum(len(run["reordered"]) for run in runs),
        dead=sum(len(run["dead_lettered"]) for run in runs),
        waiting=sum(len(run["pending"]) for run in runs),
        came_to_rest=all(run["came_to_rest"] for run in runs),
        ai_calls=sum(run["ai_calls"] for run in runs),
        turns=len(turns),
        turns_of_several=sum(len(batch["ids"]) > 1 for batch in turns),
        split_turns=split,
        first_ms=quantiles(first),
        last_ms=quantiles(last),
        lag_ms=quantiles(lags),
        reply_ms=thinned(sorted(first)),
        is_best=False,
    )


def _times(result: ReplayResult) -> tuple[list[int], list[int], list[int], int]:
    """Return times from first and last messages to replies, dispatch lags, and the number of split turns."""
    first: list[int] = []
    last: list[int] = []
    lags: list[int] = []
    split = 0
    for recording in result["recordings"]:
        arrivals = arrivals_ms(recording)
        moments: dict[tuple[str, str], list[int]] = {}
        for (instance, phone, _), at_ms in sorted(arrivals.items(), key=itemgetter(1)):
            moments.setdefault((instance, phone), []).append(at_ms)
        for run in result["runs"]:
            if run["recording"] != recording["name"]:
                continue
            for batch in run["batches"]:
                if batch["due_at_ms"] is not None:
                    lags.append(batch["claimed_at_ms"] - batch["due_at_ms"])
                waits = waits_ms(batch, arrivals)
                if waits is None or batch["replied_at_ms"] is None:
                    continue
                first.append(waits[0])
                last.append(waits[1])
                of_user = moments[batch["instance"], batch["phone"]]
                written = bisect_right(of_user, batch["replied_at_ms"])
                split += written > bisect_right(of_user, batch["claimed_at_ms"])
    return first, last, lags, split


def thinned(ordered: Sequence[int]) -> list[int]:
    """Keep at most SAMPLES_MAX of the ascending values, evenly spaced, the first and the last among them."""
    if len(ordered) <= SAMPLES_MAX:
        return list(ordered)
    step = (len(ordered) - 1) / (SAMPLES_MAX - 1)
    return [ordered[round(index * step)] for index in range(SAMPLES_MAX)]


def _costs(row: SweepRow) -> tuple[float, float, float]:
    """Return the figures that should be low: waiting in tenths of a second, AI calls, split turns.

    A smaller difference does not matter to people, and the tables do not show it.
    """
    return (round((row["first_ms"]["p95"] or 0) / 100), row["ai_calls"], row["split_turns"])


def _is_better(row: SweepRow, other: SweepRow) -> bool:
    """Return True if a row is better in one cost and worse in none, or if it is clean and the other is not."""
    if is_clean(row) != is_clean(other):
        return is_clean(row)
    pairs = list(zip(_costs(row), _costs(other), strict=True))
    return all(left <= right for left, right in pairs) and any(left < right for left, right in pairs)


def are_best(rows: Sequence[SweepRow]) -> list[bool]:
    """Return True for each row that has no better row."""
    return [not any(_is_better(other, row) for other in rows) for row in rows]


def nearest_to_best(rows: Sequence[SweepRow]) -> int | None:
    """Return the index of the clean row whose costs are nearest to the lowest ones; None if no row is clean.

    For the distance each cost is scaled to its range.
    """
    costs = {index: _costs(row) for index, row in enumerate(rows) if is_clean(row) and row["turns"]}
    if not costs:
        return None
    lowest = [min(cost[axis] for cost in costs.values()) for axis in range(3)]
    highest = [max(cost[axis] for cost in costs.values()) for axis in range(3)]

    def distance(index: int) -> float:
        return sum(
            ((cost - low) / (high - low)) ** 2
            for cost, low, high in zip(costs[index], lowest, highest, strict=True)
            if high > low
        )

    return min(costs, key=lambda index: (round(distance(index), 9), index))
