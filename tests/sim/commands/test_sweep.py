"""The table of a sweep on the console."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from reports.pages.sweep.page import render_sweep_report
from reports.pages.sweep.view import sweep_page_of
from reports.results.sweep import SweepResult, is_clean
from sim.commands.sweep import show
from sim.console import WIDTH_MAX
from tests.reports import sweep_example


@pytest.mark.parametrize("result", [sweep_example.nine(), sweep_example.short(), sweep_example.lossy()])
def test_console_and_page_have_the_choices_in_one_order_the_best_first(result: SweepResult) -> None:
    if result["recommended"] is None:
        result["rows"].reverse()
    console = Console(file=io.StringIO(), width=WIDTH_MAX)
    show(result, console)
    assert isinstance(console.file, io.StringIO)
    heading, _, _, *lines = console.file.getvalue().splitlines()
    assert heading == "What each choice costs, the best first"
    assert heading in render_sweep_report(result)
    cells = [line.replace("→", "").replace("•", "").split()[:4] for line in lines[: len(result["rows"])]]
    choices = sweep_page_of(result).choices
    assert cells == [
        [
            str(choice.number),
            f"{choice.row['window_ms'] / 1000:g}",
            str(choice.row["max_messages"]),
            f"{choice.row['idle_ms'] / 1000:g}",
        ]
        for choice in choices
    ]
    ranks = [
        (not choice.is_recommended, not is_clean(choice.row), not choice.row["is_best"]) for choice in choices
    ]
    assert ranks == sorted(ranks)
