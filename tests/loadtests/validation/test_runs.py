"""Runs of a trial: what is drawn, what is simulated, and what is read from both results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadtests.schedule import ScheduleError
from loadtests.sink.event import Turn
from loadtests.sink.server import Sink, SinkSettings
from loadtests.validation.runs import (
    Deployment,
    StackMeasurements,
    live_run,
    measurements_of,
    simulate,
    simulated_run,
)
from loadtests.validation.trials import TRIALS, Load, faults_of, recording_of
from queue_core.recording.format import Arrival, Recording
from queue_core.recording.reader import load
from reports.results.load import Delays, FaultTimes
from reports.results.validation import TrialName
from sim.faults import Fault
from tests.reports import load_example

LOAD = Load(rate=600, duration_s=10, seed=1)


def deployment(**environ: str) -> Deployment:
    return Deployment(ai="constant:1s", redis_memory="50mb", environ=environ)


def measurements(name: TrialName, webhook_ms: float = 0.0, ai_ms: float = 0.0) -> StackMeasurements:
    return StackMeasurements(Delays(webhook=webhook_ms, ai=ai_ms), faults_of(TRIALS[name], LOAD))


def test_each_trial_is_a_recording_with_numbers_for_ids_that_is_simulated(tmp_path: Path) -> None:
    """Nothing is lost, and nothing is answered twice, except on the legacy buffer, which has a window of its own."""
    for name, kind in TRIALS.items():
        path = tmp_path / f"{name}.jsonl"
        recording = recording_of(kind, LOAD, path)
        assert load([path])[0].arrivals == recording.arrivals
        assert [arrival.id for arrival in recording.arrivals] == list(
            map(str, range(len(recording.arrivals)))
        )
        assert len(recording.arrivals) > 50
        assert recording.arrivals[0].at_ms == 0, "a load begins with its first message"
        run = simulate(recording, name, deployment(QUEUE_WINDOW_MS="400"), LOAD, measurements(name))
        assert run["sent"] == len(recording.arrivals)
        assert run["sent"] == run["answered"] + run["lost"] + run["dead"] + run["waiting"]
        assert min(run["reply_ms"]) >= 1_000
        if name != "legacy":
            assert (run["lost"], run["twice"], run["dead"]) == (0, 0, 0)
        if name in ("steady", "bursts"):
            assert max(run["reply_ms"]) < 2_500, "a window of 400 ms"


@pytest.mark.parametrize(
    ("name", "lasts", "later_ms"), [("redis-away", "5s", 3_000), ("ai-fails", "10s", 6_000)]
)
def test_a_fault_makes_simulated_replies_late(
    name: TrialName, lasts: str, later_ms: float, tmp_path: Path
) -> None:
    recording = recording_of(TRIALS[name], LOAD, tmp_path / "arrivals.jsonl")
    assert [str(fault) for fault in faults_of(TRIALS[name], LOAD)] == [f"{name}@5s:{lasts}"]
    calm = simulate(recording, "steady", deployment(QUEUE_WINDOW_MS="400"), LOAD, measurements("steady"))
    struck = simulate(recording, name, deployment(QUEUE_WINDOW_MS="400"), LOAD, measurements(name))
    assert max(struck["reply_ms"]) > max(calm["reply_ms"]) + later_ms


def test_settings_that_cannot_be_simulated_are_reported(tmp_path: Path) -> None:
    recording = recording_of(TRIALS["steady"], LOAD, tmp_path / "arrivals.jsonl")
    with pytest.raises(ScheduleError, match="the simulation is not possible: window"):
        simulate(recording, "steady", deployment(QUEUE_WINDOW_MS="soon"), LOAD, measurements("steady"))


def test_the_ai_takes_as_long_for_a_turn_in_the_simulator_as_at_the_sink() -> None:
    """Each user has one turn, so each reply comes after the window and the time that the sink draws."""
    arrivals = tuple(
        Arrival(5_000 * n, "load", f"9{n}", str(n), "hello", "text", 5_000 * n) for n in range(4)
    )
    drawn = Deployment(ai="lognormal:2s:4s", redis_memory="50mb", environ={})
    run = simulate(Recording("few.jsonl", arrivals), "steady", drawn, LOAD, measurements("steady"))
    sink = Sink(SinkSettings(ai=drawn.ai, seed=LOAD.seed))
    expected = sorted(8_000 + sink.ai_ms(Turn(ids=[f"68a1b2-{n}", "68a1b2-77"])) for n in range(4))
    assert run["reply_ms"] == pytest.approx(expected, abs=20)


def test_times_count_from_the_last_message_of_a_turn() -> None:
    def turn(ids: list[str], replied_at_ms: int | None) -> dict[str, Any]:
        return {"instance": "load", "phone": "a", "ids": ids, "replied_at_ms": replied_at_ms}

    arrivals = tuple(
        Arrival(at_ms, "load", "a", name, "", "text", at_ms) for name, at_ms in (("1", 0), ("2", 500))
    )
    run: Any = {
        "sent": 2, "answered": 1, "lost": ["2"], "dead_lettered": [], "pending": [], "duplicated": ["1"],
        "batches": [turn(["1", "2"], 9_500), turn(["1"], None), turn(["1"], 8_000)],
    }  # fmt: skip
    read = simulated_run(run, Recording("two.jsonl", arrivals))
    assert read["reply_ms"] == [8_000, 9_000]
    assert (read["lost"], read["twice"], read["dead"]) == (1, 1, 0)


def test_a_live_run_that_was_not_the_planned_one_says_why() -> None:
    result = load_example.chaos()
    good = live_run(result)
    assert good["problems"] == []
    assert good["twice"] == result["ledger"]["duplicates"] + result["ledger"]["worker_died"]
    assert live_run(result, is_carried_out=False)["problems"] == ["fault_missing"]
    result["generator_lag"]["ok"] = False
    assert live_run(result, is_carried_out=False)["problems"] == ["generator_late"]
    assert live_run(load_example.busy(), is_carried_out=False)["problems"] == []
    result["generator_lag"]["ok"], result["unsent"] = True, 97
    assert live_run(result, is_carried_out=False)["problems"] == ["generator_late"]


def test_the_simulator_is_given_the_means_of_the_delays_and_of_the_times_of_faults() -> None:
    live = [live_run(load_example.chaos()) for _ in range(2)]
    for run, webhook_ms, end_s in zip(live, (4.0, 6.0), (13.25, 13.75), strict=True):
        run["delays_ms"] = Delays(webhook=webhook_ms, ai=3 * webhook_ms)
        run["faults"] = [FaultTimes(code="redis-away", start_s=8.25, end_s=end_s)]
    planned = (Fault("redis-away", 8000, 5000),)
    assert measurements_of(live, planned) == StackMeasurements(
        Delays(webhook=5.0, ai=15.0), (Fault("redis-away", 8250, 5250),)
    )
    live[1] |= {"faults": [], "delays_ms": None}
    assert measurements_of(live, planned) == StackMeasurements(Delays(webhook=4.0, ai=12.0), planned)


def test_delays_make_every_simulated_reply_later_by_their_sum(tmp_path: Path) -> None:
    recording = recording_of(TRIALS["steady"], LOAD, tmp_path / "arrivals.jsonl")
    prompt, late = (
        simulate(
            recording, "steady", deployment(QUEUE_WINDOW_MS="400"), LOAD, measurements("steady", *delays)
        )
        for delays in ((0, 0), (300, 500))
    )
    differences = [after - before for before, after in zip(prompt["reply_ms"], late["reply_ms"], strict=True)]
    assert differences == pytest.approx([800] * len(differences), abs=20)
