"""Section of one recording on the page of a replay."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from reports.analysis.conversations import Conversation
from reports.analysis.losses import Loss
from reports.analysis.recording import ReplayedRecording, first_with_loss
from reports.command_lines import typed
from reports.drawing.plots import Plot, Series, latency_plot
from reports.drawing.reply_time_course import reply_time_course
from reports.pages.replay.estimates import Estimates
from reports.results.replay import ExpectationResult, Explanation, ReplayResult, Run
from reports.text import Phones, cut
from reports.words.expectations import expectation_words
from reports.words.explanations import explanation_words
from reports.words.faults import fault_words
from reports.words.language import gettext, ngettext
from reports.words.numbers import duration

CHECKS_OPEN_MAX = 3
REPLIES_MIN = 20
"""Smallest number of replies of a system with which a recording gets a plot of reply times of its own."""
EXPECTATION_LENGTH_MAX = 300
FAULTS_MAX = 100


@dataclass(frozen=True, slots=True)
class Tally:
    """Losses of one system, over all runs of one recording or of all."""

    lost: int
    sent: int
    remarks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Checks:
    """Expected outcomes of a recording with their words, beginning with those that did not match."""

    summary: str
    rows: Sequence[tuple[ExpectationResult, str]]
    folded: bool


@dataclass(slots=True)
class RecordingView:
    """Section of one recording. `ordered` are its conversations; the page adds `figures` of the first ones."""

    id: str
    recording: ReplayedRecording
    settings: str
    contents: str
    tallies: Sequence[Tally]
    run_count: int
    remarks: Sequence[str]
    faults: Sequence[tuple[str, Sequence[int]]]
    """Faults in words, each with the number of times that it struck each system."""
    losses: Sequence[Loss]
    checks: Checks | None
    estimates: Estimates | None
    plot: Plot | None
    course: Plot | None
    """Plot of the reply times over time; None for few replies or without timed faults."""
    explanations: Sequence[Explanation]
    ordered: Sequence[Conversation]
    result_file: Path | None
    figures: list[Markup] = field(default_factory=list)

    def figure_id(self, index: int) -> str:
        """Return the id of the figure of a conversation, by its index in `ordered`."""
        return f"{self.id}c{index}"

    @property
    def run_words(self) -> str:
        """Number of the run that is drawn; empty if there is only one."""
        if self.run_count == 1:
            return ""
        drawn, last = self.recording.drawn, self.run_count - 1
        if (number := first_with_loss(drawn)) is None:
            return gettext("Run %(run)s (of 0 to %(last)s)", run=drawn[0]["run"] if drawn else 0, last=last)
        return gettext("Run %(run)s (of 0 to %(last)s), the first with a loss", run=number, last=last)

    @property
    def explanation_words(self) -> str:
        """Sentence on which system explains best what really happened."""
        return explanation_words(self.explanations)

    @property
    def left_out(self) -> int:
        """Number of conversations for which there was no room."""
        return len(self.ordered) - len(self.figures)

    @property
    def drawn_words(self) -> str:
        """Note on which conversations are drawn, and how to see the others."""
        if not self.figures:
            left_out = ngettext(
                "The conversation is not drawn, to keep the page small.",
                "None of the %(num)s conversations is drawn, to keep the page small.",
                self.left_out,
            )
            return f"{left_out} {self._how_to_draw_one}"
        drawn = ngettext(
            "%(num)s conversation is drawn: one that was asked for, or else the worst.",
            "%(num)s conversations are drawn: those asked for, then those with losses, then the slowest.",
            len(self.figures),
        )
        left_out = ngettext(
            "%(num)s more is not drawn, to keep the page small.",
            "%(num)s more are not drawn, to keep the page small.",
            self.left_out,
        )
        return f"{drawn} {left_out} {self._how_to_draw_one}"

    @property
    def _how_to_draw_one(self) -> str:
        if self.result_file is None:
            return gettext(
                "To see one, have the replay write its result with %(option)s, and run %(command)s.",
                option="--json RESULT.json",
                command=typed("python -m reports build RESULT.json --draw NUMBER"),
            )
        path = self.result_file.name if self.result_file.is_absolute() else self.result_file.as_posix()
        return gettext(
            "To see one, run %(command)s.",
            command=f"{typed('python -m reports build')} {shlex.quote(path)} --draw NUMBER",
        )


def recording_view(
    identifier: str,
    recording: ReplayedRecording,
    tallies: Sequence[Tally],
    result: ReplayResult,
    draw: Collection[int],
    result_file: Path | None,
) -> RecordingView:
    """Make the section of one recording; conversations with a number in `draw` come first."""
    drawn = recording.drawn
    run_count = len({run["run"] for run in recording.runs})
    estimates = [row for row in result["loss"] if row["recording"] == recording.name]
    has_plot = len(result["recordings"]) == 1 or _has_many_replies(drawn)
    return RecordingView(
        id=identifier,
        recording=recording,
        settings=gettext(", ").join(f"{name}: {value}" for name, value in recording.info["settings"].items()),
        contents=_contents(recording),
        tallies=tallies,
        run_count=run_count,
        remarks=[words for run in drawn for words in _remarks(run)],
        faults=_faults(drawn),
        losses=[loss for system in recording.systems for loss in recording.losses_of(system)],
        checks=_checks(result, recording),
        estimates=Estimates(estimates) if estimates and run_count > 1 else None,
        plot=reply_plot(f"{identifier}-plot", recording.reply_times_ms, recording.systems)
        if has_plot
        else None,
        course=_course(f"{identifier}-course", recording) if _has_many_replies(drawn) else None,
        explanations=[each for each in result.get("explanations", ()) if each["recording"] == recording.name],
        ordered=sorted(recording.conversations, key=lambda conversation: conversation.number not in draw),
        result_file=result_file,
    )


def _contents(recording: ReplayedRecording) -> str:
    messages = sum(map(len, recording.numbers.values()))
    contents = gettext(
        "%(messages)s in %(conversations)s",
        messages=ngettext("%(num)s message", "%(num)s messages", messages),
        conversations=ngettext("%(num)s conversation", "%(num)s conversations", len(recording.numbers)),
    )
    repeats = len(recording.info["messages"]) - messages
    if not repeats:
        return contents
    return f"{contents}; {ngettext('%(num)s repeated delivery', '%(num)s repeated deliveries', repeats)}"


def tally(counts: Mapping[str, int]) -> Tally:
    """Make the tally of one system from its counts."""
    others = {
        "twice": gettext("%(number)s twice", number=f"{counts['twice']:,}"),
        "order": gettext("%(number)s out of order", number=f"{counts['order']:,}"),
        "dead": gettext("%(number)s dead", number=f"{counts['dead']:,}"),
        "waiting": gettext("%(number)s waiting", number=f"{counts['waiting']:,}"),
    }
    return Tally(counts["lost"], counts["sent"], [words for name, words in others.items() if counts[name]])


def _remarks(run: Run) -> Iterable[str]:
    if not run["came_to_rest"]:
        yield gettext(
            "%(system)s did not finish its work within %(time)s.",
            system=run["system"],
            time=duration(run["at_rest_ms"]),
        )


def _faults(runs: Sequence[Run]) -> list[tuple[str, list[int]]]:
    """Return each fault with its counts; all systems have the same faults."""
    if not runs:
        return []
    return [
        (fault_words(fault), [run["faults"][number]["struck"] for run in runs])
        for number, fault in enumerate(runs[0]["faults"][:FAULTS_MAX])
    ]


def _checks(result: ReplayResult, recording: ReplayedRecording) -> Checks | None:
    results = [row for row in result["expectations"] if row["recording"] == recording.name]
    if not results:
        return None
    phones = Phones(message["phone"] for message in recording.info["messages"])
    outcomes = {False: gettext("did not match"), None: gettext("not checked"), True: gettext("matched")}
    by_outcome = {held: [row for row in results if row["held"] is held] for held in outcomes}
    all_held = len(by_outcome[True]) == len(results)
    if all_held and len(results) > 1:
        summary = gettext("All %(number)s matched.", number=len(results))
    else:
        counted = [f"{len(rows)} {outcomes[held]}" for held, rows in by_outcome.items() if rows]
        summary = gettext(
            "Of %(number)s: %(outcomes)s.", number=len(results), outcomes=gettext(", ").join(counted)
        )
    rows = [
        (row, cut(expectation_words(row, phones.hide), EXPECTATION_LENGTH_MAX))
        for rows in by_outcome.values()
        for row in rows
    ]
    return Checks(summary, rows, folded=all_held and len(rows) > CHECKS_OPEN_MAX)


def _has_many_replies(runs: Iterable[Run]) -> bool:
    return any(
        sum(batch["replied_at_ms"] is not None for batch in run["batches"]) >= REPLIES_MIN for run in runs
    )


def _course(identifier: str, recording: ReplayedRecording) -> Plot | None:
    faults = recording.drawn[0]["faults"] if recording.drawn else []
    return reply_time_course(identifier, recording.reply_moments_ms, recording.systems, faults)


def reply_plot(identifier: str, times_ms: Mapping[str, Sequence[int]], systems: Sequence[str]) -> Plot | None:
    """Draw the reply times by system; None if there are none."""
    series = [Series(name, systems.index(name), times) for name, times in times_ms.items() if times]
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
