"""The queue in thousands of simulated conversations, while the AI fails: `make soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from queue_core.recording.format import Recording
from queue_core.recording.reader import load
from reports.results.replay import Run
from sim.engine.settings import SimSettings
from sim.faults import parse_faults
from sim.replay import replay
from sim.systems import all_systems

LOGS = Path(__file__).parents[2] / "logs"


def recordings() -> list[Recording]:
    return [recording for recording in load([LOGS]) if len(recording.arrivals) <= 200]


def run(recording: Recording, number: int, settings: SimSettings) -> Run:
    return replay(recording, all_systems()["queue"], settings, number)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.name)
@pytest.mark.parametrize("latency", ["constant:0", "lognormal:5ms:15ms", "lognormal:20ms:60ms"])
def test_nothing_is_ever_lost_answered_twice_or_reordered(recording: Recording, latency: str) -> None:
    for number in range(40):
        settings = SimSettings(
            redis_latency=latency, faults=parse_faults([f"ai-fails={0.02 * (number % 10)}"], "sim")
        )
        outcome = run(recording, number, settings)
        assert outcome["came_to_rest"]
        assert (outcome["lost"], outcome["duplicated"], outcome["pending"]) == ([], [], []), number
        assert outcome["answered"] + len(outcome["dead_lettered"]) == outcome["sent"]
        if not outcome["dead_lettered"]:
            assert outcome["reordered"] == [], number
