"""Comparisons: what is the same is the same, and what was planted is found and named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import pytest

from reports.compare.baseline import baseline_of
from reports.compare.compare import compare
from reports.compare.comparison import Change, Comparison
from reports.results.files import ResultError
from reports.results.load import LoadLedger, LoadResult
from reports.results.replay import ReplayResult, Run
from tests.reports import example, load_example
from tests.reports.regression_example import BEFORE, load, lose, replications, sweep


def _planted(plant: Callable[[Run], None], system: str = "queue") -> Comparison:
    """BEFORE against itself with something planted into a run."""
    after = copy.deepcopy(BEFORE)
    for run in after["runs"]:
        if run["system"] == system:
            plant(run)
    return compare(BEFORE, after)


def _of_level(comparison: Comparison, level: str) -> list[Change]:
    return [one for one in comparison.changes if one.level == level]


def test_equal_results_do_not_differ() -> None:
    comparison = compare(BEFORE, copy.deepcopy(BEFORE))
    assert not comparison.is_worse
    assert not comparison.is_different
    assert str(comparison.verdict) == "No difference."
    assert (comparison.changes, comparison.effects, comparison.notes) == ([], [], [])
    assert [one.ok for one in comparison.checks] == [True] * 5
    assert all(old == new for one in comparison.figures for old, new in one.values.values())


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
        cause="The AI failed on message 4. queue marked the turn as done all the same, and nobody tried again.",
        topic="loss",
    )
    assert comparison.is_worse
    assert str(comparison.verdict).startswith("Worse: queue lost 1\u00a0message it answered before")
    assert next((one.name, one.ok) for one in comparison.checks) == ("loses no message", False)


def test_what_was_lost_and_is_answered_now_is_better() -> None:
    after = copy.deepcopy(BEFORE)
    lose(after["runs"][1])
    comparison = compare(after, BEFORE)
    assert not comparison.is_worse
    assert [one.after for one in _of_level(comparison, "better")] == ["answered after 4,024 ms"]
    assert str(comparison.verdict).startswith("Nothing is worse; 1\u00a0difference for the better")


def test_what_befell_messages_is_told_before_figures_the_gravest_first() -> None:
    def plant(run: Run) -> None:
        run["ai_calls"] += 10
        run["dispatch_lag_ms"] = {"p50": 5000, "p95": 5000, "max": 5000}
        run["duplicated"] = [run["ledger"][1]["id"], run["ledger"][2]["id"]]
        lose(run)

    comparison = _planted(plant)
    worse = _of_level(comparison, "worse")
    assert [one.topic for one in worse][:4] == ["loss", "fate", "fate", "figure"]
    verdict = str(comparison.verdict).replace("\u00a0", " ")
    assert verdict.startswith(
        "Worse: queue lost 1 message it answered before; queue: 2 messages fare worse, the first"
    )
    assert "in incident.jsonl: answered after 11,900 ms, twice; " in verdict


def test_a_round_trip_more_is_no_regression_however_large_its_share() -> None:
    def plant(run: Run) -> None:
        for name in ("p50", "p95", "max"):
            run["dispatch_lag_ms"][name] = (run["dispatch_lag_ms"][name] or 0) + 15

    comparison = _planted(plant)
    assert comparison.is_different
    assert not comparison.is_worse


def _slow_down(factor: float) -> Callable[[Run], None]:
    def plant(run: Run) -> None:
        for entry in run["ledger"]:
            sent = next(
                one["at_ms"] for one in BEFORE["recordings"][0]["messages"] if one["id"] == entry["id"]
            )
            if entry["answered_at_ms"] is not None:
                entry["answered_at_ms"] = sent + round((entry["answered_at_ms"] - sent) * factor)
        slower = round(15_047 * factor)
        run["latency_ms"]["first"] = {"p50": slower, "p95": slower, "max": slower}

    return plant


def test_thirty_percent_more_latency_is_worse_over_all_and_by_quantile() -> None:
    comparison = _planted(_slow_down(1.3))
    worse = _of_level(comparison, "worse")
    assert [one.subject for one in worse if one.recording == "all recordings"] == [
        "message to reply, p50",
        "message to reply, p95",
        "message to reply, max",
    ]
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


def test_a_millisecond_is_a_change_and_no_regression() -> None:
    comparison = _planted(_slow_down(1.0002))
    assert not comparison.is_worse
    assert comparison.is_different
    assert "answered after 15,003 ms" in [one.after for one in comparison.changes]


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
    assert [one.subject for one in _of_level(comparison, "worse")] == ["came to rest"]


def test_more_ai_calls_are_worse_only_beyond_the_threshold() -> None:
    before = copy.deepcopy(BEFORE)
    before["runs"][1]["ai_calls"] = 100
    for calls, level in ((104, "changed"), (106, "worse"), (94, "better")):
        after = copy.deepcopy(before)
        after["runs"][1]["ai_calls"] = calls
        assert [one.level for one in compare(before, after).changes] == [level]


def test_an_expectation_that_broke_is_worse() -> None:
    after = copy.deepcopy(BEFORE)
    after["expectations"][0]["held"] = False
    comparison = compare(BEFORE, after)
    assert comparison.is_worse
    assert "incident.jsonl: queue: “lost” does not hold" in str(comparison.verdict)


def test_a_system_that_is_gone_is_worse_and_a_new_one_is_no_regression() -> None:
    less = copy.deepcopy(BEFORE)
    less["runs"] = [run for run in less["runs"] if run["system"] == "queue"]
    less["systems"] = ["queue"]
    (change,) = compare(BEFORE, less).changes
    assert (change.level, change.system, change.after) == ("worse", "buffer-v1", "missing")
    (change,) = compare(less, BEFORE).changes
    assert (change.level, change.system, change.after) == ("changed", "buffer-v1", "2\u00a0messages lost")


def test_a_recording_that_changed_is_told_and_compared_by_its_counts() -> None:
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
    assert {one.subject for one in comparison.changes} >= {"messages sent", "AI calls"}
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
    assert [one.topic for one in _of_level(comparison, "worse")] == ["loss", "loss"]
    assert "better" not in str(comparison.verdict)


def test_answering_what_was_lost_is_neither_slower_nor_dearer() -> None:
    before = copy.deepcopy(BEFORE)
    lose(before["runs"][1])
    before["runs"][1]["latency_ms"]["first"] = {"p50": 9000, "p95": 9000, "max": 9000}
    before["runs"][1]["ai_calls"] -= 1
    comparison = compare(before, BEFORE)
    assert not comparison.is_worse
    assert {"AI calls", "first message to reply, p50"} <= {
        one.subject for one in _of_level(comparison, "changed")
    }


def test_a_slowdown_is_seen_even_where_other_messages_are_answered() -> None:
    before = copy.deepcopy(BEFORE)
    lose(before["runs"][1])
    after = copy.deepcopy(BEFORE)
    _slow_down(1.3)(after["runs"][1])
    worse = _of_level(compare(before, after), "worse")
    words = "message to reply, where answered both times"
    assert [(one.recording, one.subject) for one in worse] == [
        ("all recordings", f"{words}, p50"),
        ("all recordings", f"{words}, p95"),
        ("all recordings", f"{words}, max"),
        ("incident.jsonl", f"{words}, p50"),
        ("incident.jsonl", f"{words}, p95"),
        ("incident.jsonl", f"{words}, max"),
    ]


def _twice(name: str) -> ReplayResult:
    """BEFORE, and the same once more under another name."""
    result = copy.deepcopy(BEFORE)
    more = copy.deepcopy(BEFORE)
    more["recordings"][0]["name"] = name
    for run in more["runs"]:
        run["recording"] = name
    result["recordings"] += more["recordings"]
    result["runs"] += more["runs"]
    return result


def test_a_recording_that_is_gone_is_told_once_and_the_rest_is_compared_over_all() -> None:
    comparison = compare(_twice("another.jsonl"), BEFORE)
    (gone,) = comparison.changes
    assert (gone.level, gone.recording, gone.system, gone.after) == (
        "worse",
        "another.jsonl",
        "all systems",
        "missing",
    )
    assert str(comparison.verdict) == "Worse: all systems, another.jsonl: run replayed → missing."
    slower = copy.deepcopy(BEFORE)
    _slow_down(1.3)(slower["runs"][1])
    assert "message to reply, where answered both times, p50" in [
        one.subject for one in compare(_twice("another.jsonl"), slower).changes if one.level == "worse"
    ]


def test_a_recording_that_is_new_is_no_regression() -> None:
    comparison = compare(BEFORE, _twice("another.jsonl"))
    assert not comparison.is_worse
    assert [(one.recording, one.system, one.before) for one in comparison.changes] == [
        ("another.jsonl", "queue", "not replayed"),
        ("another.jsonl", "buffer-v1", "not replayed"),
    ]


def test_a_system_that_is_gone_from_many_recordings_is_told_once() -> None:
    after = _twice("another.jsonl")
    for run in after["runs"]:
        if run["system"] == "buffer-v1":
            run["system"] = "buffer-v9"
    after["systems"] = ["queue", "buffer-v9"]
    (gone,) = _of_level(compare(_twice("another.jsonl"), after), "worse")
    assert (gone.recording, gone.system) == ("all recordings", "buffer-v1")


def test_figures_that_are_worse_in_many_recordings_are_told_in_one_part() -> None:
    after = _twice("another.jsonl")
    for run in after["runs"]:
        if run["system"] == "queue":
            run["dispatch_lag_ms"] = {"p50": 5000, "p95": 5000, "max": 5000}
    verdict = str(compare(_twice("another.jsonl"), after).verdict).replace("\u00a0", " ")
    assert verdict.startswith("Worse: queue: worse figures in 2 recordings, such as dispatch lag, p")
    assert "more" not in verdict


def test_what_the_queue_does_is_told_before_what_others_do() -> None:
    after = copy.deepcopy(BEFORE)
    for entry in after["runs"][0]["ledger"]:
        entry["fate"], entry["answered_at_ms"] = "lost", None
    lose(after["runs"][1])
    comparison = compare(BEFORE, after)
    assert str(comparison.verdict).startswith(
        "Worse: queue lost 1\u00a0message it answered before; buffer-v1 lost"
    )
    assert comparison.changes[0].system == "queue"


def test_what_was_not_answered_before_is_not_said_to_have_been() -> None:
    before = copy.deepcopy(BEFORE)
    before["runs"][1]["ledger"][3] |= {"fate": "pending", "answered_at_ms": None}
    after = copy.deepcopy(BEFORE)
    lose(after["runs"][1])
    comparison = compare(before, after)
    (change,) = _of_level(comparison, "worse")
    assert (change.before, change.after, change.topic) == ("still waiting", "lost", "fate")
    assert "it answered before" not in str(comparison.verdict)


def test_other_settings_and_seeds_are_told() -> None:
    after = copy.deepcopy(BEFORE)
    after["seed"], after["settings"] = 8, {**after["settings"], "window_ms": 12_000}
    notes = compare(BEFORE, after).notes
    assert notes == [
        "The seeds differ: 7 before, 8 now. Differences may be luck.",
        "The setting window_ms differs: 8000 before, 12000 now.",
    ]


def test_sweeps_are_refused_with_what_to_do() -> None:
    many = sweep()
    for before, after in ((BEFORE, many), (many, BEFORE), (many, many)):
        with pytest.raises(ResultError, match="replay with the settings in question and compare that"):
            compare(before, after)


def test_a_setting_of_any_length_makes_a_short_note() -> None:
    after = copy.deepcopy(BEFORE)
    after["settings"] = {**after["settings"], "window_ms": "\u202e" + "9\n" * 50_000}
    (note,) = compare(BEFORE, after).notes
    assert note.startswith("The setting window_ms differs: 8000 before, [U+202E]9 9 9")
    assert len(note) < 200
    assert note.isprintable()


def test_results_with_nothing_in_common_are_refused() -> None:
    after = copy.deepcopy(BEFORE)
    after["recordings"][0]["name"] = "another.jsonl"
    for run in after["runs"]:
        run["recording"] = "another.jsonl"
    with pytest.raises(ResultError, match="no recording and system in common"):
        compare(BEFORE, after)


def test_two_results_without_a_run_are_no_success() -> None:
    nothing = example.result([], [])
    with pytest.raises(ResultError, match="neither of the two holds a run"):
        compare(nothing, copy.deepcopy(nothing))


def test_a_baseline_that_was_edited_is_refused_and_no_crash() -> None:
    accepted = copy.deepcopy(baseline_of(BEFORE))
    assert accepted["replay"] is not None
    for line in ("15000 11900 8351 4024", "15000 11900 8351 4024 1800 1"):
        accepted["replay"]["runs"][1]["messages"] = [line]
        with pytest.raises(ResultError, match=r"other messages of incident\.jsonl on queue"):
            compare(accepted, BEFORE)


def test_kinds_that_do_not_fit_are_refused() -> None:
    load = load_example.empty()
    for before, after in ((BEFORE, load), (load, BEFORE), (baseline_of(BEFORE), load)):
        with pytest.raises(ResultError, match="cannot be compared with one of kind"):
            compare(before, after)
    with pytest.raises(ResultError, match="a baseline cannot be compared"):
        compare(BEFORE, baseline_of(BEFORE))
    with pytest.raises(ResultError, match="a load test of storm"):
        compare(load, {**load, "scenario": "storm"})


def test_replications_with_equal_luck_are_equal() -> None:
    comparison = compare(replications(30, 1), replications(30, 1))
    assert len(comparison.effects) == 9
    assert not comparison.is_different
    assert all((one.low, one.high) == (0, 0) for one in comparison.effects)


def test_replications_with_other_luck_are_no_change() -> None:
    for seed in range(20):
        before, after = replications(30, 2 * seed), replications(30, 2 * seed + 1)
        assert not compare(before, {**after, "seed": 8}).is_different


def test_replications_that_lose_or_slow_down_are_worse() -> None:
    before = replications(30, 1)
    names = {
        one.name
        for one in compare(before, replications(30, 2, slower_ms=4500)).effects
        if one.level == "worse"
    }
    assert names == {"first message to reply, mean", "first message to reply, p95"}
    lossy = compare(before, replications(30, 2, lossy=0.6))
    assert [one.name for one in lossy.effects if one.level == "worse"] == ["share of messages lost"]


def test_a_few_replications_tell_nothing_and_say_so() -> None:
    comparison = compare(replications(3, 1), replications(3, 2, slower_ms=4500))
    assert not comparison.is_worse
    assert any("With 3\u00a0runs only nothing can be told from luck" in note for note in comparison.notes)


def test_runs_too_few_to_compare_one_by_one_are_compared_as_a_whole() -> None:
    before, after = replications(8, 1), replications(8, 2, slower_ms=4500)
    comparison = compare(before, after)
    assert {one.name for one in comparison.effects if one.level == "worse"} == {
        "first message to reply, mean",
        "first message to reply, p95",
    }
    assert not any("told from luck" in note for note in comparison.notes)


def test_figures_that_are_the_same_in_every_run_cost_no_confidence() -> None:
    comparison = compare(replications(30, 1), replications(30, 2))
    assert len(comparison.effects) == 9
    assert [one.confidence for one in comparison.effects] == pytest.approx([1 - 0.05 / 2] * 9)


def test_replications_of_a_recording_that_changed_are_told_once() -> None:
    after = replications(30, 1)
    after["recordings"][0]["messages"][0]["text"] = "otherwise"
    comparison = compare(replications(30, 1), after)
    assert comparison.notes == [
        "The recording r.jsonl has changed: of it, only how many messages go wrong is judged."
    ]
    assert [(one.level, one.subject) for one in comparison.changes] == [("changed", "recording")]


def test_replications_of_a_recording_that_changed_are_not_slower() -> None:
    after = replications(30, 2, slower_ms=4500)
    after["recordings"][0]["messages"][0]["text"] = "otherwise"
    comparison = compare(replications(30, 1), after)
    assert not comparison.is_worse
    assert {one.level for one in comparison.effects} == {"changed", "same"}


def test_replications_with_nothing_in_common_are_refused() -> None:
    after = replications(30, 1)
    after["recordings"][0]["name"] = "another.jsonl"
    for run in after["runs"]:
        run["recording"] = "another.jsonl"
    with pytest.raises(ResultError, match="no recording and system in common"):
        compare(replications(30, 1), after)


def test_a_recording_that_is_no_longer_replicated_is_worse() -> None:
    before, more = replications(30, 1), replications(30, 1)
    more["recordings"][0]["name"] = "another.jsonl"
    for run in more["runs"]:
        run["recording"] = "another.jsonl"
    before["recordings"] += more["recordings"]
    before["runs"] += more["runs"]
    comparison = compare(before, replications(30, 1))
    assert [(one.level, one.recording, one.after) for one in comparison.changes] == [
        ("worse", "another.jsonl", "missing")
    ]
    assert comparison.is_worse
    (added,) = compare(replications(30, 1), before).changes
    assert (added.level, added.recording) == ("changed", "another.jsonl")


@pytest.mark.parametrize(
    ("key", "name"), [("dead_lettered", "share dead-lettered"), ("pending", "share still waiting")]
)
def test_replications_that_give_messages_up_are_worse(key: str, name: str) -> None:
    after = replications(30, 2)
    for run in after["runs"]:
        run[key] = ["m1"]  # type: ignore[literal-required]
    comparison = compare(replications(30, 1), after)
    assert [one.name for one in comparison.effects if one.level == "worse"] == [name]


def test_replications_that_lose_the_slow_messages_are_not_faster() -> None:
    after = replications(30, 2, slower_ms=-3000, lossy=0.6)
    faster = compare(replications(30, 1), replications(30, 2, slower_ms=-3000))
    assert "better" in {one.level for one in faster.effects}
    for run in after["runs"]:
        run["answered"] -= len(run["lost"])
    assert {one.level for one in compare(replications(30, 1), after).effects} == {"worse", "changed", "same"}


def test_one_run_against_many_is_told() -> None:
    comparison = compare(replications(1, 1), replications(30, 2))
    assert not comparison.is_worse
    assert any("With 1\u00a0run only nothing can be told" in note for note in comparison.notes)


def test_two_load_tests_of_the_same_system_do_not_differ() -> None:
    for seed in range(20):
        comparison = compare(load(2 * seed), load(2 * seed + 1))
        assert not comparison.is_different
        assert len(comparison.effects) == 12


def test_thirty_percent_more_reply_time_under_load_is_worse() -> None:
    comparison = compare(load(1), load(2, 1.3))
    worse = {(one.group, one.name) for one in comparison.effects if one.level == "worse"}
    assert worse == {
        (group, quantile)
        for group in ("last message to reply", "first message to reply")
        for quantile in ("p50", "p95", "p99")
    }
    assert comparison.is_worse
    assert "last message to reply: p50" in str(comparison.verdict)


def test_a_sure_but_small_change_is_none() -> None:
    comparison = compare(load(1, size=20_000), load(1, size=20_000, shift_ms=700))
    moved = next(one for one in comparison.effects if one.group == "last message to reply")
    assert moved.low > 0
    assert moved.level == "same"


def test_a_worse_ledger_and_a_missed_threshold_are_worse() -> None:
    before, after = load(1), load(1)
    after["ledger"] = {**after["ledger"], "lost": 2}
    after["thresholds"] = [{"code": "lost", "limit": 0, "measured": 2, "ok": False, "unit": ""}]
    comparison = compare(before, after)
    assert [(one.level, one.subject, one.after) for one in comparison.changes] == [
        ("worse", "messages lost", "2")
    ]
    assert [one.name for one in comparison.checks if not one.ok] == ["lost messages"]


def _with_ledger(result: LoadResult, **counts: int) -> LoadResult:
    ledger = {**result["ledger"], "sent": 10_000, "answered": 10_000, **counts}
    return {**result, "ledger": cast("LoadLedger", ledger)}


@pytest.mark.parametrize(
    ("name", "before", "after", "level"),
    [
        ("lost", 0, 1, "worse"),
        ("lost", 5, 6, "worse"),
        ("duplicates", 0, 1, "worse"),
        ("out_of_order", 12, 13, "changed"),
        ("out_of_order", 12, 60, "worse"),
        ("out_of_order", 60, 12, "better"),
        ("dead", 40, 39, "changed"),
        ("dead", 4000, 5000, "changed"),
        ("waiting", 1, 0, "changed"),
    ],
)
def test_only_what_is_beyond_luck_is_worse_in_a_ledger(
    name: str, before: int, after: int, level: str
) -> None:
    comparison = compare(_with_ledger(load(1), **{name: before}), _with_ledger(load(1), **{name: after}))
    assert [one.level for one in comparison.changes] == [level]


def test_a_ledger_of_a_larger_load_may_hold_more() -> None:
    before, after = _with_ledger(load(1), dead=100), _with_ledger(load(1), sent=50_000, dead=500)
    comparison = compare(before, after)
    assert [one.level for one in comparison.changes] == ["changed"]
    assert comparison.notes == ["The load differs: messages sent were 10,000, and are 50,000 now."]


def test_a_load_test_that_answers_fewer_is_not_faster() -> None:
    before, after = _with_ledger(load(1)), _with_ledger(load(2, 0.5), answered=9000, lost=1000)
    assert "better" in {one.level for one in compare(before, _with_ledger(load(2, 0.5))).effects}
    assert {one.level for one in compare(before, after).effects} == {"changed", "same"}


def test_noise_of_a_short_load_test_is_no_change() -> None:
    for seed in range(40):
        comparison = compare(load(2 * seed, size=15), load(2 * seed + 1, size=15))
        assert not comparison.is_different
        assert comparison.notes[0].startswith("Too few samples to tell from luck: acknowledgement, p95; ")
        assert "p50" not in comparison.notes[0]


def test_a_verdict_on_figures_names_one_of_each_group_with_how_much() -> None:
    verdict = str(compare(load(1), load(1, 1.3)).verdict).replace("\u00a0", " ")
    assert "last message to reply: p50" in verdict
    assert "first message to reply: p50" in verdict
    assert "p95" not in verdict
    assert verdict.count("(+30.0 %)") == 2


def test_an_invalid_load_test_is_never_good() -> None:
    after = load(1)
    after["valid"] = False
    comparison = compare(load(1), after)
    assert comparison.is_worse
    assert any("invalid" in note for note in comparison.notes)


@pytest.mark.parametrize("side", [0, 1])
def test_what_is_faster_with_an_invalid_load_test_is_not_better(side: int) -> None:
    results = [load(1), load(2, 0.5)]
    assert "better" in {one.level for one in compare(*results).effects}
    results[side]["valid"] = False
    levels = {one.level for one in compare(*results).effects}
    assert levels == {"changed", "same"}


def test_samples_need_no_order() -> None:
    accepted = copy.deepcopy(baseline_of(load(1)))
    assert accepted["load"] is not None
    for samples in accepted["load"]["latency_ms"].values():
        samples.reverse()
    comparison = compare(accepted, load(1))
    assert not comparison.notes
    assert all(old == new for one in comparison.figures for old, new in one.values.values())


def test_a_threshold_is_told_with_what_came_out() -> None:
    after = load(1)
    after["thresholds"] = [
        {"code": "redis_memory", "limit": 50.0, "measured": 2.2, "ok": True, "unit": "MB"},
        {"code": "lost", "limit": 0, "measured": 0, "ok": True, "unit": ""},
    ]
    checks = [(one.name, one.detail.replace("\u00a0", " ")) for one in compare(load(1), after).checks[1:]]
    assert checks == [
        ("Redis memory", "target 50 MB, it was 2.2 MB"),
        ("lost messages", "target 0, it was 0"),
    ]


def test_other_surroundings_are_told() -> None:
    after = load(1)
    after["latency_ms"]["ai"] = [one * 2 for one in after["latency_ms"]["ai"]]
    (note,) = compare(load(1), after).notes
    assert note.startswith("The surroundings differ: the median of from claim to reply was 2.0\u00a0s")
