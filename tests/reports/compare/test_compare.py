"""Comparisons: equal results do not differ, and planted differences are found and named."""

from __future__ import annotations

import copy
from typing import cast

import pytest

from reports.compare.baseline import baseline_of
from reports.compare.compare import compare
from reports.results.files import ResultError
from reports.results.load import LoadLedger, LoadResult, ThresholdCode
from tests.reports import example, load_example, sweep_example
from tests.reports.regression_example import BEFORE, load


def test_equal_results_do_not_differ() -> None:
    comparison = compare(BEFORE, copy.deepcopy(BEFORE))
    assert not comparison.is_worse
    assert not comparison.is_different
    assert str(comparison.verdict) == "No difference."
    assert (comparison.changes, comparison.effects, comparison.notes) == ([], [], [])
    assert [check.ok for check in comparison.checks] == [True] * 5
    assert all(old == new for figures in comparison.figures for old, new in figures.values.values())


def test_other_settings_and_seeds_are_noted() -> None:
    after = copy.deepcopy(BEFORE)
    faults = ["ai-fails=0.1", "worker-dies@3s"]
    after["seed"], after["settings"] = 8, {**after["settings"], "window_ms": 12_000, "faults": faults}
    notes = compare(BEFORE, after).notes
    assert notes == [
        "The seeds differ: 7 before, 8 now. Differences may be luck.",
        "The setting window_ms differs: 8000 before, 12000 now.",
        "The setting faults differs: timer-dies=0.05 before, ai-fails=0.1, worker-dies@3s now.",
    ]


def test_a_setting_that_one_side_does_not_name_is_unknown_and_not_different() -> None:
    before, after = load(1), load(1)
    before["settings"] = {"rate_per_min": 600, "faults": "worker-dies@10s"}
    after["settings"] = {"rate_per_min": 600, "faults": "", "system": "queue", "workers": 2}
    assert compare(before, after).notes == [
        "The setting faults differs: worker-dies@10s before, none now.",
        "Settings that only one of the two results names, so that they may differ: system, workers.",
    ]


def test_a_verdict_explains_what_only_changed() -> None:
    before, after = _with_ledger(load(1), dead=40), _with_ledger(load(1), dead=39)
    words = "Nothing is worse; 1 changed, neither better nor worse."
    assert str(compare(before, after).verdict).replace("\u00a0", " ") == words


def test_sweeps_are_refused_with_what_to_do() -> None:
    sweep = sweep_example.nothing()
    for before, after in ((BEFORE, sweep), (sweep, BEFORE), (sweep, sweep)):
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


def test_two_results_without_a_run_are_refused() -> None:
    nothing = example.result([], [])
    with pytest.raises(ResultError, match="neither of the two has a run"):
        compare(nothing, copy.deepcopy(nothing))


def test_an_edited_baseline_is_refused() -> None:
    accepted = copy.deepcopy(baseline_of(BEFORE))
    assert accepted["replay"] is not None
    for line in ("15000 11900 8351 4024", "15000 11900 8351 4024 1800 1"):
        accepted["replay"]["runs"][1]["messages"] = [line]
        with pytest.raises(ResultError, match=r"other messages of incident\.jsonl on queue"):
            compare(accepted, BEFORE)


def test_kinds_that_do_not_fit_are_refused() -> None:
    load = load_example.empty()
    for before, after, words in (
        (BEFORE, load, "a replay and the second a load test"),
        (load, BEFORE, "a load test and the second a replay"),
        (baseline_of(BEFORE), load, "a baseline of a replay and the second a load test"),
        (baseline_of(load), BEFORE, "a baseline of a load test and the second a replay"),
    ):
        with pytest.raises(ResultError, match=f"the first file is {words}: name two of one kind"):
            compare(before, after)
    with pytest.raises(ResultError, match="the second file is a baseline: name the baseline first"):
        compare(BEFORE, baseline_of(BEFORE))
    with pytest.raises(ResultError, match="both files are baselines"):
        compare(baseline_of(BEFORE), baseline_of(BEFORE))
    with pytest.raises(ResultError, match="a load test of steady and the second of storm"):
        compare(load, {**load, "scenario": "storm"})


def test_two_load_tests_of_the_same_system_do_not_differ() -> None:
    for seed in range(20):
        comparison = compare(load(2 * seed), load(2 * seed + 1))
        assert not comparison.is_different
        assert len(comparison.effects) == 12


def test_thirty_percent_more_reply_time_under_load_is_worse() -> None:
    comparison = compare(load(1), load(2, 1.3))
    worse = {(effect.group, effect.name) for effect in comparison.effects if effect.level == "worse"}
    assert worse == {
        (group, quantile)
        for group in ("last message to reply", "first message to reply")
        for quantile in ("p50", "p95", "p99")
    }
    assert comparison.is_worse
    assert "last message to reply: p50" in str(comparison.verdict)


def test_a_sure_but_small_change_does_not_count() -> None:
    comparison = compare(load(1, size=20_000), load(1, size=20_000, shift_ms=700))
    moved = next(effect for effect in comparison.effects if effect.group == "last message to reply")
    assert moved.low > 0
    assert moved.level == "same"


def test_a_worse_ledger_and_a_missed_threshold_are_worse() -> None:
    before, after = load(1), load(1)
    after["ledger"] = {**after["ledger"], "lost": 2}
    after["thresholds"] = [{"code": "lost", "limit": 0, "measured": 2, "ok": False, "unit": ""}]
    comparison = compare(before, after)
    assert [(change.level, change.subject, change.after) for change in comparison.changes] == [
        ("worse", "messages lost", "2")
    ]
    assert [check.name for check in comparison.checks if not check.ok] == ["lost messages"]


def _with_ledger(result: LoadResult, **counts: int) -> LoadResult:
    ledger = {**result["ledger"], "sent": 10_000, "answered": 10_000, **counts}
    return {**result, "ledger": cast("LoadLedger", ledger)}


@pytest.mark.parametrize(
    ("name", "before", "after", "level"),
    [
        ("lost", 0, 1, "worse"),
        ("lost", 5, 6, "worse"),
        ("duplicates", 0, 1, "worse"),
        ("worker_died", 0, 5, "changed"),
        ("worker_died", 5, 60, "worse"),
        ("out_of_order", 12, 13, "changed"),
        ("out_of_order", 12, 60, "worse"),
        ("out_of_order", 60, 12, "better"),
        ("dead", 40, 39, "changed"),
        ("dead", 4000, 5000, "changed"),
        ("waiting", 1, 0, "changed"),
        ("failed_requests", 0, 1, "worse"),
        ("failed_requests", 300, 310, "changed"),
        ("failed_requests", 300, 700, "worse"),
    ],
)
def test_only_what_is_beyond_luck_is_worse_in_a_ledger(
    name: str, before: int, after: int, level: str
) -> None:
    comparison = compare(_with_ledger(load(1), **{name: before}), _with_ledger(load(1), **{name: after}))
    assert [change.level for change in comparison.changes] == [level]


@pytest.mark.parametrize("name", ["failed_requests", "duplicates", "out_of_order"])
@pytest.mark.parametrize(("number", "level"), [(3, "changed"), (40, "worse")])
def test_the_first_failure_is_not_worse_if_the_threshold_allows_some(
    name: ThresholdCode, number: int, level: str
) -> None:
    after = _with_ledger(load(1), **{name: number})
    after["thresholds"] = [{"code": name, "limit": 50, "measured": number, "ok": True, "unit": ""}]
    comparison = compare(_with_ledger(load(1), **{name: 0}), after)
    assert [change.level for change in comparison.changes] == [level]


def test_a_ledger_of_a_larger_load_may_hold_more() -> None:
    before, after = _with_ledger(load(1), dead=100), _with_ledger(load(1), sent=50_000, dead=500)
    comparison = compare(before, after)
    assert [change.level for change in comparison.changes] == ["changed"]
    assert comparison.notes == ["The load differs: messages sent were 10,000, and are 50,000 now."]


def test_a_load_test_that_answers_fewer_is_not_faster() -> None:
    before, after = _with_ledger(load(1)), _with_ledger(load(2, 0.5), answered=9000, lost=1000)
    assert "better" in {effect.level for effect in compare(before, _with_ledger(load(2, 0.5))).effects}
    assert {effect.level for effect in compare(before, after).effects} == {"changed", "same"}


@pytest.mark.parametrize(("sizes", "name"), [((99, 99), "max"), ((99, 100), "p99"), ((100, 100), "p99")])
def test_the_p99_of_fewer_than_100_samples_is_named_the_maximum(sizes: tuple[int, int], name: str) -> None:
    """Effects, figures and notes all name it so, as the page of a load test does."""
    comparison = compare(load(1, size=sizes[0]), load(2, size=sizes[1]))
    effects = {effect.name for effect in comparison.effects}
    assert effects == {"p50", "p95", name}
    (figures,) = comparison.figures
    keys = {key.removeprefix("acknowledgement_") for key in figures.values if key.startswith("ack")}
    assert keys == {"p50_ms", "p95_ms", f"{name}_ms"}
    (note,) = comparison.notes
    assert f"acknowledgement, {name}" in note


def test_noise_of_a_short_load_test_is_not_a_change() -> None:
    for seed in range(40):
        comparison = compare(load(2 * seed, size=15), load(2 * seed + 1, size=15))
        assert not comparison.is_different
        assert comparison.notes[0].startswith("Too few samples for a comparison: acknowledgement, p95; ")
        assert "p50" not in comparison.notes[0]


def test_a_verdict_names_one_figure_of_each_group_and_its_change() -> None:
    comparison = compare(load(1), load(1, 1.3))
    worse = [effect for effect in comparison.effects if effect.level == "worse"]
    verdict = str(comparison.verdict).replace("\u00a0", " ")
    assert "last message to reply: p50" in verdict
    assert "first message to reply: p50" in verdict
    assert "p95" not in verdict
    assert verdict.count("(+30.0 %)") == 2
    assert verdict.endswith(f"; {len(worse)} worse in all.")


def test_an_invalid_load_test_is_never_good() -> None:
    after = load(1)
    after["valid"] = False
    comparison = compare(load(1), after)
    assert comparison.is_worse
    assert any("invalid" in note for note in comparison.notes)


@pytest.mark.parametrize("side", [0, 1])
def test_a_faster_load_test_that_is_invalid_is_not_better(side: int) -> None:
    results = [load(1), load(2, 0.5)]
    assert "better" in {effect.level for effect in compare(*results).effects}
    results[side]["valid"] = False
    levels = {effect.level for effect in compare(*results).effects}
    assert levels == {"changed", "same"}


def test_samples_need_no_order() -> None:
    accepted = copy.deepcopy(baseline_of(load(1)))
    assert accepted["load"] is not None
    for samples in accepted["load"]["latency_ms"].values():
        samples.reverse()
    comparison = compare(accepted, load(1))
    assert not comparison.notes
    assert all(old == new for figures in comparison.figures for old, new in figures.values.values())


def test_a_threshold_has_its_limit_and_the_measured_value() -> None:
    after = load(1)
    after["thresholds"] = [
        {"code": "redis_memory", "limit": 50.0, "measured": 2.2, "ok": True, "unit": "MB"},
        {"code": "lost", "limit": 0, "measured": 0, "ok": True, "unit": ""},
    ]
    _, *checks = compare(load(1), after).checks
    assert [(check.name, check.detail.replace("\u00a0", " ")) for check in checks] == [
        ("Redis memory", "target 50 MB, it was 2.2 MB"),
        ("lost messages", "target 0, it was 0"),
    ]


def test_other_surroundings_are_noted() -> None:
    after = load(1)
    after["latency_ms"]["ai"] = [time_ms * 2 for time_ms in after["latency_ms"]["ai"]]
    (note,) = compare(load(1), after).notes
    assert note.startswith("The surroundings differ: the median of claim to reply was 2.0\u00a0s")
