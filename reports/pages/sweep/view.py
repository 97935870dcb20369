"""Contents of the page of a sweep, before rendering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.analysis.figures import QUANTILES
from reports.analysis.sweep import choices_of
from reports.drawing.plots import Plot, PlotRow, Series, reply_time_plot, times_description
from reports.drawing.scatter import Choice, Scatter, scatter
from reports.drawing.svg import LINE_STYLES
from reports.pages.csv_links import CsvLink, csv_link
from reports.results.sweep import SweepResult, SweepRow
from reports.text import cut, one_line
from reports.words.language import gettext, ngettext
from reports.words.numbers import duration, round_duration
from reports.words.verdicts import Verdict, sweep_verdict

ROWS_MAX = 200
CURVES_MAX = len(LINE_STYLES)
_TIMES = ("first", "last", "lag")
_COUNTS = (
    *("window_ms", "max_messages", "idle_ms", "sent", "lost", "twice", "order", "dead", "waiting"),
    *("ai_calls", "turns", "split_turns", "is_best"),
)


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """Choice of settings, with its number in the table."""

    number: int
    name: str
    row: SweepRow
    is_recommended: bool


@dataclass(frozen=True, slots=True)
class SweepPage:
    """Contents of the whole page."""

    state: str
    verdict: Verdict
    recordings: int
    choices: Sequence[ChoiceRow]
    left_out: int
    scatter: Scatter | None
    plot: Plot | None
    downloads: Sequence[tuple[str, CsvLink]]
    settings: Sequence[tuple[str, str]]
    command: str

    @property
    def is_comparison(self) -> bool:
        """True if there is more than one choice."""
        return len(self.choices) > 1

    @property
    def has_recommendation(self) -> bool:
        """True if one of the choices is recommended."""
        return any(choice.is_recommended for choice in self.choices)


def sweep_page_of(result: SweepResult) -> SweepPage:
    """Make the contents of the page that shows `result`."""
    choices = _choices(result)
    shown = choices[:ROWS_MAX]
    return SweepPage(
        state="bad" if not result["ok"] else "ok" if result["recommended"] is not None else "unsure",
        verdict=sweep_verdict(result),
        recordings=len(result["recordings"]),
        choices=shown,
        left_out=len(choices) - len(shown),
        scatter=_scatter(shown),
        plot=_plot([choice for choice in choices if choice.row["is_best"]]),
        downloads=sweep_downloads(result),
        settings=[
            (gettext("seed"), str(result["seed"])),
            (gettext("runs"), str(result["runs"])),
            ("ai", _setting(result, "ai")),
            ("redis latency", _setting(result, "redis_latency")),
        ],
        command=result["command"],
    )


def _setting(result: SweepResult, name: str) -> str:
    return cut(one_line(str(result["settings"].get(name, ""))), 100)


def _choices(result: SweepResult) -> list[ChoiceRow]:
    return [
        ChoiceRow(choice.number, _choice_name(choice.row), choice.row, choice.is_recommended)
        for choice in choices_of(result)
    ]


def _choice_name(row: SweepRow) -> str:
    """Name a choice in a few words."""
    words = [round_duration(row["window_ms"])]
    if row["max_messages"]:
        words.append(ngettext("%(num)s message", "%(num)s messages", row["max_messages"]))
    if row["idle_ms"]:
        words.append(gettext("%(time)s of silence", time=round_duration(row["idle_ms"])))
    return gettext(", ").join(words)


def sweep_downloads(result: SweepResult) -> list[tuple[str, CsvLink]]:
    """Make the files. Names of columns are in English in every language: programs read them."""
    columns = [*_COUNTS, *(f"{kind}_{name}_ms" for kind in _TIMES for name in QUANTILES)]
    rows = [
        [
            *(dict(choice.row)[name] for name in _COUNTS),
            *(
                times.get(name)
                for times in (choice.row["first_ms"], choice.row["last_ms"], choice.row["lag_ms"])
                for name in QUANTILES
            ),
        ]
        for choice in _choices(result)
    ]
    return [(gettext("All choices"), csv_link("choices.csv", columns, rows))]


def _scatter(choices: Sequence[ChoiceRow]) -> Scatter | None:
    points = [
        Choice(
            choice.number,
            choice.name,
            across=choice.row["first_ms"]["p95"],
            up=choice.row["ai_calls"],
            rank=2 if choice.is_recommended else int(choice.row["is_best"]),
        )
        for choice in choices
        if choice.row["first_ms"]["p95"] is not None
    ]
    if len(points) < 2:
        return None
    waits, calls = [point.across for point in points], [point.up for point in points]
    return scatter(
        points,
        format_across=round_duration,
        format_up="{:,.0f}".format,
        description=gettext(
            "The time within which 95 %% of the turns are answered, from %(low)s to %(high)s, against AI calls, from "
            "%(few)s to %(many)s; the table has the numbers.",
            low=duration(min(waits)),
            high=duration(max(waits)),
            few=f"{min(calls):,.0f}",
            many=f"{max(calls):,.0f}",
        ),
    )


def _plot(best: Sequence[ChoiceRow]) -> Plot | None:
    """Draw the reply times of the best choices, with the choices' numbers in the table beside the curves."""
    replied = [choice for choice in best if choice.row["reply_ms"]]
    drawn = replied[:CURVES_MAX]
    if not drawn:
        return None
    series = [
        Series(f"{choice.number}: {choice.name}", style, choice.row["reply_ms"])
        for style, choice in enumerate(drawn)
    ]
    figures = [choice.row["first_ms"] for choice in drawn]
    identifier = "sweep-plot"
    return Plot(
        id=identifier,
        svg=reply_time_plot(series, identifier),
        title=gettext("Share of turns answered within a time"),
        description=times_description(
            [(row.name, times["p50"], times["max"]) for row, times in zip(series, figures, strict=True)]
        ),
        caption=_plot_caption(is_comparison=len(best) > 1, left_out=len(replied) - len(drawn)),
        column=gettext("Choice"),
        columns=["p50", "p95", gettext("max")],
        rows=[
            PlotRow(
                row.name, row.line, [duration(times["p50"]), duration(times["p95"]), duration(times["max"])]
            )
            for row, times in zip(series, figures, strict=True)
        ],
    )


def _plot_caption(*, is_comparison: bool, left_out: int) -> str:
    if not is_comparison:
        return gettext("From a turn's first message to its reply.")
    caption = gettext("From a turn's first message to its reply, for choices that nothing beats.")
    if not left_out:
        return caption
    more = ngettext(
        "%(num)s more such choice is not drawn; the table has its figures.",
        "%(num)s more such choices are not drawn; the table has their figures.",
        left_out,
    )
    return f"{caption} {more}"
