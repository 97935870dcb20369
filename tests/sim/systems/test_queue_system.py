"""The deployed queue in the simulator, where the world around it fails."""

from __future__ import annotations

from typing import Any

import pytest

from queue_core.recording.format import Arrival, Recording
from reports.results.replay import Run
from sim.engine.settings import SimSettings
from sim.faults import parse_faults
from sim.replay import replay
from sim.systems import all_systems
from tests.sim.engine.test_outcome import arrival, recording

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


@pytest.mark.parametrize("rate", [0.3, 0.7])
def test_an_ai_that_fails_costs_time_or_ends_in_dead_letters_and_loses_nothing(rate: float) -> None:
    """A turn uses attempts if it fails while others succeed."""
    run = replay(traffic(5, 12), QUEUE, SimSettings(faults=parse_faults([f"ai-fails={rate}"], "sim")))
    assert run["faults"][0]["struck"] > 2
    assert run["came_to_rest"]
    assert (run["lost"], run["duplicated"], run["reordered"], run["pending"]) == ([], [], [], [])
    assert run["answered"] + len(run["dead_lettered"]) == run["sent"] == 60
    assert bool(run["dead_lettered"]) == (rate == 0.7)


def test_faults_of_the_old_systems_do_not_affect_the_queue() -> None:
    run = replay(traffic(3, 6), QUEUE, SimSettings(faults=parse_faults(["timer-dies=1,http-fails=1"], "sim")))
    assert run["answered"] == 18
    assert [fault["struck"] for fault in run["faults"]] == [0, 0]


def test_a_redis_too_slow_to_answer_in_time_leads_to_the_direct_path() -> None:
    run = replay(traffic(1, 2), QUEUE, SimSettings(redis_latency="constant:4s", ai="constant:1s"))
    assert (run["answered"], run["lost"], run["reordered"]) == (2, [], [])
    assert {batch["trigger"] for batch in run["batches"]} == {"direct"}


@pytest.mark.parametrize(
    ("settings", "trigger", "due_ms"),
    [
        (SimSettings(window_ms=3_000, redis_latency="constant:4ms"), "window", 3_000),
        (SimSettings(max_messages=2, redis_latency="constant:4ms"), "size", 100),
        (SimSettings(idle_ms=1_000, redis_latency="constant:4ms"), "idle", 1_100),
    ],
)
def test_a_turn_is_handed_over_the_moment_it_is_due(settings: SimSettings, trigger: str, due_ms: int) -> None:
    first = Arrival(0, "bot", "1", "first", "opens the connections, brings the scripts", "text", 0)
    turn = [Arrival(60_000 + at, "bot", "2", f"m{at}", "x", "text", 60_000 + at) for at in (0, 100)]
    run = replay(recording(first, *turn), QUEUE, settings)
    batch = run["batches"][-1]
    assert (batch["ids"], batch["trigger"]) == (["m0", "m100"], trigger)
    # The batch is stored half a round trip (2 ms) after its arrival, and claimed 2 to 6 ms after it is due.
    assert due_ms + 2 <= batch["claimed_at_ms"] - 60_000 <= due_ms + 2 + 8


def answered_while_writing(*at_ms: int, **rules: Any) -> Run:
    """Replay one user's messages on a queue with 1 s of silence, and an AI that takes 4 s."""
    arrivals = [Arrival(at, "bot", "1", f"m{at}", "x", "text", at) for at in at_ms]
    settings = SimSettings(idle_ms=1000, ai="constant:4s", redis_latency="constant:4ms", **rules)
    return replay(recording(*arrivals), QUEUE, settings)


class TestSupersede:
    def test_a_message_that_joins_its_turn_drops_the_answer_and_is_answered_with_it(self) -> None:
        run = answered_while_writing(0, 2000, supersede_ms=45_000)
        dropped, answered = run["batches"]
        assert (dropped["ids"], answered["ids"]) == (["m0"], ["m0", "m2000"])
        assert dropped["replied_at_ms"] is None
        # The answer is ready 5 s after the message; to record it takes some round trips of 4 ms.
        assert 5000 <= dropped["superseded_at_ms"] <= 5050
        assert "superseded_at_ms" not in answered
        assert (run["ai_calls"], run["superseded"], run["superseded_ai_ms"]) == (2, 1, 4000)
        assert (run["answered"], run["duplicated"], run["reordered"], run["lost"]) == (2, [], [], [])

    def test_the_story_of_a_message_tells_of_the_dropped_answer(self) -> None:
        first, joined = answered_while_writing(0, 2000, supersede_ms=45_000)["ledger"]
        steps = ["sent", "stored", "acknowledged"]
        assert [step["code"] for step in first["story"]] == [
            *steps,
            "claimed",
            "superseded",
            "claimed",
            "answered",
        ]
        assert [step["code"] for step in joined["story"]] == [*steps, "claimed", "answered"]
        assert first["answered_at_ms"] == joined["answered_at_ms"]

    @pytest.mark.parametrize("rules", [{}, {"supersede_ms": 1500}])
    def test_a_message_that_does_not_join_is_a_turn_of_its_own(self, rules: dict[str, Any]) -> None:
        run = answered_while_writing(0, 2000, **rules)
        assert [batch["ids"] for batch in run["batches"]] == [["m0"], ["m2000"]]
        assert (run["ai_calls"], run["superseded"], run["superseded_ai_ms"]) == (2, 0, 0)

    def test_every_message_may_join_up_to_the_limit(self) -> None:
        run = answered_while_writing(*range(0, 20_000, 2000), supersede_ms=12_100)
        assert [batch["ids"][-1] for batch in run["batches"] if batch["replied_at_ms"]] == [
            "m12000",
            "m18000",
        ]
        assert run["superseded"] == len(run["batches"]) - 2 > 0


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "rules", [{}, {"idle_ms": 3000, "cap_ms": 45_000, "supersede_ms": 45_000, "max_messages": 0}]
)
@pytest.mark.parametrize(
    "outage", [f"{kind}@{at}" for kind in ("redis-away", "redis-hangs") for at in ("5s:5s", "9s:20s")]
)
def test_while_redis_fails_nothing_is_lost_or_answered_twice(
    outage: str, rules: dict[str, Any], seed: int
) -> None:
    settings = SimSettings(seed=seed, faults=parse_faults([outage], "sim"), **rules)
    run = replay(traffic(4, 9), QUEUE, settings)
    assert (run["lost"], run["duplicated"], run["dead_lettered"], run["pending"]) == ([], [], [], [])
    assert (run["answered"], run["came_to_rest"]) == (36, True)


def test_what_was_answered_without_redis_is_settled_although_no_further_message_comes() -> None:
    settings = SimSettings(faults=parse_faults(["redis-hangs@1s:30s"], "sim"), ai="constant:2s")
    run = replay(recording(arrival(0, "first", phone="2"), arrival(2000, "m")), QUEUE, settings)
    assert [batch["trigger"] for batch in run["batches"] if "m" in batch["ids"]] == ["direct"]
    assert (run["duplicated"], run["came_to_rest"]) == ([], True)
