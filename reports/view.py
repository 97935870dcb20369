"""What the page of a replay shows, from its result: everything chosen and counted, nothing yet drawn or escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from reports.conversations import losses, reply_times_ms
from reports.plots import Plot, Series, latency_plot
from reports.schema import ExpectationResult, LossEstimate, RecordingInfo, ReplayResult, Run
from reports.text import TIMES, Phones, count, cut, duration, one_line, share

IDS_SHOWN_MAX = 12
CHECKS_OPEN_MAX = 3
REPLIES_MIN = 20
"""A recording gets a plot of its own reply times when some system gave so many."""
_CAPTION = (
    "Time from a turn's first message to its reply, and the share of replies that came within it. The upper part is "
    "stretched, so that the slowest replies can be seen. Lost messages have no reply and are not in it."
)


@dataclass(frozen=True, slots=True)
class Tally:
    """Losses of one system, over all runs of one recording or of all."""

    lost: int
    sent: int
    remarks: Sequence[str]


@dataclass(frozen=True, slots=True)
class LossView:
    """Messages that one system lost for one reason."""

    system: str
    cause: str
    count: int
    shown: Sequence[str]

    @property
    def more(self) -> int:
        """How many are not named."""
        return self.count - len(self.shown)


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One outcome on record."""

    kind: str
    flag: str
    word: str
    system: str
    detail: str


@dataclass(frozen=True, slots=True)
class Checks:
    """A recording's outcomes on record: those that did not hold first."""

    summary: str
    rows: Sequence[CheckRow]
    folded: bool


@dataclass(slots=True)
class RecordingView:
    """One recording's section. The page adds `conversations`, rendered, as far as there is room."""

    id: str
    name: str
    title: str
    source: str
    notes: str
    settings: str
    holds: str
    skipped_lines: int
    tallies: Sequence[Tally]
    runs: Sequence[Run]
    run_count: int
    remarks: Sequence[str]
    losses: Sequence[LossView]
    checks: Checks | None
    estimates: Sequence[LossEstimate]
    plot: Plot | None
    conversation_count: int
    conversations: list[Markup] = field(default_factory=list)

    @property
    def left_out(self) -> int:
        """Conversations for which there was no room."""
        return self.conversation_count - len(self.conversations)

    @property
    def drawn_words(self) -> str:
        """Which conversations are drawn, and how many are not."""
        if not self.conversations:
            return f"{count(self.conversation_count, 'conversation')}, too large to be drawn here."
        if len(self.conversations) == 1:
            return f"The worst conversation is drawn, {self.left_out:,} more are left out."
        drawn = count(len(self.conversations), "conversation is", "conversations are")
        return (
            f"{drawn} drawn: those with losses first, then the slowest. {self.left_out:,} more are left out."
        )


@dataclass(frozen=True, slots=True)
class SystemView:
    """A system's name and what it is."""

    name: str
    summary: str


@dataclass(frozen=True, slots=True)
class Page:
    """The whole page."""

    ok: bool
    verdict_first: str
    verdict_rest: str
    short_verdict: str
    description: str
    systems: Sequence[SystemView]
    recordings: Sequence[RecordingView]
    totals: Sequence[Tally]
    plot: Plot | None
    run_count: int
    seed: int
    settings: Sequence[tuple[str, str]]
    command: str

    @property
    def state(self) -> str:
        """Which sign stands next to the verdict."""
        return "ok" if self.ok else "bad"


def page_of(result: ReplayResult) -> Page:
    """The page that shows `result`."""
    systems = list(result["systems"])
    grouped: dict[str, list[Run]] = {recording["name"]: [] for recording in result["recordings"]}
    for run in result["runs"]:
        grouped.setdefault(run["recording"], []).append(run)
    views = [
        _recording_view(f"r{place}", recording, systems, grouped[recording["name"]], result)
        for place, recording in enumerate(result["recordings"], 1)
    ]
    first, _, rest = one_line(result["verdict"]).partition("; ")
    return Page(
        ok=result["ok"],
        verdict_first=first,
        verdict_rest=rest,
        short_verdict=cut(first, 120),
        description=cut(one_line(result["verdict"]), 300),
        systems=[SystemView(name, summary) for name, summary in result["systems"].items()],
        recordings=views,
        totals=[_tally(run for run in result["runs"] if run["system"] == system) for system in systems],
        plot=_overall_plot(result, systems) if len(views) > 1 else None,
        run_count=max((view.run_count for view in views), default=0),
        seed=result["seed"],
        settings=list(_settings(result["settings"])),
        command=result.get("command", ""),
    )


def first_runs(runs: Iterable[Run], systems: Sequence[str]) -> list[Run]:
    """For each system that has any, its run with the lowest number: the one that is drawn."""
    first: dict[str, Run] = {}
    for run in runs:
        if run["system"] not in first or run["run"] < first[run["system"]]["run"]:
            first[run["system"]] = run
    return [first[system] for system in systems if system in first]


def _recording_view(
    identifier: str,
    recording: RecordingInfo,
    systems: Sequence[str],
    runs: Sequence[Run],
    result: ReplayResult,
) -> RecordingView:
    drawn = first_runs(runs, systems)
    keys = {(message["instance"], message["phone"]) for message in recording["messages"]}
    messages = {(message["instance"], message["phone"], message["id"]) for message in recording["messages"]}
    holds = f"{count(len(messages), 'message')} in {count(len(keys), 'conversation')}"
    repeats = len(recording["messages"]) - len(messages)
    numbers = {run["run"] for run in runs}
    return RecordingView(
        id=identifier,
        name=recording["name"],
        title=recording["title"],
        source=recording["source"],
        notes=recording["notes"],
        settings=", ".join(f"{name}: {value}" for name, value in recording["settings"].items()),
        holds=holds
        + (f", and {count(repeats, 'repeated delivery', 'repeated deliveries')}" if repeats else ""),
        skipped_lines=recording["skipped_lines"],
        tallies=[_tally(run for run in runs if run["system"] == system) for system in systems],
        runs=drawn,
        run_count=len(numbers),
        remarks=[words for run in drawn for words in _remarks(run)],
        losses=[view for run in drawn for view in _loss_views(run, len(keys) > 1)],
        checks=_checks(
            [one for one in result["expectations"] if one["recording"] == recording["name"]], recording
        ),
        estimates=[
            one for one in result["loss"] if one["recording"] == recording["name"] and len(numbers) > 1
        ],
        plot=_plot(
            f"{identifier}-plot", [(run["system"], reply_times_ms(run, recording)) for run in drawn], systems
        )
        if len(result["recordings"]) == 1 or _has_many_replies(drawn)
        else None,
        conversation_count=len(keys),
    )


def _tally(runs: Iterable[Run]) -> Tally:
    lost = sent = 0
    others = {"twice": 0, "out of order": 0, "dead": 0, "waiting": 0}
    for run in runs:
        lost += len(run["lost"])
        sent += run["sent"]
        others["twice"] += len(run["duplicated"])
        others["out of order"] += len(run["reordered"])
        others["dead"] += len(run["dead_lettered"])
        others["waiting"] += len(run["pending"])
    return Tally(lost, sent, [f"{number:,} {words}" for words, number in others.items() if number])


def _remarks(run: Run) -> Iterable[str]:
    if not run["came_to_rest"]:
        yield f"{run['system']} did not come to rest within {duration(run['at_rest_ms'])}."
    fired = {name: number for name, number in run["faults"].items() if number}
    if fired:
        told = ", ".join(f"{name} {number:,}{TIMES}" for name, number in fired.items())
        yield f"Faults that were made to happen on {run['system']}: {told}."


def _loss_views(run: Run, with_user: bool) -> Iterable[LossView]:
    for loss in losses(run):
        shown = [
            f"{cut(one_line(one), 40)} ({phone})" if with_user else cut(one_line(one), 40)
            for phone, one in loss.messages[:IDS_SHOWN_MAX]
        ]
        yield LossView(run["system"], cut(loss.cause, 300), len(loss.messages), shown)


def _checks(results: Sequence[ExpectationResult], recording: RecordingInfo) -> Checks | None:
    if not results:
        return None
    phones = Phones(message["phone"] for message in recording["messages"])
    kinds = {
        False: ("failed", "✗", "did not hold"),
        None: ("unchecked", "?", "not checked"),
        True: ("held", "✓", "held"),
    }
    rows = [
        CheckRow(*kinds[one["held"]], one["system"], cut(phones.hide(one_line(one["detail"])), 300))
        for held in kinds
        for one in results
        if one["held"] is held
    ]
    counted = [(sum(one["held"] is held for one in results), held) for held in kinds]
    told = [f"{number} {kinds[held][2]}" for number, held in counted if number]
    all_held = all(one["held"] for one in results)
    summary = (
        f"All {len(results)} held."
        if all_held and len(results) > 1
        else f"Of {len(results)}: {', '.join(told)}."
    )
    return Checks(summary, rows, folded=all_held and len(rows) > CHECKS_OPEN_MAX)


def _has_many_replies(runs: Iterable[Run]) -> bool:
    return any(
        sum(batch["replied_at_ms"] is not None for batch in run["batches"]) >= REPLIES_MIN for run in runs
    )


def _overall_plot(result: ReplayResult, systems: Sequence[str]) -> Plot | None:
    recordings = {recording["name"]: recording for recording in result["recordings"]}
    times: dict[str, list[int]] = {}
    for name, recording in recordings.items():
        for run in first_runs((run for run in result["runs"] if run["recording"] == name), systems):
            times.setdefault(run["system"], []).extend(reply_times_ms(run, recording))
    return _plot("all-plot", [(system, sorted(own)) for system, own in times.items()], systems)


def _plot(identifier: str, times: Iterable[tuple[str, Sequence[int]]], systems: Sequence[str]) -> Plot | None:
    series = [Series(name, systems.index(name), own) for name, own in times if own]
    if not series:
        return None
    return latency_plot(
        identifier,
        series,
        title="Share of replies sent within a time",
        caption=_CAPTION,
        column="System",
        counted="replies",
    )


def _settings(settings: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            told = ", ".join(f"{key}: {share(float(rate))}" for key, rate in value.items() if rate)
            yield name, told or "none"
        elif name.endswith("_ms"):
            yield name.removesuffix("_ms").replace("_", " "), duration(value) if value else "off"
        else:
            yield name.replace("_", " "), str(value)
