"""Rules for lost messages, messages answered twice, and messages out of order, each with a planted fault."""

from __future__ import annotations

from typing import ClassVar

import pytest

from queue_core.recording.format import Arrival, Recording
from reports.results.replay import Run
from sim.engine.ledger import Conversation, Ledger, LedgerError
from sim.engine.outcome import quantiles
from sim.engine.settings import SimSettings
from sim.engine.system import System, WebhookFailedError
from sim.replay import replay

USER = Conversation("bot", "1")


def recording(*arrivals: Arrival) -> Recording:
    return Recording(
        name="planted.jsonl",
        title="",
        source="",
        notes="",
        epoch_ms=1_767_225_600_000,
        arrivals=tuple(arrivals),
        settings={},
        expect={},
        skipped=(),
    )


def arrival(at_ms: int, message_id: str, *, phone: str = "1", timestamp_ms: int | None = None) -> Arrival:
    return Arrival(
        at_ms, "bot", phone, message_id, "x", "text", at_ms if timestamp_ms is None else timestamp_ms
    )


class Scripted(System):
    """A system that answers the batches of a plan, after all messages have arrived."""

    name = "scripted"
    order = 0
    plan: ClassVar[list[list[str]]] = []
    waiting: ClassVar[list[str]] = []
    dead: ClassVar[list[str]] = []
    arrived = 0

    async def webhook(self, arrival: Arrival) -> None:
        self.arrived += 1
        if self.arrived == len(self.world.recording.arrivals):
            self.world.spawn(self._answer(), name="answer")

    async def _answer(self) -> None:
        for ids in self.plan:
            self.world.ledger.claimed(USER, ids, "planned", self.world.now_ms() - 3)
            await self.world.whatsapp.send(USER, ids, "reply")
        for message_id in self.dead:
            self.world.ledger.dead_lettered(USER, message_id, attempts=3)

    def at_rest(self) -> bool:
        return True

    def pending_ids(self) -> dict[Conversation, list[str]]:
        return {USER: self.waiting}


def played(
    *arrivals: Arrival, plan: list[list[str]], waiting: tuple[str, ...] = (), dead: tuple[str, ...] = ()
) -> Run:
    system = type("Planned", (Scripted,), {"plan": plan, "waiting": list(waiting), "dead": list(dead)})
    return replay(recording(*arrivals), system, SimSettings(redis_latency="constant:10ms"))


THREE = (arrival(0, "a"), arrival(100, "b"), arrival(200, "c"))


def test_a_run_in_good_order_has_nothing_to_report() -> None:
    run = played(*THREE, plan=[["a", "b"], ["c"]])
    assert (run["sent"], run["answered"], run["lost"]) == (3, 3, [])
    assert (run["duplicated"], run["reordered"], run["causes"]) == ([], [], {})
    assert run["dispatch_lag_ms"] == {"p50": 3, "p95": 3, "max": 3}
    assert run["latency_ms"]["first"]["max"] == 205
    assert run["latency_ms"]["last"] == {"p50": 15, "p95": 105, "max": 105}


def test_a_message_that_is_nowhere_is_lost_and_has_a_cause() -> None:
    run = played(*THREE, plan=[["a"]])
    assert run["lost"] == ["b", "c"]
    assert run["causes"] == {"b": {"code": "vanished"}, "c": {"code": "vanished"}}
    assert run["ledger"][1]["story"][-1] == {"at_ms": run["at_rest_ms"], "code": "lost"}


def test_a_story_has_each_step_with_its_moment_and_its_values() -> None:
    run = played(*THREE, arrival(300, "b"), plan=[["a", "b", "b"]], dead=("c",))
    assert run["ledger"][1]["story"] == [
        {"at_ms": 100, "code": "sent"},
        {"at_ms": 100, "code": "acknowledged"},
        {"at_ms": 300, "code": "sent_again"},
        {"at_ms": 300, "code": "acknowledged"},
        {"at_ms": 300, "code": "claimed", "batch": 3, "trigger": "planned", "copies": 2},
        {"at_ms": 305, "code": "answered"},
    ]
    assert run["ledger"][2]["story"][-1] == {"at_ms": 310, "code": "dead_lettered", "attempts": 3}


def test_what_waits_is_pending_and_what_was_given_up_is_dead_lettered() -> None:
    run = played(*THREE, plan=[["a"]], waiting=("b",), dead=("c",))
    assert (run["pending"], run["dead_lettered"], run["lost"]) == (["b"], ["c"], [])


def test_a_message_that_was_answered_is_not_pending() -> None:
    run = played(*THREE, plan=[["a", "b", "c"]], waiting=("a",))
    assert (run["answered"], run["pending"]) == (3, [])


def test_a_message_in_two_batches_or_twice_in_one_is_duplicated() -> None:
    assert played(*THREE, plan=[["a", "b"], ["b", "c"]])["duplicated"] == ["b"]
    assert played(*THREE, plan=[["a", "b", "b", "c"]])["duplicated"] == ["b"]


def test_a_message_delivered_twice_is_one_message() -> None:
    run = played(*THREE, arrival(300, "a"), plan=[["a", "b", "c"]])
    assert (run["sent"], run["answered"], run["duplicated"]) == (3, 3, [])


def test_a_message_answered_after_a_newer_one_is_reordered() -> None:
    assert played(*THREE, plan=[["b"], ["a", "c"]])["reordered"] == ["a"]
    assert played(*THREE, plan=[["c"], ["b"], ["a"]])["reordered"] == ["a", "b"]


def test_a_message_behind_a_newer_one_in_its_batch_is_reordered() -> None:
    assert played(*THREE, plan=[["a", "c", "b"]])["reordered"] == ["b"]


class Refusing(Scripted):
    """A system that refuses the first delivery of `a`, after it stored the message if `stores`."""

    name = "refusing"
    stores = False

    async def webhook(self, arrival: Arrival) -> None:
        if arrival.id == "a" and arrival.at_ms == self.world.now_ms():
            if self.stores:
                self.world.ledger.stored(USER, "a")
            raise WebhookFailedError("unavailable")
        await super().webhook(arrival)


@pytest.mark.parametrize(("stores", "reordered"), [(False, []), (True, ["a"])])
def test_a_refused_message_arrives_when_it_comes_again(stores: bool, reordered: list[str]) -> None:
    system = type("Planned", (Refusing,), {"plan": [["b", "c"], ["a"]], "stores": stores})
    run = replay(recording(*THREE), system, SimSettings(redis_latency="constant:10ms", webhook_delay_ms=0))
    assert (run["answered"], run["reordered"]) == (3, reordered)


def test_inside_a_batch_the_providers_time_decides_and_arrival_where_it_is_equal() -> None:
    late = (arrival(0, "a", timestamp_ms=900), arrival(100, "b", timestamp_ms=500))
    assert played(*late, plan=[["b", "a"]])["reordered"] == []
    assert played(*late, plan=[["a", "b"]])["reordered"] == ["b"]
    equal = (arrival(0, "a", timestamp_ms=500), arrival(100, "b", timestamp_ms=500))
    assert played(*equal, plan=[["b", "a"]])["reordered"] == ["a"]


def test_a_second_answer_out_of_order_is_not_counted_again() -> None:
    run = played(*THREE, plan=[["a"], ["b"], ["c"], ["a"]])
    assert (run["duplicated"], run["reordered"]) == (["a"], [])


def test_an_id_that_two_users_share_is_shown_with_its_conversation() -> None:
    run = played(arrival(0, "a"), arrival(0, "a", phone="2"), plan=[])
    assert run["lost"] == ["bot/1/a", "bot/2/a"]


def test_an_id_that_nobody_sent_fails_the_run() -> None:
    with pytest.raises(LedgerError, match="nobody ever sent"):
        played(*THREE, plan=[["ghost"]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], (None, None, None)), ([7], (7, 7, 7)), (range(1, 101), (50, 95, 100)), ([3, 1, 2], (2, 3, 3))],
)
def test_quantiles_are_nearest_ranks(values: list[int], expected: tuple[int | None, ...]) -> None:
    result = quantiles(values)
    assert (result["p50"], result["p95"], result["max"]) == expected


def test_a_dropped_answer_is_that_of_the_batch_with_exactly_these_messages() -> None:
    """The next attempt may have the turn before the worker whose answer was dropped learns of it."""
    ledger = Ledger(lambda: 50)
    for each in THREE:
        ledger.sent(each)
    first = ledger.claimed(USER, ["a", "b"], "window")
    second = ledger.claimed(USER, ["a", "b", "c"], "window")
    ledger.superseded(USER, ["a", "b"])
    assert (first.superseded_at_ms, second.superseded_at_ms) == (50, None)
