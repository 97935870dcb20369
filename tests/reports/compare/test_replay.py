"""Two replays of one run each: planted differences are found and named."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable

import pytest

from reports.compare.baseline import baseline_of
from reports.compare.compare import compare
from reports.compare.comparison import Change, Comparison
from reports.results.replay import ReplayResult, Run
from tests.reports import example
from tests.reports.regression_example import BEFORE, lose


def _planted(plant: Callable[[Run], None], system: str = "queue") -> Comparison:
    """Compare BEFORE with a copy in which a run was changed by `plant`."""
    after = copy.deepcopy(BEFORE)
    for run in after["runs"]:
        if run["system"] == system:
            plant(run)
    return compare(BEFORE, after)


def _of_level(comparison: Comparison, level: str) -> list[Change]:
    return [change for change in comparison.changes if change.level == level]


def test_a_lost_message_is_named_with_its_cause() -> None:
    comparison = _planted(lose)
    (change,) = _of_level(comparison, "worse")
    assert change == Change(
        level="worse",
        recording="incident.jsonl",
        system="queue",
        subject="conversation 1, message 4 (m4)",
        before="answered after 4,024 ms",
        after="lost",
        cause="The AI failed on message 4. queue marked the turn as done nevertheless, and did not try again.",
        topic="loss",
    )
    assert comparison.is_worse
    assert str(comparison.verdict).startswith("Worse: queue lost 1\u00a0message it answered before")
    assert next((check.name, check.ok) for check in comparison.checks) == ("loses no message", False)


def test_a_message_that_was_lost_and_is_answered_now_is_better() -> None:
    after = copy.deepcopy(BEFORE)
    lose(after["runs"][1])
    comparison = compare(after, BEFORE)
    assert not comparison.is_worse
    assert [change.after for change in _of_level(comparison, "better")] == ["answered after 4,024 ms"]
    assert str(comparison.verdict).startswith("Nothing is worse; 1\u00a0better")


def test_fates_of_messages_stand_before_figures_the_gravest_first() -> None:
    def plant(run: Run) -> None:
        run["ai_calls"] += 10
        run["dispatch_lag_ms"] = {"p50": 5000, "p95": 5000, "max": 5000}
        run["duplicated"] = [run["ledger"][1]["id"], run["ledger"][2]["id"]]
        lose(run)

    comparison = _planted(plant)
    worse = _of_level(comparison, "worse")
    assert [change.topic for change in worse][:4] == ["loss", "fate", "fate", "figure"]
    verdict = str(comparison.verdict).replace("\u00a0", " ")
    assert verdict.startswith(
        "Worse: queue lost 1 message it answered before; queue: 2 messages worse, the first"
    )
    assert "in incident.jsonl: answered after 11,900 ms, twice; " in verdict


def test_one_more_round_trip_is_not_a_regression_however_large_its_share() -> None:
    def plant(run: Run) -> None:
        for name in ("p50", "p95", "max"):
            run["dispatch_lag_ms"][name] = (run["dispatch_lag_ms"][name] or 0) + 15

    comparison = _planted(plant)
    assert comparison.is_different
    assert not comparison.is_worse


def _slow_down(factor: float) -> Callable[[Run], None]:
    def plant(run: Run) -> None:
        for entry in run["ledger"]:
            messages = BEFORE["recordings"][0]["messages"]
            sent = next(message["at_ms"] for message in messages if message["id"] == entry["id"])
            if entry["answered_at_ms"] is not None:
                entry["answered_at_ms"] = sent + round((entry["answered_at_ms"] - sent) * factor)
        slower = round(15_047 * factor)
        run["latency_ms"]["first"] = {"p50": slower, "p95": slower, "max": slower}

    return plant


def test_thirty_percent_more_latency_is_worse_over_all_and_by_quantile() -> None:
    comparison = _planted(_slow_down(1.3))
    worse = _of_level(comparison, "worse")
    assert [change.subject for change in worse if change.subject.startswith("message to reply")] == [
        "message to reply, p50",
        "message to reply, p95",
        "message to reply, max",
    ]
    assert {change.recording for change in worse} == {"incident.jsonl"}, "the only recording is named"
    assert (
        Change(
            "worse",
            "incident.jsonl",
            "queue",
            "first message to reply, p95",
            "15,047 ms",
            "19,561 ms (+30.0\u00a0%)",
        )
        in worse
    )
    assert len(_of_level(comparison, "changed")) == 5
    assert "+30.0\u00a0%" in str(comparison.verdict)


def test_a_millisecond_is_a_change_and_not_a_regression() -> None:
    comparison = _planted(_slow_down(1.0002))
    assert not comparison.is_worse
    assert comparison.is_different
    assert "answered after 15,003 ms" in [change.after for change in comparison.changes]


@pytest.mark.parametrize(("key", "words"), [("duplicated", "twice"), ("reordered", "out of order")])
def test_an_answer_that_goes_wrong_is_worse(key: str, words: str) -> None:
    def plant(run: Run) -> None:
        run[key] = ["m2"]  # type: ignore[literal-required]

    comparison = _planted(plant)
    (change,) = _of_level(comparison, "worse")
    assert change.subject == "conversation 1, message 2 (m2)"
    assert change.after == f"answered after 11,900 ms, {words}"


@pytest.mark.parametrize("fate", ["dead_lettered", "pending"])
def test_a_message_without_an_answer_is_worse(fate: str) -> None:
    def plant(run: Run) -> None:
        run["ledger"][0]["fate"] = fate  # type: ignore[typeddict-item] # one of the two fates above
        run["ledger"][0]["answered_at_ms"] = None

    assert len(_of_level(_planted(plant), "worse")) == 1


def test_a_run_that_does_not_come_to_rest_is_worse() -> None:
    def plant(run: Run) -> None:
        run["came_to_rest"] = False

    comparison = _planted(plant)
    assert [change.subject for change in _of_level(comparison, "worse")] == ["finished its work"]


def test_more_ai_calls_are_worse_only_beyond_the_threshold() -> None:
    before = copy.deepcopy(BEFORE)
    before["runs"][1]["ai_calls"] = 100
    for calls, level in ((104, "changed"), (106, "worse"), (94, "better")):
        after = copy.deepcopy(before)
        after["runs"][1]["ai_calls"] = calls
        assert {change.level for change in compare(before, after).changes} == {level}


def test_the_total_of_ai_calls_is_judged_as_well() -> None:
    before = _twice("another.jsonl")
    for run in before["runs"]:
        run["ai_calls"] = 100
    after = copy.deepcopy(before)
    for run, calls in zip(after["runs"], (100, 104, 100, 110), strict=True):
        run["ai_calls"] = calls
    overall = [change for change in compare(before, after).changes if change.recording == "all recordings"]
    assert overall == [
        Change("worse", "all recordings", "queue", "AI calls", "200", "214 (+7.00\u00a0%)"),
    ]
    assert str(compare(before, after).verdict).startswith("Worse: queue, all recordings: AI calls 200 → 214")
    assert {change.level for change in compare(after, before).changes} == {"better", "changed"}


def test_each_newly_answered_message_excuses_one_more_ai_call() -> None:
    before = copy.deepcopy(BEFORE)
    lose(before["runs"][1])
    before["runs"][1]["ai_calls"] = 100
    for calls, level in ((106, "changed"), (107, "worse")):
        after = copy.deepcopy(BEFORE)
        after["runs"][1]["ai_calls"] = calls
        changes = compare(before, after).changes
        assert [change.level for change in changes if change.subject == "AI calls"] == [level]


def test_an_expectation_that_fails_fails_the_comparison_and_is_not_called_worse() -> None:
    """Nobody knows whether it failed before: a baseline does not say, and it fails again in the second comparison."""
    after = copy.deepcopy(BEFORE)
    after["expectations"][0]["held"] = False
    for before in (BEFORE, copy.deepcopy(after)):
        comparison = compare(before, after)
        assert comparison.is_worse
        assert str(comparison.verdict) == "incident.jsonl: queue: “lost” failed."


def test_failed_checks_are_counted_apart_from_what_is_worse() -> None:
    after = copy.deepcopy(BEFORE)
    after["expectations"] = [{**BEFORE["expectations"][0], "held": False} for _ in range(3)]
    verdict = str(compare(BEFORE, after).verdict).replace("\u00a0", " ")
    assert verdict.endswith("“lost” failed; incident.jsonl: queue: “lost” failed; 3 failed in all.")
    lose(after["runs"][1])
    verdict = str(compare(BEFORE, after).verdict).replace("\u00a0", " ")
    assert verdict == (
        "Worse: queue lost 1 message it answered before; queue: “loses no message” failed; 1 worse in all; "
        "4 failed in all."
    )


def test_a_missing_system_is_worse_and_a_new_one_is_not() -> None:
    less = copy.deepcopy(BEFORE)
    less["runs"] = [run for run in less["runs"] if run["system"] == "queue"]
    less["systems"] = ["queue"]
    (change,) = compare(BEFORE, less).changes
    assert (change.level, change.system, change.after) == ("worse", "buffer-v1", "missing")
    (change,) = compare(less, BEFORE).changes
    assert (change.level, change.system, change.after) == ("changed", "buffer-v1", "2\u00a0messages lost")


def test_a_changed_recording_is_noted_and_compared_by_its_counts() -> None:
    after = copy.deepcopy(BEFORE)
    after["recordings"][0]["messages"][0]["text"] = "otherwise"
    comparison = compare(BEFORE, after)
    (recording,) = comparison.changes
    assert (recording.level, recording.recording, recording.after) == (
        "changed",
        "incident.jsonl",
        "other messages",
    )
    assert not comparison.is_worse
    assert comparison.is_different
    assert "The recording incident.jsonl has changed" in comparison.notes[0]
    lose(after["runs"][1])
    (change, _) = compare(BEFORE, after).changes
    assert (change.level, change.subject, change.before, change.after) == ("worse", "messages lost", "0", "1")


def test_a_recording_with_more_messages_is_not_slower_or_dearer() -> None:
    after = copy.deepcopy(BEFORE)
    after["recordings"][0]["messages"][0]["text"] = "otherwise"
    for run in after["runs"]:
        run["sent"], run["ai_calls"] = run["sent"] + 5, run["ai_calls"] + 3
        run["latency_ms"]["first"] = {"p50": 30_000, "p95": 30_000, "max": 30_000}
    comparison = compare(BEFORE, after)
    assert {change.subject for change in comparison.changes} >= {"messages sent", "AI calls"}
    assert not comparison.is_worse
    assert not _of_level(comparison, "better")


def test_losing_the_slow_messages_makes_nothing_better() -> None:
    before = copy.deepcopy(BEFORE)
    before["runs"][1]["ai_calls"] = 3

    def plant(run: Run) -> None:
        for entry in run["ledger"][:2]:
            entry["fate"], entry["answered_at_ms"] = "lost", None
        run["lost"] = [entry["id"] for entry in run["ledger"][:2]]
        run["ai_calls"] = 1
        for kind in ("first", "last"):
            run["latency_ms"][kind] = {"p50": 8351, "p95": 8351, "max": 8351}

    after = copy.deepcopy(BEFORE)
    plant(after["runs"][1])
    comparison = compare(before, after)
    assert not _of_level(comparison, "better")
    assert [change.topic for change in _of_level(comparison, "worse")] == ["loss", "loss"]
    assert not re.search(r"\d better", str(comparison.verdict))


def test_answering_what_was_lost_is_neither_slower_nor_dearer() -> None:
    before = copy.deepcopy(BEFORE)
    lose(before["runs"][1])
    before["runs"][1]["latency_ms"]["first"] = {"p50": 9000, "p95": 9000, "max": 9000}
    before["runs"][1]["ai_calls"] -= 1
    comparison = compare(before, BEFORE)
    assert not comparison.is_worse
    assert {"AI calls", "first message to reply, p50"} <= {
        change.subject for change in _of_level(comparison, "changed")
    }


def test_a_slowdown_is_seen_even_where_other_messages_are_answered() -> None:
    before = copy.deepcopy(BEFORE)
    lose(before["runs"][1])
    after = copy.deepcopy(BEFORE)
    _slow_down(1.3)(after["runs"][1])
    worse = _of_level(compare(before, after), "worse")
    words = "message to reply, where answered both times"
    assert [(change.recording, change.subject) for change in worse] == [
        ("incident.jsonl", f"{words}, p50"),
        ("incident.jsonl", f"{words}, p95"),
        ("incident.jsonl", f"{words}, max"),
    ]


def _twice(name: str) -> ReplayResult:
    """Return BEFORE with a second copy of its recording under another name."""
    result = copy.deepcopy(BEFORE)
    more = copy.deepcopy(BEFORE)
    more["recordings"][0]["name"] = name
    for run in more["runs"]:
        run["recording"] = name
    result["recordings"] += more["recordings"]
    result["runs"] += more["runs"]
    return result


def test_a_missing_recording_is_one_change_and_the_rest_is_compared_over_all() -> None:
    comparison = compare(_twice("another.jsonl"), BEFORE)
    (change,) = comparison.changes
    assert (change.level, change.recording, change.system, change.after) == (
        "worse",
        "another.jsonl",
        "all systems",
        "missing",
    )
    assert str(comparison.verdict) == "Worse: all systems, another.jsonl: run replayed → missing."
    slower = copy.deepcopy(BEFORE)
    _slow_down(1.3)(slower["runs"][1])
    assert "message to reply, where answered both times, p50" in [
        change.subject for change in _of_level(compare(_twice("another.jsonl"), slower), "worse")
    ]


def test_a_new_recording_is_not_a_regression() -> None:
    comparison = compare(BEFORE, _twice("another.jsonl"))
    assert not comparison.is_worse
    assert [(change.recording, change.system, change.before) for change in comparison.changes] == [
        ("another.jsonl", "queue", "not replayed"),
        ("another.jsonl", "buffer-v1", "not replayed"),
    ]


def test_a_system_missing_from_many_recordings_is_one_change() -> None:
    after = _twice("another.jsonl")
    for run in after["runs"]:
        if run["system"] == "buffer-v1":
            run["system"] = "buffer-v9"
    after["systems"] = ["queue", "buffer-v9"]
    (change,) = _of_level(compare(_twice("another.jsonl"), after), "worse")
    assert (change.recording, change.system) == ("all recordings", "buffer-v1")


def test_figures_that_are_worse_in_many_recordings_are_one_part_of_the_verdict() -> None:
    after = _twice("another.jsonl")
    for run in after["runs"]:
        if run["system"] == "queue":
            run["dispatch_lag_ms"] = {"p50": 5000, "p95": 5000, "max": 5000}
    verdict = str(compare(_twice("another.jsonl"), after).verdict).replace("\u00a0", " ")
    assert verdict.startswith("Worse: queue: worse figures in 2 recordings, such as dispatch lag, p")
    assert "more" not in verdict


def test_the_queue_stands_before_other_systems() -> None:
    after = copy.deepcopy(BEFORE)
    for entry in after["runs"][0]["ledger"]:
        entry["fate"], entry["answered_at_ms"] = "lost", None
    lose(after["runs"][1])
    comparison = compare(BEFORE, after)
    assert str(comparison.verdict).startswith(
        "Worse: queue lost 1\u00a0message it answered before; buffer-v1 lost"
    )
    assert comparison.changes[0].system == "queue"


def test_a_message_that_was_never_answered_is_not_called_answered_before() -> None:
    before = copy.deepcopy(BEFORE)
    before["runs"][1]["ledger"][3] |= {"fate": "pending", "answered_at_ms": None}
    after = copy.deepcopy(BEFORE)
    lose(after["runs"][1])
    comparison = compare(before, after)
    (change,) = _of_level(comparison, "worse")
    assert (change.before, change.after, change.topic) == ("still waiting", "lost", "fate")
    assert "it answered before" not in str(comparison.verdict)


def test_dropped_answers_are_compared_and_shown_only_where_there_are_any() -> None:
    after = copy.deepcopy(BEFORE)
    after["runs"][1]["superseded"], after["runs"][1]["superseded_ai_ms"] = 2, 14_000
    comparison = compare(BEFORE, after)
    assert [(change.level, change.subject, change.before, change.after) for change in comparison.changes] == [
        ("changed", "answers dropped for a newer message", "0", "2"),
        ("changed", "AI time of dropped answers", "0 ms", "14,000 ms"),
    ]
    figures = {figures.name: figures.values for figures in comparison.figures}
    assert (figures["queue"]["superseded"], figures["queue"]["superseded_ai_ms"]) == ((0, 2), (0, 14_000))
    assert "superseded" not in figures["buffer-v1"]


def test_a_baseline_without_dropped_answers_is_one_with_none() -> None:
    accepted = baseline_of(BEFORE)
    assert accepted["replay"] is not None
    for run in accepted["replay"]["runs"]:
        del run["superseded"], run["superseded_ai_ms"]
    assert compare(accepted, BEFORE).changes == []


def test_a_promise_holds_for_the_queue_with_every_profile() -> None:
    after = example.incident_with_profiles()
    after["runs"][2]["duplicated"] = ["m1"]
    checks = {check.name: check.ok for check in compare(BEFORE, after).checks}
    assert checks["answers no message twice"] is False
