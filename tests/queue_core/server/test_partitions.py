"""A change of the number of partitions while processes of a deployment run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.server.deployment import QUICK, running
from tests.queue_core.server.operator.console import Console, settings_for
from tests.queue_core.server.outside import evolution, outside

USERS = 12


@pytest.mark.soak
async def test_processes_refuse_until_they_are_restarted_and_all_is_answered_once(
    redis_server: EmbeddedRedis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = "the conversations lie in 5 partitions, but this process has 1"
    before = [f"a{number}" for number in range(USERS)]
    after = [f"b{number}" for number in range(USERS)]

    def webhook(message_id: str) -> dict[str, object]:
        return evolution(message_id, phone=f"9665000000{message_id[1:].zfill(2)}")

    async with outside() as world:
        environment = {**QUICK, **world.environment(), "REDIS_URL": redis_server.url}
        console = Console(settings_for(redis_server.url), capsys)
        async with running("serve", environment=environment, folder=tmp_path) as server:
            world.before_ai.shut()
            for message_id in before:
                assert await server.post("/webhook/evolution", webhook(message_id)) == (200, {"queued": 1})
            await world.wait_until_asked(1)
            changing = asyncio.create_task(console.run("partitions", "5"))
            world.before_ai.open()
            assert (await changing).code == 0
            assert (await server.post("/webhook/evolution", webhook("b0")))[0] == 503
            await server.wait_for_event(
                "message not accepted, the provider must deliver it again: PartitionsError"
            )
            await server.wait_for_event("cannot claim, trying again")
        async with running(
            "worker", environment=environment, folder=tmp_path, ready=f"queue_core: {refusal}"
        ) as late:
            assert await late.wait_for_exit() == 1
        environment["QUEUE_PARTITIONS"] = "5"
        async with running("serve", environment=environment, folder=tmp_path) as server:
            for message_id in before:
                assert await server.post("/webhook/evolution", webhook(message_id)) == (200, {"duplicate": 1})
            for message_id in after:
                assert await server.post("/webhook/evolution", webhook(message_id)) == (200, {"queued": 1})
            await world.wait_until_sent([*before, *after])
        world.check_answered_once([*before, *after])
