"""The same recordings on the queue under many settings: what each choice costs, and which ones are worth choosing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from reports.results.replay import ReplayResult, Run
from reports.results.sweep import SWEEP_SCHEMA_VERSION, SweepResult, SweepRow, is_clean
from sim.engine.outcome import quantiles
from sim.engine.settings import SettingsError, with_options
from sim.study import Study, carry_out_all

CHOICES_MAX = 200
SAMPLES_MAX = 300
"""Reply times that are kept of each choice."""
DEFAULT_GRID: Mapping[str, Sequence[str]] = {"window": ("4s", "8s", "12s"), "max-messages": ("3", "5", "8")}


@dataclass(frozen=True, slots=True)
class Choice:
    """Options of the command line that this run is made with, by name."""

    options: Mapping[str, str]


def choices(grid: Mapping[str, Sequence[str]]) -> list[Choice]:
    """Every combination of the values. Raises SettingsError for more than CHOICES_MAX, or a list without a value."""
    for name, values in grid.items():
        if not values or not all(value.strip() for value in values):
            raise SettingsError(
                f"{name}: a list of values such as 4s,8s,12s is needed, and none of them empty"
            )
    made = [
        Choice(dict(zip(grid, (value.strip() for value in values), strict=True)))
        for values in product(*grid.values())
    ]
    if len(made) > CHOICES_MAX:
        raise SettingsError(f"these are {len(made)} combinations; at most {CHOICES_MAX} are replayed at once")
    return made


def sweep(
    study: Study,
    made: Sequence[Choice],
    *,
    jobs: int = 1,
    done: Callable[[Run], None] = lambda _: None,
) -> SweepResult:
    """Replays the study's recordings under each choice, which wins over the study's options and a recording's settings.

    Raises what `carry_out_all` raises.
    """
    studies = [replace(study, options={**study.options, **choice.options}) for choice in made]
    results = carry_out_all(studies, jobs=jobs, done=done)
    rows = [_row(one, result) for one, result in zip(studies, results, strict=True)]
    for row, is_best in zip(rows, nothing_beats(rows), strict=True):
        row["is_best"] = is_best
    recommended = recommended_place(rows)
    return SweepResult(
        schema=SWEEP_SCHEMA_VERSION,
        kind="sweep",
        seed=study.settings.seed,
        settings=with_options(study.settings, study.options).as_json(),
        recordings=[recording.name for recording in study.recordings],
        runs=study.runs,
        rows=rows,
        recommended=recommended,
        ok=all(is_clean(row) for row in rows),
        command=study.command,
    )


def _row(study: Study, result: ReplayResult) -> SweepRow:
    runs = result["runs"]
    settings = with_options(study.settings, study.options)
    first, last, lags, split = _times(result)
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
        turns=sum(len(run["batches"]) for run in runs),
        split_turns=split,
        first_ms=quantiles(first),
        last_ms=quantiles(last),
        lag_ms=quantiles(lags),
        reply_ms=thinned(sorted(first)),
        is_best=False,
    )


def _times(result: ReplayResult) -> tuple[list[int], list[int], list[int], int]:
    """Waits from first and last messages, dispatch lags, and how many turns were split, over all runs."""
    first: list[int] = []
    last: list[int] = []
    lags: list[int] = []
    split = 0
    for recording in result["recordings"]:
        arrivals: dict[tuple[str, str], dict[str, int]] = {}
        for message in recording["messages"]:
            own = arrivals.setdefault((message["instance"], message["phone"]), {})
            own.setdefault(message["id"], message["at_ms"])
        moments = {key: sorted(own.values()) for key, own in arrivals.items()}
        for run in result["runs"]:
            if run["recording"] != recording["name"]:
                continue
            for batch in run["batches"]:
                if batch["due_at_ms"] is not None:
                    lags.append(batch["claimed_at_ms"] - batch["due_at_ms"])
                key = batch["instance"], batch["phone"]
                own_ms = [arrivals[key][one] for one in batch["ids"] if one in arrivals[key]]
                if batch["replied_at_ms"] is None or not own_ms:
                    continue
                first.append(batch["replied_at_ms"] - min(own_ms))
                last.append(batch["replied_at_ms"] - max(own_ms))
                written = bisect_right(moments[key], batch["replied_at_ms"])
                split += written > bisect_right(moments[key], batch["claimed_at_ms"])
    return first, last, lags, split


def thinned(ordered: Sequence[int]) -> list[int]:
    """At most SAMPLES_MAX of the ascending values, evenly spaced, the first and the last among them."""
    if len(ordered) <= SAMPLES_MAX:
        return list(ordered)
    step = (len(ordered) - 1) / (SAMPLES_MAX - 1)
    return [ordered[round(place * step)] for place in range(SAMPLES_MAX)]


def _costs(row: SweepRow) -> tuple[float, float, float]:
    """What one wants little of: waiting, AI calls, split turns."""
    return (row["first_ms"]["p95"] or 0, row["ai_calls"], row["split_turns"])


def _beats(one: SweepRow, other: SweepRow) -> bool:
    """Better in something and worse in nothing; what loses messages is beaten by whatever does not."""
    if is_clean(one) != is_clean(other):
        return is_clean(one)
    pairs = list(zip(_costs(one), _costs(other), strict=True))
    return all(left <= right for left, right in pairs) and any(left < right for left, right in pairs)


def nothing_beats(rows: Sequence[SweepRow]) -> list[bool]:
    """Of each, whether no other is better in something without being worse in something else."""
    return [not any(_beats(other, row) for other in rows) for row in rows]


def recommended_place(rows: Sequence[SweepRow]) -> int | None:
    """The choice nearest to the best of waiting, AI calls and split turns at once, each scaled to its range."""
    clean = [place for place, row in enumerate(rows) if is_clean(row) and row["turns"]]
    if not clean:
        return None
    costs = {place: _costs(rows[place]) for place in clean}
    lowest = [min(cost[axis] for cost in costs.values()) for axis in range(3)]
    highest = [max(cost[axis] for cost in costs.values()) for axis in range(3)]

    def distance(place: int) -> float:
        return sum(
            ((cost - low) / (high - low)) ** 2
            for cost, low, high in zip(costs[place], lowest, highest, strict=True)
            if high > low
        )

    return min(clean, key=lambda place: (round(distance(place), 9), place))
