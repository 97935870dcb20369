"""Retention: data that the server keeps for as long as a setting says."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from redis.asyncio import Redis

from queue_core import QueueMessage
from queue_core.ai.memory import Memory
from queue_core.redis.scripts.loader import text
from queue_core.server import config
from queue_core.server.runtime import open_runtime
from tests.queue_core.bot import on_newest
from tests.queue_core.server.operator.console import url_of
from tests.queue_core.server.site import open_site

DAY_S = 86_400


def a_message(timestamp: int = 0) -> QueueMessage:
    return QueueMessage(instance_name="bot", user_phone="1", message="x", timestamp=timestamp)


async def add_old_dead_letter(redis: Redis, key: str) -> None:
    """Add a dead letter of 1970."""
    await redis.xadd(
        key, {"conversation": "bot:1", "reason": "?", "at": "1", "attempts": "1", "message": "?"}
    )


@on_newest
async def test_the_monitor_deletes_old_dead_letters(redis_client: Redis) -> None:
    async with open_site(REDIS_URL=url_of(redis_client), QUEUE_DEAD_LETTERS_TTL_S="60") as site:
        queue = site.runtime.queue
        await queue.enqueue(a_message(timestamp=1))  # so late that it becomes a dead letter
        dead = queue.keys.partitions[0].dead
        await add_old_dead_letter(redis_client, dead)
        await site.runtime.examine_and_repair()
        (young,) = await queue.dead_letters()
        assert young.reason.startswith("late")


@on_newest
async def test_dead_letters_stay_unless_a_time_is_set(redis_client: Redis) -> None:
    async with open_site(REDIS_URL=url_of(redis_client)) as site:
        queue = site.runtime.queue
        await queue.enqueue(a_message(timestamp=1))
        await add_old_dead_letter(redis_client, queue.keys.partitions[0].dead)
        await site.runtime.examine_and_repair()
        assert len(await queue.dead_letters()) == 2


@on_newest
async def test_the_monitor_moves_the_oldest_dead_letters_to_a_file_when_there_is_no_room_left(
    redis_client: Redis, tmp_path: Path
) -> None:
    path = tmp_path / "kept" / "dead.jsonl"
    environment = {"QUEUE_DEAD_LETTERS_MAX": "10", "DEAD_LETTERS_FILE": str(path)}
    async with open_site(REDIS_URL=url_of(redis_client), **environment) as site:
        dead = site.runtime.queue.keys.partitions[0].dead
        for _ in range(10):
            await add_old_dead_letter(redis_client, dead)
        ids = [text(entry_id) for entry_id, _ in await redis_client.xrange(dead) or []]
        await site.runtime.examine_and_repair()
        await site.runtime.examine_and_repair()
        assert await redis_client.xlen(dead) == 9
    (line,) = path.read_text("utf-8").splitlines()
    fields = {"conversation": "bot:1", "reason": "?", "at": "1", "attempts": "1", "message": "?"}
    assert json.loads(line) == {"id": f"0/{ids[0]}", **fields}
    assert path.stat().st_mode & 0o077 == 0, "only its owner may read it"


@on_newest
async def test_dead_letters_stay_when_the_file_cannot_be_written(redis_client: Redis, tmp_path: Path) -> None:
    environment = {"QUEUE_DEAD_LETTERS_MAX": "2", "DEAD_LETTERS_FILE": str(tmp_path)}
    async with open_site(REDIS_URL=url_of(redis_client), **environment) as site:
        dead = site.runtime.queue.keys.partitions[0].dead
        for _ in range(2):
            await add_old_dead_letter(redis_client, dead)
        await site.runtime.examine_and_repair()
        assert await redis_client.xlen(dead) == 2


@on_newest
async def test_a_memory_is_kept_for_the_days_that_are_set(redis_client: Redis) -> None:
    environment = {"REDIS_URL": url_of(redis_client), "AI_MEMORY_DAYS": "3", "AI": "echo"}
    settings = config.load(environment, os.devnull).settings
    async with open_runtime(settings) as runtime:
        await runtime.bot._memory.save("bot", "1", Memory(conversation_id="c"))
        left_s = await redis_client.ttl(runtime.queue.keys.of("bot", "1").memory)
        assert 3 * DAY_S - 60 < left_s <= 3 * DAY_S


async def test_a_process_that_records_deletes_old_recordings_at_its_start(tmp_path: Path) -> None:
    old, young = (tmp_path / f"recording-2025010{day}T000000Z-7.jsonl" for day in (1, 2))
    for path in (old, young):
        path.write_text("{}\n", encoding="utf-8")
    os.utime(old, (1, 1))
    environment = {"REDIS_URL": "redis://127.0.0.1:1", "AI": "echo", "RECORD_TO": str(tmp_path)}
    for days, kept in (("0", [old, young]), ("1", [young])):
        settings = config.load({**environment, "RECORD_DAYS": days}, os.devnull).settings
        async with open_runtime(settings, records="recording"):
            await asyncio.sleep(0)
        assert [path for path in (old, young) if path.exists()] == kept
