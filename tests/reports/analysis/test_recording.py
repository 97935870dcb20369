"""A recording with its runs, analysed once."""

from __future__ import annotations

from reports.analysis.recording import drawn_runs, recordings_of
from reports.analysis.replay import AnalysedReplay
from tests.reports import example


def test_each_recording_has_its_own_runs() -> None:
    first, second = example.incident(), example.big_day(30, 6)
    both = example.result(first["recordings"] + second["recordings"], first["runs"] + second["runs"])
    recordings = recordings_of(both)
    assert [(recording.name, list(recording.runs)) for recording in recordings] == [
        ("incident.jsonl", first["runs"]),
        ("day.jsonl", second["runs"]),
    ]
    assert [len(recording.numbers) for recording in recordings] == [1, 6]


def test_the_first_run_of_each_system_is_drawn_in_the_order_of_the_systems() -> None:
    result = example.incident()
    (recorded,) = result["recordings"]
    again = [example.run(recorded, name, number=2) for name in ("buffer-v1", "queue")]
    runs = [*again, *result["runs"]]
    assert drawn_runs(runs, ["queue", "list-v1", "buffer-v1"]) == [result["runs"][1], result["runs"][0]]
    (recording,) = recordings_of({**result, "runs": runs})
    assert recording.drawn == result["runs"]
    assert recording.reply_times_ms == {"buffer-v1": [15_000], "queue": [15_000]}


def test_the_first_run_with_a_loss_is_drawn_on_all_systems_if_it_is_whole() -> None:
    (recorded,) = example.incident()["recordings"]
    systems = ["buffer-v1", "queue"]
    first, second, third = (
        [example.run(recorded, system, number=number, lost=lost) for system in systems]
        for number, lost in enumerate(((), [(recorded["messages"][3]["phone"], "m4")], ()))
    )
    second[1] = example.run(recorded, "queue", number=1)
    assert drawn_runs([*first, *second, *third], systems) == second
    for run in second:
        run["folded"] = {"turns": 1, "mean_first_ms": None}
    assert drawn_runs([*first, *second, *third], systems) == first


def test_properties_are_computed_once() -> None:
    replay = AnalysedReplay(example.incident())
    (recording,) = replay.recordings
    assert recording.conversations is recording.conversations
    assert replay.figures is replay.figures
    assert [figures.system for figures in replay.figures] == ["buffer-v1", "queue"]
