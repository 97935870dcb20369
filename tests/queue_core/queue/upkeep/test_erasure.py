"""Erasure: nothing of a forgotten user stays in Redis, and nothing is deleted while a message is owed an answer."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue
from queue_core.queue.upkeep.erasure import Forgotten
from queue_core.queue.upkeep.sent_replies import Report, SentReply
from queue_core.redis.scripts.loader import text
from queue_core.sent import SentPart
from tests.queue_core.bot import claimed_batch, message
from tests.queue_core.queue.conftest import Clock

PHONE = "201000000001"
NOTHING = Forgotten(
    standing="forgotten",
    waiting=0,
    lease_left_ms=0,
    finished=0,
    dead_letters=0,
    damaged=0,
    reply=False,
    memory=False,
    statistics=False,
)
EXPIRING = ("seen:", "last_claim:")
"""Starts of keys that may name a user until they expire."""


async def live_through_all(queue: MessageQueue, clock: Clock, phone: str = PHONE) -> None:
    """Leave something of every kind: the last message is in backoff, with a recorded reply."""
    parts = [SentPart(f"out-{phone}", "a reply"), SentPart(f"out-2-{phone}", "a reply")]
    for message_id in ("finished", "dead", "waits"):
        await queue.enqueue(message(message_id, phone))
        clock.now_ms += 8_000
        (batch,) = (await queue.claim("p", only=("bot", phone))).batches
        if message_id == "finished":
            await queue.complete(batch)
        else:
            await queue.record_reply(batch, "a reply")
            await queue.fail(batch, "no luck", dead=message_id == "dead", not_sent=True)
        await queue.sent.note(batch, parts)
        await queue.sent.note_again(batch)
    await queue.notes.put("bot", phone, b"a memory", ttl_s=1_000)
    await queue.delete(message("deletes", phone), "unknown")
    failed = Report(kind="failed", instance_name="bot", reply_id=f"out-{phone}", user_phone=phone)
    await queue.sent.note_undelivered(failed, SentReply("bot", phone, b"", ""))
    early = Report(kind="own", instance_name="bot", reply_id=f"early-{phone}", user_phone=phone)
    await queue.sent.report(early)
    await queue.aliases.join("bot", {phone: "phone", f"{phone}@lid": "lid"}, event_id="told")
    place = queue.keys.of("bot", phone)
    await queue.redis.hset(place.behind, queue.keys.of("bot", "another").conversation, "1")


async def contents(redis: Any) -> dict[str, str]:
    """Every key with its value, except those that expire."""
    read: dict[str, tuple[str, tuple[Any, ...]]] = {
        "string": ("GET", ()),
        "list": ("LRANGE", (0, -1)),
        "hash": ("HGETALL", ()),
        "zset": ("ZRANGE", (0, -1)),
        "stream": ("XRANGE", ("-", "+")),
    }
    values = {}
    for key in sorted([text(key) for key in await redis.keys()]):
        if not key.removeprefix("wa:{0}:").startswith(EXPIRING):
            command, bounds = read[text(await redis.type(key))]
            values[key] = str(await redis.execute_command(command, key, *bounds))
    return values


async def test_nothing_of_a_forgotten_user_stays(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    await live_through_all(queue, clock, "1")
    await queue.enqueue(message("m", "2"))
    await live_through_all(queue, clock)
    forgotten = await queue.forget("bot", PHONE, drop_waiting=True)
    assert forgotten == Forgotten(
        standing="forgotten",
        waiting=1,
        lease_left_ms=0,
        finished=2,
        dead_letters=1,
        damaged=0,
        reply=True,
        memory=True,
        statistics=True,
    )
    left = [key for key, value in (await contents(redis_client)).items() if PHONE in key + value]
    assert left == []
    others = await queue.conversation("bot", "1")
    assert [it.reply_id for it in others.undelivered] == ["out-1"]
    echoes = [
        Report(kind="own", instance_name="bot", reply_id=reply_id, user_phone="")
        for reply_id in ("out-1", "early-1", f"out-{PHONE}", f"early-{PHONE}")
    ]
    assert [(await queue.sent.report(echo)).status for echo in echoes] == [
        "known",
        "repeated",
        "kept",
        "kept",
    ]
    assert (len(others.pending), len(others.completed), others.reply is not None) == (1, 2, True)
    assert [letter.user_phone for letter in await queue.dead_letters()] == ["1"]
    assert await queue.notes.get("bot", "1") == b"a memory"


async def test_a_user_may_be_forgotten_again(queue: MessageQueue, clock: Clock) -> None:
    await live_through_all(queue, clock)
    await queue.forget("bot", PHONE, drop_waiting=True)
    again = await queue.forget("bot", PHONE)
    assert again == NOTHING
    assert again.is_empty


async def test_a_message_that_waits_is_never_deleted_unasked(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    await live_through_all(queue, clock)
    before = await contents(redis_client)
    refused = await queue.forget("bot", PHONE)
    assert (refused.standing, refused.waiting, refused.finished, refused.dead_letters) == ("waiting", 1, 2, 1)
    assert await contents(redis_client) == before


@pytest.mark.parametrize("drop_waiting", [False, True])
async def test_a_turn_in_progress_is_not_disturbed(
    queue: MessageQueue, clock: Clock, redis_client: Redis, drop_waiting: bool
) -> None:
    await queue.enqueue(message("m1"))
    clock.now_ms += 8_000
    batch = await claimed_batch(queue)
    clock.now_ms += 5_000
    before = await contents(redis_client)
    refused = await queue.forget("bot", PHONE, drop_waiting=drop_waiting)
    assert (refused.standing, refused.lease_left_ms) == ("in flight", 10_000)
    assert await contents(redis_client) == before
    await queue.complete(batch)
    assert (await queue.forget("bot", PHONE)).standing == "forgotten"


async def test_nothing_is_deleted_while_one_of_two_names_is_in_progress(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    """Both names have messages, of which one is in progress: `drop_waiting` must not delete those of the other."""
    lid = f"{PHONE}@lid"
    await queue.aliases.join("bot", {PHONE: "phone", lid: "lid"}, event_id="told")
    for worked, waits in ((PHONE, lid), (lid, PHONE)):
        await redis_client.flushall()
        await queue.enqueue(message("m1", worked))
        clock.now_ms += 8_000
        batch = await claimed_batch(queue)
        await queue.enqueue(message("m2", waits))
        await queue.aliases.join("bot", {PHONE: "phone", lid: "lid"}, event_id="told")
        before = await contents(redis_client)
        for asked in (PHONE, lid):
            assert (await queue.forget("bot", asked, drop_waiting=True)).standing == "in flight"
            assert await queue.erasure.refuses("bot", asked, drop_waiting=True)
        assert await contents(redis_client) == before
        await queue.complete(batch)
        assert (await queue.forget("bot", PHONE, drop_waiting=True)).standing == "forgotten"


async def test_the_turn_of_a_dead_worker_waits(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(message("m1"))
    clock.now_ms += 8_000
    await claimed_batch(queue)
    clock.now_ms += 15_000
    assert (await queue.forget("bot", PHONE)).standing == "waiting"
    assert (await queue.forget("bot", PHONE, drop_waiting=True)).standing == "forgotten"
    assert (await queue.claim("p")).batches == ()


async def test_a_delivery_of_a_forgotten_message_is_not_answered(queue: MessageQueue, clock: Clock) -> None:
    await live_through_all(queue, clock)
    await queue.forget("bot", PHONE, drop_waiting=True)
    assert (await queue.enqueue(message("finished"))).status == "duplicate"
    assert (await queue.enqueue(message("new"))).status == "queued"


async def test_a_damaged_conversation_is_forgotten_too(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    place = queue.keys.of("bot", PHONE)
    for key in (place.queue, place.lock, place.completed):
        await redis_client.set(key, PHONE)
    assert (await queue.forget("bot", PHONE)).standing == "waiting"
    assert (await queue.forget("bot", PHONE, drop_waiting=True)).standing == "forgotten"
    assert await redis_client.keys("*msg_queue*") == []
    assert await redis_client.keys("*lock*") == []
    assert await redis_client.keys("*completed*") == []


async def test_keys_that_were_moved_aside_are_forgotten_too(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    for phone in (PHONE, "2"):
        await redis_client.set(queue.keys.of("bot", phone).lock, phone)
        await queue.enqueue(message("m", phone))
    clock.now_ms += 8_000
    for batch in (await queue.claim("p", limit=10)).batches:
        await queue.complete(batch)
    assert (await queue.forget("bot", PHONE)).damaged == 1
    assert [key.user_phone async for key in queue.damage.iterate()] == ["2"]
    assert (await queue.forget("bot", PHONE)).is_empty


async def test_old_dead_letters_expire(queue: MessageQueue, clock: Clock) -> None:
    for number in range(450):
        await queue.enqueue(message(f"old{number}", timestamp=1))
    clock.now_ms += 1_000
    await queue.enqueue(message("young", timestamp=1))
    clock.now_ms += 1
    assert await queue.expire_dead_letters(1_001) == 0
    assert await queue.expire_dead_letters(1_000) == 450
    assert [letter.message and letter.message.id for letter in await queue.dead_letters()] == ["young"]
    assert await queue.expire_dead_letters(0) == 1


async def test_changes_of_a_forgotten_user_are_forgotten(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    await queue.enqueue(message("m"))
    await queue.edit(message("e"), "m")
    await queue.edit(message("e2"), "unknown")
    await queue.forget("bot", PHONE, drop_waiting=True)
    assert [key for key, value in (await contents(redis_client)).items() if PHONE in key + value] == []
    await queue.enqueue(message("m9"))
    clock.now_ms += 8_000
    assert (await claimed_batch(queue)).ids == ("m9",)
