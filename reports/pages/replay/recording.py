"""The section of one recording on the page of a replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from reports.analysis.recording import ReplayedRecording
from reports.drawing.plots import Plot, Series, latency_plot
from reports.pages.replay.estimates import Estimates, estimates_of
from reports.results.replay import ExpectationResult, RecordingInfo, ReplayResult, Run
from reports.text import Phones, cut, one_line
from reports.words.expectations import expectation_words
from reports.words.language import gettext, ngettext
from reports.words.numbers import TIMES, duration

IDS_SHOWN_MAX = 12
CHECKS_OPEN_MAX = 3
REPLIES_MIN = 20
"""A recording gets a plot of its own reply times when some system gave so many."""
NAME_LENGTH_MAX = 200
VALUE_LENGTH_MAX = 500
NOTES_LENGTH_MAX = 2000


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


def recording_view(
    identifier: str, recording: ReplayedRecording, tallies: Sequence[Tally], result: ReplayResult
) -> RecordingView:
    """Make the section of one recording."""
    info, drawn = recording.info, recording.drawn
    numbers = {run["run"] for run in recording.runs}
    expectations = [one for one in result["expectations"] if one["recording"] == recording.name]
    has_plot = len(result["recordings"]) == 1 or _has_many_replies(drawn)
    return RecordingView(
        id=identifier,
        name=recording.name,
        title=cut(one_line(info["title"]), NAME_LENGTH_MAX),
        source=cut(one_line(info["source"]), VALUE_LENGTH_MAX),
        notes=cut(info["notes"], NOTES_LENGTH_MAX),
        settings=cut(
            gettext(", ").join(f"{name}: {value}" for name, value in info["settings"].items()),
            VALUE_LENGTH_MAX,
        ),
        holds=_holds(recording),
        skipped_lines=info["skipped_lines"],
        tallies=tallies,
        runs=drawn,
        run_count=len(numbers),
        remarks=[words for run in drawn for words in _remarks(run)],
        losses=[view for run in drawn for view in _loss_views(recording, run)],
        checks=_checks(expectations, info),
        estimates=estimates_of(
            [one for one in result["loss"] if one["recording"] == recording.name and len(numbers) > 1]
        ),
        plot=reply_plot(f"{identifier}-plot", recording.reply_times_ms, recording.systems)
        if has_plot
        else None,
        conversation_count=len(recording.numbers),
    )


def _holds(recording: ReplayedRecording) -> str:
    messages = sum(map(len, recording.numbers.values()))
    holds = gettext(
        "%(messages)s in %(conversations)s",
        messages=ngettext("%(num)s message", "%(num)s messages", messages),
        conversations=ngettext("%(num)s conversation", "%(num)s conversations", len(recording.numbers)),
    )
    repeats = len(recording.info["messages"]) - messages
    if not repeats:
        return holds
    return f"{holds}; {ngettext('%(num)s repeated delivery', '%(num)s repeated deliveries', repeats)}"


def tally(counts: Mapping[str, int]) -> Tally:
    """Sum up what one system did with so many messages."""
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


def _loss_views(recording: ReplayedRecording, run: Run) -> Iterable[LossView]:
    with_user = len(recording.numbers) > 1
    for loss in recording.losses([run]):
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


def reply_plot(identifier: str, times_ms: Mapping[str, Sequence[int]], systems: Sequence[str]) -> Plot | None:
    """Draw the reply times by system; None where there are none."""
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
