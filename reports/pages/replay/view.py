"""Contents of the page of a replay, before rendering."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.analysis.figures import COUNTS, SystemFigures, counts_by
from reports.analysis.recording import ReplayedRecording
from reports.analysis.replay import AnalysedReplay
from reports.drawing.plots import Plot
from reports.pages.csv_links import CsvLink
from reports.pages.replay.downloads import downloads
from reports.pages.replay.estimates import Estimates, overall_estimates
from reports.pages.replay.overview import Overview
from reports.pages.replay.recording import RecordingView, Tally, recording_view, reply_plot, tally
from reports.pages.replay.story import Story, story_of
from reports.results.systems import are_settings_of_system, is_queue
from reports.text import cut, one_line
from reports.words.language import gettext
from reports.words.numbers import duration
from reports.words.systems import system_summary
from reports.words.verdicts import Verdict, replay_verdict

VALUE_LENGTH_MAX = 500
NO_COUNTS: Mapping[str, int] = dict.fromkeys(COUNTS, 0)
"""Counts of a system that never ran."""


@dataclass(slots=True)
class Page:
    """Contents of the whole page; `systems` has descriptions by name.

    Figures of conversations and the overview are added later, as far as there is room.
    """

    state: str
    verdict: Verdict
    systems: Mapping[str, str]
    recordings: Sequence[RecordingView]
    totals: Sequence[Tally]
    plot: Plot | None
    settings: Sequence[tuple[str, str]]
    command: str
    figures: Sequence[SystemFigures]
    estimates: Estimates | None
    downloads: Sequence[tuple[str, CsvLink]]
    story: Story | None
    overview: Overview | None = None

    @property
    def has_dropped(self) -> bool:
        """True if a system dropped an answer because a newer message joined its turn."""
        return any(figures.counts["superseded"] for figures in self.figures)

    @property
    def has_shades(self) -> bool:
        """True if a figure shades the times of faults."""
        return any(conversation.faults for view in self.recordings for conversation in view.ordered)

    @property
    def story_run(self) -> str:
        """Number of the run that the story is of; empty if there is only one."""
        name = self.story.recording if self.story else ""
        return next((view.run_words for view in self.recordings if view.recording.name == name), "")

    @property
    def run_count(self) -> int:
        """Number of runs of each recording on each system."""
        return max((view.run_count for view in self.recordings), default=0)


def page_of(replay: AnalysedReplay, draw: Collection[int], result_file: Path | None) -> Page:
    """Make the contents of the page that shows a replay; conversations with a number in `draw` come first.

    `result_file` is the file of the result, if there is one.
    """
    result, systems = replay.result, replay.systems
    by_both, by_system = (
        counts_by(replay.result["runs"], *keys) for keys in (("recording", "system"), ("system",))
    )
    views = [
        recording_view(
            f"r{number}",
            recording,
            [tally(by_both.get((recording.name, system), NO_COUNTS)) for system in systems],
            result,
            draw,
            result_file,
        )
        for number, recording in enumerate(replay.recordings, 1)
    ]
    return Page(
        state="ok" if result["ok"] else "bad",
        verdict=replay_verdict(result),
        systems={name: system_summary(name) for name in systems},
        recordings=views,
        totals=[tally(by_system.get((system,), NO_COUNTS)) for system in systems],
        plot=_overall_plot(replay.recordings, systems) if len(views) > 1 else None,
        settings=[(gettext("seed"), str(result["seed"])), *_settings(result["settings"])],
        command=result.get("command", ""),
        figures=replay.figures,
        estimates=overall_estimates(replay.figures),
        downloads=downloads(replay),
        story=story_of((recording.name, recording.conversations) for recording in replay.recordings),
    )


def _overall_plot(recordings: Sequence[ReplayedRecording], systems: Sequence[str]) -> Plot | None:
    times_ms: dict[str, list[int]] = {}
    for recording in recordings:
        for system, times in recording.reply_times_ms.items():
            times_ms.setdefault(system, []).extend(times)
    return reply_plot("all-plot", {system: sorted(times) for system, times in times_ms.items()}, systems)


def _settings(settings: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and is_queue(name):
            yield name, gettext(", ").join(f"{rule}: {words}" for rule, words in _settings(value))
        elif isinstance(value, Mapping) and are_settings_of_system(value):
            yield (
                name,
                gettext(", ").join(f"{key}: {words or gettext('none')}" for key, words in value.items()),
            )
        elif name == "faults":
            faults = gettext(", ").join(cut(one_line(str(fault)), VALUE_LENGTH_MAX) for fault in value)
            yield name, faults or gettext("none")
        elif name.endswith("_ms"):
            yield name.removesuffix("_ms").replace("_", " "), duration(value) if value else gettext("off")
        else:
            yield name.replace("_", " "), cut(one_line(str(value)), VALUE_LENGTH_MAX)
