"""A whole replay, analysed once for page and downloads."""

from __future__ import annotations

from functools import cached_property

from reports.analysis.figures import SystemFigures, system_figures
from reports.analysis.recording import ReplayedRecording, recordings_of
from reports.results.replay import ReplayResult


class AnalysedReplay:
    """A result with its recordings and figures. Each property is computed when it is first needed, once."""

    def __init__(self, result: ReplayResult) -> None:
        self.result = result
        self.systems = result["systems"]
        self.recordings: list[ReplayedRecording] = recordings_of(result)

    @cached_property
    def figures(self) -> list[SystemFigures]:
        """The figures of each system over all recordings."""
        return system_figures(self.result)
