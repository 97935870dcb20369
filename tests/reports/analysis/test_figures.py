"""Figures of a replay: counts of runs, and the figures of each system."""

from __future__ import annotations

import subprocess
import sys

from reports.analysis.conversations import arrivals_ms, reply_times_ms, waits_ms
from reports.analysis.figures import COUNTS, counts, counts_by, system_figures
from reports.analysis.statistics import wilson
from reports.results.replay import BatchRecord, ReplayResult
from tests.reports import example


def _turn(
    ids: list[str], due_at_ms: int | None, claimed_at_ms: int, replied_at_ms: int | None
) -> BatchRecord:
    return {
        "instance": "bot",
        "phone": "966500001234",
        "ids": ids,
        "trigger": "window",
        "due_at_ms": due_at_ms,
        "claimed_at_ms": claimed_at_ms,
        "replied_at_ms": replied_at_ms,
    }


def _by_hand() -> ReplayResult:
    """Return four turns of one run: 5 s, no reply, 9 s from a repeated message, and one of unknown messages."""
    messages = [
        example.message(1, 1000, "a"),
        example.message(2, 2000, "b"),
        example.message(3, 10_000, "c"),
        example.message(4, 20_000, "d"),
        example.message(4, 27_000, "d"),
    ]
    recorded = example.recording("r", messages)
    run = example.run(recorded, "queue")
    run["batches"] = [
        _turn(["m2", "m1"], 4000, 4010, 6000),
        _turn(["m3"], None, 12_000, None),
        _turn(["m4"], 28_000, 28_500, 29_000),
        _turn(["nobody's"], 30_000, 30_000, 31_000),
    ]
    run["duplicated"], run["reordered"] = ["m1"], ["m1", "m2", "m3"]
    run["dead_lettered"], run["pending"] = ["m3"], ["m4", "m2"]
    run["ai_calls"] = 17
    return example.result([recorded], [run])


def test_a_run_is_counted() -> None:
    assert counts(_by_hand()["runs"][0]) == {
        "sent": 4,
        "answered": 4,
        "lost": 0,
        "twice": 1,
        "order": 3,
        "dead": 1,
        "waiting": 2,
        "ai_calls": 17,
        "turns": 4,
        "superseded": 0,
        "superseded_ai_ms": 0,
    }


def test_a_turn_has_a_reply_time_if_it_was_answered_and_its_messages_are_known() -> None:
    result = _by_hand()
    arrivals = arrivals_ms(result["recordings"][0])
    assert [waits_ms(turn, arrivals) for turn in result["runs"][0]["batches"]] == [
        (5000, 4000),
        None,
        (9000, 9000),
        None,
    ]


def test_times_of_a_system_are_times_of_its_turns() -> None:
    (figures,) = system_figures(_by_hand())
    assert figures.reply_ms == {"p50": 5000, "p95": 9000, "max": 9000}
    assert figures.lag_ms == {"p50": 10, "p95": 500, "max": 500}


def test_counts_are_added_up_by_any_keys() -> None:
    first, second = (
        example.recording(name, example.incident()["recordings"][0]["messages"]) for name in "xy"
    )
    lost = [("966500001234", "m1")]
    runs = [
        example.run(first, "old", lost=lost),
        example.run(first, "old", lost=lost, number=1),
        example.run(second, "old", lost=lost),
        example.run(second, "queue"),
    ]
    by_both, by_system = counts_by(runs, "recording", "system"), counts_by(runs, "system")
    assert {key: counts["lost"] for key, counts in by_both.items()} == {
        ("x", "old"): 2,
        ("y", "old"): 1,
        ("y", "queue"): 0,
    }
    assert {key: (counts["lost"], counts["sent"]) for key, counts in by_system.items()} == {
        ("old",): (3, 15),
        ("queue",): (0, 5),
    }
    assert list(by_system["old",]) == list(COUNTS)


def test_figures_of_a_system_equal_those_of_its_run() -> None:
    result = example.big_day(300, 40, 3)
    figures = {of_system.system: of_system for of_system in system_figures(result)}
    for run in result["runs"]:
        of_system, times = figures[run["system"]], reply_times_ms(run, result["recordings"][0])
        assert of_system.counts["sent"] == run["sent"]
        assert of_system.counts["lost"] == len(run["lost"])
        assert of_system.counts["turns"] == len(run["batches"])
        assert of_system.reply_ms["max"] == times[-1]
        assert of_system.reply_ms["p50"] == times[-(-len(times) * 50 // 100) - 1]
        assert of_system.reply_ms["p95"] == times[-(-len(times) * 95 // 100) - 1]
        assert of_system.lag_ms == {"p50": 0, "p95": 0, "max": 0}
        assert (of_system.low, of_system.high, of_system.runs) == (None, None, 1)


def test_figures_of_replications_have_an_interval() -> None:
    recorded = example.recording("r", [example.message(1, 0, "a")])
    runs = [
        example.run(recorded, "old", number=number, lost=[("966500001234", "m1")] if number < 2 else ())
        for number in range(10)
    ]
    (figures,) = system_figures(example.result([recorded], runs))
    assert (figures.probability, figures.runs, figures.runs_with_loss) == (0.2, 10, 2)
    assert (figures.low, figures.high) == wilson(2, 10)


def test_a_system_that_answered_nothing_has_no_times() -> None:
    recorded = example.recording("r", [example.message(1, 0, "a")])
    run = example.run(recorded, "old", lost=[("966500001234", "m1")])
    (figures,) = system_figures(example.result([recorded], [run]))
    assert figures.reply_ms == figures.lag_ms == {"p50": None, "p95": None, "max": None}
    assert figures.probability == 1.0


def test_a_result_without_runs_has_no_figures() -> None:
    assert system_figures(example.result([], [])) == []
    assert counts_by([], "recording", "system") == {}
    assert system_figures(example.result([], [], systems={"queue": "never ran"})) == []


def test_hostile_names_stay_names() -> None:
    result = example.hostile()
    sums = counts_by(result["runs"], "recording", "system")
    assert {key[0] for key in sums} == {info["name"] for info in result["recordings"]}
    assert len(system_figures(result)) == 3


def test_command_lines_load_neither_pandas_nor_matplotlib() -> None:
    code = "import sys, reports, reports.cli, sim.cli; sys.exit('pandas' in sys.modules or 'matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_dropped_answer_is_no_turn_and_is_counted_with_the_time_of_its_ai_call() -> None:
    result = example.incident_with_profiles()
    plain, quick = counts(result["runs"][1]), counts(result["runs"][2])
    assert (plain["turns"], plain["superseded"], plain["superseded_ai_ms"]) == (1, 0, 0)
    assert (quick["turns"], quick["superseded"], quick["superseded_ai_ms"]) == (1, 1, 7000)
    assert quick["ai_calls"] == plain["ai_calls"] + 1
    both = counts_by(result["runs"], "recording")["incident.jsonl",]
    assert (both["superseded"], both["superseded_ai_ms"]) == (1, 7000)
