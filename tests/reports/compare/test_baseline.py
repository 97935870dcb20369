"""Baselines: small, without texts, and as good to compare with as the results that they are made of."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

from reports.compare import baseline as module
from reports.compare.baseline import SAMPLES_MAX, baseline_of, baseline_text, digest, thinned
from reports.compare.compare import compare
from reports.compare.comparison import Comparison
from reports.results.baseline import Baseline
from reports.results.files import Result, read_result
from tests.reports import example
from tests.reports.regression_example import BEFORE, load, lose, replications


def write_baseline(baseline: Baseline, path: Path) -> None:
    path.write_text(baseline_text(baseline), encoding="utf-8")


def _compared_with_baseline(baseline: Result, after: Result) -> Comparison:
    """Compare with a baseline; check that the comparison has `is_baseline`, and return it without."""
    comparison = compare(baseline, after)
    assert comparison.before.is_baseline
    return replace(comparison, before=replace(comparison.before, is_baseline=False))


def test_a_baseline_says_the_same_as_the_result_it_was_made_of(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write_baseline(baseline_of(BEFORE), path)
    accepted = read_result(path)
    after = copy.deepcopy(BEFORE)
    lose(after["runs"][1])
    assert _compared_with_baseline(accepted, after) == compare(BEFORE, after)
    assert baseline_of(accepted) == accepted == baseline_of(BEFORE)


def test_a_baseline_of_samples_says_the_same_as_its_result(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    for before, after in ((load(1), load(2, 1.3)), (replications(9, 1), replications(9, 2))):
        write_baseline(baseline_of(before), path)
        assert _compared_with_baseline(read_result(path), after) == compare(before, after)


def test_a_baseline_has_no_texts_phones_or_ids_and_a_line_for_each_conversation(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write_baseline(baseline_of(BEFORE), path)
    text = path.read_text()
    for message in BEFORE["recordings"][0]["messages"]:
        assert message["text"] not in text
        assert message["phone"] not in text
        assert f'"{message["id"]}"' not in text
    assert '"15000 11900 8351 lost lost"' in text
    assert '"15000 11900 8351 4024 1800"' in text


def test_each_fate_and_flaw_has_its_word() -> None:
    after = copy.deepcopy(BEFORE)
    run = after["runs"][1]
    run["duplicated"], run["reordered"] = ["m1", "m2"], ["m2"]
    for entry, fate in zip(run["ledger"][2:], ("dead_lettered", "pending"), strict=False):
        entry["fate"], entry["answered_at_ms"] = fate, None  # type: ignore[typeddict-item] # one of the fates
    del run["ledger"][4]
    replay = baseline_of(after)["replay"]
    assert replay is not None
    assert replay["runs"][1]["messages"] == ["15000+twice 11900+twice+order dead_lettered pending unsent"]


def test_one_more_conversation_is_one_more_line(tmp_path: Path) -> None:
    lines = []
    for phones in (2, 3):
        recorded = example.recording(
            "r.jsonl",
            [example.message(at, at * 20_000, "a", phone=f"96650000{at:04}") for at in range(phones)],
        )
        path = tmp_path / f"{phones}.json"
        write_baseline(baseline_of(example.result([recorded], [example.run(recorded, "queue")])), path)
        lines.append(path.read_text().splitlines())
    added = [line.strip(' ",') for line in lines[1]]
    assert added.count("15000") == 3
    assert len(lines[1]) == len(lines[0]) + 1


def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_baseline(baseline_of(copy.deepcopy(BEFORE)), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_value_that_json_cannot_hold_is_refused() -> None:
    broken = baseline_of(BEFORE)
    broken["seed"] = float("nan")  # type: ignore[typeddict-item] # what JSON cannot hold
    with pytest.raises(ValueError, match="JSON"):
        baseline_text(broken)


def test_replications_keep_figures_only() -> None:
    replay = baseline_of(replications(3, 1))["replay"]
    assert replay is not None
    assert [run["run"] for run in replay["runs"]] == [0, 1, 2]
    assert all(run["messages"] == [] and run["mean_first_ms"] for run in replay["runs"])


@pytest.mark.parametrize("key", ["text", "id", "at_ms", "phone"])
def test_a_digest_differs_after_any_change_of_a_recording(key: str) -> None:
    (recorded,) = copy.deepcopy(BEFORE["recordings"])
    before = digest(recorded)
    recorded["title"] = "another"
    assert digest(recorded) == before
    recorded["messages"][0][key] = 1 if key == "at_ms" else "another"  # type: ignore[literal-required]
    assert digest(recorded) != before


def test_the_baseline_of_a_load_test_stays_small() -> None:
    baseline = baseline_of(load(1, size=20_000))
    assert baseline["load"] is not None
    for samples in baseline["load"]["latency_ms"].values():
        assert len(samples) == SAMPLES_MAX
        assert samples == sorted(samples)
    assert len(json.dumps(baseline)) < 400_000
    comparison = compare(baseline, load(1, size=20_000))
    assert not comparison.is_different
    assert {effect.difference for effect in comparison.effects} == {0}


def test_thinning_keeps_the_extremes_and_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLES_MAX", 5)
    assert list(thinned([8.0, *map(float, range(8))])) == [0, 2, 4, 6, 8]
    assert list(thinned([3.0, 1.0, 2.0])) == [1, 2, 3]
