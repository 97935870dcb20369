"""Rescue: lost index entries come back, locks without messages go, and nothing else is touched."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, Processor, QueueUnavailableError, connect
from queue_core.queue.health.health import examine
from queue_core.queue.upkeep.rescue import Rescued
from queue_core.redis.servers import SCAN_COUNT
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import (
    Bot,
    at_rest,
    check_ledger,
    enqueue,
    eventually,
    let_leases_run_out,
    on_newest,
    quick,
    running,
    transport_of,
)
from tests.queue_core.searches.observed import keys_of

NOW_MS = 1_700_000_000_000
NOTHING = Rescued(stranded=0, locks=0)


async def strand(queue: MessageQueue, phone: str) -> None:
    """Delete the index entry of a conversation, as a person who tidies up might."""
    keys = queue.keys.of("bot", phone)
    await queue.redis.zrem(queue.keys.partitions[keys.partition].active, keys.conversation)


async def test_a_stranded_conversation_is_due_at_once(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick(window_ms=8_000), clock=lambda: NOW_MS)
    await enqueue(queue, ["m1"], "ali")
    await enqueue(queue, ["m2"], "mona")
    await strand(queue, "ali")
    assert await queue.rescue() == Rescued(stranded=1, locks=0)
    due = {it.user_phone: it.attention_at_ms for it in await queue.active_conversations()}
    assert due == {"ali": NOW_MS, "mona": NOW_MS + 8_000}
    assert await queue.rescue() == NOTHING


async def test_a_worker_that_sleeps_is_woken_by_a_rescue(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    await enqueue(queue, ["m1"], "ali")
    await strand(queue, "ali")
    before = transport_of(queue).round_trips
    async with running(Processor(queue, bot.handle, bot.send)):
        await eventually(lambda: transport_of(queue).round_trips > before, "a look at the empty index")
        await queue.rescue()
        await at_rest(queue)
    await check_ledger(queue, ["m1"], bot.sent_ids)


async def test_a_conversation_in_progress_is_not_taken_from_its_worker(redis_client: Redis) -> None:
    now = NOW_MS
    queue = MessageQueue(redis_client, quick(window_ms=0), clock=lambda: now)
    await enqueue(queue, ["m1"], "ali")
    (batch,) = (await queue.claim("p")).batches
    await strand(queue, "ali")
    assert await queue.rescue() == Rescued(stranded=1, locks=0)
    assert (await queue.claim("other")).batches == ()
    await let_leases_run_out(queue)
    assert (await queue.claim("other")).batches[0].attempt == 2
    assert batch.token < (await queue.active_conversations())[0].attention_at_ms * 1_000


@pytest.mark.parametrize("is_in_index", [True, False])
async def test_a_lock_and_a_reply_without_messages_are_deleted(
    redis_client: Redis, is_in_index: bool
) -> None:
    """If the reply stayed, it would answer the user's next message."""
    queue = MessageQueue(redis_client, quick(window_ms=0))
    await enqueue(queue, ["m1"], "ali")
    (batch,) = (await queue.claim("p")).batches
    await queue.record_reply(batch, "an answer to m1")
    keys = queue.keys.of("bot", "ali")
    await redis_client.delete(keys.queue)
    if not is_in_index:
        await strand(queue, "ali")
    assert await queue.rescue() == Rescued(stranded=0, locks=1)
    assert not await redis_client.exists(keys.lock, keys.reply, queue.keys.partitions[0].active)
    await enqueue(queue, ["m2"], "ali")
    (batch,) = (await queue.claim("p")).batches
    assert (batch.ids, batch.reply, batch.attempt) == (("m2",), None, 1)


async def test_a_reply_alone_is_found_too(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick())
    await redis_client.hset(queue.keys.of("bot", "ali").reply, mapping={"text": "old", "size": 1})
    assert await queue.rescue() == Rescued(stranded=0, locks=1)
    assert await keys_of(redis_client, "wa") == []


@pytest.mark.not_on_store("the store has no DUMP")
async def test_a_sound_conversation_stays_as_it_is(redis_client: Redis) -> None:
    now = NOW_MS
    queue = MessageQueue(redis_client, quick(window_ms=0, partitions=3), clock=lambda: now)
    for phone in ("waits", "held", "in backoff", "100%: {x}\n", "٩٦٦", "\udc00"):
        await enqueue(queue, ["m1"], phone)
    for partition in range(3):
        for batch in (await queue.claim("p", limit=10, partition=partition)).batches:
            if batch.user_phone == "in backoff":
                await queue.fail(batch, "no luck", after_ms=60_000)
            elif batch.user_phone != "held":
                await queue.release(batch)
    before = [await redis_client.dump(key) for key in await keys_of(redis_client, "wa")]
    assert await queue.rescue() == NOTHING
    assert [await redis_client.dump(key) for key in await keys_of(redis_client, "wa")] == before


@pytest.mark.parametrize(
    "key",
    [
        b"wa:{0}:msg_queue:\xff:\xfe",
        "wa:{0}:msg_queue:no-colon",
        "wa:{x}:msg_queue:a:b",
        "wa:{9}:msg_queue:a:b",
    ],
)
async def test_foreign_keys_are_left_alone(redis_client: Redis, key: Any) -> None:
    queue = MessageQueue(redis_client, quick())
    await redis_client.rpush(key, "x")
    assert await queue.rescue() == NOTHING
    assert await redis_client.keys() == [key if isinstance(key, bytes) else key.encode()]


@on_newest
async def test_more_keys_than_one_step_looks_at(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick(partitions=2))
    phones = [f"user-{number}" for number in range(SCAN_COUNT * 2)]
    await asyncio.gather(*(enqueue(queue, ["m1"], phone) for phone in phones))
    for phone in phones[::100]:
        await strand(queue, phone)
    assert await queue.rescue() == Rescued(stranded=len(phones[::100]), locks=0)
    assert len(await queue.active_conversations()) == len(phones)


@on_newest
async def test_a_rescue_looks_at_a_part_of_the_keys_and_the_next_one_goes_on(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queue_core.queue.upkeep.rescue.STEPS_MAX", 2)
    queue = MessageQueue(redis_client, quick(partitions=2))
    phones = [f"user-{number}" for number in range(SCAN_COUNT * 3)]
    await asyncio.gather(*(enqueue(queue, ["m1"], phone) for phone in phones))
    for phone in phones[::100]:
        await strand(queue, phone)
    await redis_client.config_resetstat()
    rescued = [await queue.rescue()]
    assert (await redis_client.info("commandstats"))["cmdstat_scan"]["calls"] == 2
    assert 0 < rescued[0].stranded < len(phones[::100])
    while await redis_client.exists(queue.keys.searches_key):
        rescued.append(await queue.rescue())
    assert sum(it.stranded for it in rescued) == len(phones[::100])


@on_newest
async def test_an_examination_looks_at_a_part_of_the_keys_too(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queue_core.queue.upkeep.rescue.STEPS_MAX", 1)
    queue = MessageQueue(redis_client, quick(redis_deadline_ms=20_000))
    phones = [f"user-{number}" for number in range(SCAN_COUNT * 2)]
    await asyncio.gather(*(enqueue(queue, ["m1"], phone) for phone in phones))
    for phone in phones[::50]:
        await strand(queue, phone)
    reports = [await examine(queue)]
    while await redis_client.exists(queue.keys.searches_key):
        reports.append(await examine(queue))
    assert len(reports) > 1
    assert sum(report.stranded_conversations or 0 for report in reports) == len(phones[::50])


@on_newest
async def test_a_rescue_beside_traffic_finds_nothing(redis_client: Redis) -> None:
    """A conversation that is finished between two reads is not stranded."""
    queue, bot = MessageQueue(redis_client, quick(window_ms=0, max_messages=1)), Bot()
    rescues = []
    async with running(Processor(queue, bot.handle, bot.send)):
        for number in range(40):
            await asyncio.gather(
                *(enqueue(queue, [f"m{number}-{phone}"], f"user-{phone}") for phone in range(20))
            )
            rescues.append(await queue.rescue())
        await at_rest(queue)
    assert set(map(str, rescues)) == {str(NOTHING)}
    assert len(bot.sent_ids) == 800


async def test_a_full_redis_rescues(real_redis: Redis) -> None:
    queue = MessageQueue(real_redis, quick(window_ms=0))
    await enqueue(queue, ["m1"], "ali")
    await strand(queue, "ali")
    await real_redis.config_set("maxmemory", "1")
    try:
        assert await queue.rescue() == Rescued(stranded=1, locks=0)
    finally:
        await real_redis.config_set("maxmemory", "0")


async def test_redis_away(redis_server: EmbeddedRedis) -> None:
    async with connect(redis_server.url) as redis:
        redis_server.kill()
        with pytest.raises(QueueUnavailableError):
            await MessageQueue(redis, quick()).rescue()
