"""Damaged keys cost only themselves: they are moved aside, named, and can be repaired or dropped."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import (
    DamagedKeyNotFoundError,
    DeadLetterNotFoundError,
    MessageQueue,
    QueueError,
    QueueMessage,
    QueueSettings,
)
from queue_core.keys import KeySpace
from queue_core.queue.upkeep.damage import DamagedKey
from queue_core.redis.scripts.loader import text
from tests.queue_core.redis.scripts.test_partial_writes import queue_without, set_rights
from tests.queue_core.searches.planting import plant

BAD = KeySpace("wa", 1).of("bot", "bad")
SHARED = KeySpace("wa", 1).partitions[0]
OTHERS = ("u0", "u1", "u2")


def queue_on(redis: Redis, **changed: Any) -> MessageQueue:
    """Return a queue in which every message is due at once."""
    return MessageQueue(redis, QueueSettings(window_ms=0, **changed))


def message(message_id: str, phone: str) -> QueueMessage:
    return QueueMessage(id=message_id, instance_name="bot", user_phone=phone, message="x")


async def damaged(queue: MessageQueue) -> list[DamagedKey]:
    return [key async for key in queue.damage.iterate()]


async def put(redis: Redis, key: str, kind: str) -> None:
    """Replace a key by one of that type."""
    await redis.delete(key)
    writes: dict[str, tuple[Any, ...]] = {
        "string": ("SET", key, "1"),
        "list": ("RPUSH", key, "1"),
        "hash": ("HSET", key, "a", "1"),
        "set": ("SADD", key, "1"),
        "zset": ("ZADD", key, "1", "1"),
        "stream": ("XADD", key, "*", "a", "1"),
    }
    await redis.execute_command(*writes[kind])  # type: ignore[no-untyped-call]  # in redis-py


async def answer_all(queue: MessageQueue) -> list[str]:
    """Claim and complete as a worker would, until nothing is due; return who was answered."""
    answered = []
    for _ in range(10):
        claimed = await queue.claim("p", limit=10)
        for batch in claimed.batches:
            assert await queue.record_reply(batch, "a reply")
            await queue.complete(batch)
            answered.append(batch.user_phone)
        if not claimed.batches and (await queue.rescue()).stranded == 0:
            break
    return answered


@pytest.mark.parametrize("kind", ["string", "list", "hash", "zset", "stream"])
@pytest.mark.parametrize("name", ["queue", "lock", "reply", "completed", "stats"])
async def test_a_key_of_a_wrong_type_costs_its_conversation_at_most(
    redis_client: Redis, name: str, kind: str
) -> None:
    right = {"queue": "list", "lock": "hash", "reply": "hash", "completed": "list", "stats": "hash"}[name]
    if kind == right:
        return
    queue = queue_on(redis_client)
    await queue.enqueue(message("bad", "bad"))
    await put(redis_client, getattr(BAD, name), kind)
    await redis_client.zadd(SHARED.active, {"bot:bad": 1})
    for phone in OTHERS:
        await queue.enqueue(message(phone, phone))
    answered = await answer_all(queue)
    assert set(OTHERS) <= set(answered)
    assert ("bad" in answered) == (name != "queue")
    (key,) = await damaged(queue)
    assert (key.key, key.type, key.user_phone) == (getattr(BAD, name), kind, "bad")
    assert "WRONGTYPE" in key.error
    assert await redis_client.exists(key.kept_as)
    await queue.enqueue(message("again", "bad"))
    assert await answer_all(queue) == ["bad"]


@pytest.mark.parametrize("kind", ["string", "list", "hash", "zset", "stream"])
@pytest.mark.parametrize("name", ["active", "wake", "token", "dead", "looks", "damaged"])
async def test_a_key_of_a_partition_is_moved_aside_and_made_again(
    redis_client: Redis, name: str, kind: str
) -> None:
    right = {"active": "zset", "token": "string", "looks": "hash"}.get(name, "stream")
    if kind == right:
        return
    queue = queue_on(redis_client)
    await queue.enqueue(message("bad", "bad"))
    await put(redis_client, getattr(SHARED, name), kind)
    for phone in OTHERS:
        await queue.enqueue(message(phone, phone))
    await queue.rescue()
    (batch, *_) = (await queue.claim("other", limit=1)).batches
    await queue.fail(batch, "told", dead=True)
    assert sorted([batch.user_phone, *await answer_all(queue)]) == ["bad", *OTHERS]
    assert len(await queue.dead_letters()) == 1
    (key,) = await damaged(queue)
    assert (key.key, key.type, key.user_phone) == (getattr(SHARED, name), kind, None)


async def test_the_record_of_a_worker_s_last_claim_is_moved_aside(redis_client: Redis) -> None:
    queue = queue_on(redis_client)
    await put(redis_client, SHARED.last_claim_of("p"), "list")
    await queue.enqueue(message("m", "u0"))
    assert await answer_all(queue) == ["u0"]
    assert [key.holds for key in await damaged(queue)] == ["last claim of a worker"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("lock", {"tries": "x"}),
        ("lock", {"tries": "0,0,0,0,0"}),
        ("lock", {"token": "1", "expiresAt": "soon", "tries": "1"}),
        ("lock", {"token": "1", "tries": "1"}),
        ("lock", {"token": "1", "tries": "1", "size": "-1"}),
        ("lock", {"tries": "1", "latest": "tomorrow"}),
        ("lock", {"tries": "1", "answered": "{"}),
        ("lock", {"tries": "1", "answered": "5"}),
        ("reply", {"text": "hi", "size": "-1"}),
        ("reply", {"text": "hi", "size": "many"}),
        ("reply", {"text": "hi", "size": "1", "parts": "x"}),
        ("reply", {"size": "1"}),
    ],
)
async def test_odd_values_cost_nobody_else(redis_client: Redis, name: str, fields: dict[Any, Any]) -> None:
    queue = queue_on(redis_client)
    await queue.enqueue(message("bad", "bad"))
    for phone in OTHERS:
        await queue.enqueue(message(phone, phone))
    await redis_client.hset(getattr(BAD, name), mapping=fields)
    assert sorted(await answer_all(queue)) == ["bad", *OTHERS]
    assert await redis_client.keys("wa:{0}:processing_lock:*") == []


@pytest.mark.parametrize("token", ["x", "-1", "1e300", "nan", "9" * 30])
async def test_an_odd_token_changes_nothing(redis_client: Redis, token: str) -> None:
    queue = queue_on(redis_client)
    await redis_client.set(SHARED.token, token)
    for phone in OTHERS:
        await queue.enqueue(message(phone, phone))
    tokens = [batch.token for batch in (await queue.claim("p", limit=3)).batches]
    assert sorted(set(tokens)) == tokens
    assert len(tokens) == 3
    assert tokens[-1] < 2**53


async def test_a_script_of_a_holder_moves_aside_what_was_damaged_meanwhile(redis_client: Redis) -> None:
    """The reply is sent: whatever happens to the statistics and the archive, the turn is completed."""
    queue = queue_on(redis_client)
    await queue.enqueue(message("m1", "bad"))
    (batch,) = (await queue.claim("p")).batches
    await queue.enqueue(message("m2", "bad"))
    await put(redis_client, BAD.stats, "string")
    await put(redis_client, BAD.completed, "hash")
    await queue.complete(batch)
    await queue.complete(batch)
    (rest,) = (await queue.claim("p")).batches
    assert rest.ids == ("m2",)
    assert [done.id for done in await queue.completed("bot", "bad")] == ["m1"]
    assert {key.holds for key in await damaged(queue)} == {"statistics", "archive"}


async def test_a_failure_is_noted_whatever_is_damaged(redis_client: Redis) -> None:
    queue = queue_on(redis_client)
    await queue.enqueue(message("m1", "bad"))
    (batch,) = (await queue.claim("p")).batches
    for key in (BAD.stats, BAD.reply, SHARED.dead):
        await put(redis_client, key, "string")
    assert await queue.fail(batch, "told", dead=True) == 1
    assert [letter.reason for letter in await queue.dead_letters()] == ["told"]
    assert len(await damaged(queue)) == 3


async def test_messages_of_a_wrong_type_go_back_by_command(redis_client: Redis) -> None:
    queue = queue_on(redis_client)
    await queue.enqueue(message("m1", "bad"))
    (stored,) = await redis_client.lrange(BAD.queue, 0, -1)
    await redis_client.delete(BAD.queue)
    await redis_client.set(BAD.queue, stored)
    await queue.enqueue(message("m2", "bad"))
    (key,) = await damaged(queue)
    assert await queue.damage.contents(key) == [text(stored)]
    assert await queue.damage.repair(key.id) == 1
    (batch,) = (await queue.claim("p")).batches
    assert batch.ids == ("m2", "m1")
    with pytest.raises(DamagedKeyNotFoundError):
        await queue.damage.repair(key.id)
    assert await redis_client.keys("wa:{0}:damaged:*") == []


@pytest.mark.parametrize("kind", ["set", "zset", "hash", "stream"])
@pytest.mark.parametrize("limit", [2, 500])
async def test_messages_go_back_from_a_key_of_any_type(
    redis_client: Redis, kind: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queue_core.queue.upkeep.damage._RESTORED_MAX", limit)
    queue = queue_on(redis_client)
    for name in ("m1", "m2", "m3"):
        await queue.enqueue(message(name, "bad"))
    elements = map(text, await redis_client.lrange(BAD.queue, 0, -1))
    stamped = [element.replace('"addedAt":', f'"addedAt":{n}', 1) for n, element in enumerate(elements, 1)]
    await redis_client.delete(BAD.queue)
    for number, element in enumerate(stamped):
        writes: dict[str, tuple[Any, ...]] = {
            "set": ("SADD", BAD.queue, element),
            "zset": ("ZADD", BAD.queue, -number, element),
            "hash": ("HSET", BAD.queue, f"f{number}", element),
            "stream": ("XADD", BAD.queue, "*", "message", element),
        }
        await redis_client.execute_command(*writes[kind])  # type: ignore[no-untyped-call]  # in redis-py
    await queue.enqueue(message("m4", "bad"))
    (key,) = await damaged(queue)
    await put(redis_client, BAD.queue, "string")  # damaged again
    assert await queue.damage.repair(key.id) == 3
    (batch,) = (await queue.claim("p")).batches
    in_order = kind == "stream" or limit > 3  # a step puts its part in order
    assert (batch.ids if in_order else tuple(sorted(batch.ids))) == ("m1", "m2", "m3")
    assert [key.type for key in await damaged(queue)] == ["string"]


async def test_a_key_without_messages_can_only_be_dropped(redis_client: Redis) -> None:
    queue = queue_on(redis_client)
    await put(redis_client, BAD.lock, "string")
    await queue.enqueue(message("m1", "bad"))
    (key,) = await damaged(queue)
    with pytest.raises(QueueError, match="damaged drop"):
        await queue.damage.repair(key.id)
    await queue.damage.drop(key.id)
    assert await damaged(queue) == []
    assert not await redis_client.exists(key.kept_as)
    for wrong in (key.id, "0/1", "9/1-1", "x"):
        with pytest.raises(DamagedKeyNotFoundError):
            await queue.damage.drop(wrong)


async def test_a_conversation_that_cannot_be_leased_at_all_goes_aside_whole(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows such damage yet: a fault in the script that one conversation meets stands for it."""
    plant(
        monkeypatch,
        "claim",
        "  local tries = tries_in(lock[2])\n",
        "  local tries = tries_in(lock[2])\n  if place.conversation == 'bot:bad' then error('attempt to test') end\n",
    )
    queue = queue_on(redis_client)
    for phone in ("bad", *OTHERS):
        await queue.enqueue(message(phone, phone))
    await redis_client.hset(BAD.lock, "error", "before")
    claimed = await queue.claim("p", limit=10)
    assert [batch.user_phone for batch in claimed.batches] == list(OTHERS)
    assert claimed.damaged == 2
    assert (await queue.rescue()).stranded == 0
    assert [key.holds for key in await damaged(queue)] == ["messages", "lease and attempts"]
    monkeypatch.undo()
    assert await queue.damage.repair((await damaged(queue))[0].id) == 1
    (batch,) = (await queue.claim("p", limit=10)).batches
    assert batch.ids == ("bad",)


async def test_damaged_locks_are_kept_up_to_a_limit(redis_client: Redis) -> None:
    """A program that writes a lock of its own for every message must not fill Redis."""
    queue = queue_on(redis_client)
    pipeline = redis_client.pipeline(transaction=False)
    for _ in range(1_000):
        pipeline.xadd(SHARED.damaged, {"name": "lock"})
    await pipeline.execute()
    await put(redis_client, BAD.lock, "string")
    await put(redis_client, BAD.queue, "list")
    await queue.enqueue(message("m1", "bad"))
    assert await redis_client.xlen(SHARED.damaged) == 1_000
    assert await redis_client.keys("wa:{0}:damaged:*") == []
    await redis_client.delete(BAD.queue)
    await put(redis_client, BAD.queue, "string")  # in place of a list: it may hold messages
    await queue.enqueue(message("m2", "bad"))
    assert await redis_client.xlen(SHARED.damaged) == 1_001
    assert len(await redis_client.keys("wa:{0}:damaged:*")) == 1


async def test_a_missing_right_moves_nothing_aside(real_redis: Redis) -> None:
    queue, client = await queue_without(real_redis, "incr")
    async with client:
        await queue.enqueue(message("m1", "bad"))
        await set_rights(real_redis, "-set")
        with pytest.raises(QueueError):
            await queue.claim("p")
        await set_rights(real_redis)
        assert [batch.ids for batch in (await queue.claim("p")).batches] == [("m1",)]
        assert await damaged(queue) == []
    await real_redis.acl_deluser("limited")


async def test_a_full_redis_moves_damage_aside_too(real_redis: Redis) -> None:
    queue = queue_on(real_redis)
    await queue.enqueue(message("m1", "u0"))
    await put(real_redis, BAD.lock, "string")
    await real_redis.zadd(SHARED.active, {"bot:bad": 1})
    await real_redis.config_set("maxmemory", "1")
    try:
        assert len((await queue.claim("p", limit=5)).batches) == 1
    finally:
        await real_redis.config_set("maxmemory", "0")
    assert [key.holds for key in await damaged(queue)] == ["lease and attempts"]


async def test_a_damaged_dead_letter_hides_no_other(redis_client: Redis) -> None:
    queue = queue_on(redis_client)
    await redis_client.xadd(SHARED.dead, {"something": "else"})
    await redis_client.xadd(
        SHARED.dead, {"conversation": "bot:1", "attempts": "x", "at": "soon", "message": "{"}
    )
    await queue.enqueue(message("m1", "u0"))
    await queue.fail((await queue.claim("p")).batches[0], "no luck", dead=True)
    odd, unreadable, sound = await queue.dead_letters()
    assert (odd.message, odd.raw, odd.attempts) == (None, "", 0)
    assert (unreadable.message, unreadable.raw, unreadable.user_phone) == (None, "{", "1")
    assert sound.reason == "no luck"
    with pytest.raises(DeadLetterNotFoundError):
        await queue.requeue(odd.id)
    await queue.drop(odd.id)
