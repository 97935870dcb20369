"""list-v1 and list-v2, step by step as in the bot's source. The scheduler ticks at 0, 3000, 6000 ms, ..."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sim.engine.rest import RestRedis
from sim.engine.settings import SimSettings
from sim.faults import parse_faults
from sim.replay import replay
from sim.systems import System, all_systems
from sim.systems._list import ListSystem
from tests.sim.engine.wire import Wire, events, listen_to_ai
from tests.sim.systems.races import (
    LIST_EXPIRED,
    LIST_V1,
    LIST_V2,
    Race,
    play,
    recording_of,
    said,
)

LISTS = pytest.mark.parametrize("system", [LIST_V1, LIST_V2])
KEY = "msg_queue:bot:1"
LOCK = "processing_lock:bot:1"
ADD = f"LPUSH {KEY}; EXPIRE {KEY} 3600; SADD active_queues {KEY}"
HALF_AN_HOUR_MS = 1_800_000


def race(*messages: tuple[int, str], **options: Any) -> Race:
    """Make a conversation, by default with a round trip of 100 ms and an AI that takes 7 s."""
    return Race(name="a conversation", arrivals=said(*messages), loses={}, **options)


CRASH_IN_THE_FIRST_AI_CALL = parse_faults(["worker-dies@10600ms"], "sim")


@pytest.mark.parametrize(
    ("system", "second_read"), [(LIST_V1, []), (LIST_V2, [f"LRANGE {KEY} 0 -1"])], ids=[LIST_V1, LIST_V2]
)
def test_the_calls_of_one_message_from_the_webhook_to_the_unlock(system: str, second_read: list[str]) -> None:
    wire = Wire()
    play(race((500, "m1"), ai=("1s",)), system, wire.tap)
    read = ["SMEMBERS active_queues", f"SET {LOCK} {{}} NX EX 60", f"LRANGE {KEY} 0 -1"]
    unlock = [f"GET {LOCK}", f"DEL {LOCK}"]
    mark = [*second_read, f"DEL {KEY}; LPUSH {KEY}; EXPIRE {KEY} 3600"]
    complete = [f"LRANGE {KEY} 0 -1", f"DEL {KEY}; SREM active_queues {KEY}"]

    def numbered(number: int) -> list[str]:
        return [command.format(number) for command in read]

    not_ready = [*numbered(1), *unlock, *numbered(2), *unlock]
    assert wire.commands() == [ADD, *not_ready, *numbered(3), *mark, *complete, *unlock]


@LISTS
def test_nobody_polls_redis_while_no_list_is_active(system: str) -> None:
    wire = Wire()
    play(race((600_500, "m1"), ai=("1s",)), system, wire.tap)
    assert wire.calls[0] == (600_500, ADD)


@LISTS
def test_the_scheduler_sleeps_through_days_without_messages(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks, 29,000 a day, made a recording of some years seem to hang."""
    looks: list[str] = []
    peek = RestRedis.peek

    def counted(redis: RestRedis, *command: str | int) -> Any:
        looks.append(str(command[0]))
        return peek(redis, *command)

    monkeypatch.setattr(RestRedis, "peek", counted)
    ten_days_ms = 864_000_000
    _, second = play(race((500, "m1"), (ten_days_ms + 1350, "m2")), system)["batches"]
    assert second["claimed_at_ms"] == ten_days_ms + 9350
    assert looks.count("SCARD") < 50


@LISTS
def test_the_window_is_8_s_from_the_oldest_message(system: str) -> None:
    """Ages are measured 350 ms after a tick. After the tick at 9000, m1 is 8000 ms old, or 1 ms too young."""
    for at_ms, claimed_at_ms in ((1350, 9350), (1351, 12350)):
        (batch,) = play(race((at_ms, "m1")), system)["batches"]
        assert batch["trigger"] == "window"
        assert batch["due_at_ms"] == at_ms + 8000
        assert batch["claimed_at_ms"] == claimed_at_ms


@LISTS
def test_five_messages_are_ready_at_once(system: str) -> None:
    run = play(race(*((500 + number, f"m{number}") for number in range(5))), system)
    assert [(batch["trigger"], batch["due_at_ms"], batch["claimed_at_ms"]) for batch in run["batches"]] == [
        ("size", 504, 3350)
    ]


@pytest.mark.parametrize(("system", "sizes"), [(LIST_V1, [12]), (LIST_V2, [10, 2])])
def test_only_v2_limits_a_batch_to_ten(system: str, sizes: list[int]) -> None:
    run = play(race(*((500 + number, f"m{number:02}") for number in range(12))), system)
    assert [len(batch["ids"]) for batch in run["batches"]] == sizes
    assert run["batches"][-1]["claimed_at_ms"] < 16_000, "the rest is still pending, not `processing`"
    assert run["lost"] == []
    assert run["reordered"] == []


@LISTS
def test_the_ai_gets_the_messages_in_their_order_joined_by_one_space(system: str) -> None:
    texts: list[str] = []
    play(race((500, "m1"), (600, "m2"), (700, "m3")), system, lambda system: listen_to_ai(system, texts))
    assert texts == ["text of m1 text of m2 text of m3"]


@LISTS
def test_each_rewrite_reverses_the_list(system: str) -> None:
    """m2 and m3 are newest first, then oldest first (m1 was marked as completed), then newest first again."""
    orders: list[list[str]] = []

    def watch(system: System) -> None:
        assert isinstance(system, ListSystem)

        def note(key: str, before: Any, after: Any, client: object) -> None:
            if key == KEY:
                orders.append([json.loads(value)["id"] for value in after or ()])

        system.redis.watch(note)

    play(race((500, "m1"), (12000, "m2"), (13000, "m3")), system, watch)
    assert orders == [["m1"], ["m1"], ["m2", "m1"], ["m3", "m2", "m1"], ["m2", "m3"], ["m3", "m2"], []]


@LISTS
def test_passes_overlap_and_meet_on_the_lock(system: str) -> None:
    run = play(race((500, "m1"), latency="10ms"), system)
    assert [line["at_ms"] for line in events(run, "list.locked")] == [12025, 15025]


@LISTS
def test_a_message_during_the_ai_call_waits_for_its_own_window(system: str) -> None:
    run = play(race((500, "m1"), (12000, "m2"), latency="10ms"), system)
    assert [(batch["ids"], batch["due_at_ms"], batch["claimed_at_ms"]) for batch in run["batches"]] == [
        (["m1"], 8500, 9035),
        (["m2"], 20000, 21035),
    ]


@LISTS
def test_an_expired_lock_is_not_deleted_by_its_former_owner(system: str) -> None:
    """The first processor finishes at 79 s; until 132 s the second processor holds the lock."""
    wire = Wire()
    run = play(race((500, "m1"), (20000, "m2"), ai=("70s", "70s"), latency="10ms"), system, wire.tap)
    starts = [batch["claimed_at_ms"] for batch in run["batches"]]
    ends = [batch["replied_at_ms"] for batch in run["batches"]]
    assert starts == [9035, 72035], "the second starts when the lock of 60 s has run out"
    assert ends[0] is not None
    assert starts[1] < ends[0], "two AI calls for one user at once"
    assert not [at_ms for at_ms in wire.times_ms(f"DEL {LOCK}") if 75_000 < at_ms < 132_000]
    assert run["lost"] == []


@LISTS
def test_a_crash_leaves_messages_processing_until_the_monitor_frees_them_after_30_minutes(
    system: str,
) -> None:
    run = play(race((500, "m1"), faults=CRASH_IN_THE_FIRST_AI_CALL), system)
    first, second = run["batches"]
    assert (first["ids"], first["replied_at_ms"]) == (["m1"], None)
    assert HALF_AN_HOUR_MS < second["claimed_at_ms"] - first["claimed_at_ms"] < HALF_AN_HOUR_MS + 70_000
    assert run["answered"] == 1
    steps = [line["step"] for line in events(run, "list.rewritten")]
    assert steps == [
        "mark as processing",
        "recovery by the monitor",
        "mark as processing",
        "mark as completed",
    ]


def test_after_a_crash_v1_drops_the_messages_when_the_user_writes_again() -> None:
    run = play(race((500, "m1"), (20000, "m2"), faults=CRASH_IN_THE_FIRST_AI_CALL), LIST_V1)
    assert run["lost"] == ["m1"]
    assert run["causes"]["m1"] == {"code": "dropped_after_crash", "at_ms": 72_000, "step": "mark_processing"}
    assert run["batches"][1]["claimed_at_ms"] == 71_950, "the dead processor's lock holds for 60 s"


def test_after_a_crash_v2_keeps_the_messages_and_answers_them_half_an_hour_late() -> None:
    run = play(race((500, "m1"), (20000, "m2"), faults=CRASH_IN_THE_FIRST_AI_CALL), LIST_V2)
    assert run["lost"] == []
    assert run["reordered"] == ["m1"]


@LISTS
def test_a_list_that_nobody_writes_for_an_hour_is_deleted(system: str) -> None:
    run = play(race((0, "m1"), (3_000_000, "m2"), rates={"http-fails": 1.0}), system)
    assert run["lost"] == ["m1", "m2"]
    assert {cause["code"] for cause in run["causes"].values()} == {LIST_EXPIRED}
    assert run["came_to_rest"]
    late = run["ledger"][1]["story"][-1]
    assert late["at_ms"] // 1000 == 6600, "an hour after the last write, which was m2's"


@LISTS
def test_a_colon_in_the_instance_name_hides_the_list_from_the_scheduler(system: str) -> None:
    hidden = Race(name="colon", arrivals=said((0, "m1"), instance="bot:eu"), loses={})
    run = play(hidden, system)
    assert run["batches"] == []
    assert run["causes"]["m1"]["code"] == "list_hidden"


@LISTS
def test_when_redis_fails_the_webhook_answers_by_itself(system: str) -> None:
    run = play(race((500, "m1"), ai=("1s",)), system, refuse_the_first_write)
    assert [(batch["trigger"], batch["replied_at_ms"]) for batch in run["batches"]] == [("direct", 1550)]
    assert run["answered"] == 1


@LISTS
def test_when_redis_and_the_ai_fail_the_message_is_lost(system: str) -> None:
    run = play(race((500, "m1"), strikes={"ai-fails": (True,)}), system, refuse_the_first_write)
    assert run["causes"]["m1"]["code"] == "direct_failed"


def refuse_the_first_write(system: System) -> None:
    """Make the push of the first message fail, as if Redis could not be reached."""
    assert isinstance(system, ListSystem)
    multi: Callable[..., Any] = system.redis.multi
    calls = iter(range(1_000_000))

    async def refused(*commands: tuple[str | int, ...]) -> list[Any]:
        if next(calls) == 0:
            raise RedisConnectionError("connection refused")
        return list(await multi(*commands))

    system.redis.multi = refused  # type: ignore[method-assign]


@LISTS
def test_a_second_delivery_is_another_entry(system: str) -> None:
    run = play(race((500, "m1"), (600, "m1")), system)
    assert [batch["ids"] for batch in run["batches"]] == [["m1", "m1"]]
    assert run["duplicated"] == ["m1"]


@LISTS
def test_a_second_delivery_during_the_ai_call_is_answered_again(system: str) -> None:
    run = play(race((500, "m1"), (12000, "m1")), system)
    assert [batch["ids"] for batch in run["batches"]] == [["m1"], ["m1"]]
    assert run["duplicated"] == ["m1"]


@LISTS
def test_a_pass_walks_the_lists_in_a_fixed_order(system: str) -> None:
    """Redis does not order the members of a set, and a run must not depend on their order."""
    users = [said((500, f"m{phone}"), phone=str(phone)) for phone in (3, 8, 1, 6, 4, 2, 7, 5)]
    arrivals = tuple(arrival for user in users for arrival in user)
    run = play(Race(name="order", arrivals=arrivals, loses={}, ai=("0.1s",), latency="10ms"), system)
    assert [batch["phone"] for batch in run["batches"]] == list("12345678")


@LISTS
def test_the_schedulers_first_tick_is_left_to_chance(system: str) -> None:
    recording = recording_of("chance", said((0, "m1")))
    claimed = [
        replay(recording, all_systems()[system], SimSettings(seed=seed))["batches"][0]["claimed_at_ms"]
        for seed in range(20)
    ]
    assert min(claimed) >= 8000
    assert max(claimed) < 11_100
    assert max(claimed) - min(claimed) > 1500


@LISTS
def test_the_same_run_twice_is_the_same(system: str) -> None:
    users = (
        said(*((500 * number, f"m{number}") for number in range(8)), phone=str(user)) for user in range(5)
    )
    recording = recording_of("twice", (arrival for user in users for arrival in user))
    settings = SimSettings(faults=parse_faults(["http-fails=0.3,ai-fails=0.3"], "sim"))
    runs = [replay(recording, all_systems()[system], settings) for _ in range(2)]
    assert runs[0] == runs[1]
    assert any(fault["struck"] for fault in runs[0]["faults"])
