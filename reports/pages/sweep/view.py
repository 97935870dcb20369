"""What the page of a sweep shows, from its result: everything chosen and counted, nothing yet drawn or escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.analysis.figures import QUANTILES
from reports.drawing.plots import Plot, Series, latency_plot
from reports.drawing.scatter import Choice, Scatter, scatter
from reports.pages.csv_links import CsvLink, csv_link
from reports.results.sweep import SweepResult, SweepRow
from reports.text import cut, one_line
from reports.words.language import gettext, ngettext
from reports.words.numbers import duration, round_duration, share
from reports.words.verdicts import sweep_verdict

ROWS_MAX = 200
CURVES_MAX = 6
_TIMES = ("first", "last", "lag")
_COUNTS = (
    *("window_ms", "max_messages", "idle_ms", "sent", "lost", "twice", "order", "dead", "waiting"),
    *("ai_calls", "turns", "split_turns", "is_best"),
)


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """One choice with what it came to, in words."""

    number: int
    name: str
    kind: str
    remark: str
    lost: int
    wrong: int
    ai_calls: str
    split: str
    first: tuple[str, str]
    last: tuple[str, str]
    lag: str


@dataclass(frozen=True, slots=True)
class SweepPage:
    """The whole page."""

    state: str
    verdict_first: str
    verdict_rest: str
    short_verdict: str
    description: str
    recordings: int
    runs: int
    rows: Sequence[ChoiceRow]
    left_out: int
    scatter: Scatter | None
    plot: Plot | None
    downloads: Sequence[tuple[str, CsvLink]]
    seed: int
    settings: Sequence[tuple[str, str]]
    command: str


def sweep_page_of(result: SweepResult) -> SweepPage:
    """The page that shows `result`."""
    verdict = sweep_verdict(result)
    ordered = _ordered(result)
    numbered = list(enumerate((result["rows"][place] for place in ordered), 1))
    recommended = _recommended(result)
    return SweepPage(
        state="ok" if result["ok"] else "bad",
        verdict_first=verdict.first,
        verdict_rest=verdict.rest,
        short_verdict=cut(verdict.first, 120),
        description=cut(str(verdict), 300),
        recordings=len(result["recordings"]),
        runs=result["runs"],
        rows=[_row(number, row, row is recommended) for number, row in numbered[:ROWS_MAX]],
        left_out=max(len(numbered) - ROWS_MAX, 0),
        scatter=_scatter(numbered[:ROWS_MAX], recommended),
        plot=_plot([(number, row) for number, row in numbered if row["is_best"]]),
        downloads=[(gettext("All choices"), _csv([row for _, row in numbered]))],
        seed=result["seed"],
        settings=[
            (name, cut(one_line(str(result["settings"].get(name, ""))), 100))
            for name in ("ai", "redis_latency")
        ],
        command=cut(one_line(result["command"]), 1000),
    )


def _recommended(result: SweepResult) -> SweepRow | None:
    place = result["recommended"]
    return result["rows"][place] if place is not None else None


def _ordered(result: SweepResult) -> list[int]:
    """Places of the rows: the recommended one, those that nothing beats, the others; each by waiting."""
    rows = result["rows"]
    return sorted(
        range(len(rows)),
        key=lambda place: (
            place != result["recommended"],
            not rows[place]["is_best"],
            rows[place]["first_ms"]["p95"] or 0,
            place,
        ),
    )


def choice_name(row: SweepRow) -> str:
    """A choice in a few words."""
    told = [
        round_duration(row["window_ms"]),
        ngettext("%(num)s message", "%(num)s messages", row["max_messages"]),
    ]
    if row["idle_ms"]:
        told.append(gettext("%(time)s of silence", time=round_duration(row["idle_ms"])))
    return gettext(", ").join(told)


def _row(number: int, row: SweepRow, is_recommended: bool) -> ChoiceRow:
    remark = (
        gettext("recommended") if is_recommended else gettext("nothing beats it") if row["is_best"] else ""
    )
    return ChoiceRow(
        number=number,
        name=choice_name(row),
        kind="ok" if is_recommended else "",
        remark=remark,
        lost=row["lost"],
        wrong=row["twice"] + row["order"] + row["dead"] + row["waiting"],
        ai_calls=f"{row['ai_calls']:,}",
        split=share(row["split_turns"] / row["turns"]) if row["turns"] else "",
        first=(duration(row["first_ms"]["p50"]), duration(row["first_ms"]["p95"])),
        last=(duration(row["last_ms"]["p50"]), duration(row["last_ms"]["p95"])),
        lag=duration(row["lag_ms"]["p95"]),
    )


def _csv(rows: Sequence[SweepRow]) -> CsvLink:
    """Names of columns are in English in every language: programs read them."""
    return csv_link(
        "choices.csv",
        [*_COUNTS, *(f"{kind}_{name}_ms" for kind in _TIMES for name in QUANTILES)],
        [
            [
                *(dict(row)[name] for name in _COUNTS),
                *(
                    times.get(name)
                    for times in (row["first_ms"], row["last_ms"], row["lag_ms"])
                    for name in QUANTILES
                ),
            ]
            for row in rows
        ],
    )


def _scatter(numbered: Sequence[tuple[int, SweepRow]], recommended: SweepRow | None) -> Scatter | None:
    placed = [
        Choice(
            number,
            choice_name(row),
            across=row["first_ms"]["p95"],
            up=row["ai_calls"],
            rank=2 if row is recommended else int(row["is_best"]),
        )
        for number, row in numbered
        if row["first_ms"]["p95"] is not None
    ]
    if len(placed) < 2:
        return None
    waits, calls = [one.across for one in placed], [one.up for one in placed]
    return scatter(
        placed,
        tell_across=round_duration,
        tell_up="{:,.0f}".format,
        description=gettext(
            "The time within which 95 %% of the turns are answered, from %(low)s to %(high)s, against AI calls, from "
            "%(few)s to %(many)s; the table has the numbers.",
            low=duration(min(waits)),
            high=duration(max(waits)),
            few=f"{min(calls):,.0f}",
            many=f"{max(calls):,.0f}",
        ),
    )


def _plot(best: Sequence[tuple[int, SweepRow]]) -> Plot | None:
    series = [
        Series(f"{number}: {choice_name(row)}", place, row["reply_ms"])
        for place, (number, row) in enumerate(best[:CURVES_MAX])
        if row["reply_ms"]
    ]
    if not series:
        return None
    return latency_plot(
        "sweep-plot",
        series,
        title=gettext("Share of turns answered within a time"),
        caption=gettext("From a turn's first message to its reply, for choices that nothing beats."),
        column=gettext("Choice"),
        counted=gettext("turns kept"),
    )
