"""Nothing ticks in a process that has nothing to do. The event loop is the simulator's, which shows its timers."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from queue_core import (
    Batch,
    Intake,
    MessageQueue,
    Processor,
    QueueMessage,
    QueueSettings,
    QueueUnavailableError,
)
from queue_core.queue.processing import doorbell
from queue_core.queue.processing.attempt import Attempt
from queue_core.queue.processing.renewals import Renewals
from sim.engine.distributions import parse_distribution
from sim.engine.loop import SimLoop, run
from sim.engine.store.server import StoreServer


def timers(loop: SimLoop) -> int:
    return loop.waiting_timers()


def store_on(loop: SimLoop) -> StoreServer:
    return StoreServer(
        loop,
        clock_us=lambda: 1_790_000_000_000_000 + round(loop.env.now * 1000),
        latency=parse_distribution("constant:1ms"),
        stream=Random,
    )


async def let_tasks_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_leases_are_renewed_only_while_something_is_in_progress() -> None:
    renewed: list[Any] = []

    class Queue:
        class settings:  # noqa: N801 - the attribute of a queue
            lock_renew_ms = 5_000

        async def extend(self, batch: Batch) -> None:
            renewed.append(batch)

    async def main(loop: SimLoop) -> None:
        renewals = Renewals(cast(MessageQueue, Queue()))
        in_progress: dict[Attempt, asyncio.Task[Any]] = {}
        keeping = loop.create_task(renewals.keep(in_progress))
        await let_tasks_run()
        assert timers(loop) == 0
        attempt = Attempt(cast(Batch, "the batch"), 0.0)
        in_progress[attempt] = keeping
        renewals.begun.set()
        await asyncio.sleep(12)
        assert renewed == ["the batch"] * 2
        del in_progress[attempt]
        await asyncio.sleep(5)
        assert timers(loop) == 0
        keeping.cancel()

    run(main)


def test_each_lease_is_renewed_in_its_own_time_and_near_ones_together() -> None:
    """A turn that takes less than `lock_renew_ms` costs no renewal, whenever the others began."""
    renewed: list[tuple[float, str]] = []

    async def main(loop: SimLoop) -> None:
        class Queue:
            class settings:  # noqa: N801 - the attribute of a queue
                lock_renew_ms = 5_000

            async def extend(self, batch: Batch) -> None:
                renewed.append((loop.time(), cast(str, batch)))

        renewals = Renewals(cast(MessageQueue, Queue()))
        in_progress: dict[Attempt, asyncio.Task[Any]] = {}
        keeping = loop.create_task(renewals.keep(in_progress))
        turns = [("long", 0.0, 12.0), ("near", 1.0, 8.0), ("short", 2.0, 6.0), ("later", 7.0, 13.0)]

        async def turn(name: str, begin_s: float, end_s: float) -> None:
            await asyncio.sleep(begin_s)
            attempt = Attempt(cast(Batch, name), 0.0, held_since_s=loop.time())
            in_progress[attempt] = keeping
            renewals.begun.set()
            await asyncio.sleep(end_s - begin_s)
            del in_progress[attempt]

        await asyncio.gather(*(turn(*each) for each in turns))
        keeping.cancel()

    run(main)
    assert renewed == [(5.0, "long"), (5.0, "near"), (10.0, "long"), (12.0, "later")]


def test_redis_is_asked_again_only_while_something_waits_to_be_settled() -> None:
    async def handle(batch: Batch) -> str:
        return "reply"

    async def send(batch: Batch, reply: str) -> None:
        pass

    async def main(loop: SimLoop) -> None:
        server = store_on(loop)
        intake = Intake(MessageQueue(server.client("web", socket_timeout=5)), handle, send)
        settling = loop.create_task(intake.settle_when_back())
        await let_tasks_run()
        assert timers(loop) == 0
        server.begin_outage("away")
        message = QueueMessage(id="m1", instance_name="bot", user_phone="1", message="hi")
        assert await intake.receive(message) == "answered"
        with pytest.raises(QueueUnavailableError):
            await intake.settle()
        assert intake.unsettled == 1
        server.end_outage()
        await asyncio.sleep(2)
        assert intake.unsettled == 0
        assert timers(loop) == 0
        settling.cancel()

    run(main)


@pytest.mark.parametrize("partitions", [1, 64])
def test_an_idle_hour_costs_a_few_commands_whatever_the_number_of_partitions(partitions: int) -> None:
    async def main(loop: SimLoop) -> Counter[str]:
        server, commands = store_on(loop), Counter[str]()
        execute = server.store.execute

        def counted(command: tuple[Any, ...]) -> Any:
            commands[command[0]] += 1
            return execute(command)

        server.store.execute = counted  # type: ignore[assignment, method-assign]
        settings = QueueSettings(partitions=partitions)
        queue = MessageQueue(server.client("worker", socket_timeout=5), settings)

        async def handle(batch: Batch) -> None:
            pass

        working = loop.create_task(Processor(queue, handle).run())
        for number in range(3):  # what happens leaves nothing behind that ticks
            await queue.enqueue(
                QueueMessage(id=f"m{number}", instance_name="bot", user_phone=str(number), message="hi")
            )
        await asyncio.sleep(60)
        assert await queue.depth() == 0
        commands.clear()
        await asyncio.sleep(3600)
        working.cancel()
        await asyncio.wait([working])
        return commands

    commands = run(main)
    assert set(commands) == {"XREAD", "XREVRANGE"}
    assert commands.total() <= 4 * 60


@pytest.mark.soak
@pytest.mark.parametrize("partitions", [1, 64])
async def test_an_idle_hour_on_a_real_server(
    real_redis: Redis, partitions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour a hundred times as fast: the blocking read is the only thing that ticks."""
    monkeypatch.setattr(doorbell, "BLOCK_MS", doorbell.BLOCK_MS // 100)

    async def handle(batch: Batch) -> None:
        pass

    queue = MessageQueue(real_redis, QueueSettings(partitions=partitions))
    working = asyncio.create_task(Processor(queue, handle).run())
    await asyncio.sleep(2)
    await real_redis.config_resetstat()
    await asyncio.sleep(36)
    stats = await real_redis.info("commandstats")
    working.cancel()
    await asyncio.wait([working])
    calls = {
        name: known["calls"] for name, known in stats.items() if "config" not in name and "info" not in name
    }
    assert sum(calls.values()) < 250, calls
