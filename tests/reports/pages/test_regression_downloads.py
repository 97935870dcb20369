"""The files of a comparison's page: every difference and figure, inert in a spreadsheet; the page stays small."""

from __future__ import annotations

import base64
import csv
import re

from reports.compare.comparison import Comparison
from reports.pages.regression.page import render_regression_report
from tests.reports import comparison_example as example


def files_of(comparison: Comparison) -> dict[str, list[list[str]]]:
    html = render_regression_report(comparison)
    assert len(html.encode()) < 500_000
    links = re.findall(r'download="([^"]*)" href="data:text/csv;charset=utf-8;base64,([^"]*)"', html)
    texts = {name: base64.b64decode(data).decode("utf-8-sig") for name, data in links}
    return {name: list(csv.reader(text.splitlines())) for name, text in texts.items()}


def test_every_difference_and_figure_can_be_downloaded() -> None:
    worse = example.worse()
    files = files_of(worse)
    assert set(files) == {"differences.csv", "effects.csv", "figures.csv"}
    head, first, *rest = files["differences.csv"]
    assert head == ["level", "topic", "recording", "system", "subject", "before", "after", "cause"]
    assert first[:4] == [worse.changes[0].level, worse.changes[0].topic, "incident.jsonl", "queue"]
    assert len(rest) == len(worse.changes) - 1
    assert len(files["effects.csv"]) == 1 + len(worse.effects)
    assert len(files["figures.csv"]) == 1 + sum(len(figures.values) for figures in worse.figures)


def test_an_empty_table_is_not_offered() -> None:
    assert "differences.csv" not in files_of(example.clean())


def test_a_cell_is_not_a_formula_and_a_long_table_is_cut() -> None:
    cells = [cell for rows in files_of(example.hostile()).values() for row in rows for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "@", "\t"))]
    endless = example.endless()
    assert 1 < len(files_of(endless)["differences.csv"]) < len(endless.changes)
