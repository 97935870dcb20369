"""The page of a comparison, as a reader sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser

from reports.compare.compare import compare
from reports.compare.comparison import Figures
from reports.pages.regression.page import render_regression_report
from reports.words.figures import relative
from tests.reports import comparison_example
from tests.reports.regression_example import load


class _Tables(HTMLParser):
    """Texts of each table's rows, by the label of the region around it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.by_label: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: Mapping[str, str | None] = dict(attrs)
        if given.get("role") == "region":
            self._rows = self.by_label.setdefault(given["aria-label"] or "", [])
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th") and self._rows:
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._rows = []

    def handle_data(self, data: str) -> None:
        if self._rows and self._rows[-1]:
            self._rows[-1][-1] += data.strip("\u2068\u2069\n").replace("\u00a0", " ")


def test_a_worse_difference_has_its_subject_values_cause_and_recording() -> None:
    rows = _Tables(render_regression_report(comparison_example.worse())).by_label["What is worse"]
    assert rows[0] == ["What", "before", "now", "why"]
    assert rows[1][0].startswith("conversation 1, message 4 (m4)")
    assert "incident.jsonl" in rows[1][0]
    assert "queue" in rows[1][0]
    assert rows[1][1:] == ["answered after 15,011 ms", "lost", "dropped by a rewrite"]


def test_the_outcome_stands_beside_the_figure_that_moved() -> None:
    rows = _Tables(render_regression_report(compare(load(1), load(1, 1.3)))).by_label["Figures that moved"]
    assert rows[0][:4] == ["Figure", "outcome", "before", "now"]
    assert [row[0] for row in rows[1:4]] == [
        f"last message to reply, {name}" for name in ("p50", "p95", "p99")
    ]
    assert {row[1] for row in rows[1:]} == {"✗ worse"}
    assert {row[4] for row in rows[1:]} == {"+30.0 %"}


def test_the_heading_names_the_baseline_only_where_there_is_one() -> None:
    comparison = comparison_example.clean()
    with_baseline = replace(comparison, before=replace(comparison.before, is_baseline=True))
    assert "<h1>Comparison of two replays</h1>" in render_regression_report(comparison)
    assert "<h1>Comparison of a replay with the baseline</h1>" in render_regression_report(with_baseline)


def test_settings_that_are_unknown_are_not_marked_as_different() -> None:
    comparison = comparison_example.clean()
    before = replace(comparison.before, settings=[("faults", "worker-dies@10s"), ("window_ms", "8000")])
    after = replace(comparison.after, settings=[("faults", ""), ("workers", "2"), ("window_ms", "8000")])
    rows = _Tables(render_regression_report(replace(comparison, before=before, after=after))).by_label
    assert rows["Settings of both sides"][2:] == [
        ["faults", "worker-dies@10s", "≠ none"],
        ["window ms", "8000", "8000"],
        ["workers", "unknown", "2"],
    ]


def test_figures_of_systems_that_changed_come_first() -> None:
    same, changed = Figures("a", {"lost": (1, 1)}), Figures("b", {"lost": (0, 1)})
    page = render_regression_report(replace(comparison_example.clean(), figures=[same, changed]))
    rows = _Tables(page).by_label["Figures"]
    assert [row[0] for row in rows] == ["Figure", "b", "lost", "a", "lost"]


def test_relative_changes_have_a_no_break_space_before_the_percent_sign() -> None:
    assert relative(100, 130) == "+30.0\u00a0%"
    assert relative(2, 103) == "+5,050\u00a0%"
    assert relative(0, 1) == "from 0"
