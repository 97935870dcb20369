"""A recording with its runs, analysed once for pages, downloads, console and comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from reports.analysis.conversations import (
    Conversation,
    Key,
    conversations,
    reply_moments_ms,
    reply_times_ms,
    worst_first,
)
from reports.analysis.losses import Loss, losses, numbers_of
from reports.results.replay import RecordingInfo, ReplayResult, Run


class ReplayedRecording:
    """One recording with all its runs. Each property is computed when it is first needed, once."""

    def __init__(self, info: RecordingInfo, runs: Sequence[Run], systems: Sequence[str]) -> None:
        self.info = info
        self.runs = runs
        self.systems = systems

    @property
    def name(self) -> str:
        """Name of the recording, unique in the result."""
        return self.info["name"]

    @cached_property
    def drawn(self) -> list[Run]:
        """The runs that pages draw, in the order of the systems; see `drawn_runs`."""
        return drawn_runs(self.runs, self.systems)

    @cached_property
    def in_order(self) -> list[Conversation]:
        """The conversations in the drawn runs, by first arrival."""
        return conversations(self.info, self.drawn)

    @cached_property
    def conversations(self) -> list[Conversation]:
        """The conversations in the drawn runs, the worst first."""
        return worst_first(self.in_order)

    @cached_property
    def numbers(self) -> Mapping[Key, Mapping[str, int]]:
        """The numbers of the messages of each conversation by id."""
        return numbers_of(self.info)

    @cached_property
    def reply_times_ms(self) -> dict[str, list[int]]:
        """The reply times of the drawn runs by system, ascending."""
        return {run["system"]: reply_times_ms(run, self.info) for run in self.drawn}

    @cached_property
    def reply_moments_ms(self) -> dict[str, list[tuple[int, int]]]:
        """The beginning and the reply time of each turn of the drawn runs, by system."""
        return {run["system"]: reply_moments_ms(run, self.info) for run in self.drawn}

    def losses_of(self, system: str) -> list[Loss]:
        """Return the losses of a system in all its runs, by kind, the most frequent first."""
        return losses((run for run in self.runs if run["system"] == system), self.numbers)


def recordings_of(result: ReplayResult) -> list[ReplayedRecording]:
    """Return the recordings of a result with their runs."""
    runs: dict[str, list[Run]] = {recording["name"]: [] for recording in result["recordings"]}
    for run in result["runs"]:
        runs[run["recording"]].append(run)
    return [ReplayedRecording(info, runs[info["name"]], result["systems"]) for info in result["recordings"]]


def drawn_runs(runs: Iterable[Run], systems: Sequence[str]) -> list[Run]:
    """Return for each system the run to draw: the first in which any system lost something, or else its own first.

    Folded runs have no batches to draw, and are skipped (see `Run`).
    """
    whole = sorted((run for run in runs if "folded" not in run), key=lambda run: run["run"])
    number = first_with_loss(whole)
    drawn: dict[str, Run] = {}
    for run in whole:
        if run["system"] not in drawn or run["run"] == number:
            drawn[run["system"]] = run
    return [drawn[system] for system in systems if system in drawn]


def first_with_loss(runs: Iterable[Run]) -> int | None:
    """Return the lowest number of a run in which a system lost something; None if there was none."""
    return min((run["run"] for run in runs if run["lost"]), default=None)
