"""Processes are killed, frozen and stopped at every step of a turn: nothing is lost, little is sent twice."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from queue_core import MessageQueue, QueueSettings, connect
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import at_rest
from tests.queue_core.server.deployment import QUICK, running
from tests.queue_core.server.outside import Gate, Outside, evolution, outside

WORKER_READY = "worker started"


def environment(world: Outside, redis_server: EmbeddedRedis, **changes: str) -> dict[str, str]:
    return {**QUICK, **world.environment(), "REDIS_URL": redis_server.url, **changes}


async def check_nothing_is_left(redis_server: EmbeddedRedis) -> None:
    """Wait until the queue is empty, and assert that no message was given up."""
    async with connect(redis_server.url) as client:
        queue = MessageQueue(client, QueueSettings())
        await at_rest(queue)
        assert await queue.dead_letters() == []


def gate_of(world: Outside, stage: str) -> Gate:
    return {"ai": world.before_ai, "send": world.before_send, "sent": world.after_send}[stage]


@pytest.mark.parametrize(
    ("stage", "how"),
    [
        ("ai", signal.SIGKILL),
        ("send", signal.SIGSTOP),
        ("sent", signal.SIGKILL),
        pytest.param("ai", signal.SIGSTOP, marks=pytest.mark.soak),
        pytest.param("send", signal.SIGKILL, marks=pytest.mark.soak),
        pytest.param("sent", signal.SIGSTOP, marks=pytest.mark.soak),
    ],
)
async def test_a_worker_dies_or_freezes_in_the_middle_of_a_turn(
    redis_server: EmbeddedRedis, tmp_path: Path, stage: str, how: signal.Signals
) -> None:
    """While the AI works, before the send, after it: another worker takes over when the lease runs out.

    A recorded reply is not asked for again. Only a reply that was being sent may reach the user twice. A frozen worker
    that wakes up changes nothing.
    """
    async with outside() as world:
        settings = environment(world, redis_server)
        gate = gate_of(world, stage)
        async with (
            running("web", environment=settings, folder=tmp_path) as web,
            running("worker", environment=settings, folder=tmp_path, ready=WORKER_READY) as first,
        ):
            gate.shut()
            for message_id in ("m1", "m2"):
                assert (await web.post("/webhook/evolution", evolution(message_id)))[0] == 200
            await gate.wait_for_request()
            first.signal(how)
            if how == signal.SIGKILL:
                await first.wait_for_exit()
            gate.open()
            async with running("worker", environment=settings, folder=tmp_path, ready=WORKER_READY) as second:
                await second.wait_for_event("turn completed")
                assert len(world.asked) == (2 if stage == "ai" else 1)
                if how == signal.SIGSTOP:
                    first.signal(signal.SIGCONT)
                    await first.wait_for_event("turn")
                await web.post("/webhook/evolution", evolution("m3"))
                await world.wait_until_sent(["m1", "m2", "m3"])
                await check_nothing_is_left(redis_server)
        may_repeat = ["m1", "m2"] if stage != "ai" else []
        world.check_answered_once(["m1", "m2", "m3"], may_repeat=may_repeat)


async def test_the_webhook_dies_between_storing_and_answering(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """The provider saw no 2xx and delivers again, to another process: one turn, one reply."""
    async with outside() as world:
        settings = environment(world, redis_server, QUEUE_WINDOW_MS="3000")
        async with running("web", environment=settings, folder=tmp_path) as first:
            await first.post("/webhook/evolution", evolution("m1"))
            first.signal(signal.SIGKILL)
        async with running("serve", environment=settings, folder=tmp_path) as second:
            assert await second.post("/webhook/evolution", evolution("m1")) == (200, {"duplicate": 1})
            await world.wait_until_sent(["m1"])
        world.check_answered_once(["m1"])


async def test_a_rolling_restart_under_load(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """40 users write while both processes are replaced, old and new side by side: all is answered, nothing twice."""
    async with outside() as world:
        settings = environment(world, redis_server)
        acknowledged: list[str] = []
        async with (
            running("serve", environment=settings, folder=tmp_path) as old,
            running("serve", environment=settings, folder=tmp_path) as new,
        ):

            async def write(user: int) -> None:
                for number in range(3):
                    message_id = f"u{user}-{number}"
                    body = evolution(message_id, phone=f"96650000{user:04}")
                    while True:  # a provider posts again until it gets 200
                        target = new if old_is_leaving.is_set() else old
                        try:
                            status, _ = await target.post("/webhook/evolution", body)
                        except (OSError, aiohttp.ClientError):  # the old process closes its connections
                            continue
                        if status == 200:
                            break
                    acknowledged.append(message_id)
                    if len(acknowledged) == 60:
                        old_is_leaving.set()
                        old.signal(signal.SIGTERM)

            old_is_leaving = asyncio.Event()
            await asyncio.gather(*(write(user) for user in range(40)))
            assert await old.wait_for_exit() == 0
            await world.wait_until_sent(acknowledged)
            await check_nothing_is_left(redis_server)
        assert len(acknowledged) == 120
        world.check_answered_once(acknowledged)


async def test_sigterm_lets_a_turn_finish(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    async with outside() as world:
        settings = environment(world, redis_server)
        async with running("serve", environment=settings, folder=tmp_path) as server:
            world.before_ai.shut()
            await server.post("/webhook/evolution", evolution("m1"))
            await world.before_ai.wait_for_request()
            server.signal(signal.SIGTERM)
            await server.wait_for_event("SIGTERM")
            world.before_ai.open()
            assert await server.wait_for_exit() == 0
        world.check_answered_once(["m1"])
        await check_nothing_is_left(redis_server)


async def test_a_second_sigterm_ends_the_process_at_once(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """The AI never answers and `GRACE_S` is long: the process ends at once, and the next one answers."""
    async with outside() as world:
        settings = environment(world, redis_server, GRACE_S="600")
        async with running("serve", environment=settings, folder=tmp_path) as server:
            world.before_ai.shut()
            await server.post("/webhook/evolution", evolution("m1"))
            await world.before_ai.wait_for_request()
            server.signal(signal.SIGTERM)
            await server.wait_for_event("SIGTERM")
            server.signal(signal.SIGTERM)
            assert await server.wait_for_exit() == 130
        world.before_ai.open()
        async with running("serve", environment=settings, folder=tmp_path):
            await world.wait_until_sent(["m1"])
        world.check_answered_once(["m1"])
