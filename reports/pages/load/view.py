"""Contents of the page of a load test, before rendering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.analysis.times import time_cells, time_columns
from reports.drawing.load_plots import FAULTS_MAX, TimePlots, time_plots
from reports.drawing.plots import TAIL_REPLIES_MIN, Plot, Series, latency_plot
from reports.pages.csv_links import CsvLink
from reports.pages.load.doubles import NAME_LENGTH_MAX, DoubleTable, double_tables
from reports.pages.load.downloads import load_downloads
from reports.results.load import (
    SAMPLES_KEPT_MAX,
    Batches,
    FaultTimes,
    LoadLatency,
    LoadLedger,
    LoadResult,
    RampStep,
    are_all_lost,
)
from reports.text import NO_BREAK, cut, one_line
from reports.words.codes import trigger_words
from reports.words.faults import fault_name
from reports.words.language import gettext, ngettext
from reports.words.load import (
    LATENCIES,
    Latency,
    limit_of,
    measured_of,
    missed_names,
    outcome_of,
    page_verdict,
    ramp_time,
    setting_name,
    setting_value,
    threshold_name,
    unmeasured_words,
)
from reports.words.numbers import EN_DASH, duration, round_duration, share
from reports.words.verdicts import Verdict

VALUE_LENGTH_MAX = 500
ROWS_MAX = 120
BAR_PX = 200
_COLOURS = (3, 1)
_SIZE_GROUPS = (1, 2, 3, 4, 5, 10, 20, 50, 100)
"""Largest number of messages in each group of turns; another group has all larger turns."""


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """Threshold and its outcome; `kind` is the CSS class of both."""

    name: str
    target: str
    actual: str
    outcome: str
    kind: str


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """Fate of messages, with the number of such messages; `kind` is the CSS class of the number."""

    name: str
    number: int
    kind: str
    meaning: str


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """Quantiles of a latency, in words."""

    name: str
    meaning: str
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class BarRow:
    """Share of the turns, with a bar of `width` px."""

    name: str
    number: int
    share: str
    width: float


@dataclass(frozen=True, slots=True)
class RampRow:
    """Step of a ramp; `times` are those of acknowledgement, dispatch and generator."""

    rate: str
    sent: str
    times: Sequence[str]
    missed: str


@dataclass(frozen=True, slots=True)
class FaultRow:
    """Fault and its time."""

    number: int
    name: str
    start: str
    lasted: str


@dataclass(frozen=True, slots=True)
class LoadPage:
    """The whole page."""

    state: str
    verdict: Verdict
    scenario: str
    is_busy: bool
    """True if the run is invalid only because the machine was busy with other programs."""
    is_legacy: bool
    """True if the load met the legacy buffer."""
    seed: int
    started_at: str
    load: str
    drain: str
    thresholds: Sequence[ThresholdRow]
    missed: int
    met: int
    unmeasured: str
    ledger: LoadLedger
    ledger_rows: Sequence[LedgerRow]
    unaccounted: int
    unanswered_ids: Sequence[str]
    unanswered: int
    are_all_lost: bool
    """False where dead letters and waiting messages may be among the unanswered ones."""
    doubles: Sequence[DoubleTable]
    latency_columns: Sequence[str]
    latencies: Sequence[LatencyRow]
    thinned: str
    latency_plots: Sequence[Plot]
    ramp: Sequence[RampRow]
    over_time: TimePlots
    faults: Sequence[FaultRow]
    turns: int
    triggers: Sequence[BarRow]
    sizes: Sequence[BarRow]
    settings: Sequence[tuple[str, str]]
    system: Sequence[tuple[str, str]]
    command: str
    downloads: Sequence[tuple[str, CsvLink]]
    bar_px: int = BAR_PX


def load_page_of(result: LoadResult) -> LoadPage:
    """Make the contents of the page."""
    ledger, latency = result["ledger"], result["latency_ms"]
    return LoadPage(
        state="invalid" if not result["valid"] else "ok" if result["ok"] else "bad",
        verdict=page_verdict(result),
        scenario=_short(result["scenario"]),
        is_busy="busy_machine" in result
        and result["generator_lag"]["ok"]
        and not result.get("missed_faults"),
        is_legacy=result["settings"].get("system") == "legacy",
        seed=result["seed"],
        started_at=_short(result["started_at"]),
        load=round_duration(1000 * result["duration_s"]),
        drain=duration(1000 * result["drain_s"]),
        thresholds=_threshold_rows(result),
        missed=sum(not threshold["ok"] for threshold in result["thresholds"]),
        met=sum(limit["ok"] and limit["measured"] is not None for limit in result["thresholds"]),
        unmeasured=unmeasured_words(result["thresholds"]),
        ledger=ledger,
        ledger_rows=_ledger_rows(ledger),
        unaccounted=ledger["sent"]
        - (ledger["answered"] + ledger["dead"] + ledger["waiting"] + ledger["lost"]),
        unanswered_ids=[_short(message_id) for message_id in result["lost_ids"][:ROWS_MAX]],
        unanswered=ledger["lost"] + ledger["dead"] + ledger["waiting"],
        are_all_lost=are_all_lost(ledger),
        doubles=double_tables(result),
        latency_columns=time_columns(gettext("samples")),
        latencies=[
            LatencyRow(gettext(name), gettext(meaning), time_cells(_times(latency, key)))
            for key, (name, meaning) in LATENCIES.items()
        ],
        thinned=_thinned(latency),
        latency_plots=_latency_plots(latency),
        ramp=[_ramp_row(step) for step in result.get("ramp", [])[:ROWS_MAX]],
        over_time=time_plots(result),
        faults=[_fault_row(number, fault) for number, fault in enumerate(result["faults"][:FAULTS_MAX], 1)],
        turns=result["batches"]["count"],
        triggers=_bars(_triggers(result["batches"])),
        sizes=_bars(_sizes(result["batches"])),
        settings=_facts(result["settings"]),
        system=_facts(result["system"]),
        command=result["command"],
        downloads=load_downloads(result),
    )


def _short(text: str) -> str:
    return cut(one_line(text), NAME_LENGTH_MAX)


def _threshold_rows(result: LoadResult) -> list[ThresholdRow]:
    """Return the thresholds, missed ones first."""
    ordered = sorted(result["thresholds"], key=lambda threshold: threshold["ok"])
    return [
        ThresholdRow(
            threshold_name(threshold["code"]),
            limit_of(threshold),
            measured_of(threshold),
            outcome_of(threshold),
            "bad" if not threshold["ok"] else "ok" if threshold["measured"] is not None else "muted",
        )
        for threshold in ordered[:ROWS_MAX]
    ]


def _ledger_rows(ledger: LoadLedger) -> list[LedgerRow]:
    rows = [
        (gettext("answered"), ledger["answered"], "ok", gettext("a reply to it arrived")),
        (
            gettext("dead-lettered"),
            ledger["dead"],
            "warn",
            gettext("given up after all attempts, and kept for an operator"),
        ),
        (gettext("waiting"), ledger["waiting"], "warn", gettext("still in the queue when the drain ended")),
        (gettext("lost"), ledger["lost"], "bad", gettext("acknowledged, and then gone without an answer")),
        (
            gettext("answered twice"),
            ledger["duplicates"],
            "bad",
            gettext("more than one reply answers it, and no worker's death explains that"),
        ),
        (
            gettext("sent twice: a worker died while sending"),
            ledger["worker_died"],
            "warn",
            gettext("its worker died before it could note that the reply was sent"),
        ),
        (
            gettext("out of order"),
            ledger["out_of_order"],
            "bad",
            gettext("answered before a message that was acknowledged earlier"),
        ),
        (
            gettext("failed requests"),
            ledger["failed_requests"],
            "warn",
            gettext("answered with anything but 2xx, or not at all; each was delivered again"),
        ),
        (
            gettext("unsure"),
            ledger["unsure"],
            "warn",
            gettext("never acknowledged, so nothing was promised for it"),
        ),
    ]
    return [
        LedgerRow(name, number, kind if number else "zero", meaning) for name, number, kind, meaning in rows
    ]


def _times(latency: LoadLatency, key: Latency) -> list[float]:
    return sorted(max(time_ms, 0.0) for time_ms in latency[key])


def _thinned(latency: LoadLatency) -> str:
    thinned = [
        gettext(name) for key, (name, _) in LATENCIES.items() if len(_times(latency, key)) >= SAMPLES_KEPT_MAX
    ]
    if not thinned:
        return ""
    return gettext(
        "Thinned out evenly to %(number)s samples: %(names)s.",
        number=f"{SAMPLES_KEPT_MAX:,}",
        names=gettext(", ").join(thinned).lower(),
    )


def _latency_plots(latency: LoadLatency) -> list[Plot]:
    plots = []
    shown: tuple[tuple[str, str, tuple[Latency, ...]], ...] = (
        (
            "acknowledgement-plot",
            gettext("Share of messages acknowledged within a time"),
            ("acknowledgement",),
        ),
        ("reply-plot", gettext("Share of turns replied to within a time"), ("reply", "reply_from_first")),
    )
    for identifier, title, keys in shown:
        series = [
            Series(gettext(LATENCIES[key][0]), style, times, colour)
            for style, (key, colour) in enumerate(zip(keys, _COLOURS, strict=False))
            if (times := _times(latency, key))
        ]
        if series:
            has_tail = max(len(line.times_ms) for line in series) >= TAIL_REPLIES_MIN
            plots.append(
                latency_plot(
                    identifier,
                    series,
                    title=title,
                    caption=gettext("The upper part is stretched, so that the slowest can be seen.")
                    if has_tail
                    else "",
                    column=gettext("Latency"),
                    counted=gettext("samples"),
                )
            )
    return plots


def _ramp_row(step: RampStep) -> RampRow:
    times = [ramp_time(threshold) for threshold in step["thresholds"] if threshold["unit"] == "ms"]
    return RampRow(f"{step['rate']:,}", f"{step['sent']:,}", times, missed_names(step["thresholds"]))


def _fault_row(number: int, fault: FaultTimes) -> FaultRow:
    lasted_ms = round(1000 * (fault["end_s"] - fault["start_s"]))
    return FaultRow(number, fault_name(fault["code"]), duration(1000 * fault["start_s"]), duration(lasted_ms))


def _triggers(batches: Batches) -> dict[str, int]:
    ordered = sorted(batches["by_trigger"].items(), key=lambda item: (-item[1], item[0]))
    shown = {_short(trigger_words(name)): number for name, number in ordered[: ROWS_MAX - 1]}
    rest = ordered[ROWS_MAX - 1 :]
    if not rest:
        return shown
    others = ngettext("%(num)s other", "%(num)s others", len(rest))
    return {**shown, others: sum(number for _, number in rest)}


def _sizes(batches: Batches) -> dict[str, int]:
    """Count turns by group of sizes."""
    groups: dict[str, int] = {}
    for size, number in sorted((int(size), number) for size, number in batches["sizes"].items()):
        name = _size_group(size)
        groups[name] = groups.get(name, 0) + number
    return groups


def _size_group(size: int) -> str:
    low = 0
    for high in _SIZE_GROUPS:
        if size <= high:
            if high - low == 1:
                return ngettext("%(num)s message", "%(num)s messages", high)
            return ngettext(
                "%(range)s message", "%(range)s messages", high, range=f"{low + 1}{EN_DASH}{high}"
            )
        low = high
    return ngettext("more than %(num)s message", "more than %(num)s messages", low).replace(NO_BREAK, " ")


def _bars(numbers: Mapping[str, int]) -> list[BarRow]:
    total = sum(numbers.values())
    highest = max(numbers.values(), default=0)
    return [
        BarRow(name, number, share(number / total), BAR_PX * number / highest)
        for name, number in numbers.items()
        if number
    ]


def _facts(values: Mapping[str, str | int | float] | Mapping[str, str]) -> list[tuple[str, str]]:
    shown = [
        (_short(setting_name(code)), cut(one_line(setting_value(code, value)), VALUE_LENGTH_MAX))
        for code, value in values.items()
        if value != ""
    ]
    return shown[:ROWS_MAX]
