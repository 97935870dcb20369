"""The prediction: what is compared, and a small comparison from end to end up to the stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadtests._schedule import Plan
from loadtests._validate import RUNS, reply_times, simulate, write_recording
from queue_core.recording.reader import load


def test_the_arrivals_are_a_recording_that_is_simulated(tmp_path: Path) -> None:
    """Constant AI of 1 s and a window of 400 ms: every reply comes at least 1 s after the last message."""
    path = tmp_path / "arrivals.jsonl"
    count = write_recording(Plan(scenario="bursts", rate=600, duration_s=10), path)
    (recording,) = load([path])
    assert len(recording.arrivals) == count > 50
    times = simulate(path, "constant:1s", 400, tmp_path)
    assert RUNS * count * 0.4 < len(times) <= RUNS * count
    assert 1_000 < min(times) <= max(times) < 2_000


def test_a_simulation_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "arrivals.jsonl").write_text("no json\n")
    with pytest.raises(RuntimeError, match=r"arrivals\.jsonl:1"):
        simulate(tmp_path / "arrivals.jsonl", "constant:1s", None, tmp_path)


def test_times_count_from_the_last_message_of_a_turn() -> None:
    def turn(ids: list[str], replied_at_ms: int | None) -> dict[str, Any]:
        return {"phone": "a", "ids": ids, "replied_at_ms": replied_at_ms}

    messages = [{"phone": "a", "id": "m1", "at_ms": 0}, {"phone": "a", "id": "m2", "at_ms": 500}]
    runs = [{"batches": [turn(["m1", "m2"], 9_500), turn(["m1"], None)]}, {"batches": [turn(["m1"], 8_000)]}]
    assert reply_times({"recordings": [{"messages": messages}], "runs": runs}) == [9_000, 8_000]
