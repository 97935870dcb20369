"""Parts of a deployment fail while it runs: Redis, the AI, WhatsApp. Nothing acknowledged is lost."""

from __future__ import annotations

from pathlib import Path

from queue_core import MessageQueue, QueueSettings, connect
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.server.deployment import QUICK, Process, running
from tests.queue_core.server.outside import Outside, evolution, outside

SOON = {"QUEUE_DIRECT_AFTER_MS": "500"}
"""Setting: a message waits 0.5 s for Redis, then it is answered directly."""


def environment(world: Outside, redis_server: EmbeddedRedis, **changes: str) -> dict[str, str]:
    return {**QUICK, **world.environment(), "REDIS_URL": redis_server.url, **changes}


async def dead_letters(redis_server: EmbeddedRedis) -> list[tuple[str, str]]:
    """Return id and reason of each dead letter."""
    async with connect(redis_server.url) as client:
        letters = await MessageQueue(client, QueueSettings()).dead_letters()
    return [(letter.message.id if letter.message else "", letter.reason) for letter in letters]


async def deliver(server: Process, message_id: str, **names: str) -> str:
    """Post a message that must be acknowledged; return the kind of acknowledgement."""
    status, answer = await server.post("/webhook/evolution", evolution(message_id, **names))
    assert status == 200
    (how,) = answer
    return str(how)


async def test_redis_killed_before_the_enqueue(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """The message is answered directly, and recognised when it is delivered again, before and after Redis is back."""
    async with (
        outside() as world,
        running("serve", environment=environment(world, redis_server, **SOON), folder=tmp_path) as server,
    ):
        redis_server.kill()
        assert await deliver(server, "m1") == "answered"
        assert await deliver(server, "m1") == "duplicate"
        redis_server.start()
        await deliver(server, "m2")
        assert await deliver(server, "m1") == "duplicate"
        await world.wait_until_sent(["m1", "m2"])
        world.check_answered_once(["m1", "m2"])


async def test_redis_frozen_during_the_enqueue(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """The enqueue reached a Redis that did not answer: answered directly, and not again when it resumes."""
    async with (
        outside() as world,
        running(
            "serve",
            environment=environment(world, redis_server, QUEUE_WINDOW_MS="1500", **SOON),
            folder=tmp_path,
        ) as server,
    ):
        assert await deliver(server, "m0", phone="966500000009") == "queued"
        redis_server.pause()
        assert await deliver(server, "m1") == "answered"
        redis_server.resume()
        await deliver(server, "m2")
        await world.wait_until_sent(["m0", "m1", "m2"])
        world.check_answered_once(["m0", "m1", "m2"])


async def test_redis_killed_after_the_enqueue(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """Acknowledged, then Redis dies (each write on disk) and comes back: answered."""
    async with (
        outside() as world,
        running("serve", environment=environment(world, redis_server), folder=tmp_path) as server,
    ):
        assert await deliver(server, "m1") == "queued"
        redis_server.kill()
        redis_server.start()
        await world.wait_until_sent(["m1"])
        world.check_answered_once(["m1"])


async def test_redis_killed_while_the_ai_works(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """The worker keeps the AI's answer until Redis is back."""
    async with (
        outside() as world,
        running("serve", environment=environment(world, redis_server), folder=tmp_path) as server,
    ):
        world.before_ai.shut()
        await deliver(server, "m1")
        await world.before_ai.wait_for_request()
        redis_server.kill()
        world.before_ai.open()
        await server.wait_for_event("trying again")
        redis_server.start()
        await world.wait_until_sent(["m1"])
        await deliver(server, "m2")
        await world.wait_until_sent(["m2"])
        world.check_answered_once(["m1", "m2"])


async def test_redis_and_the_ai_are_down(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """Neither stored nor answered: 503, and the provider delivers it again."""
    async with (
        outside() as world,
        running("serve", environment=environment(world, redis_server, **SOON), folder=tmp_path) as server,
    ):
        redis_server.kill()
        world.ai_statuses = [500]
        status, answer = await server.post("/webhook/evolution", evolution("m1"))
        assert (status, answer) == (503, {"failed": 1})
        redis_server.start()
        await deliver(server, "m1")
        await world.wait_until_sent(["m1"])
        world.check_answered_once(["m1"])


async def test_serve_starts_without_redis(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """Webhooks are answered directly from the first moment, and the worker begins when Redis comes."""
    redis_server.kill()
    async with (
        outside() as world,
        running("serve", environment=environment(world, redis_server), folder=tmp_path) as server,
    ):
        assert await deliver(server, "m1") == "answered"
        redis_server.start()
        assert await deliver(server, "m2") == "queued"
        await world.wait_until_sent(["m2"])
        world.check_answered_once(["m1", "m2"])


async def test_the_ai_is_down_for_a_while(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """500, a cut connection, 429: tried again each time, answered once, no dead letter."""
    async with (
        outside() as world,
        running("serve", environment=environment(world, redis_server), folder=tmp_path) as server,
    ):
        world.ai_statuses = [500, 0, 429]
        await deliver(server, "m1")
        await world.wait_until_sent(["m1"])
        world.check_answered_once(["m1"])
        assert len(world.asked) == 4
        assert await dead_letters(redis_server) == []


async def test_the_ai_is_down_for_longer_than_all_attempts(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """The turns of two users wait, one at a time tries the AI, and both are answered when it is back."""
    async with (
        outside() as world,
        running("serve", environment=environment(world, redis_server), folder=tmp_path) as server,
    ):
        world.ai_statuses = [500] * 7  # five tries for m1, one for m2, and a probe
        await deliver(server, "m1")
        await server.wait_for_event("turn failed", times=5)
        await deliver(server, "m2", phone="966500000002")
        away = await server.wait_for_event("the AI is away")
        assert away["error"] == "the AI answered 500"
        await server.wait_for_event("the AI is back")
        await world.wait_until_sent(["m1", "m2"])
        world.check_answered_once(["m1", "m2"])
        assert await dead_letters(redis_server) == []


async def test_the_ai_rejects_a_turn(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """After all attempts a dead letter that names the reason; the conversation goes on."""
    async with (
        outside() as world,
        running("serve", environment=environment(world, redis_server), folder=tmp_path) as server,
    ):
        world.ai_statuses = [422] * 4
        await deliver(server, "m1")
        await server.wait_for_event("turn failed", times=4)
        ((message_id, reason),) = await dead_letters(redis_server)
        assert message_id == "m1"
        assert "422" in reason
        await deliver(server, "m2")
        await world.wait_until_sent(["m2"])


async def test_the_send_is_refused_for_now(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """503 and 429 from WhatsApp: certainly not sent, tried again; the AI is not asked a second time."""
    async with (
        outside() as world,
        running("serve", environment=environment(world, redis_server), folder=tmp_path) as server,
    ):
        world.send_statuses = [503, 429]
        await deliver(server, "m1")
        await world.wait_until_sent(["m1"])
        world.check_answered_once(["m1"])
        assert len(world.asked) == 1


async def test_the_user_is_not_found_at_the_first_address(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """400: the number does not exist. The user has just written, so the reply goes to the other address at once."""
    async with (
        outside() as world,
        running("serve", environment=environment(world, redis_server), folder=tmp_path) as server,
    ):
        world.send_statuses = [400]
        await deliver(server, "m1")
        await world.wait_until_sent(["m1"])
        world.check_answered_once(["m1"])
        assert len(world.asked) == 1


async def test_the_send_is_refused_for_good(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """413: the reply is too large. A dead letter at once, which holds the reply; no second try."""
    async with (
        outside() as world,
        running("serve", environment=environment(world, redis_server), folder=tmp_path) as server,
    ):
        world.send_statuses = [413]
        await deliver(server, "m1")
        await server.wait_for_event("turn failed")
        ((message_id, _),) = await dead_letters(redis_server)
        assert message_id == "m1"
        assert world.sent == []
