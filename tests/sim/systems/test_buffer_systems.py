"""buffer-v1 and buffer-v2, step by step as in the bot's source."""

from __future__ import annotations

import pytest

from reports.results.faults import FaultName
from reports.results.replay import Run
from sim.engine.settings import SimSettings
from sim.faults import parse_faults
from sim.replay import replay
from sim.systems import all_systems
from tests.sim.engine.wire import Wire, events, listen_to_ai
from tests.sim.systems.races import MARKED, V1, V2, Race, play, recording_of, said

INCIDENT = said((0, "m1"), (3100, "m2"), (6649, "m3"), (10976, "m4"), (13200, "m5"))
KEY = "msg_buffer:bot:1"
LOCK = "lock:buffer:bot:1"


def second_message_at(at_ms: int, system: str = V1) -> Run:
    """Replay a conversation of two messages; a round trip is 100 ms and the AI takes 7 s."""
    return play(Race(name="two messages", arrivals=said((0, "m1"), (at_ms, "m2")), loses={}), system)


@pytest.mark.parametrize("system", [V1, V2])
@pytest.mark.parametrize("seed", range(5))
def test_the_incident_shows_its_two_log_lines_and_loses_messages_4_and_5(system: str, seed: int) -> None:
    recording = recording_of("incident", INCIDENT)
    run = replay(recording, all_systems()[system], SimSettings(seed=seed, ai="constant:7s"))
    appended = [(line["totalMessages"], line["timespan"]) for line in events(run, "buffer.appended")]
    read = [(line["messageCount"], line["timespan"]) for line in events(run, "buffer.read")]
    assert appended == [(2, 3100), (3, 6649), (4, 10976), (5, 13200)]
    assert read == [(3, 6649)]
    assert run["lost"] == ["m4", "m5"]
    cause = run["causes"]["m4"]
    assert run["causes"] == {"m4": cause, "m5": cause}, "one event took both"
    assert (cause["code"], cause["answering"]) == (MARKED, ["m1", "m2", "m3"])
    assert [batch["ids"] for batch in run["batches"]] == [["m1", "m2", "m3"]]


def test_v1_makes_exactly_these_calls() -> None:
    wire = Wire()
    play(Race(name="calls", arrivals=said((0, "m1"), (1000, "m2")), loses={}), V1, wire.tap)
    add = [f"GET {KEY}", f"SETEX {KEY} 15"]
    assert wire.commands() == [*add, *add, f"GET {KEY}", f"GET {KEY}", f"SETEX {KEY} 30"]


def test_v2_makes_exactly_these_calls() -> None:
    wire = Wire()
    play(Race(name="calls", arrivals=said((0, "m1"), (1000, "m2")), loses={}), V2, wire.tap)
    lock, unlock = f"SET {LOCK} locked NX PX 3000", f"DEL {LOCK}"
    add = [lock, f"GET {KEY}", f"SETEX {KEY} 60", unlock]
    assert wire.commands() == [*add, *add, f"GET {KEY}", lock, f"GET {KEY}", f"SETEX {KEY} 300", unlock]


def test_the_timer_starts_when_the_webhook_is_done_and_only_where_it_created_the_buffer() -> None:
    run = second_message_at(3000)
    assert [(batch["trigger"], batch["due_at_ms"], batch["claimed_at_ms"]) for batch in run["batches"]] == [
        ("timer", 8000, 8350)
    ]


def test_the_ai_gets_the_messages_by_arrival_joined_by_one_space() -> None:
    """m2's read takes 4 s, so it is written behind m3, which came later."""
    texts: list[str] = []
    messages = said((0, "m1"), (1000, "m2"), (2600, "m3"))
    race = Race(name="text", arrivals=messages, loses={}, slow_calls={3: 4000.0})
    run = play(race, V1, lambda system: listen_to_ai(system, texts))
    assert [line["timespan"] for line in events(run, "buffer.appended")] == [2600, 1000]
    assert texts == ["text of m1 text of m2 text of m3"]


@pytest.mark.parametrize(
    ("at_ms", "lost"),
    [(8140, False), (8160, True), (12000, True), (15340, True), (15360, False)],
)
def test_v1_loses_the_second_message_from_the_read_to_the_mark(at_ms: int, lost: bool) -> None:
    """The processor reads at 8300 and again at 15500 to mark; a message written in between is lost."""
    assert second_message_at(at_ms)["lost"] == (["m2"] if lost else [])


def test_v2_tries_three_times_for_the_lock_50_and_100_ms_apart_and_goes_on_without() -> None:
    wire = Wire()
    race = Race(name="lock", arrivals=said((0, "m1"), (1000, "m2")), loses={}, slow_calls={2: 2800.0})
    run = play(race, V2, wire.tap)
    assert wire.times_ms(f"SET {LOCK}")[:4] == [0, 1000, 1150, 1350]
    assert events(run, "lock.given_up") == [{"at_ms": 1450, "tries": 3}]
    assert wire.times_ms(f"GET {KEY}")[:2] == [100, 1450]
    assert wire.commands(until_ms=8000).count(f"DEL {LOCK}") == 1, "only m1 ever held the lock"


def test_v2_tries_twice_for_the_lock_100_ms_apart_before_it_marks() -> None:
    wire = Wire()
    race = Race(name="lock", arrivals=said((0, "m1"), (15600, "m2")), loses={})
    run = play(race, V2, wire.tap)
    assert wire.times_ms(f"SET {LOCK}") == [0, 15600, 15650, 15850]
    assert events(run, "lock.given_up") == [{"at_ms": 15950, "tries": 2}]


@pytest.mark.parametrize(("at_ms", "waits"), [(7390, False), (7400, True), (8400, True), (8410, False)])
def test_v2_waits_when_the_buffer_is_7500_to_8500_ms_old(at_ms: int, waits: bool) -> None:
    """The age is taken after the lock and the read: two round trips of 50 ms later."""
    run = play(Race(name="grace", arrivals=said((0, "m1"), (at_ms, "m2")), loses={}, latency="50ms"), V2)
    assert events(run, "buffer.grace_wait") == ([{"at_ms": at_ms + 100, "age": at_ms + 100}] if waits else [])


def test_v2_calls_the_processor_again_1_2_and_4_s_later() -> None:
    race = Race(name="calls", arrivals=said((0, "m1")), loses={}, strikes={"http-fails": (True, True, True)})
    run = play(race, V2)
    failed_at_ms = [line["at_ms"] for line in events(run, "timer.call_failed")]
    assert failed_at_ms == [8450, 9500, 11550]
    assert [batch["claimed_at_ms"] for batch in run["batches"]] == [15700]
    assert run["lost"] == []


def test_v1_only_logs_a_failed_call() -> None:
    run = play(Race(name="calls", arrivals=said((0, "m1")), loses={}, strikes={"http-fails": (True,)}), V1)
    assert [line["event"] for line in run["log"]] == ["buffer.created", "timer.call_failed"]


def test_a_timer_that_dies_leaves_no_trace_in_the_log() -> None:
    run = play(Race(name="timer", arrivals=said((0, "m1")), loses={}, rates={"timer-dies": 1.0}), V1)
    assert [line["event"] for line in run["log"]] == ["buffer.created"]
    assert run["faults"][0]["struck"] == 1


def test_after_a_dead_timer_a_new_buffer_starts_once_the_old_one_has_expired() -> None:
    """v1's buffer lives 15 s from its last write; m2 prolongs the dead one, m3 finds it gone and is answered."""
    race = Race(
        name="timer",
        arrivals=said((0, "m1"), (10000, "m2"), (26000, "m3")),
        loses={},
        strikes={"timer-dies": (True,)},
    )
    run = play(race, V1)
    assert run["lost"] == ["m1", "m2"]
    assert [batch["ids"] for batch in run["batches"]] == [["m3"]]


def test_an_expired_buffer_is_noticed_with_the_next_write() -> None:
    run = play(
        Race(name="expiry", arrivals=said((0, "m1"), (10000, "m2"), (26000, "m3")), loses={}, ai=("20s",)), V1
    )
    assert run["ledger"][1]["story"][-1] == {"at_ms": 26_150, "code": "lost"}
    assert run["causes"]["m2"] == {"code": "buffer_expired", "at_ms": 26_150, "ttl_s": 15}


def test_causes_name_the_writers_the_call_and_the_number_of_calls() -> None:
    at_once = play(Race(name="at once", arrivals=said((0, "m1"), (3000, "m2"), (3050, "m3")), loses={}), V1)
    assert at_once["causes"] == {"m2": {"code": "overwritten_by_webhook", "at_ms": 3200, "writers": ["m3"]}}
    strikes: dict[FaultName, tuple[bool, ...]] = {
        "http-fails": (True, True),
        "timer-dies": (False, False, True),
    }
    timer = play(Race(name="timer", arrivals=said((0, "m1")), loses={}, strikes=strikes), V2)
    assert (timer["causes"]["m1"]["code"], timer["causes"]["m1"]["call"]) == ("timer_died", 3)
    calls = play(Race(name="calls", arrivals=said((0, "m1")), loses={}, rates={"http-fails": 1.0}), V2)
    assert (calls["causes"]["m1"]["code"], calls["causes"]["m1"]["calls"]) == ("calls_failed", 4)


def test_a_second_delivery_is_taken_for_another_message() -> None:
    run = play(Race(name="twice", arrivals=said((0, "m1"), (1000, "m1")), loses={}), V1)
    assert [batch["ids"] for batch in run["batches"]] == [["m1", "m1"]]
    assert run["duplicated"] == ["m1"]


def test_a_colon_in_a_name_mixes_two_users() -> None:
    first, second = said((0, "m1"), phone="eu:1"), said((3000, "m2"), instance="bot:eu")
    run = play(Race(name="colon", arrivals=first + second, loses={}), V1)
    assert run["lost"] == ["m2"]
    assert run["causes"]["m2"]["code"] == "shared_key"
    assert [batch["ids"] for batch in run["batches"]] == [["m1"]]


@pytest.mark.parametrize("system", [V1, V2])
def test_the_same_run_twice_is_the_same(system: str) -> None:
    recording = recording_of("twice", INCIDENT)
    settings = SimSettings(faults=parse_faults(["timer-dies=0.3,http-fails=0.3,ai-fails=0.3"], "sim"))
    runs = [replay(recording, all_systems()[system], settings) for _ in range(2)]
    assert runs[0] == runs[1]
    assert any(fault["struck"] for fault in runs[0]["faults"])
