"""Page of a sweep, made from a `SweepResult` alone: one file that needs no network."""

from __future__ import annotations

from pathlib import Path

from reports.pages.page import environment
from reports.pages.sweep.view import sweep_page_of
from reports.results.sweep import SweepResult
from reports.results.writing import write_whole
from reports.words.language import DEFAULT, speaking


def render_sweep_report(result: SweepResult, language: str = DEFAULT) -> str:
    """Make the page as HTML. Equal results give equal text."""
    with speaking(language):
        return environment().get_template("sweep.html").render(page=sweep_page_of(result))


def write_sweep_report(result: SweepResult, path: Path, language: str = DEFAULT) -> None:
    """Write the page to `path`, as `write_whole` does.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(render_sweep_report(result, language), path)
