"""Sweeps: the costs of each choice, computed by hand, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from queue_core.recording.reader import load
from reports.results.sweep import SweepResult, SweepRow
from reports.words.verdicts import sweep_verdict
from sim.engine.settings import SettingsError, SimSettings
from sim.study import Study
from sim.sweep import CHOICES_MAX, SAMPLES_MAX, are_best, choices, nearest_to_best, sweep, thinned

from .command_line import REPOSITORY, record_processes, sim

PAUSED = [0, 5, 20]
"""Times of messages, in seconds: the second comes during the AI call if the window is 4 s, or within one of 8 s."""


@pytest.fixture
def write_recording(tmp_path: Path) -> Callable[..., Path]:
    def write(*seconds: float, name: str = "one.jsonl") -> Path:
        path = tmp_path / name
        lines = [
            {
                "event": "message",
                "at": at * 1000,
                "instance": "bot",
                "phone": "1",
                "id": f"m{at}",
                "text": "x",
            }
            for at in seconds
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        return path

    return write


def swept(*paths: Path, **grid: str) -> SweepResult:
    study = Study(
        recordings=load(paths),
        systems=["queue"],
        settings=SimSettings(seed=1),
        options={"ai": "constant:6s", "redis-latency": "constant:1ms"},
    )
    return sweep(study, choices({name.replace("_", "-"): text.split(",") for name, text in grid.items()}))


def row(**changes: object) -> SweepRow:
    default: SweepRow = {
        "window_ms": 8000,
        "max_messages": 5,
        "idle_ms": 0,
        "sent": 10,
        "lost": 0,
        "twice": 0,
        "order": 0,
        "dead": 0,
        "waiting": 0,
        "came_to_rest": True,
        "ai_calls": 5,
        "turns": 5,
        "turns_of_several": 5,
        "split_turns": 1,
        "first_ms": {"p50": 9000, "p95": 10_000, "max": 12_000},
        "last_ms": {"p50": 9000, "p95": 10_000, "max": 12_000},
        "lag_ms": {"p50": 4, "p95": 8, "max": 12},
        "reply_ms": [9000, 12_000],
        "is_best": False,
    }
    return {**default, **changes}  # type: ignore[typeddict-item]


def costing(wait_s: float, ai_calls: int, split_turns: int, **changes: object) -> SweepRow:
    first_ms = {"p50": 0, "p95": wait_s * 1000, "max": wait_s * 1000}
    return row(first_ms=first_ms, ai_calls=ai_calls, split_turns=split_turns, **changes)


def test_the_costs_of_a_choice_are_those_computed_by_hand(write_recording: Callable[..., Path]) -> None:
    short, long = swept(write_recording(*PAUSED), window="4s,8s")["rows"]
    assert (short["window_ms"], long["window_ms"]) == (4000, 8000)
    # 4 s: 0 s is answered at 10 s, 5 s right after that by 16 s, 20 s at 30 s; 8 s: 0 s and 5 s at 14 s, 20 s at 34 s.
    assert (short["ai_calls"], long["ai_calls"]) == (3, 2)
    assert [round(time_ms / 1000) for time_ms in short["reply_ms"]] == [10, 10, 11]
    assert [round(time_ms / 1000) for time_ms in long["reply_ms"]] == [14, 14]
    assert round((long["last_ms"]["p50"] or 0) / 1000) == 9
    assert (short["split_turns"], long["split_turns"]) == (1, 0)
    assert (short["turns"], long["turns"]) == (3, 2)
    assert (short["sent"], short["lost"], short["twice"], short["order"]) == (3, 0, 0, 0)


def test_the_number_of_messages_and_the_silence_are_choices_too(write_recording: Callable[..., Path]) -> None:
    path = write_recording(0, 1, 2, 3)
    two, all_ = swept(path, max_messages="2,8")["rows"]
    assert (two["ai_calls"], all_["ai_calls"]) == (2, 1)
    quiet, never = swept(path, idle="2s,0")["rows"]
    assert (quiet["idle_ms"], never["idle_ms"]) == (2000, 0)
    assert round((quiet["first_ms"]["max"] or 0) / 1000) == 11
    assert round((never["first_ms"]["max"] or 0) / 1000) == 14


def test_a_choice_overrides_the_settings_of_the_recording(tmp_path: Path) -> None:
    head = '{"event":"recording","version":1,"settings":{"window":"2s","ai":"constant:1s"}}\n'
    lines = [
        json.dumps({"event": "message", "at": at, "instance": "b", "phone": "1", "id": f"m{at}", "text": "x"})
        for at in (0, 5000)
    ]
    path = tmp_path / "settings.jsonl"
    path.write_text(head + "\n".join(lines) + "\n", "utf-8")
    (only_row,) = swept(path, window="8s")["rows"]
    assert only_row["ai_calls"] == 1


def test_costs_of_several_recordings_and_runs_are_added(write_recording: Callable[..., Path]) -> None:
    first, second = write_recording(*PAUSED), write_recording(0, name="other.jsonl")
    both = swept(first, second, window="8s")
    assert both["recordings"] == ["one.jsonl", "other.jsonl"]
    assert both["rows"][0]["sent"] == 4
    assert both["rows"][0]["ai_calls"] == 3


def test_a_choice_that_is_best_in_one_cost_is_best() -> None:
    quick, cheap, between, worse = rows = [
        costing(5, 9, 9),
        costing(20, 2, 2),
        costing(12, 5, 5),
        costing(13, 5, 6),
    ]
    assert are_best(rows) == [True, True, True, False]
    assert nearest_to_best(rows) == rows.index(between)
    assert are_best([quick, quick]) == [True, True], "equal choices are both best"
    assert are_best([worse, cheap]) == [True, True]
    assert are_best([costing(20.76, 2, 1), costing(20.83, 1, 0)]) == [False, True], (
        "both are 20.8 s in the table"
    )


def test_a_choice_that_loses_messages_is_never_recommended_however_quick() -> None:
    rows = [costing(1, 1, 0, lost=1), costing(20, 9, 9), costing(1, 1, 0, came_to_rest=False)]
    assert are_best(rows) == [False, True, False]
    assert are_best([rows[0], costing(2, 1, 0, twice=1)]) == [True, False], "where all lose, costs count"
    assert nearest_to_best(rows) == 1
    assert nearest_to_best([rows[0], rows[2]]) is None
    assert nearest_to_best([]) is None


def test_the_first_of_equal_choices_is_recommended() -> None:
    assert nearest_to_best([costing(5, 5, 5), costing(5, 5, 5)]) == 0


def test_reply_times_are_thinned_evenly_and_keep_both_ends() -> None:
    assert thinned([1, 2, 3]) == [1, 2, 3]
    kept = thinned(range(10_000))
    assert len(kept) == SAMPLES_MAX
    assert (kept[0], kept[-1]) == (0, 9999)
    steps = [later - earlier for earlier, later in pairwise(kept)]
    assert max(steps) - min(steps) <= 1


def test_too_many_choices_and_lists_without_values_are_refused() -> None:
    with pytest.raises(SettingsError, match=f"400 combinations; give at most {CHOICES_MAX}"):
        choices({"window": ["1s"] * 20, "max-messages": ["1"] * 20})
    for values in ([], ["4s", ""], [" "]):
        with pytest.raises(SettingsError, match="--window: write a list of values"):
            choices({"window": values})


def test_the_command_compares_and_recommends_and_writes_a_page(
    write_recording: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_recording(*(at + pause for at in range(0, 20_000, 100) for pause in (0, 1)))
    options = ("--window", "4s,8s", "--ai", "constant:6s", "--json", "out.json", "--jobs", "1")
    done = sim("sweep", path, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result: SweepResult = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert (result["kind"], len(result["rows"])) == ("sweep", 6)
    assert result["command"] == "python -m sim sweep one.jsonl --seed 1 --window 4s,8s --ai constant:6s"
    assert (result["turns_of_several"], result["no_recommendation"]) == (200, None)
    assert result["recommended"] is not None
    assert "→" in done.stdout
    assert done.stdout.endswith(f"\n{sweep_verdict(result)}\n".replace("\u00a0", " "))
    page = (tmp_path / "reports" / "out" / "sweep.html").read_text("utf-8")
    assert "Settings of the queue, compared on 1\u00a0recording" in page


def test_two_messages_recommend_nothing(write_recording: Callable[..., Path], tmp_path: Path) -> None:
    done = sim("sweep", write_recording(0, 1), "--window", "4s,8s", "--json", "out.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result: SweepResult = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert (result["recommended"], result["no_recommendation"]) == (None, "few_turns")
    assert "→ recommended" not in done.stdout
    assert not any(line.startswith("→ ") for line in done.stdout.splitlines()[:7])
    assert "\nToo little to recommend settings: 1 turn of several messages; at least 200" in done.stdout
    page = (tmp_path / "reports" / "out" / "sweep.html").read_text("utf-8")
    assert "Too little to recommend settings" in page


def test_a_single_choice_is_not_recommended(write_recording: Callable[..., Path], tmp_path: Path) -> None:
    path = write_recording(*(at + pause for at in range(0, 20_000, 100) for pause in (0, 1)))
    options = ("--window", "12s", "--max-messages", "8", "--json", "out.json", "--jobs", "1")
    done = sim("sweep", path, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result: SweepResult = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert (result["recommended"], result["no_recommendation"]) == (None, "one_choice")
    assert result["turns_of_several"] >= 200
    assert "recommended;" not in done.stdout
    assert "beats" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Nothing to recommend: there is one choice of settings")


def test_turns_of_several_runs_are_not_counted_twice(write_recording: Callable[..., Path]) -> None:
    study = Study(
        recordings=load([write_recording(*PAUSED)]),
        systems=["queue"],
        settings=SimSettings(),
        options={"ai": "constant:6s"},
        runs=3,
    )
    result = sweep(study, choices({"window": ["4s", "8s"]}))
    assert [row["turns_of_several"] for row in result["rows"]] == [0, 3]
    assert result["turns_of_several"] == 1


def test_results_are_the_same_bytes_in_one_process_and_in_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [REPOSITORY / "logs" / f"{name}.jsonl" for name in ("incident", "never-stops")]
    started = record_processes(monkeypatch)
    results = []
    for jobs in ("1", "2"):
        arguments = ("--window", "2s,8s", "--no-report", "--quiet", "--json", "out.json", "--jobs", jobs)
        done = sim("sweep", *paths, *arguments, "--runs", "2", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        results.append((tmp_path / "out.json").read_bytes())
    assert results[0] == results[1]
    assert started == [2]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--window", "4s,,8s"), "sim: --window: write a list of values"),
        (("--window", "soon"), "soon"),
        (("--max-messages", "1001"), "sim: --max-messages: must be from 0 to 1000, not 1001"),
        (("--idle", "-3s"), "sim: --idle: -3s is negative"),
        (("--ai", "fast"), "fast"),
        (("--runs", "0"), "sim: --runs: must be a whole number from 1 to 100000"),
        (("--report", "."), "cannot be written"),
    ],
)
def test_bad_options_are_refused_before_any_work(
    options: tuple[str, ...], reason: str, write_recording: Callable[..., Path], tmp_path: Path
) -> None:
    done = sim("sweep", write_recording(0), *options, cwd=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sweep_of_a_missing_folder_is_refused(tmp_path: Path) -> None:
    done = sim("sweep", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere" in done.stderr


def test_json_on_standard_output_is_nothing_but_json(
    write_recording: Callable[..., Path], tmp_path: Path
) -> None:
    done = sim("sweep", write_recording(0), "--window", "4s", "--no-report", "--json", "-", cwd=tmp_path)
    assert [row["window_ms"] for row in json.loads(done.stdout)["rows"]] == [4000] * 3
    assert "Too little to recommend" in done.stderr
