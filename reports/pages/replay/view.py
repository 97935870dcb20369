"""What the page of a replay shows, from its result: everything chosen and counted, nothing yet drawn or escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from reports.analysis.conversations import reply_times_ms
from reports.analysis.frames import COUNTS, SystemFigures, counts_by, runs_frame, system_figures
from reports.analysis.losses import losses
from reports.drawing.plots import Plot, Series, latency_plot
from reports.pages.csv_links import CsvLink
from reports.pages.replay.estimates import ESTIMATE_PX, Estimates, estimates_of, overall_estimates
from reports.pages.replay.overview import Overview
from reports.pages.replay.story import Story
from reports.results.replay import ExpectationResult, RecordingInfo, ReplayResult, Run
from reports.text import Phones, cut, one_line
from reports.words.expectations import expectation_words
from reports.words.language import gettext, ngettext
from reports.words.numbers import TIMES, duration, share
from reports.words.systems import system_summary
from reports.words.verdicts import replay_verdict

IDS_SHOWN_MAX = 12
CHECKS_OPEN_MAX = 3
REPLIES_MIN = 20
"""A recording gets a plot of its own reply times when some system gave so many."""
NAME_LENGTH_MAX = 200
VALUE_LENGTH_MAX = 500
NOTES_LENGTH_MAX = 2000
COMMAND_LENGTH_MAX = 4000

NOTHING: Mapping[str, int] = dict.fromkeys(COUNTS, 0)
"""The counts of what was never run."""


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
    """One expected outcome."""

    kind: str
    flag: str
    word: str
    system: str
    detail: str


@dataclass(frozen=True, slots=True)
class Checks:
    """A recording's expected outcomes: those that did not match first."""

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
    estimates: Estimates | None
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
            return ngettext(
                "%(num)s conversation, too large to be drawn here.",
                "%(num)s conversations, too large to be drawn here.",
                self.conversation_count,
            )
        drawn = ngettext(
            "The worst conversation is drawn.",
            "%(num)s conversations are drawn: those with losses first, then the slowest.",
            len(self.conversations),
        )
        left_out = ngettext("%(num)s more is left out.", "%(num)s more are left out.", self.left_out)
        return f"{drawn} {left_out}"


@dataclass(slots=True)
class Page:
    """The whole page; `systems` has what each is by its name.

    `story`, `overview` and what is drawn of recordings are added as far as there is room.
    """

    ok: bool
    verdict_first: str
    verdict_rest: str
    short_verdict: str
    description: str
    systems: Mapping[str, str]
    recordings: Sequence[RecordingView]
    totals: Sequence[Tally]
    plot: Plot | None
    run_count: int
    seed: int
    settings: Sequence[tuple[str, str]]
    command: str
    figures: Sequence[SystemFigures]
    estimates: Estimates | None
    downloads: Sequence[tuple[str, CsvLink]] = ()
    story: Story | None = None
    overview: Overview | None = None
    estimate_px: int = ESTIMATE_PX

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
    frame = runs_frame(result["runs"])
    counts, totals = counts_by(frame, "recording", "system"), counts_by(frame, "system")
    views = [
        _recording_view(
            f"r{place}",
            recording,
            [_tally(counts.get((recording["name"], system), NOTHING)) for system in systems],
            grouped[recording["name"]],
            result,
        )
        for place, recording in enumerate(result["recordings"], 1)
    ]
    verdict = replay_verdict(result)
    figures = system_figures(result)
    return Page(
        ok=result["ok"],
        verdict_first=verdict.first,
        verdict_rest=verdict.rest,
        short_verdict=cut(verdict.first, 120),
        description=cut(str(verdict), 300),
        systems={name: system_summary(name) for name in systems},
        recordings=views,
        totals=[_tally(totals.get((system,), NOTHING)) for system in systems],
        plot=_overall_plot(views, result["recordings"], systems) if len(views) > 1 else None,
        run_count=max((view.run_count for view in views), default=0),
        seed=result["seed"],
        settings=list(_settings(result["settings"])),
        command=cut(one_line(result.get("command", "")), COMMAND_LENGTH_MAX),
        figures=figures,
        estimates=overall_estimates(figures),
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
    tallies: Sequence[Tally],
    runs: Sequence[Run],
    result: ReplayResult,
) -> RecordingView:
    systems = list(result["systems"])
    drawn = first_runs(runs, systems)
    keys = {(message["instance"], message["phone"]) for message in recording["messages"]}
    messages = {(message["instance"], message["phone"], message["id"]) for message in recording["messages"]}
    holds = gettext(
        "%(messages)s in %(conversations)s",
        messages=ngettext("%(num)s message", "%(num)s messages", len(messages)),
        conversations=ngettext("%(num)s conversation", "%(num)s conversations", len(keys)),
    )
    repeats = len(recording["messages"]) - len(messages)
    numbers = {run["run"] for run in runs}
    return RecordingView(
        id=identifier,
        name=recording["name"],
        title=cut(one_line(recording["title"]), NAME_LENGTH_MAX),
        source=cut(one_line(recording["source"]), VALUE_LENGTH_MAX),
        notes=cut(recording["notes"], NOTES_LENGTH_MAX),
        settings=cut(
            gettext(", ").join(f"{name}: {value}" for name, value in recording["settings"].items()),
            VALUE_LENGTH_MAX,
        ),
        holds=holds
        if not repeats
        else f"{holds}; {ngettext('%(num)s repeated delivery', '%(num)s repeated deliveries', repeats)}",
        skipped_lines=recording["skipped_lines"],
        tallies=tallies,
        runs=drawn,
        run_count=len(numbers),
        remarks=[words for run in drawn for words in _remarks(run)],
        losses=[view for run in drawn for view in _loss_views(run, recording, len(keys) > 1)],
        checks=_checks(
            [one for one in result["expectations"] if one["recording"] == recording["name"]], recording
        ),
        estimates=estimates_of(
            [one for one in result["loss"] if one["recording"] == recording["name"] and len(numbers) > 1]
        ),
        plot=_plot(
            f"{identifier}-plot", [(run["system"], reply_times_ms(run, recording)) for run in drawn], systems
        )
        if len(result["recordings"]) == 1 or _has_many_replies(drawn)
        else None,
        conversation_count=len(keys),
    )


def _tally(counts: Mapping[str, int]) -> Tally:
    told = {name: f"{number:,}" for name, number in counts.items()}
    others = {
        "twice": gettext("%(number)s twice", number=told["twice"]),
        "order": gettext("%(number)s out of order", number=told["order"]),
        "dead": gettext("%(number)s dead", number=told["dead"]),
        "waiting": gettext("%(number)s waiting", number=told["waiting"]),
    }
    return Tally(counts["lost"], counts["sent"], [words for name, words in others.items() if counts[name]])


def _remarks(run: Run) -> Iterable[str]:
    if not run["came_to_rest"]:
        yield gettext(
            "%(system)s did not come to rest within %(time)s.",
            system=run["system"],
            time=duration(run["at_rest_ms"]),
        )
    fired = {name: number for name, number in run["faults"].items() if number}
    if fired:
        told = gettext(", ").join(f"{name} {number:,}{TIMES}" for name, number in fired.items())
        yield gettext(
            "Faults that were made to happen on %(system)s: %(faults)s.", system=run["system"], faults=told
        )


def _loss_views(run: Run, recording: RecordingInfo, with_user: bool) -> Iterable[LossView]:
    for loss in losses([run], recording):
        shown = [
            f"{cut(one_line(one), 40)} ({phone})" if with_user else cut(one_line(one), 40)
            for phone, one in loss.messages[:IDS_SHOWN_MAX]
        ]
        yield LossView(run["system"], loss.words, len(loss.messages), shown)


def _checks(results: Sequence[ExpectationResult], recording: RecordingInfo) -> Checks | None:
    if not results:
        return None
    phones = Phones(message["phone"] for message in recording["messages"])
    kinds = {
        False: ("failed", "✗", gettext("did not match")),
        None: ("unchecked", "?", gettext("not checked")),
        True: ("held", "✓", gettext("matched")),
    }
    rows = [
        CheckRow(
            *kinds[one["held"]],
            one["system"],
            cut(expectation_words(one, phones.hide), 300),
        )
        for held in kinds
        for one in results
        if one["held"] is held
    ]
    counted = [(sum(one["held"] is held for one in results), held) for held in kinds]
    told = [f"{number} {kinds[held][2]}" for number, held in counted if number]
    all_held = all(one["held"] for one in results)
    if all_held and len(results) > 1:
        summary = gettext("All %(number)s matched.", number=len(results))
    else:
        summary = gettext(
            "Of %(number)s: %(outcomes)s.", number=len(results), outcomes=gettext(", ").join(told)
        )
    return Checks(summary, rows, folded=all_held and len(rows) > CHECKS_OPEN_MAX)


def _has_many_replies(runs: Iterable[Run]) -> bool:
    return any(
        sum(batch["replied_at_ms"] is not None for batch in run["batches"]) >= REPLIES_MIN for run in runs
    )


def _overall_plot(
    views: Sequence[RecordingView], recordings: Sequence[RecordingInfo], systems: Sequence[str]
) -> Plot | None:
    times: dict[str, list[int]] = {}
    for view, recording in zip(views, recordings, strict=True):
        for run in view.runs:
            times.setdefault(run["system"], []).extend(reply_times_ms(run, recording))
    return _plot("all-plot", [(system, sorted(own)) for system, own in times.items()], systems)


def _plot(identifier: str, times: Iterable[tuple[str, Sequence[int]]], systems: Sequence[str]) -> Plot | None:
    series = [Series(name, systems.index(name), own) for name, own in times if own]
    if not series:
        return None
    return latency_plot(
        identifier,
        series,
        title=gettext("Share of replies sent within a time"),
        caption=gettext(
            "Time from a turn's first message to its reply, and the share of replies that came within it. The upper "
            "part is stretched, so that the slowest replies can be seen. Lost messages have no reply and are not in it."
        ),
        column=gettext("System"),
        counted=gettext("replies"),
    )


def _settings(settings: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            told = gettext(", ").join(f"{key}: {share(float(rate))}" for key, rate in value.items() if rate)
            yield name, told or gettext("none")
        elif name.endswith("_ms"):
            yield name.removesuffix("_ms").replace("_", " "), duration(value) if value else gettext("off")
        else:
            yield name.replace("_", " "), cut(one_line(str(value)), VALUE_LENGTH_MAX)
