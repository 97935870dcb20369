"""Outputs of a comparison: the page, JUnit, Markdown. Golden files show what changes.

`GOLDEN=write` in the environment writes them anew; look at the diff before you keep it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import junitparser
import pytest

from reports.ci.junit import LINE_LENGTH_MAX, junit_xml
from reports.ci.junit import LINES_MAX as FAILURE_LINES_MAX
from reports.ci.markdown import LINES_MAX, markdown_summary
from reports.compare.comparison import Change, Check, Comparison
from reports.pages.regression.page import render_regression_report
from reports.words.language import LANGUAGES, speaking
from reports.words.verdicts import Verdict
from tests.reports import comparison_example as example
from tests.reports.pages.test_replay_report import without_script

EXAMPLES: dict[str, Callable[[], Comparison]] = {
    "clean": example.clean,
    "worse": example.worse,
    "hostile": example.hostile,
    "endless": example.endless,
    "empty": example.empty,
}
GOLDEN = Path(__file__).parent / "golden"
PAGE_BYTES_MAX = 500_000


def _json(comparison: Comparison) -> str:
    return json.dumps(comparison.as_json(), ensure_ascii=False, indent=1) + "\n"


@pytest.mark.parametrize("name", ["clean", "worse"])
@pytest.mark.parametrize(("suffix", "write"), [("xml", junit_xml), ("md", markdown_summary), ("json", _json)])
def test_outputs_equal_the_golden_files(name: str, suffix: str, write: Callable[[Comparison], str]) -> None:
    path, text = GOLDEN / f"{name}.{suffix}", write(EXAMPLES[name]())
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list(EXAMPLES))
@pytest.mark.parametrize("write", [junit_xml, markdown_summary, render_regression_report])
def test_equal_comparisons_give_equal_bytes(name: str, write: Callable[[Comparison], str]) -> None:
    assert write(EXAMPLES[name]()) == write(EXAMPLES[name]())


def test_names_of_suites_are_in_the_language_of_the_page() -> None:
    def names() -> list[str]:
        return [
            suite.get("name", "") for suite in ET.fromstring(junit_xml(example.worse())).iter("testsuite")
        ]

    assert names() == ["expectations and thresholds", "differences", "intervals"]
    with speaking("ar"):
        assert not re.search("[a-z]", "".join(names()))


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_junit_is_valid_and_its_counts_are_right(name: str) -> None:
    comparison = EXAMPLES[name]()
    text = junit_xml(comparison)
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    total = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    names = []
    for suite in root:
        assert suite.tag == "testsuite"
        assert suite.attrib.keys() == {"name", "tests", "failures", "errors", "skipped", "time"}
        cases = list(suite)
        assert {case.tag for case in cases} == {"testcase"}
        assert all(case.attrib.keys() == {"classname", "name", "time"} for case in cases)
        outcomes = [[child.tag for child in case] for case in cases]
        assert all(outcome in ([], ["failure"], ["skipped"]) for outcome in outcomes)
        counted = {
            "tests": len(cases),
            "failures": outcomes.count(["failure"]),
            "errors": 0,
            "skipped": outcomes.count(["skipped"]),
        }
        assert {key: int(suite.attrib[key]) for key in counted} == counted
        names += [(suite.get("name"), case.get("classname"), case.get("name")) for case in cases]
        total = {key: total[key] + number for key, number in counted.items()}
    assert {key: int(root.attrib[key]) for key in total} == total
    assert len(set(names)) == len(names)
    parsed = junitparser.JUnitXml.fromstring(text.encode())
    assert (parsed.tests, parsed.failures) == (total["tests"], total["failures"])


def test_there_is_always_a_test_case() -> None:
    (case,) = ET.fromstring(junit_xml(example.empty())).iter("testcase")
    assert (case.get("name"), list(case)) == ("No difference.", [])


def test_a_failure_cannot_move_the_cursor_or_turn_the_text() -> None:
    evil = "a\x1b[2J\nb \u202egnp \x85 \ud800 \uffff"
    change = Change("worse", evil, evil, evil * 900, evil, evil, evil)
    text = junit_xml(replace(example.clean(), changes=[change], checks=[Check(evil, evil, False, evil)]))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff\ufffe\uffff]", text)
    (line,) = (
        node.text for node in ET.fromstring(text).iter("failure") if (node.text or "").startswith("worse")
    )
    assert line is not None
    assert "\n" not in line
    assert len(line) <= LINE_LENGTH_MAX


def test_every_threshold_and_expectation_is_a_test_case() -> None:
    comparison = example.worse()
    root = ET.fromstring(junit_xml(comparison))
    cases = {
        (case.get("classname"), case.get("name")): [child.tag for child in case]
        for case in root.iter("testcase")
    }
    for check in comparison.checks:
        assert cases[check.group, check.name] == {True: [], False: ["failure"], None: ["skipped"]}[check.ok]
    assert cases["incident.jsonl", "queue"] == ["failure"]
    assert cases["storm.jsonl", "queue"] == []
    assert cases["last message to reply", "p95"] == ["failure"]
    assert cases["last message to reply", "p50"] == []


def test_a_failure_lists_what_changed_and_is_bounded() -> None:
    root = ET.fromstring(junit_xml(example.worse()))
    failure = next(case for case in root.iter("testcase") if case.get("classname") == "incident.jsonl")[0]
    assert failure.text == (
        "worse: conversation 1, message 4 (m4): answered after 15,011 ms → lost (dropped by a rewrite)"
    )
    root = ET.fromstring(junit_xml(example.endless()))
    assert max(len((node.text or "").splitlines()) for node in root.iter("failure")) == FAILURE_LINES_MAX + 1


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_the_summary_is_short_and_begins_with_the_verdict(name: str) -> None:
    comparison = EXAMPLES[name]()
    lines = markdown_summary(comparison).splitlines()
    assert len(lines) <= LINES_MAX < 60
    assert lines[-1].startswith("Checks: ")
    assert lines[0].startswith("## ❌" if comparison.is_worse else "## ✅")
    assert len(markdown_summary(comparison).encode()) < 100_000
    for line in lines:
        assert not line.startswith("|") or line.endswith("|")
    widths = [line.count("|") for line in lines if line.startswith("|")]
    assert set(widths) <= {4, 6, 7}


def test_a_summary_counts_the_rows_that_it_leaves_out() -> None:
    comparison = example.endless()
    lines = markdown_summary(comparison).splitlines()
    more = [
        int(line.split()[-6].replace(",", "")) for line in lines if line.endswith("more are in the report.")
    ]
    shown = len([line for line in lines if line.startswith("|")]) - 8
    row_count = (
        len(comparison.notes)
        + sum(change.level == "worse" for change in comparison.changes)
        + sum(effect.level == "worse" for effect in comparison.effects)
        + sum(check.ok is False for check in comparison.checks)
        + len(comparison.figures)
    )
    notes = len([line for line in lines if line.startswith("- y")])
    assert sum(more) + shown + notes == row_count


@pytest.mark.parametrize(
    "name", ["1. a", "---", "- a", "+ a", "# a", "12) a", "-", "::error::a", "##[error]a"]
)
def test_a_name_cannot_begin_a_list_a_heading_or_a_command(name: str) -> None:
    comparison = replace(example.hostile(), notes=[name], verdict=Verdict(name))
    lines = markdown_summary(comparison).splitlines()
    assert f"- {name}" not in lines or name == "::error::a"
    starts = ("## ", "### ", "- ", "| ", "|-", "|")
    assert all(line.startswith(starts) for line in lines[:-1] if line and not line.endswith("in the report."))


def test_a_summary_makes_no_references() -> None:
    text = markdown_summary(replace(example.clean(), verdict=Verdict("GH-12 fixes a/b#3 for @me, not gh-x")))
    assert not re.search(r"(?i)gh-\d|#\d|@me", text)
    assert "gh-x" in text


def test_a_summary_has_neither_links_nor_mentions_nor_html() -> None:
    text = markdown_summary(example.hostile())
    assert not re.search(
        r"<\w|</|\]\(|`|https?://|www\.|@\w|#\d", re.sub("(?m)^#+ ", "", text).replace("&#", "")
    )
    assert not re.search("[\x00-\x08\u202a-\u202e]", text)


@pytest.mark.parametrize("name", list(EXAMPLES))
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_is_bounded_and_holds_no_script(name: str, language: str) -> None:
    html = render_regression_report(EXAMPLES[name](), language=language)
    assert len(html.encode()) < PAGE_BYTES_MAX
    html = without_script(html)
    assert "<script" not in html
    assert "<img" not in html
    assert not re.search(r"(?:src|href)=[\"'](?!#|data:text/csv)", html)
    assert not re.search("[\x00-\x08\u202a-\u202e\ud800-\udfff]", html)
    assert f'<html lang="{language}"' in html


def test_the_page_shows_what_is_worse_first_and_everything_else() -> None:
    html = render_regression_report(example.worse())
    for words in (
        "conversation 1, message 4 (m4)",
        "dropped by a rewrite",
        "✗ worse",
        "✓ better",
        "= same",
        "The setting ai differs",
        "≠ <bdi>constant:6s</bdi>",
        "loses no message",
        "+30.0\u00a0%",
    ):
        assert words in html
    order = [
        html.index(f'id="{name}"')
        for name in ("notes", "worse", "figures", "unmoved", "better", "changed", "settings")
    ]
    assert order == sorted(order)


def test_a_clean_page_says_so() -> None:
    html = render_regression_report(example.clean())
    assert "✓ Nothing." in html
    assert 'class="card verdict"' in html
    assert 'id="better"' not in html


def test_a_page_counts_the_rows_that_it_leaves_out() -> None:
    html = render_regression_report(example.endless())
    assert "4,000\u00a0exact differences for the worse" in html
    assert re.search(r"3,\d\d\d\u00a0more are left out; --json FILE.json writes all.", html)
