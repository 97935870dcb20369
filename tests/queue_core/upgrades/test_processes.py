"""A rolling upgrade and the way back, with processes as an operator starts them, on a Redis full of everything."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from queue_core import MessageQueue, QueueSettings, connect
from queue_core.keys import LAYOUT_KNOWN
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import at_rest
from tests.queue_core.server.deployment import QUICK, Process, running
from tests.queue_core.server.outside import PATIENCE_S, evolution, outside
from tests.queue_core.upgrades.releases import ROOT, Remote
from tests.queue_core.upgrades.states import DEAD, TURNS, WINDOW_MS, answer_one, fill

REMOTE = {"lock_ttl_ms": 1_000, "lock_renew_ms": 200, "redis_deadline_ms": 500, "supersede_ms": 45_000}
REPLIED = ("reply-not-sent", "reply-unsure", "reply-in-parts", "reply-sent")
"""Users whose reply is recorded, so that the AI is not asked."""
NOT_SENT_AGAIN = {"reply-in-parts.a", "reply-sent.a"}
"""Messages whose whole reply was sent before."""


async def post(webs: list[Process], ids: list[str]) -> None:
    """Post messages of five users to the web processes in turn, and deliver each again to the next one."""
    for number, message_id in enumerate(ids):
        webhook = evolution(message_id, phone=f"96650000000{number % 5}")
        for repetition in range(2):
            web = webs[(number + repetition) % len(webs)]
            answer = await web.post("/webhook/evolution", webhook)
            assert answer == (200, {"duplicate" if repetition else "queued": 1})


async def wait_until_finished(queue: MessageQueue, users: tuple[str, ...]) -> None:
    """Wait until nothing of these users waits or is in progress."""
    async with asyncio.timeout(PATIENCE_S):
        for user in users:
            while await queue.pending("bot", user):  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(0.02)


@asynccontextmanager
async def web_and_worker(
    root: Path, environment: Mapping[str, str], folder: Path
) -> AsyncIterator[tuple[Process, Process]]:
    """Start both processes of a release."""
    async with AsyncExitStack() as stack:
        web = running("web", environment=environment, folder=folder, root=root)
        worker = running("worker", environment=environment, folder=folder, root=root, ready="worker started")
        yield await asyncio.gather(stack.enter_async_context(web), stack.enter_async_context(worker))


@pytest.mark.parametrize("direction", ["upgrade", "way back"])
async def test_a_rolling_change_of_release_loses_nothing_and_answers_nothing_twice(
    redis_server: EmbeddedRedis, tmp_path: Path, before: Path, direction: str
) -> None:
    """Both releases run side by side. Then the first worker is killed while the AI works, and the first web stopped."""
    first, second = (before, ROOT) if direction == "upgrade" else (ROOT, before)
    waves = [[f"{wave}{number}" for number in range(10)] for wave in "wxyz"]
    ids = {message_id for turn in TURNS.values() for message_id in turn["ids"]} - NOT_SENT_AGAIN
    ids |= {message_id for wave in waves for message_id in wave}
    for root, step in ((before, answer_one), (first, fill)):
        remote = Remote(root)
        remote.open(redis_server.url, **REMOTE)
        step(remote, time.time_ns() // 1_000_000 - WINDOW_MS)
        remote.close()
    async with outside() as world, connect(redis_server.url) as client:
        queue = MessageQueue(client)
        environment = {**QUICK, **world.environment(), "REDIS_URL": redis_server.url}
        async with web_and_worker(first, environment, tmp_path) as (first_web, first_worker):
            world.before_ai.shut()
            await post([first_web], waves[0])
            await world.before_ai.wait_for_request()
            await wait_until_finished(queue, REPLIED)  # whoever is killed while sending may send twice
            async with web_and_worker(second, environment, tmp_path) as (second_web, _):
                await post([first_web, second_web], waves[1])
                first_worker.signal(signal.SIGKILL)
                await post([second_web, first_web], waves[2])
                first_web.signal(signal.SIGTERM)
                assert await first_web.wait_for_exit() == 0
                world.before_ai.open()
                await post([second_web], waves[3])
                repeated = evolution("w0", phone="966500000000")
                assert await second_web.post("/webhook/evolution", repeated) == (200, {"duplicate": 1})
                await world.wait_until_sent(sorted(ids))
                await at_rest(queue)
        world.check_answered_once(sorted(ids))
        letters = await queue.dead_letters()
        assert {letter.message.id for letter in letters if letter.message} == DEAD


async def test_both_releases_know_what_the_other_one_stored_in_unused_partitions(
    redis_server: EmbeddedRedis, tmp_path: Path, before: Path
) -> None:
    """An older worker runs, and has had nothing to do in most partitions, or in none."""
    ids = [f"u{number}" for number in range(16)]
    async with outside() as world, connect(redis_server.url) as client:
        environment = {
            **QUICK, **world.environment(), "REDIS_URL": redis_server.url, "QUEUE_PARTITIONS": "4"
        }  # fmt: skip
        async with (
            web_and_worker(before, environment, tmp_path) as (old_web, _),
            running("web", environment=environment, folder=tmp_path) as new_web,
        ):
            for number, message_id in enumerate(ids):
                first, again = (old_web, new_web) if number % 4 == 3 else (new_web, old_web)
                webhook = evolution(message_id, phone=f"9665000000{number:02}")
                for web, status in ((first, "queued"), (again, "duplicate")):
                    assert await web.post("/webhook/evolution", webhook) == (200, {status: 1})
            await world.wait_until_sent(ids)
            await at_rest(MessageQueue(client, QueueSettings(partitions=4)))
        world.check_answered_once(ids)


async def test_a_release_that_is_too_old_for_the_data_refuses(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """At the start, and while it runs: the provider delivers again, to a process that was upgraded."""
    environment = {**QUICK, "REDIS_URL": redis_server.url, "AI": "echo"}
    refusal = "queue_core: a newer release converted the data in this Redis"
    async with connect(redis_server.url) as client:
        (partition,) = MessageQueue(client).keys.partitions
        async with running("serve", environment=environment, folder=tmp_path) as serve:
            await client.hset(partition.layout, "oldest", str(LAYOUT_KNOWN + 1))
            await client.xadd(partition.wake, {"at": "0"})
            status, _ = await serve.post("/webhook/evolution", evolution("m1"))
            assert status == 503
            await serve.wait_for_event(
                "message not accepted, the provider must deliver it again: NewerLayoutError"
            )
            await serve.wait_for_event("cannot claim, trying again")
        async with running("worker", environment=environment, folder=tmp_path, ready=refusal) as late:
            assert await late.wait_for_exit() == 1
        assert await client.keys(partition.queue_of("*")) == []
