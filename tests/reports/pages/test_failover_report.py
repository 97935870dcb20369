"""The page of runs under failovers: every run with its counts, promises that were broken, and both languages."""

from __future__ import annotations

import pytest

from reports.pages.failover.page import render_failover_report
from reports.results.failover import BrokenPromise, FailoverRow, broken_promises, promises_no_loss
from reports.words.failover import failover_verdict
from tests.reports import failover_example


def test_the_page_shows_each_run_and_what_was_lost_where_too_few_replicas_confirmed() -> None:
    html = render_failover_report(failover_example.kept()).replace("\N{NO-BREAK SPACE}", " ")
    assert "No message was lost where the queue waited for enough replicas (runs: 2)" in html
    assert "The runs in which the queue did not wait for enough replicas lost 94 messages." in html
    assert html.count('<th class="left name" scope="row">') == 3
    assert "<b>4.1 s</b>" in html
    assert html.count("<td>420 ms</td>") == 2


def test_repeated_runs_are_one_row() -> None:
    lost = {**failover_example.row("all_down", lost=2), "resumed_ms": 900}
    result = failover_example.result(failover_example.row("all_down"), lost)  # type: ignore[arg-type]
    html = render_failover_report(result).replace("\N{NO-BREAK SPACE}", " ")
    assert html.count('<th class="left name" scope="row">') == 1
    assert "2 runs" in html
    assert "<td>8,000</td><td>7,998</td>" in html
    assert "✗ acknowledged messages were lost" in html
    assert "<td>900 ms</td>" in html


def test_a_table_without_rows_that_wait_for_enough_replicas_promises_nothing() -> None:
    result = failover_example.kept()
    result["rows"] = [row for row in result["rows"] if not promises_no_loss(row)]
    words = str(failover_verdict(result)).replace("\N{NO-BREAK SPACE}", " ")
    assert words == "The queue waited for enough replicas in no run; the runs lost 94 messages."


def test_broken_promises_stand_in_the_verdict_and_beside_their_runs() -> None:
    result = failover_example.broken()
    assert not result["ok"]
    verdict = str(failover_verdict(result)).replace("\N{NO-BREAK SPACE}", " ")
    assert verdict.startswith("2 runs broke a promise")
    html = render_failover_report(result)
    for words in ("acknowledged messages were lost", "answered twice although Redis lost nothing"):
        assert words in verdict
        assert f"✗ {words}" in html or f"✗ messages were {words}" in html


def test_the_page_says_what_a_partition_is() -> None:
    assert "12, each a part of the conversations on one primary" in render_failover_report(
        failover_example.kept()
    )


def test_the_page_in_arabic() -> None:
    html = render_failover_report(failover_example.kept(), "ar")
    assert 'dir="rtl"' in html
    assert "Nothing fails" not in html


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, []),
        ({"lost": 1}, ["lost"]),
        ({"lost": 1, "wait_for_replicas": 0}, []),
        ({"lost": 1, "replicas": 2}, ["lost"]),
        ({"lost": 1, "replicas": 2, "case": "failovers"}, []),
        ({"lost": 1, "replicas": 1, "case": "failovers"}, ["lost"]),
        ({"twice": 2, "twice_after_lost_write": 2}, []),
        ({"twice": 2, "twice_after_lost_write": 1}, ["twice"]),
        ({"dead": 1}, ["dead"]),
        ({"waiting": 1}, ["waiting"]),
        ({"other_errors": 1}, ["other_errors"]),
        ({"processors_died": 1}, ["died"]),
        ({"pauses": [{"node": 1, "longest_ms": 2_001, "is_struck": False}]}, ["others_paused"]),
        ({"pauses": [{"node": 1, "longest_ms": 9_000, "is_struck": True}]}, []),
        ({"lost": 1, "replicas": 2, "elections": 2}, []),
        ({"lost": 1, "replicas": 2, "elections": 2, "wait_for_replicas": 2}, ["lost"]),
        ({"lost": 1, "replicas": 2, "case": "newest_replica_away"}, []),
        ({"lost": 1, "replicas": 2, "case": "newest_replica_away", "wait_for_replicas": 2}, ["lost"]),
        ({"resumed_ms": 1_001}, ["slow"]),
        ({"resumed_ms": 9_000, "stalled_ms": 5_001}, []),
        ({"resumed_ms": 1_000}, []),
    ],
)
def test_the_promises_of_a_run(changes: dict[str, object], broken: list[BrokenPromise]) -> None:
    row: FailoverRow = {**failover_example.row("steady"), **changes}  # type: ignore[typeddict-item]
    assert broken_promises(row) == broken
