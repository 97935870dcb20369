"""The whole life of messages on Redis Cluster: each script stays in one slot, whatever the number of partitions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from redis.asyncio import Redis, RedisCluster

from queue_core import Batch, MessageQueue, QueueMessage, QueueSettings, connect
from queue_core.queue.upkeep.sent_replies import Report
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.sent import SentPart

EPOCH_MS = 1_790_000_000_000
USERS = 40


class Clock:
    """Clock of the queue, Unix ms."""

    now_ms = EPOCH_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["redis-py", pytest.param("redis-py, 1", marks=pytest.mark.soak), "url"])
async def queue(
    request: pytest.FixtureRequest, cluster_client: RedisCluster, cluster_server: EmbeddedRedis, clock: Clock
) -> AsyncIterator[MessageQueue]:
    """A queue on redis-py's client with 8 partitions or 1, or on the client of a URL."""
    if request.param == "url":
        url = cluster_server.url.replace("redis://", "redis+cluster://")
        async with connect(url) as client:
            yield MessageQueue(client, QueueSettings(redis_deadline_ms=20_000), clock=clock)
    else:
        settings = QueueSettings(partitions=1 if "1" in request.param else 8, redis_deadline_ms=20_000)
        yield MessageQueue(cast("Redis", cluster_client), settings, clock=clock)


def message(message_id: str, phone: int, **values: Any) -> QueueMessage:
    return QueueMessage(id=message_id, instance_name="bot", user_phone=str(phone), message="x", **values)


async def claim_all(queue: MessageQueue) -> list[Batch]:
    partitions = range(queue.settings.partitions)
    claims = await asyncio.gather(*(queue.claim("p", limit=100, partition=number) for number in partitions))
    return [batch for claimed in claims for batch in claimed.batches]


async def test_the_cluster_passes_the_check(queue: MessageQueue) -> None:
    await queue.check()


async def test_a_number_has_one_rate_whatever_the_number_of_partitions(queue: MessageQueue) -> None:
    for number in ("cloud:1", "cloud:2", "waha:سلام"):
        waits = [
            (await queue.pacing.take(number, per_s=3, count=1, wait_ms_max=9_000)).wait_ms for _ in range(4)
        ]
        assert waits == [0, 0, 0, 1_000]


async def test_the_life_of_many_turns_in_gathered_calls(queue: MessageQueue, clock: Clock) -> None:
    await asyncio.gather(
        *(queue.enqueue(message(f"m{number}", phone)) for phone in range(USERS) for number in range(2))
    )
    again = await asyncio.gather(*(queue.enqueue(message("m1", phone)) for phone in range(USERS)))
    assert {receipt.status for receipt in again} == {"duplicate"}
    assert await queue.depth() == 2 * USERS
    clock.now_ms += 8_000
    batches = await claim_all(queue)
    assert sorted(int(batch.user_phone) for batch in batches) == list(range(USERS))
    assert {batch.ids for batch in batches} == {("m0", "m1")}
    await asyncio.gather(*(queue.extend(batch) for batch in batches))
    await asyncio.gather(*(queue.record_reply(batch, "ok") for batch in batches))
    await asyncio.gather(*(queue.record_sent(batch) for batch in batches))
    await asyncio.gather(*(queue.complete(batch) for batch in batches))
    assert await queue.depth() == 0
    assert await queue.active_conversations() == []
    assert [it.id for it in await queue.completed("bot", "7")] == ["m0", "m1"]
    assert await queue.pending("bot", "7") == []
    assert (await queue.conversation("bot", "7")).statistics["processedMessages"] == 2


async def test_failures_and_dead_letters_requeued_and_dropped(queue: MessageQueue, clock: Clock) -> None:
    await asyncio.gather(*(queue.enqueue(message("m1", phone)) for phone in range(USERS)))
    clock.now_ms += 8_000
    batches = await claim_all(queue)
    await queue.release(batches[0])
    await queue.fail(batches[1], "no luck", after_ms=1_000)
    dead = await asyncio.gather(*(queue.fail(batch, "no use", dead=True) for batch in batches[2:]))
    assert dead == [1] * (USERS - 2)
    letters = await queue.dead_letters()
    assert await queue.dead_letter(letters[0].id) == letters[0]
    assert sorted(letter.user_phone for letter in letters) == sorted(
        batch.user_phone for batch in batches[2:]
    )
    await asyncio.gather(*(queue.requeue(letter.id) for letter in letters[:20]))
    await asyncio.gather(*(queue.drop(letter.id) for letter in letters[20:]))
    assert await queue.dead_letters() == []
    assert await queue.withdraw(message("m1", int(letters[0].user_phone))) == "withdrawn"
    clock.now_ms += 8_000
    assert len(await claim_all(queue)) == 2 + 19


async def test_scripts_that_the_cluster_lost_are_loaded_again(queue: MessageQueue) -> None:
    await queue.redis.script_flush()
    receipts = await asyncio.gather(*(queue.enqueue(message("m1", phone)) for phone in range(USERS)))
    assert {receipt.status for receipt in receipts} == {"queued"}
    assert await queue.depth() == USERS


async def test_the_clock_and_the_notes(cluster_client: RedisCluster) -> None:
    queue = MessageQueue(cast("Redis", cluster_client), QueueSettings(partitions=8))
    assert abs(await queue.now_ms() - time.time() * 1000) < 60_000
    await queue.notes.put("bot", "1", b"a note", ttl_s=60)
    assert (await queue.notes.get("bot", "1"), await queue.notes.get("bot", "2")) == (b"a note", None)


async def test_partitions_are_all_used(cluster_client: RedisCluster) -> None:
    queue = MessageQueue(cast("Redis", cluster_client), QueueSettings(partitions=8))
    await asyncio.gather(*(queue.enqueue(message("m1", phone)) for phone in range(USERS)))
    sizes = [await cluster_client.zcard(partition.active) for partition in queue.keys.partitions]
    assert sum(sizes) == USERS
    assert all(sizes)


async def test_a_hold_of_all_partitions_and_the_end_of_it(queue: MessageQueue, clock: Clock) -> None:
    await asyncio.gather(*(queue.enqueue(message("old", phone)) for phone in range(USERS)))
    clock.now_ms += 8_000
    await asyncio.gather(*(queue.enqueue(message("new", phone)) for phone in range(USERS)))
    assert await queue.holding.hold() == clock.now_ms
    assert await claim_all(queue) == []
    inventory = await queue.holding.inventory(older_than_ms=5_000)
    assert (inventory.conversations, inventory.messages, inventory.older) == (USERS, 2 * USERS, USERS)
    assert await queue.holding.drop_older(5_000, "too old") == USERS
    assert (await queue.forget("bot", "0", drop_waiting=True)).dead_letters == 1
    await queue.holding.resume()
    clock.now_ms += 8_000
    batches = await claim_all(queue)
    assert {batch.user_phone for batch in batches} == {str(phone) for phone in range(1, USERS)}
    assert {batch.ids for batch in batches} == {("new",)}


def written(message_id: str, user: int, *kinds: str) -> QueueMessage:
    addresses = {"phone": f"2010000000{user:02}", "lid": f"1038900000{user:02}@lid"}
    names = {kind: addresses[kind] for kind in kinds}
    return QueueMessage(
        id=message_id,
        instance_name="bot",
        user_phone=names[kinds[0]],
        message="x",
        message_data={"addresses": names},
    )


async def test_addresses_of_one_user_in_different_partitions(queue: MessageQueue, clock: Clock) -> None:
    for number, kinds in enumerate([("lid",), ("phone",), ("phone", "lid"), ("lid",)]):
        messages = [written(f"m{number}", user, *kinds) for user in range(USERS)]
        await asyncio.gather(*map(queue.enqueue, messages))
    clock.now_ms += 8_000
    first = await claim_all(queue)
    assert len(first) == USERS
    assert {batch.ids for batch in first} == {("m0",)}
    await asyncio.gather(*(queue.complete(batch) for batch in first))
    clock.now_ms += 8_000
    second = await claim_all(queue)
    assert len(second) == USERS
    assert {batch.ids for batch in second} == {("m1", "m2", "m3")}
    await asyncio.gather(*(queue.complete(batch) for batch in second))
    forgotten = await queue.forget("bot", "103890000000@lid")
    assert (forgotten.standing, forgotten.finished) == ("forgotten", 4)


async def test_reports_on_replies_find_conversations_in_other_partitions(
    queue: MessageQueue, clock: Clock
) -> None:
    await asyncio.gather(*(queue.enqueue(message("m1", phone)) for phone in range(USERS)))
    clock.now_ms += 8_000
    batches = await claim_all(queue)
    reports = [
        Report(kind="failed", instance_name="bot", reply_id=f"out-{batch.user_phone}", user_phone="?")
        for batch in batches
    ]
    early, late = reports[: USERS // 2], reports[USERS // 2 :]
    assert {(await queue.sent.report(report)).status for report in early} == {"kept"}
    for batch in batches:
        await queue.sent.note(batch, [SentPart(f"out-{batch.user_phone}", "hi")])
    pairs = [
        (pair.report, pair.reply) for part in queue.sent.waiting() for pair in await queue.sent.match(part)
    ]
    pairs += [(report, (await queue.sent.report(report)).reply) for report in late]
    for report, reply in pairs:
        assert reply
        assert report.reply_id == f"out-{reply.user_phone}"
        assert await queue.sent.note_undelivered(report, reply) == "noted"
    assert len(pairs) == USERS
    assert len((await queue.conversation("bot", "7")).undelivered) == 1
    for batch in batches:
        await queue.complete(batch)
    await queue.forget("bot", "7")
    statuses = [(await queue.sent.report(report)).status for report in reports]
    assert (statuses.count("kept"), statuses.count("known")) == (1, USERS - 1)
