"""Content of a queue that uses every kind of key, and what of it is compared before and after a change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, QueueMessage
from queue_core.errors import PartitionsError
from queue_core.keys import KeySpace, home_of
from queue_core.queue.partitions.carrying import CONVERSATION_KINDS
from queue_core.queue.upkeep.sent_replies import Report
from queue_core.redis.scripts.loader import text
from queue_core.sent import SentPart
from tests.queue_core.queue.backends import fail
from tests.queue_core.queue.conftest import Clock

LEASE_FIELDS = (b"token", b"claimId", b"processorId", b"lockedAt", b"expiresAt", b"dueAt", b"size")
SPACE = KeySpace("wa", 1)
USERS = [f"20{number}" for number in range(8)]
ALIAS_OF = {"20900@lid": "20900"}


def written(message_id: str, user: str, **data: Any) -> QueueMessage:
    """A message of a user."""
    return QueueMessage(
        id=message_id, instance_name="bot", user_phone=user, message=f"text {message_id}", message_data=data
    )


async def claim_all(queue: MessageQueue) -> list[Any]:
    """Lease everything that is due."""
    return [
        batch
        for number in range(len(queue.keys.partitions))
        for batch in (await queue.claim("p", limit=50, partition=number)).batches
    ]


async def check_process_refused(queue: MessageQueue, words: str) -> None:
    """Check that each call of a process fails, with these words."""
    message = written("late", "20901")
    letters = [letter.id for letter in await queue.dead_letters()]
    calls: list[Awaitable[object]] = [
        queue.check(),
        queue.enqueue(message),
        queue.edit(message, "b206"),
        queue.withdraw(message),
        queue.claim("p"),
        queue.forget("bot", "20902"),
        queue.keep_unreadable(message, "no"),
        queue.sent.report(Report(kind="own", instance_name="bot", reply_id="late", user_phone="20901")),
        *map(queue.requeue, letters),
    ]
    for call in calls:
        with pytest.raises(PartitionsError, match=words):
            await call


async def fill(queue: MessageQueue, clock: Clock) -> list[QueueMessage]:
    """Make conversations in many states, and return all messages that were stored."""
    stored: list[QueueMessage] = []

    async def store(message: QueueMessage) -> None:
        assert (await queue.enqueue(message)).status in ("queued", "changed")
        stored.append(message)

    for user in USERS:
        await store(written(f"a{user}", user))
    await store(written("first", "20900@lid"))
    await store(written("second", "20900", addresses={"phone": "20900", "lid": "20900@lid"}))
    clock.now_ms += 8_000
    batches = {batch.user_phone: batch for batch in await claim_all(queue)}
    for user in USERS:
        await store(written(f"b{user}", user))
    await queue.record_reply(batches[USERS[0]], "done")
    await queue.sent.note(batches[USERS[0]], [SentPart(f"out{number}", "done") for number in range(4)])
    await queue.complete(batches[USERS[0]])
    await queue.record_reply(batches[USERS[1]], "perhaps sent")  # and the worker dies
    await queue.fail(batches[USERS[2]], "a reason")
    await queue.fail(batches[USERS[3]], "no", dead=True)
    await fail(queue, batches[USERS[4]])
    await fail(queue, batches[USERS[5]])
    for name in ("20900", "20900@lid"):
        if name in batches:
            await queue.fail(batches[name], "later")
    await queue.edit(written("edit", USERS[6]), f"b{USERS[6]}")
    await queue.delete(written("deletion", USERS[7]), "unknown")
    for user in USERS[:4]:
        await queue.notes.put("bot", user, f"memory of {user}".encode(), ttl_s=3_600)
        await queue.sent.report(
            Report(kind="failed", instance_name="bot", reply_id=f"unknown{user}", user_phone=user)
        )
    await queue.sent.note_again(batches[USERS[1]])
    lost = await queue.sent.report(
        Report(kind="failed", instance_name="bot", reply_id="out1", user_phone=USERS[0])
    )
    assert lost.reply
    await queue.sent.note_undelivered(
        Report(kind="failed", instance_name="bot", reply_id="out1", user_phone=USERS[0]), lost.reply
    )
    await _damage(queue, clock)
    return stored


async def _damage(queue: MessageQueue, clock: Clock) -> None:
    """Let a claim move a damaged key aside, and damage another one that nobody has looked at."""
    damaged = queue.keys.of("bot", "20777")
    await queue.enqueue(written("x", "20777"))
    await queue.redis.delete(damaged.queue)
    await queue.redis.hset(damaged.queue, mapping={"a": "not a list"})
    clock.now_ms += 8_000
    await queue.claim("q", limit=50, partition=damaged.partition, only=("bot", "20777"))
    await queue.redis.sadd(queue.keys.of("bot", "20778").completed, "not a list")


async def contents(redis: Redis, partitions: int) -> dict[Any, Any]:
    """Return what the queue keeps, wherever it lies; raise AssertionError for what lies in the wrong partition."""
    kept: dict[Any, Any] = {"damaged": Counter(), "dead_letters": Counter()}
    for raw in await redis.keys("wa:{*"):
        parts = SPACE.split(text(raw))
        assert parts
        number, rest = parts
        kind, _, name = rest.partition(":")
        assert kind != "outbox", "a bundle was left"
        assert number < partitions or kind == "layout", f"{rest} was left in {number}"
        value = await _value(redis, raw)
        if kind in CONVERSATION_KINDS:
            assert home_of(name, partitions) == number, f"{rest} lies in {number}"
            if kind == "processing_lock":
                value = {field: value[field] for field in value if field not in LEASE_FIELDS}
            kept |= {rest: value} if value else {}
        elif kind in ("active_queues", "backend_waiting", "reports", "reports_due"):
            if not kind.startswith("reports"):
                assert {home_of(text(member), partitions) for member in dict(value)} == {number}, rest
            kept.update({(rest, member): known for member, known in dict(value).items()})
        elif rest in kept:
            kept[rest] += await _entries(redis, rest, number, value, partitions)
    return kept


async def _entries(
    redis: Redis, stream: str, number: int, entries: list[Any], partitions: int
) -> Counter[str]:
    """Return the entries of a stream, without their ids, and the keys that belong to them."""
    counted: Counter[str] = Counter()
    for entry_id, fields in entries:
        conversation = text(fields[b"conversation"])
        assert not conversation or home_of(conversation, partitions) == number
        key = f"wa:{{{number}}}:damaged:{text(entry_id)}"
        content = await _value(redis, key) if stream == "damaged" else ""
        counted[str((sorted(fields.items()), content))] += 1
    return counted


async def _value(redis: Redis, key: bytes | str) -> Any:
    reads: dict[str, Any] = {
        "string": lambda: redis.get(key),
        "list": lambda: redis.lrange(key, 0, -1),
        "hash": lambda: redis.hgetall(key),
        "set": lambda: redis.smembers(key),
        "zset": lambda: redis.zrange(key, 0, -1, withscores=True),
        "stream": lambda: redis.xrange(key),
    }
    return await reads[text(await redis.type(key))]()


async def commands_that_copy(redis: Redis) -> list[tuple[Any, ...]]:
    """Return commands that write a copy of all keys."""
    commands: list[tuple[Any, ...]] = []
    for key in sorted(await redis.keys("*")):
        kind, value = text(await redis.type(key)), await _value(redis, key)
        if kind == "stream":
            commands += [("XADD", key, entry_id, *_flat(fields)) for entry_id, fields in value]
        elif kind == "zset":
            commands += [("ZADD", key, score, member) for member, score in value]
        else:
            name, words = {
                "string": ("SET", [value]),
                "list": ("RPUSH", value),
                "set": ("SADD", value),
                "hash": ("HSET", _flat(value) if kind == "hash" else []),
            }[kind]
            commands.append((name, key, *words))
        if (left_ms := await redis.pttl(key)) > 0:
            commands.append(("PEXPIRE", key, left_ms))
    return commands


def _flat(pairs: Any) -> list[Any]:
    return [word for pair in pairs.items() for word in pair]
