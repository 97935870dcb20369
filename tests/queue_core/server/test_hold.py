"""A deployment that starts on a restored Redis: held, it answers nothing of yesterday."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from queue_core import MessageQueue, QueueMessage, connect
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.server.deployment import QUICK, running
from tests.queue_core.server.operator.console import Console, settings_for
from tests.queue_core.server.outside import evolution, outside

DAY_MS = 86_400_000


async def test_a_held_deployment_stores_and_answers_after_resume(
    redis_server: EmbeddedRedis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yesterday_ms = time.time_ns() // 1_000_000 - DAY_MS
    async with connect(redis_server.url) as client, outside() as world:
        past = MessageQueue(client, clock=lambda: yesterday_ms)
        await past.enqueue(
            QueueMessage(id="old", instance_name="bot", user_phone="966500000001", message="old")
        )
        environment = {**QUICK, **world.environment(), "REDIS_URL": redis_server.url}
        async with running("serve", "--hold", environment=environment, folder=tmp_path) as server:
            held = await server.wait_for_event(
                "held: no worker takes a turn until `python -m queue_core resume`"
            )
            assert (held["conversations"], held["messages"], held["dead_letters"]) == (1, 1, 0)
            assert abs(held["oldest_ms"] - yesterday_ms) < 1_000
            assert await server.post("/webhook/evolution", evolution("m1")) == (200, {"queued": 1})
            assert world.sent == []
            resumed = await Console(settings_for(redis_server.url), capsys).run(
                "resume", "--drop-older-than", "1h"
            )
            assert resumed.code == 0
            await world.wait_until_sent(["m1"])
            world.check_answered_once(["m1"])
            (letter,) = await MessageQueue(client).dead_letters()
            assert letter.reason.startswith("dropped at resume")


async def test_without_redis_a_hold_is_an_error_and_no_worker_starts(tmp_path: Path) -> None:
    environment = {**QUICK, "REDIS_URL": "redis://127.0.0.1:1", "AI": "echo"}
    async with running(
        "worker",
        "--hold",
        environment=environment,
        folder=tmp_path,
        ready="queue_core: Redis cannot be used now",
    ) as worker:
        assert await worker.wait_for_exit() == 1
        assert not [event for event in worker.events if event["event"].startswith("worker started")]
