"""Trend of a regression test's figures from run to run, and the steps in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports.ci.history import Entry
from reports.drawing.plots import Plot, PlotRow
from reports.drawing.svg import MARK, Line, drawn
from reports.results.systems import QUEUE
from reports.text import cut, one_line
from reports.words.figures import figure_name, in_unit, unit_of
from reports.words.language import gettext

RUNS_MIN = 2
HEIGHT_PX = 150
_FIGURES = {
    "replay": ("lost", "wait_p50_ms", "wait_p95_ms", "lag_max_ms", "ai_calls"),
    "load": (
        "lost",
        "acknowledgement_p99_ms",
        "acknowledgement_max_ms",
        "dispatch_lag_p99_ms",
        "dispatch_lag_max_ms",
        "reply_p95_ms",
    ),
}
"""Figures with a plot. A load test with fewer than 100 replies has the maximum in place of the 99th percentile."""
_PERMUTATIONS = 999
_SIGNIFICANCE = 0.01
_SIDE_MIN = 4
"""Minimum number of runs on each side of a step in noisy figures."""


@dataclass(frozen=True, slots=True)
class Step:
    """Lasting change: the run (from 0) at which it appears, its commit, and the figure before and after it."""

    run: int
    commit: str
    before: float
    after: float


def trend_of(entries: Sequence[Entry]) -> list[Plot]:
    """Plot each important figure over the runs of the last entry's kind, if there are two or more."""
    if not entries:
        return []
    kind = entries[-1]["kind"]
    runs = [entry for entry in entries if entry["kind"] == kind]
    if len(runs) < RUNS_MIN:
        return []
    systems = runs[-1]["figures"]
    system = QUEUE if QUEUE in systems else next(iter(systems), "")
    plots: list[Plot] = []
    for name in _FIGURES.get(kind, ()):
        values = [entry["figures"].get(system, {}).get(name) for entry in runs]
        if sum(value is not None for value in values) >= RUNS_MIN:
            plots.append(_plot(f"trend-{len(plots)}", system, name, values, runs))
    return plots


def steps_of(values: Sequence[float | None], commits: Sequence[str], *, exact: bool) -> list[Step]:
    """Return the lasting changes of a series.

    Exact figures have no noise, so each change of the value is a step. In other figures, a step is the run at which the
    means of both sides differ most, if few shuffled series (seeded) have a step as large (a permutation test); each
    side has at least _SIDE_MIN runs.
    """
    known = [(run, value) for run, value in enumerate(values) if value is not None]
    if exact:
        return [Step(run, commits[run], old, new) for (_, old), (run, new) in pairwise(known) if old != new]
    series = np.array([value for _, value in known])
    if len(series) < 2 * _SIDE_MIN:
        return []
    cut_at, size = _largest_step(series)
    random = np.random.default_rng(1)
    larger = sum(_largest_step(random.permutation(series))[1] >= size for _ in range(_PERMUTATIONS))
    if not size or (larger + 1) / (_PERMUTATIONS + 1) > _SIGNIFICANCE:
        return []
    run = known[cut_at][0]
    return [Step(run, commits[run], float(series[:cut_at].mean()), float(series[cut_at:].mean()))]


def _largest_step(series: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[int, float]:
    """Return the first run after the largest step, and its size: the difference of means, weighted as in a t-test."""
    count = len(series)
    runs = np.arange(_SIDE_MIN, count - _SIDE_MIN + 1)
    sums = np.cumsum(series)
    before = sums[runs - 1] / runs
    after = (sums[-1] - sums[runs - 1]) / (count - runs)
    sizes = np.abs(after - before) * np.sqrt(runs * (count - runs) / count)
    best = int(np.argmax(sizes))
    return int(runs[best]), float(sizes[best])


def _plot(
    identifier: str, system: str, name: str, values: Sequence[float | None], runs: Sequence[Entry]
) -> Plot:
    unit = unit_of(name)
    commits = [entry["commit"] for entry in runs]
    steps = steps_of(values, commits, exact=runs[-1]["kind"] == "replay")
    line = Line(3, 0)
    sentences = [
        gettext(
            "run %(run)s (%(commit)s): %(before)s → %(after)s",
            run=step.run + 1,
            commit=cut(one_line(step.commit), 20) or gettext("unknown"),
            before=_precise(step.before, unit),
            after=_precise(step.after, unit),
        )
        for step in steps
    ]
    caption = (
        gettext("Steps: %(steps)s.", steps=gettext("; ").join(sentences[-3:]))
        if sentences
        else gettext("No step.")
    )
    return Plot(
        id=identifier,
        svg=drawn(lambda axes: _draw(axes, values, steps, line, unit), height_px=HEIGHT_PX, salt=identifier),
        title=f"{one_line(system)}: {figure_name(name)}",
        description=gettext("%(figure)s over %(runs)s runs.", figure=figure_name(name), runs=len(values))
        + f" {caption}",
        caption=caption,
        column=gettext("Figure"),
        columns=[gettext("runs"), gettext("first"), gettext("least"), gettext("most"), gettext("last")],
        rows=[PlotRow(figure_name(name), line, _cells(values, unit))],
        height=HEIGHT_PX,
    )


def _precise(value: float, unit: str) -> str:
    """Write a value precisely enough to show a step of one millisecond."""
    return gettext("%(number)s ms", number=f"{value:,.0f}") if unit == "ms" else in_unit(value, unit)


def _cells(values: Sequence[float | None], unit: str) -> list[str]:
    known = [value for value in values if value is not None]
    shown = (known[0], min(known), max(known), known[-1])
    return [f"{len(known):,}", *(in_unit(value, unit) for value in shown)]


def _draw(axes: Axes, values: Sequence[float | None], steps: Sequence[Step], line: Line, unit: str) -> None:
    numbers = list(range(1, len(values) + 1))
    heights = [math.nan if value is None else value for value in values]
    for step in steps:
        axes.axvline(step.run + 0.5, color=MARK, linewidth=1.2)
    (curve,) = axes.step(numbers, heights, where="mid", color=line.mark, linewidth=2)
    curve.set_clip_on(False)
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    room = max((high - low) * 0.1, high * 0.05, 1)
    axes.set_ylim(max(low - room, 0) if low >= 0 else low - room, high + room)
    axes.set_xlim(0.5, len(values) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=not unit))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_unit(value, unit)))
