"""Script calls straight to the store: together in a turn of the event loop, repeated once, ended at their deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from queue_core import MessageQueue, QueueMessage, QueueSettings, QueueUnavailableError
from sim.engine.distributions import parse_distribution
from sim.engine.loop import SimLoop, run
from sim.engine.store.request import Request
from sim.engine.store.server import StoreServer

DEADLINE_MS = 1_500


class TimedServer(StoreServer):
    """A server that notes when requests were sent to it."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__(
            loop,
            clock_us=lambda: 1_790_000_000_000_000 + round(loop.env.now * 1000),
            latency=parse_distribution("constant:10ms"),
            stream=Random,
        )
        self.sent_at_s: list[float] = []

    def send(self, request: Request) -> None:
        self.sent_at_s.append(round(self.loop.time(), 3))
        super().send(request)


def with_queue(test: Callable[[TimedServer, MessageQueue], Awaitable[Any]]) -> Any:
    async def main(loop: SimLoop) -> Any:
        server = TimedServer(loop)
        client = server.client("web")
        transport = client.transport(deadline_ms=DEADLINE_MS)
        return await test(server, MessageQueue(client, QueueSettings(), rng=Random(1), transport=transport))

    return run(main)


def message(number: int) -> QueueMessage:
    return QueueMessage(id=f"m{number}", instance_name="bot", user_phone=f"{number}", message="hi")


async def enqueue(queue: MessageQueue, *numbers: int) -> list[str]:
    receipts = await asyncio.gather(*(queue.enqueue(message(number)) for number in numbers))
    return [receipt.status for receipt in receipts]


def test_calls_of_one_turn_share_a_write_and_later_calls_do_not_wait_for_its_answers() -> None:
    async def test(server: TimedServer, queue: MessageQueue) -> None:
        first = asyncio.ensure_future(enqueue(queue, 0, 1, 2))  # takes the script along
        await asyncio.sleep(0.004)
        assert await enqueue(queue, 3, 4) == ["queued", "queued"]
        assert round(server.loop.time(), 3) == 0.014
        assert await first == ["queued"] * 3
        assert server.sent_at_s == [0, 0.004]

    with_queue(test)


def test_a_call_fails_at_its_deadline_and_later_calls_go_on() -> None:
    async def test(server: TimedServer, queue: MessageQueue) -> None:
        await enqueue(queue, 0)
        server.begin_outage("hangs")
        began_s = server.loop.time()
        with pytest.raises(QueueUnavailableError, match="did not answer in time"):
            await enqueue(queue, 1)
        assert server.loop.time() - began_s == pytest.approx(DEADLINE_MS / 1000)
        server.end_outage()
        assert await enqueue(queue, 1, 2) == ["duplicate", "queued"], "what hung was carried out afterwards"

    with_queue(test)


def test_a_broken_connection_is_tried_once_more() -> None:
    async def test(server: TimedServer, queue: MessageQueue) -> None:
        await enqueue(queue, 0)
        server.begin_outage("away")
        with pytest.raises(QueueUnavailableError, match="Connection refused"):
            await enqueue(queue, 1)
        assert server.sent_at_s[1:] == [0.01, 0.05], "two tries to connect"
        repeated = asyncio.ensure_future(enqueue(queue, 2))
        await asyncio.sleep(0.02)
        server.end_outage()
        assert await repeated == ["queued"]

    with_queue(test)


def test_nothing_is_left_to_tick_once_all_calls_are_answered() -> None:
    async def test(server: TimedServer, queue: MessageQueue) -> None:
        await enqueue(queue, 0, 1)
        await asyncio.sleep(DEADLINE_MS / 1000)
        loop = server.loop
        assert isinstance(loop, SimLoop)
        assert loop.waiting_timers() == 0

    with_queue(test)
