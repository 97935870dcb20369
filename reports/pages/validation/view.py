"""Contents of the page of a validation, before rendering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reports.analysis.agreement import COUNTS
from reports.drawing.overlay import overlay_plot
from reports.drawing.plots import Plot
from reports.pages.csv_links import CsvLink, csv_link
from reports.results.validation import LIVE_RUNS, CountName, Trial, TrialRun, ValidationResult
from reports.text import cut, one_line
from reports.words.language import gettext
from reports.words.load import setting_name, setting_value
from reports.words.numbers import EN_DASH, duration
from reports.words.validation import (
    count_name,
    delay_words,
    problem_words,
    trial_meaning,
    trial_name,
    trial_outcome,
    validation_verdict,
)
from reports.words.verdicts import Verdict

NAME_LENGTH_MAX = 40
VALUE_LENGTH_MAX = 200
ROWS_MAX = 60
_COUNTED: Sequence[Literal["sent", "answered", "lost", "twice", "dead"]] = ("sent", "answered", *COUNTS)


@dataclass(frozen=True, slots=True)
class CountsCell:
    """A predicted count, the measured ones, and whether they differ."""

    simulated: int
    live: Sequence[int]
    differs: bool


@dataclass(frozen=True, slots=True)
class TrialView:
    """Contents of the rows and the section of a trial; for the figures see `Trial`. `kind` is a CSS class."""

    id: str
    name: str
    meaning: str
    faults: str
    messages: int
    replies: int
    floor: str
    distances: Sequence[str]
    distance: str
    allowed: str
    apart: str
    apart_live: str
    outcome: str
    kind: str
    counts: Sequence[CountsCell]
    delays: str
    problems: Sequence[str]
    plot: Plot | None


@dataclass(frozen=True, slots=True)
class ValidationPage:
    """Contents of the whole page."""

    state: str
    verdict: Verdict
    aim: str
    trials: Sequence[TrialView]
    count_names: Sequence[str]
    started_at: str
    took: str
    settings: Sequence[tuple[str, str]]
    system: Sequence[tuple[str, str]]
    downloads: Sequence[tuple[str, CsvLink]]
    command: str


def validation_page_of(result: ValidationResult) -> ValidationPage:
    """Make the contents of the page that shows `result`."""
    verdicts = {trial["verdict"] for trial in result["trials"]}
    differs = bool(verdicts & {"curves_differ", "counts_differ"})
    return ValidationPage(
        state="ok" if result["ok"] else "bad" if differs else "invalid",
        verdict=validation_verdict(result),
        aim=f"{result['aim']:g}",
        trials=[_trial_view(trial) for trial in result["trials"]],
        count_names=[count_name(name) for name in COUNTS],
        started_at=one_line(result["started_at"]),
        took=duration(1000 * result["took_s"]),
        settings=_facts(result["settings"]),
        system=_facts(result["system"]),
        downloads=validation_downloads(result),
        command=result["command"],
    )


def validation_downloads(result: ValidationResult) -> list[tuple[str, CsvLink]]:
    """Make the files: distances and counts by trial, and all reply times."""
    heads = [
        "trial",
        "run",
        "replies",
        "distance_to_simulated",
        "distance_of_live_runs",
        "distance_to_live",
        "allowed",
    ]
    rows = [
        [
            trial["name"],
            name,
            len(run["reply_ms"]),
            distance,
            trial["floor"],
            trial["distance"],
            trial["allowed"],
            *(run[count] for count in _COUNTED),
        ]
        for trial in result["trials"]
        for (name, run), distance in zip(_runs(trial), _distances(trial), strict=True)
    ]
    times = [
        [trial["name"], name, time_ms]
        for trial in result["trials"]
        for name, run in _runs(trial)
        for time_ms in run["reply_ms"]
    ]
    return [
        (gettext("Distances and counts"), csv_link("trials.csv", [*heads, *_COUNTED], rows)),
        (gettext("Reply times"), csv_link("replies.csv", ["trial", "run", "reply_ms"], times)),
    ]


def _runs(trial: Trial) -> list[tuple[str, TrialRun]]:
    live = [(f"live-{number}", run) for number, run in enumerate(trial["live"], 1)]
    return [*live, ("simulated", trial["simulated"])]


def _distances(trial: Trial) -> list[float | str]:
    """Return the distance of each run to the simulated run; "" for that run itself, or without distances."""
    return [*trial["distances"], ""] if trial["distances"] else [""] * (LIVE_RUNS + 1)


def _trial_view(trial: Trial) -> TrialView:
    is_drawn = bool(trial["distances"])
    kinds = {"within": "ok", "invalid": "warn"}
    return TrialView(
        id=f"trial-{trial['name']}",
        name=trial_name(trial["name"]),
        meaning=trial_meaning(trial["name"]),
        faults=cut(one_line(", ".join(trial["faults"])), VALUE_LENGTH_MAX),
        messages=trial["messages"],
        replies=len(trial["simulated"]["reply_ms"]),
        floor=f"{trial['floor']:.3f}" if is_drawn else EN_DASH,
        distances=[f"{distance:.3f}" for distance in trial["distances"]] or [EN_DASH] * LIVE_RUNS,
        distance=f"{trial['distance']:.3f}" if is_drawn else EN_DASH,
        allowed=f"{trial['allowed']:.3f}" if is_drawn else EN_DASH,
        apart=duration(trial["apart_ms"]) if is_drawn else EN_DASH,
        apart_live=duration(trial["apart_live_ms"]) if is_drawn else EN_DASH,
        outcome=trial_outcome(trial),
        kind=kinds.get(trial["verdict"], "bad"),
        counts=[_counts(trial, name) for name in COUNTS],
        delays=delay_words(trial),
        problems=problem_words(trial),
        plot=_plot(trial) if is_drawn else None,
    )


def _counts(trial: Trial, name: CountName) -> CountsCell:
    return CountsCell(
        trial["simulated"][name], [run[name] for run in trial["live"]], name in trial["counts_differ"]
    )


def _plot(trial: Trial) -> Plot:
    live = [
        (gettext("live %(number)s", number=number), run["reply_ms"])
        for number, run in enumerate(trial["live"], 1)
    ]
    return overlay_plot(
        f"{trial['name']}-plot",
        gettext("Reply times: %(trial)s", trial=trial_name(trial["name"])),
        [*live, (gettext("simulated"), trial["simulated"]["reply_ms"])],
    )


def _facts(values: dict[str, str | int | float] | dict[str, str]) -> list[tuple[str, str]]:
    shown = [
        (
            cut(one_line(setting_name(code)), NAME_LENGTH_MAX),
            cut(one_line(setting_value(code, value)), VALUE_LENGTH_MAX),
        )
        for code, value in values.items()
        if value != ""
    ]
    return shown[:ROWS_MAX]
