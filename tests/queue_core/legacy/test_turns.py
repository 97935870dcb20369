"""The legacy buffer in production: its answers and its losses.

That the buffer behaves as the old bot's did, step by step, is tested where it is replayed: tests/sim.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from queue_core import (
    Batch,
    InvalidMessageError,
    QueueMessage,
    QueueUnavailableError,
)
from queue_core.legacy.switch_back import adopt_leftovers
from queue_core.message import as_deletion, as_edit
from queue_core.queue.upkeep.sent_replies import Report
from queue_core.sent import note_sent
from tests.queue_core.bot import happens, message, on_newest
from tests.queue_core.legacy.world import KEY, LOCK, PHONE, Gate, World


async def test_a_burst_is_answered_as_one_turn(redis_client: Redis) -> None:
    world = World(redis_client)
    await world.receive("m1")
    world.time.move(3_100)
    await world.receive("m2")
    world.time.move(3_549)
    await world.receive("m3")
    world.time.move(1_350)
    await world.time.until_somebody_sleeps(1)
    assert (world.intake.waiting, world.bot.asked) == (1, [])
    world.time.move(1)
    await world.at_rest()
    assert world.bot.asked_ids == [("m1", "m2", "m3")]
    assert world.bot.sent_ids == ["m1", "m2", "m3"]
    (batch,) = world.bot.asked
    assert (batch.trigger, batch.token, batch.attempt) == ("direct", 0, 1)
    assert batch.due_at_ms == batch.claimed_at_ms == world.time.now_ms
    assert 60 < await redis_client.ttl(KEY) <= 300
    await world.receive("m4")
    assert 8 < await redis_client.ttl(KEY) <= 60, "a new buffer"
    world.time.move(8_000)
    await world.at_rest()
    assert world.bot.asked_ids[1:] == [("m4",)]


@on_newest
async def test_the_ids_of_its_replies_are_kept(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(redis_client)
    world.intake._store._sent = sent = world.queue.sent

    async def send(batch: Batch, reply: str) -> None:
        note_sent(f"out-{batch.ids[0]}", reply)

    monkeypatch.setattr(world.intake._host, "_send", send)
    reports = [
        Report(kind="own", instance_name="bot", reply_id=f"out-{name}", user_phone=PHONE)
        for name in ("m1", "m2")
    ]

    async def away(*_: Any) -> None:
        raise QueueUnavailableError("away")

    await world.receive("m1")
    world.time.move(8_000)
    await world.at_rest()
    monkeypatch.setattr(sent, "note", away)
    await world.receive("m2")
    world.time.move(8_000)
    await world.at_rest()
    assert [(await world.queue.sent.report(report)).status for report in reports] == ["known", "kept"]
    assert "the ids of a reply are not noted: away" in caplog.text


@on_newest
async def test_the_incident_happens_again(redis_client: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """A message that comes during the AI call is lost, and the log has the two lines that were recorded then."""
    caplog.set_level(logging.INFO, "queue_core.legacy.switch_back")
    ai = Gate()
    world = World(redis_client, ai)
    for message_id, after_ms in (("m1", 0), ("m2", 3_100), ("m3", 3_549)):
        world.time.move(after_ms)
        await world.receive(message_id)
    world.time.move(1_351)
    await happens(ai.asked)
    for message_id, after_ms in (("m4", 2_976), ("m5", 2_224)):
        world.time.move(after_ms)
        await world.receive(message_id)
    ai.may_answer.set()
    await world.at_rest()
    assert world.time.sleeping_ms == []
    assert world.bot.sent_ids == ["m1", "m2", "m3"]
    lines = [(record.getMessage(), vars(record)) for record in caplog.records]
    appended = [(log["totalMessages"], log["timespan"]) for event, log in lines if event.endswith("appended")]
    read = [(log["messageCount"], log["timespan"]) for event, log in lines if event.endswith("read")]
    assert appended == [(2, 3_100), (3, 6_649), (4, 10_976), (5, 13_200)]
    assert read == [(3, 6_649)]
    world.time.move(120_000)
    assert await world.adopt() == 0, "lost is lost: the buffer is marked as processed"


@on_newest
async def test_a_turn_on_which_the_ai_fails_is_lost(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(batch: Batch) -> None:
        raise ConnectionError("the AI at +201000000001 is down")

    world = World(redis_client, fail)
    await world.receive("m1")
    world.time.move(8_000)
    await world.at_rest()
    world.time.move(120_000)
    assert (world.bot.sent, await world.adopt(), world.time.sleeping_ms) == ([], 0, [])
    assert "not answered: ConnectionError" in caplog.text
    assert PHONE not in caplog.text


async def test_a_lock_that_is_held_is_tried_for_a_short_time_and_then_ignored(
    redis_client: Redis,
) -> None:
    world = World(redis_client)
    await redis_client.set(LOCK, "locked", px=60_000)
    receiving = asyncio.create_task(world.receive("m1"))
    for wait_ms in (50, 100):
        await world.time.until_somebody_sleeps(wait_ms)
        assert await redis_client.exists(KEY) == 0
        world.time.move(wait_ms)
    await receiving
    assert await redis_client.exists(KEY, LOCK) == 2, "written, and the lock left to its holder"
    await redis_client.delete(LOCK)
    await world.receive("m2")
    assert await redis_client.exists(LOCK) == 0, "its own lock is released"
    world.time.move(8_000)
    await world.at_rest()
    assert world.bot.asked_ids == [("m1", "m2")]


async def test_users_are_kept_apart_and_the_whole_message_is_kept(redis_client: Redis) -> None:
    """The old bot's keys mixed these users up."""
    world = World(redis_client)
    for instance, phone in (("bot:eu", "1"), ("bot", "eu:1"), ("{bot}", "\ud800*")):
        whole = QueueMessage(
            id=f"m {instance}",
            instance_name=instance,
            user_phone=phone,
            message="مرحبا \ud800",
            message_data={"channel": "cloud", "webhook": {"deep": [{"1": None}]}},
            timestamp=1_767_225_600_000,
        )
        assert await world.intake.receive(whole) == "buffered"
    assert world.intake.waiting == 3
    world.time.move(8_000)
    await world.at_rest()
    asked = {(batch.instance_name, batch.user_phone): batch.messages for batch in world.bot.asked}
    assert {names: [message.id for message in messages] for names, messages in asked.items()} == {
        ("bot:eu", "1"): ["m bot:eu"],
        ("bot", "eu:1"): ["m bot"],
        ("{bot}", "\ud800*"): ["m {bot}"],
    }
    (kept,) = asked["bot:eu", "1"]
    assert (kept.message, kept.timestamp) == ("مرحبا \ufffd", 1_767_225_600_000)
    assert kept.message_data == {"channel": "cloud", "webhook": {"deep": [{"1": None}]}}
    keys = [key async for key in redis_client.scan_iter()]
    assert all(key.startswith(b"wa:legacy_") for key in keys)


@on_newest
@pytest.mark.parametrize(
    "unfit",
    [
        QueueMessage(id="m1", instance_name="bot", user_phone=" ", message="text"),
        QueueMessage(id="m1", instance_name="bot", user_phone=PHONE, message="x" * 300_000),
        QueueMessage(
            id="m1", instance_name="bot", user_phone=PHONE, message="", message_data={"a": object()}
        ),
    ],
)
async def test_a_message_that_can_never_be_stored_is_refused(
    redis_client: Redis, unfit: QueueMessage
) -> None:
    world = World(redis_client)
    with pytest.raises(InvalidMessageError):
        await world.intake.receive(unfit)
    assert await redis_client.dbsize() == 0


@on_newest
async def test_a_webhook_that_is_cancelled_leaves_no_buffer_without_a_timer(redis_client: Redis) -> None:
    world = World(redis_client)
    await redis_client.set(LOCK, "locked")
    receiving = asyncio.create_task(world.receive("m1"))
    await world.time.until_somebody_sleeps(50)
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    world.time.move(50)
    await world.time.until_somebody_sleeps(100)
    world.time.move(100)
    await world.time.until_somebody_sleeps(8_000)
    await redis_client.delete(LOCK)
    world.time.move(8_000)
    await world.at_rest()
    assert world.bot.sent_ids == ["m1"]


async def test_the_legacy_buffer_works_on_a_cluster(cluster_client: RedisCluster) -> None:
    redis: Any = cluster_client
    world = World(redis)
    await world.receive("m1", "m2")
    world.time.move(8_000)
    await world.at_rest()
    await world.receive("m3", phone="2")
    await world.kill_process()
    world.time.move(20_000)
    adopted = await adopt_leftovers(world.queue, clock=world.time.clock)
    assert (adopted, world.bot.asked_ids, await world.queued("2")) == (1, [("m1", "m2")], ["m3"])


@on_newest
async def test_changes_in_a_burst_are_carried_out(redis_client: Redis) -> None:
    world = World(redis_client)
    await world.receive("m1", "m2")
    for change in (as_edit(message("e"), "m1"), as_deletion(message("d"), "m2")):
        await world.intake.receive(change)
    world.time.move(8_000)
    await world.at_rest()
    assert [batch.text for batch in world.bot.asked] == ["text e"]


@on_newest
async def test_a_turn_that_is_deleted_whole_is_not_answered(redis_client: Redis) -> None:
    world = World(redis_client)
    await world.receive("m1")
    await world.intake.receive(as_deletion(message("d"), "m1"))
    world.time.move(8_000)
    await world.at_rest()
    assert world.bot.asked == []
    await world.intake.close(world.queue.enqueue)
    assert await world.queued() == []
