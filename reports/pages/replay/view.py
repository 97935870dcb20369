"""The page of a replay before it is drawn and escaped: everything chosen and counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.analysis.figures import COUNTS, SystemFigures, counts_by
from reports.analysis.recording import ReplayedRecording
from reports.analysis.replay import AnalysedReplay
from reports.drawing.plots import Plot
from reports.pages.csv_links import CsvLink
from reports.pages.replay.estimates import ESTIMATE_PX, Estimates, overall_estimates
from reports.pages.replay.overview import Overview
from reports.pages.replay.recording import (
    VALUE_LENGTH_MAX,
    RecordingView,
    Tally,
    recording_view,
    reply_plot,
    tally,
)
from reports.pages.replay.story import Story
from reports.text import cut, one_line
from reports.words.language import gettext
from reports.words.numbers import duration, share
from reports.words.systems import system_summary
from reports.words.verdicts import replay_verdict

COMMAND_LENGTH_MAX = 4000
NOTHING: Mapping[str, int] = dict.fromkeys(COUNTS, 0)
"""The counts of what was never run."""


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


def page_of(replay: AnalysedReplay) -> Page:
    """Make the page that shows a replay."""
    result, systems = replay.result, replay.systems
    by_both, by_system = (
        counts_by(replay.result["runs"], *keys) for keys in (("recording", "system"), ("system",))
    )
    views = [
        recording_view(
            f"r{place}",
            recording,
            [tally(by_both.get((recording.name, system), NOTHING)) for system in systems],
            result,
        )
        for place, recording in enumerate(replay.recordings, 1)
    ]
    verdict = replay_verdict(result)
    return Page(
        ok=result["ok"],
        verdict_first=verdict.first,
        verdict_rest=verdict.rest,
        short_verdict=cut(verdict.first, 120),
        description=cut(str(verdict), 300),
        systems={name: system_summary(name) for name in systems},
        recordings=views,
        totals=[tally(by_system.get((system,), NOTHING)) for system in systems],
        plot=_overall_plot(replay.recordings, systems) if len(views) > 1 else None,
        run_count=max((view.run_count for view in views), default=0),
        seed=result["seed"],
        settings=list(_settings(result["settings"])),
        command=cut(one_line(result.get("command", "")), COMMAND_LENGTH_MAX),
        figures=replay.figures,
        estimates=overall_estimates(replay.figures),
    )


def _overall_plot(recordings: Sequence[ReplayedRecording], systems: Sequence[str]) -> Plot | None:
    times_ms: dict[str, list[int]] = {}
    for recording in recordings:
        for system, times in recording.reply_times_ms.items():
            times_ms.setdefault(system, []).extend(times)
    return reply_plot("all-plot", {system: sorted(times) for system, times in times_ms.items()}, systems)


def _settings(settings: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            told = gettext(", ").join(f"{key}: {share(float(rate))}" for key, rate in value.items() if rate)
            yield name, told or gettext("none")
        elif name.endswith("_ms"):
            yield name.removesuffix("_ms").replace("_", " "), duration(value) if value else gettext("off")
        else:
            yield name.replace("_", " "), cut(one_line(str(value)), VALUE_LENGTH_MAX)
