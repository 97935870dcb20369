"""The switch back to the legacy buffer, and forward again, as docs/operate.md describes it, under traffic."""

from __future__ import annotations

import signal
from pathlib import Path

from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.server.deployment import QUICK, Process, running
from tests.queue_core.server.outside import Outside, evolution, outside


def environment(world: Outside, redis_server: EmbeddedRedis, *, queue: bool) -> dict[str, str]:
    switch = "true" if queue else "false"
    return {**QUICK, **world.environment(), "REDIS_URL": redis_server.url, "USE_QUEUE_SYSTEM": switch}


async def burst(server: Process, name: str, users: int, expected: str) -> list[str]:
    """Post two messages of each user, which must be acknowledged as `expected`; return their ids."""
    ids = []
    for number in range(2):
        for user in range(users):
            message_id = f"{name}-{user}-{number}"
            body = evolution(message_id, phone=f"96650000{user:04}", instance=name)
            assert await server.post("/webhook/evolution", body) == (200, {expected: 1})
            ids.append(message_id)
    return ids


async def test_back_and_forward_again_with_nothing_lost(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """The queue's messages are drained after the switch back; the buffer's are taken over after the switch forward."""
    async with outside() as world:
        on, off = (environment(world, redis_server, queue=queue) for queue in (True, False))
        world.before_ai.shut()
        async with running("serve", environment={**on, "GRACE_S": "0"}, folder=tmp_path) as server:
            queued = await burst(server, "queued", 5, "queued")
            await world.before_ai.wait_for_request()
            server.signal(signal.SIGTERM)
            assert await server.wait_for_exit() == 0
        world.before_ai.open()
        async with running("serve", environment=off, folder=tmp_path) as server:
            buffered = await burst(server, "buffered", 5, "buffered")
            await world.wait_until_sent(queued)
            assert not set(buffered) & set(world.sent_ids), "the legacy buffer waits 8 s"
            server.signal(signal.SIGTERM)
            assert await server.wait_for_exit() == 0
        async with running("serve", environment=on, folder=tmp_path) as server:
            forward = await burst(server, "forward", 5, "queued")
            await world.wait_until_sent([*queued, *buffered, *forward])
        world.check_answered_once([*queued, *buffered, *forward])


async def test_the_legacy_buffer_answers_a_burst_as_one_turn(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """The turn is due 8 s after its first message, as in the old system."""
    async with outside() as world:
        settings = environment(world, redis_server, queue=False)
        async with running("serve", environment=settings, folder=tmp_path) as server:
            ids = await burst(server, "old", 1, "buffered")
            await world.wait_until_sent(ids)
        assert world.sent == [("966500000000", "re old-0-0 old-0-1")]


async def test_without_redis_the_buffer_refuses_messages(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """The legacy buffer never answers directly: 503, so that the provider delivers again."""
    async with outside() as world:
        settings = environment(world, redis_server, queue=False)
        async with running("serve", environment=settings, folder=tmp_path) as server:
            redis_server.kill()
            status, answer = await server.post("/webhook/evolution", evolution("m1"))
            assert (status, answer) == (503, {"failed": 1})
