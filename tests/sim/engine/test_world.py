"""A simulated world: the AI's times, equal in any system and order of calls; and the memory it takes."""

from __future__ import annotations

import statistics
import tracemalloc
from collections.abc import Callable, Iterable

from queue_core.recording.format import Arrival, Recording
from sim.engine.ledger import Conversation, Ledger
from sim.engine.loop import SimLoop, run
from sim.engine.settings import SimSettings
from sim.engine.world import World

USERS = [Conversation("bot", str(number)) for number in range(2_000)]


def in_world(ask: Callable[[World], object], system: str = "queue") -> None:
    async def main(loop: SimLoop) -> None:
        recording = Recording(name="r", arrivals=())
        world = World(
            loop, recording=recording, system=system, settings=SimSettings(ai="lognormal:4s:8s"), seed=1
        )
        ask(world)

    run(main)


def times(calls: Iterable[Conversation], system: str = "queue") -> dict[Conversation, list[float]]:
    """Return the AI's times of each conversation, asked in this order."""
    drawn: dict[Conversation, list[float]] = {}

    def ask(world: World) -> None:
        for conversation in calls:
            drawn.setdefault(conversation, []).append(world.ai.next_service_ms(conversation, ["m"]))

    in_world(ask, system)
    return drawn


def test_the_nth_call_of_a_conversation_takes_equally_long_in_any_order_and_system() -> None:
    a, b = USERS[:2]
    assert times([a, b, a, b, a]) == times([b, b, a, a, a], system="list-v1")


def test_calls_of_many_conversations_and_of_one_have_the_distribution_of_the_setting() -> None:
    of_all = [drawn for (drawn,) in times(USERS).values()]
    (of_one,) = times(USERS[:1] * len(USERS)).values()
    for drawn in (of_all, of_one):
        assert len(set(drawn)) > 0.99 * len(USERS)
        median, p95 = statistics.median(drawn), statistics.quantiles(drawn, n=20)[-1]
        assert 3_800 < median < 4_200
        assert 7_400 < p95 < 8_600


def test_a_conversation_costs_few_bytes() -> None:
    def ask(world: World) -> None:
        tracemalloc.start()
        for conversation in USERS:
            world.ai.next_service_ms(conversation, ["m"])
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert taken < 200 * len(USERS)

    in_world(ask)


def test_equal_conversations_ids_and_times_are_kept_once() -> None:
    def conversation() -> Conversation:
        return Conversation("bot", "1")

    ledger = Ledger(lambda: 0)
    for number in range(2):
        ledger.sent(Arrival(1, "bot", "1", f"m{number}", "x", "text", 1))
    ledger.claimed(conversation(), ["m0", "m1"], "window")
    ledger.answered(conversation(), ["m0", "m1"])
    (batch,), (reply,), entries = ledger.batches, ledger.replies, list(ledger.entries())
    assert reply.ids is batch.ids
    kept = [batch.conversation, reply.conversation, *(entry.conversation for entry in entries)]
    assert len({id(each) for each in kept}) == 1

    def ask(world: World) -> None:
        world.env._now = 123_456.4
        assert world.now_ms() == 123_456
        assert world.now_ms() is world.now_ms()

    in_world(ask)
