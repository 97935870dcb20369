"""Workers that share a partition, in simulated time: one claims, the others look, and one that fails delays little."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from queue_core import Batch, MessageQueue, Processor, QueueMessage, QueueSettings, QueueUnavailableError
from queue_core.queue import watch as watching
from queue_core.queue.watch import RANK_MAX, SLICE_MS, STEP_S, Watch
from sim.engine.loop import SimLoop, run
from sim.engine.store.server import StoreServer
from tests.queue_core.queue.processing.test_idle import store_on

WINDOW_S = 1.0
TRIPS_S = 0.02
"""Time for the round trips of a ring, a look and a claim, of 1 ms each."""


class Workers:
    """Workers on one store, and what they did."""

    def __init__(
        self, server: StoreServer, count: int, *, handle_s: float = 0.0, concurrency: int = 50
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.late_s: list[float] = []
        self.over = asyncio.Event()
        self._handle_s = handle_s
        self._server = server
        settings = QueueSettings(window_ms=int(WINDOW_S * 1000))
        self.web = MessageQueue(server.client("web"), settings)
        self.queues = [MessageQueue(server.client(f"w{number}"), settings) for number in range(count)]
        self.processors = [
            Processor(queue, self._handle, processor_id=f"w{number}", concurrency=concurrency)
            for number, queue in enumerate(self.queues)
        ]
        for queue in self.queues:
            for name in ("claim", "look"):
                setattr(queue, name, self._counted(name, getattr(queue, name)))

    def _counted(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*args: Any, **options: Any) -> Any:
            self.calls[name] += 1
            return await call(*args, **options)

        return counted

    async def _handle(self, batch: Batch) -> None:
        self.answered[batch.processor_id] += 1
        self.late_s.append((batch.claimed_at_ms - batch.messages[0].added_at) / 1000 - WINDOW_S)
        await asyncio.sleep(self._handle_s)

    async def start(self, loop: SimLoop) -> None:
        self.running = [loop.create_task(processor.run()) for processor in self.processors]
        await asyncio.sleep(1)
        self.calls.clear()

    def freeze(self, number: int) -> None:
        """Let a worker hear all rings, and never claim or look again, as if it had died at that moment."""

        async def nothing(*args: Any, **options: Any) -> Any:
            await self.over.wait()
            raise QueueUnavailableError("frozen to the end")

        vars(self.queues[number]).update(claim=nothing, look=nothing)

    async def message(self, number: int) -> None:
        await self.web.enqueue(
            QueueMessage(id=f"m{number}", instance_name="bot", user_phone=str(number), message="hi")
        )

    async def messages(self, count: int, *, every_s: float = 2.013) -> None:
        for number in range(count):
            await self.message(number)
            await asyncio.sleep(every_s)

    async def stop(self) -> None:
        self.over.set()
        for task in self.running:
            task.cancel()
        await asyncio.wait(self.running)


def with_workers(count: int, scenario: Callable[[Workers], Awaitable[None]], **options: Any) -> Workers:
    """Run a scenario with workers that have started."""
    kept: list[Workers] = []

    async def main(loop: SimLoop) -> None:
        workers = Workers(store_on(loop), count, **options)
        kept.append(workers)
        await workers.start(loop)
        await scenario(workers)
        await workers.stop()

    run(main)
    return kept[0]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_a_message_costs_one_claim_however_many_workers_there_are(count: int) -> None:
    messages = 40

    async def scenario(workers: Workers) -> None:
        await workers.messages(messages)

    workers = with_workers(count, scenario)
    assert workers.answered.total() == messages
    assert workers.calls["claim"] == messages
    assert workers.calls["look"] <= (count - 1) * messages
    assert max(workers.late_s) < TRIPS_S
    assert len(workers.answered) == count, "every worker gets work"
    assert max(workers.answered.values()) <= messages / count * 2.5


@pytest.mark.parametrize("dead", [1, 3, 7])
def test_a_worker_that_does_not_live_to_claim_delays_by_a_step(dead: int) -> None:
    async def scenario(workers: Workers) -> None:
        for number in range(dead):
            workers.freeze(number)
        await workers.messages(20)

    workers = with_workers(dead + 1, scenario)
    assert workers.answered == {f"w{dead}": 20}
    assert max(workers.late_s) <= min(dead, RANK_MAX) * STEP_S + TRIPS_S
    assert sum(late_s > TRIPS_S for late_s in workers.late_s) <= dead, "each is left out after the first time"


def test_a_worker_that_was_only_slow_enters_again() -> None:
    async def scenario(workers: Workers) -> None:
        claim = workers.queues[0].claim
        workers.freeze(0)
        await workers.messages(5)
        assert workers.answered["w0"] == 0
        vars(workers.queues[0])["claim"] = claim
        vars(workers.queues[0])["look"] = workers.queues[1].look
        workers.running[0].cancel()
        workers.running[0] = asyncio.ensure_future(
            Processor(workers.queues[0], workers._handle, processor_id="w0").run()
        )
        await workers.messages(20)

    workers = with_workers(2, scenario)
    assert workers.answered["w0"] >= 5
    assert workers.answered.total() == 20


def test_a_worker_without_a_free_slot_lets_others_claim() -> None:
    async def scenario(workers: Workers) -> None:
        await workers.messages(6, every_s=0.5)
        await asyncio.sleep(5)

    workers = with_workers(3, scenario, handle_s=1_000.0, concurrency=2)
    assert workers.answered == {"w0": 2, "w1": 2, "w2": 2}
    assert max(workers.late_s) <= 2 * STEP_S + TRIPS_S


def test_a_lease_of_a_dead_worker_is_taken_over_when_it_ends() -> None:
    """The worker that takes it over knows of it only by the ring."""
    lease_s = QueueSettings().lock_ttl_ms / 1000

    async def scenario(workers: Workers) -> None:
        await workers.message(0)
        await asyncio.sleep(WINDOW_S + 0.1)
        (holder,) = workers.answered
        workers.freeze(int(holder[1:]))
        for task in asyncio.all_tasks():
            if task.get_name() == "queue-renew-leases":
                task.cancel()
        await asyncio.sleep(lease_s + 3)
        assert len(workers.answered) == 2

    workers = with_workers(2, scenario, handle_s=1_000.0)
    assert max(workers.late_s) <= lease_s + 2.0


def ranks_are_not_used(patch: pytest.MonkeyPatch) -> None:
    """Never look while another worker comes first."""
    patch.setattr(Watch, "_delay_s", lambda self: math.inf if self.ahead() else 0.0)


def looks_are_believed_blindly(patch: pytest.MonkeyPatch) -> None:
    """Never claim after a look."""
    note = Watch.note

    def note_later(self: Watch, now_ms: int, due_ms: int | None, *known: Any, **more: Any) -> None:
        note(self, now_ms, due_ms if due_ms and due_ms > now_ms else None, *known, **more)

    patch.setattr(Watch, "note", note_later)


def rings_are_for_one(patch: pytest.MonkeyPatch) -> None:
    """Let only w0 note a ring for a later time."""
    ring = Watch.ring

    def ring_once(self: Watch, wait_ms: float = 0.0) -> None:
        if wait_ms <= 0 or self._name == "w0":
            ring(self, wait_ms)

    patch.setattr(Watch, "ring", ring_once)


@pytest.mark.parametrize("bug", [ranks_are_not_used, looks_are_believed_blindly, rings_are_for_one])
def test_a_planted_bug_lets_messages_wait(
    bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    with pytest.raises(AssertionError):
        test_a_worker_that_does_not_live_to_claim_delays_by_a_step(1)


def test_a_ring_is_followed_by_a_look_before_leases_can_end() -> None:
    """Of several rings in a row only the last may be heard."""

    async def main(loop: SimLoop) -> None:
        watch = Watch("w0", look_again_s=10.0)
        watch.begin()
        watch.note(0, None, ("w0",))
        watch.ring(200_000)
        await watch.until_due()
        assert loop.time() == pytest.approx(10.0)
        assert not watch.is_due()

    run(main)


def test_a_ring_during_a_claim_is_not_forgotten_by_its_answer() -> None:
    async def main(loop: SimLoop) -> None:
        watch = Watch("w0")
        watch.begin()
        watch.ring(5)
        watch.note(0, 60_000, ("w0",))
        await watch.until_due()
        assert loop.time() == pytest.approx(0.005)

    run(main)


def test_claims_gather_what_comes_soon_after_a_claim_that_leased_something() -> None:
    async def main(loop: SimLoop) -> None:
        watch = Watch("w0")
        watch.begin()
        watch.note(0, None, ("w0",), has_leased=True)
        watch.ring()
        await watch.until_due()
        assert loop.time() == pytest.approx(watching.GATHER_S)

    run(main)


async def test_a_ring_of_what_is_due_now_ends_the_wait_without_a_timer() -> None:
    watch = Watch("w")
    watch.begin()
    waiting = asyncio.create_task(watch.until_due())
    await asyncio.sleep(0)
    watch.ring(50_000)
    await asyncio.sleep(0)
    assert not waiting.done()
    watch.ring()
    await asyncio.sleep(0)
    assert waiting.done()


def test_the_first_rank_goes_round() -> None:
    async def main(loop: SimLoop) -> None:
        first = Counter[str]()
        for slice_number in range(6):
            for name in ("a", "b", "c"):
                watch = Watch(name)
                watch.begin()
                watch.note(slice_number * SLICE_MS, None, ("a", "b", "c"))
                watch.ring()
                first[name] += not watch.ahead()
        assert first == {"a": 2, "b": 2, "c": 2}

    run(main)
