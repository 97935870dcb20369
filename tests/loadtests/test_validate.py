"""The check of the simulator's prediction, without the stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadtests.schedule import Plan, ScheduleError
from loadtests.validate import RUNS, recording_of, reply_times, simulate
from queue_core.recording.reader import load


def test_the_arrivals_are_a_recording_that_is_simulated(tmp_path: Path) -> None:
    """Constant AI of 1 s and a window of 400 ms: every reply comes at least 1 s after the last message."""
    path = tmp_path / "arrivals.jsonl"
    recording = recording_of(Plan(scenario="bursts", rate=600, duration_s=10), path)
    count = len(recording.arrivals)
    assert load([path])[0].arrivals == recording.arrivals
    assert count > 50
    times = simulate(recording, "constant:1s", "400")
    assert RUNS * count * 0.4 < len(times) <= RUNS * count
    assert 1_000 < min(times) <= max(times) < 2_000


def test_settings_that_cannot_be_simulated_are_reported(tmp_path: Path) -> None:
    recording = recording_of(Plan(scenario="bursts", rate=600, duration_s=10), tmp_path / "arrivals.jsonl")
    with pytest.raises(ScheduleError, match="the simulation failed: --window"):
        simulate(recording, "constant:1s", "soon")


def test_times_count_from_the_last_message_of_a_turn() -> None:
    def turn(ids: list[str], replied_at_ms: int | None) -> dict[str, Any]:
        return {"phone": "a", "ids": ids, "replied_at_ms": replied_at_ms}

    messages = [{"phone": "a", "id": "m1", "at_ms": 0}, {"phone": "a", "id": "m2", "at_ms": 500}]
    runs = [{"batches": [turn(["m1", "m2"], 9_500), turn(["m1"], None)]}, {"batches": [turn(["m1"], 8_000)]}]
    replay: Any = {"recordings": [{"messages": messages}], "runs": runs}
    assert reply_times(replay) == [9_000, 8_000]
