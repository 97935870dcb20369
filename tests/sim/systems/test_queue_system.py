"""The deployed queue in the simulator, where the world around it fails."""

from __future__ import annotations

import pytest

from queue_core.recording.format import Arrival, Recording
from sim.engine.settings import SimSettings
from sim.replay import replay
from sim.systems import all_systems
from tests.sim.engine.test_outcome import recording

QUEUE = all_systems()["queue"]


def traffic(users: int, messages: int) -> Recording:
    return recording(
        *(
            Arrival(
                1_700 * number + 37 * user, "bot", str(user), f"{user}-{number}", "x", "text", 1_700 * number
            )
            for number in range(messages)
            for user in range(users)
        )
    )


@pytest.mark.parametrize("rate", [0.3, 0.9])
def test_an_ai_that_fails_costs_time_or_ends_in_dead_letters_and_loses_nothing(rate: float) -> None:
    run = replay(traffic(5, 12), QUEUE, SimSettings(faults={"ai-fails": rate}))
    assert run["faults"]["ai-fails"] > 2
    assert run["came_to_rest"]
    assert (run["lost"], run["duplicated"], run["reordered"], run["pending"]) == ([], [], [], [])
    assert run["answered"] + len(run["dead_lettered"]) == run["sent"] == 60
    assert bool(run["dead_lettered"]) == (rate == 0.9)


def test_faults_of_the_old_systems_do_not_affect_the_queue() -> None:
    run = replay(traffic(3, 6), QUEUE, SimSettings(faults={"timer-dies": 1.0, "http-fails": 1.0}))
    assert run["answered"] == 18
    assert run["faults"] == {"timer-dies": 0, "http-fails": 0, "ai-fails": 0}


def test_a_redis_too_slow_to_answer_in_time_leads_to_the_direct_path() -> None:
    run = replay(traffic(2, 4), QUEUE, SimSettings(redis_latency="constant:4s", ai="constant:1s"))
    assert (run["answered"], run["lost"], run["reordered"]) == (8, [], [])
    assert {batch["trigger"] for batch in run["batches"]} == {"direct"}


@pytest.mark.parametrize(
    ("settings", "trigger", "lag_from_ms"),
    [
        (SimSettings(window_ms=3_000, redis_latency="constant:4ms"), "window", 3_000),
        (SimSettings(max_messages=2, redis_latency="constant:4ms"), "size", 100),
        (SimSettings(idle_ms=1_000, redis_latency="constant:4ms"), "idle", 1_100),
    ],
)
def test_a_turn_is_handed_over_the_moment_it_is_due(
    settings: SimSettings, trigger: str, lag_from_ms: int
) -> None:
    first = Arrival(0, "bot", "1", "first", "opens the connections, brings the scripts", "text", 0)
    turn = [Arrival(60_000 + at, "bot", "2", f"m{at}", "x", "text", 60_000 + at) for at in (0, 100)]
    run = replay(recording(first, *turn), QUEUE, settings)
    batch = run["batches"][-1]
    assert (batch["ids"], batch["trigger"]) == (["m0", "m100"], trigger)
    # The batch is stored half a round trip (2 ms) after its arrival, and claimed 2 to 6 ms after it is due.
    assert lag_from_ms + 2 <= batch["claimed_at_ms"] - 60_000 <= lag_from_ms + 2 + 8
