"""The history of a regression test, and its trend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reports.ci import history
from reports.ci.history import Entry
from reports.compare.compare import compare
from reports.pages.trend import steps_of, trend_of
from reports.results.files import ResultError
from tests.reports import example, load_example
from tests.reports.regression_example import load

AT = "2026-01-02T03:04:05Z"


def _entry(commit: str = "abc", lost: float = 0, **more: object) -> Entry:
    figures: dict[str, dict[str, float | None]] = {
        "queue": {"lost": lost, "wait_p95_ms": 15_000, "ai_calls": None}
    }
    made: Entry = {"at": AT, "commit": commit, "kind": "replay", "ok": True, "figures": figures}
    made.update(more)  # type: ignore[typeddict-item] # the keys are the caller's to get right
    return made


def test_a_replays_entry_has_the_figures_of_each_system() -> None:
    result = example.incident(expectations=[{**example.expectation("queue"), "held": False}])
    entry = history.entry_of(compare(result, result), at=AT, commit="abc")
    assert (entry["at"], entry["commit"], entry["kind"], entry["ok"]) == (AT, "abc", "replay", False)
    assert entry["figures"]["buffer-v1"]["lost"] == 2
    assert entry["figures"]["queue"]["wait_p50_ms"] == 8351
    assert "m4" not in json.dumps(entry)


def test_a_load_tests_entry_has_its_ledger_and_quantiles() -> None:
    result = load_example.empty()
    result["latency_ms"]["reply"] = [1.0, 2.0, 3.0]
    figures = history.entry_of(compare(result, result), at=AT, commit="")["figures"]["steady"]
    assert (figures["lost"], figures["reply_p50_ms"], figures["dispatch_lag_p99_ms"]) == (0, 2.0, None)


def test_entries_are_read_in_the_order_of_appending(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "history.jsonl"
    for number in range(3):
        history.append(path, _entry(lost=number))
    entries, warnings = history.read(path)
    assert [entry["figures"]["queue"]["lost"] for entry in entries] == [0, 1, 2]
    assert warnings == []


def test_a_line_cut_short_by_a_crash_costs_that_line_only(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history.append(path, _entry("first"))
    with path.open("a") as file:
        file.write('{"at": "2026')
    history.append(path, _entry("last"))
    entries, warnings = history.read(path)
    assert [entry["commit"] for entry in entries] == ["first", "last"]
    assert "1 of 3 lines cannot be read" in warnings[0]


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "null",
        '{"at": 1}',
        "\x00\x01",
        '{"figures": {"q": {"lost": "none"}}}',
        "[" * 50_000,
        json.dumps(_entry(lost=1e308)),
        json.dumps(_entry(lost=-1e16)),
        json.dumps(_entry("x"))[:-1],
        json.dumps(_entry("x")) + json.dumps(_entry("y")),
    ],
)
def test_a_line_that_is_not_an_entry_is_skipped(line: str, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    history.append(path, _entry())
    entries, warnings = history.read(path)
    assert len(entries) == 1
    assert warnings


def test_a_file_that_is_not_a_history_is_refused_and_a_missing_one_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert history.read(path) == ([], [])
    path.write_text(" \n\n")
    assert history.read(path) == ([], [])
    path.write_text(json.dumps(example.incident(), indent=1))
    with pytest.raises(ResultError, match="is not a history"):
        history.read(path)


def test_a_partial_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, text: write(file, text[:100]))
    history.append(tmp_path / "history.jsonl", _entry("x" * 500))
    entries, warnings = history.read(tmp_path / "history.jsonl")
    assert ([entry["commit"] for entry in entries], warnings) == (["x" * 500], [])


def test_two_runs_at_once_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    code = (
        "import sys; from pathlib import Path; from reports.ci import history\n"
        "for _ in range(200): "
        "history.append(Path(sys.argv[1]), {'at': '', 'commit': sys.argv[2] * 300, 'kind': 'replay', "
        "'ok': True, 'figures': {}})"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "ab"]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    entries, warnings = history.read(path)
    assert (len(entries), warnings) == (400, [])


def test_a_step_is_found_at_its_run_with_its_commit() -> None:
    entries = [_entry(f"c{number}", lost=2 if number >= 3 else 0) for number in range(6)]
    plots = trend_of(entries)
    lost = plots[0]
    assert lost.title == "queue: lost"
    assert lost.caption == "Steps: run 4 (c3): 0 → 2."
    assert lost.rows[0].cells == ["6", "0", "0", "2", "2"]
    waits = next(plot for plot in plots if "p95" in plot.title)
    assert waits.caption == "No step."
    assert len(plots) == 2  # the AI calls are unknown


def test_a_trend_needs_two_runs() -> None:
    assert trend_of([]) == []
    assert trend_of([_entry()]) == []
    assert trend_of([_entry(kind="load"), _entry()]) == []


def test_short_load_tests_have_a_trend_of_their_maxima() -> None:
    """With fewer than 100 replies, a load test has no 99th percentile."""
    entries = [
        history.entry_of(compare(load(1, size=99), load(run, size=99)), at="", commit=f"c{run}")
        for run in range(3)
    ]
    titles = [plot.title.partition(": ")[2] for plot in trend_of(entries)]
    assert titles == ["lost", "acknowledgement, max", "dispatch lag, max", "last message to reply, p95"]


def test_exact_figures_step_at_each_change_and_noise_does_not() -> None:
    assert [step.run for step in steps_of([1, 1, None, 2, 2, 1], list("abcdef"), exact=True)] == [3, 5]
    random = np.random.default_rng(1)
    false_alarms = sum(
        bool(steps_of(list(random.normal(10, 1, 30)), ["x"] * 30, exact=False)) for _ in range(100)
    )
    assert false_alarms <= 5
    stepped = [*random.normal(10, 1, 15), *random.normal(13, 1, 15)]
    (step,) = steps_of(stepped, [f"c{number}" for number in range(30)], exact=False)
    assert abs(step.run - 15) <= 1
    assert step.after - step.before == pytest.approx(3, abs=1)
    assert steps_of([1.0] * 30, ["x"] * 30, exact=False) == []
    assert steps_of([1.0, 9.0, 9.0], ["x"] * 3, exact=False) == []


def test_equal_histories_give_equal_bytes() -> None:
    entries = [_entry(f"c{number}", lost=number % 3) for number in range(9)]
    assert [str(plot.svg) for plot in trend_of(entries)] == [str(plot.svg) for plot in trend_of(entries)]
