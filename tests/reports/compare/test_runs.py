"""Replays of many runs each: only what is beyond luck is a change."""

from __future__ import annotations

import pytest

from reports.compare.compare import compare
from reports.results.files import ResultError
from tests.reports.regression_example import replications


def test_replications_with_equal_luck_are_equal() -> None:
    comparison = compare(replications(30, 1), replications(30, 1))
    assert len(comparison.effects) == 9
    assert not comparison.is_different
    assert all((effect.low, effect.high) == (0, 0) for effect in comparison.effects)


def test_replications_with_other_luck_are_not_a_change() -> None:
    for seed in range(20):
        before, after = replications(30, 2 * seed), replications(30, 2 * seed + 1)
        assert not compare(before, {**after, "seed": 8}).is_different


def test_replications_that_lose_or_slow_down_are_worse() -> None:
    before = replications(30, 1)
    names = {
        effect.name
        for effect in compare(before, replications(30, 2, slower_ms=4500)).effects
        if effect.level == "worse"
    }
    assert names == {"first message to reply, mean", "first message to reply, p95"}
    lossy = compare(before, replications(30, 2, lossy=0.6))
    assert [effect.name for effect in lossy.effects if effect.level == "worse"] == ["share of messages lost"]


def test_a_fraction_of_an_ai_call_more_is_worse_if_a_run_has_few_calls() -> None:
    """Two messages of one user take one call or two: 1.0 of them in the mean before, 1.3 now."""
    before, after = replications(30, 1), replications(30, 1)
    for number, (old, new) in enumerate(zip(before["runs"], after["runs"], strict=True)):
        old["ai_calls"], new["ai_calls"] = 1, 2 if number % 3 == 0 else 1
    (calls,) = [effect for effect in compare(before, after).effects if effect.name == "AI calls"]
    assert (calls.level, calls.threshold.replace("\u00a0", " ")) == ("worse", "5.00 %")


def test_few_replications_that_grew_fail_a_check_and_a_note_says_how_many_are_needed() -> None:
    comparison = compare(replications(3, 1), replications(3, 2, slower_ms=4500))
    assert "With only 3\u00a0runs no change can be told from luck: replay 6 runs" in comparison.notes[-1]
    assert str(comparison.verdict) == "replay: “enough runs to judge a change” failed."
    assert comparison.is_worse
    assert not {effect.level for effect in comparison.effects} - {"same"}
    enough = compare(replications(6, 1), replications(6, 2, slower_ms=4500))
    assert str(enough.verdict).startswith("Worse: ")


def test_few_replications_that_did_not_grow_pass() -> None:
    assert not compare(replications(3, 1), replications(3, 1)).notes
    faster = compare(replications(3, 1), replications(3, 1, slower_ms=-3000))
    assert not faster.is_worse
    assert any("told from luck" in note for note in faster.notes)


def test_runs_too_few_to_compare_one_by_one_are_compared_as_a_whole() -> None:
    before, after = replications(8, 1), replications(8, 2, slower_ms=4500)
    comparison = compare(before, after)
    assert {effect.name for effect in comparison.effects if effect.level == "worse"} == {
        "first message to reply, mean",
        "first message to reply, p95",
    }
    assert not any("told from luck" in note for note in comparison.notes)


def test_figures_that_are_the_same_in_every_run_cost_no_confidence() -> None:
    comparison = compare(replications(30, 1), replications(30, 2))
    assert len(comparison.effects) == 9
    assert [effect.confidence for effect in comparison.effects] == pytest.approx([1 - 0.05 / 2] * 9)


def test_replications_of_a_changed_recording_are_one_change_and_not_slower() -> None:
    after = replications(30, 2, slower_ms=4500)
    after["recordings"][0]["messages"][0]["text"] = "otherwise"
    comparison = compare(replications(30, 1), after)
    assert comparison.notes == [
        "The recording r.jsonl has changed: only the number of messages that went wrong is compared."
    ]
    assert [(change.level, change.subject) for change in comparison.changes] == [("changed", "recording")]
    assert not comparison.is_worse
    assert {effect.level for effect in comparison.effects} == {"changed", "same"}


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
    assert [(change.level, change.recording, change.after) for change in comparison.changes] == [
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
    assert [effect.name for effect in comparison.effects if effect.level == "worse"] == [name]


def test_replications_that_lose_the_slow_messages_are_not_faster() -> None:
    after = replications(30, 2, slower_ms=-3000, lossy=0.6)
    faster = compare(replications(30, 1), replications(30, 2, slower_ms=-3000))
    assert "better" in {effect.level for effect in faster.effects}
    for run in after["runs"]:
        run["answered"] -= len(run["lost"])
    levels = {effect.level for effect in compare(replications(30, 1), after).effects}
    assert levels == {"worse", "changed", "same"}


def test_one_run_against_many_is_noted() -> None:
    comparison = compare(replications(1, 1), replications(30, 2))
    assert any("With only 1\u00a0run no change can be told" in note for note in comparison.notes)
