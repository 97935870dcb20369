"""The trial run of `check`: it finds what Redis would refuse, names it, and leaves nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from redis import exceptions
from redis.asyncio import Redis, RedisCluster

from queue_core import MessageQueue, QueueMessage, QueueSettings
from queue_core import queue as queue_package
from queue_core.queue.health import probe as probing
from queue_core.queue.health.probe import COMMANDS, probe
from queue_core.redis import scripts
from queue_core.redis.runner import ScriptRunner
from tests.queue_core.redis.scripts.test_partial_writes import queue_without, set_rights

LUA = Path(str(scripts.__file__)).parent
PYTHON = Path(str(queue_package.__file__)).parent


async def keys_of(redis: Redis) -> list[Any]:
    """Return the keys that stay for longer than the ids of the trial messages."""
    keys = sorted(await redis.keys())
    return [key for key in keys if not 0 < await redis.ttl(key) <= 2 * probing.KEPT_S]


@pytest.mark.parametrize("partitions", [1, 3])
async def test_nothing_is_wrong_and_nothing_stays(redis_client: Redis, partitions: int) -> None:
    queue = MessageQueue(redis_client, QueueSettings(partitions=partitions, window_ms=0))
    await queue.enqueue(QueueMessage(id="m1", instance_name="bot", user_phone="1", message="x"))
    before = await keys_of(redis_client)
    assert await probe(queue) == []
    assert await keys_of(redis_client) == before
    assert [await queue.depth(), len(await queue.dead_letters())] == [1, 0]


async def test_a_queue_on_a_cluster(cluster_client: RedisCluster) -> None:
    assert await probe(MessageQueue(cluster_client, QueueSettings(partitions=5))) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "command",
    # How a refusal is worded depends on the version, not on the command: one of them is tried on each.
    [
        pytest.param(name, marks=[] if name == "GET" else pytest.mark.newest_redis)
        for name in sorted(COMMANDS)
    ],
)
async def test_a_missing_right_is_named(real_redis: Redis, command: str) -> None:
    queue, client = await queue_without(real_redis, command.lower())
    async with client:
        (error, *others) = await probe(queue)
        assert f"may not run {command}, " in error
        assert f"+{command.lower()} " in error
        assert others == []
    await real_redis.acl_deluser("limited")


@pytest.mark.newest_redis
@pytest.mark.parametrize(
    ("setting", "command"), [({"wait_for_replicas": 1}, "wait"), ({"wait_for_fsync": True}, "waitaof")]
)
async def test_the_rights_to_wait_are_tried_if_the_queue_waits(
    real_redis: Redis, setting: dict[str, Any], command: str
) -> None:
    queue, client = await queue_without(real_redis, command)
    async with client:
        assert await probe(queue) == []
        await real_redis.config_set("appendonly", "yes")
        try:
            error, *_ = await probe(MessageQueue(client, QueueSettings(**setting)))
        finally:
            await real_redis.config_set("appendonly", "no")
    assert f"may not run {command.upper()}, " in error
    assert f"+{command} " in error
    await real_redis.acl_deluser("limited")


async def test_several_missing_rights_are_one_sentence(real_redis: Redis) -> None:
    queue, client = await queue_without(real_redis, "rpush")
    async with client:
        await set_rights(real_redis, "-rpush", "-@sortedset")
        (error,) = await probe(queue)
        assert "RPUSH" in error
        assert "+zadd" in error
    await real_redis.acl_deluser("limited")


async def test_keys_that_may_not_be_used_are_named(real_redis: Redis) -> None:
    queue, client = await queue_without(real_redis, "incr")
    async with client:
        await real_redis.acl_setuser(
            "limited",
            enabled=True,
            reset_keys=True,
            keys=["wa:{0}:msg_queue:*", "wa:{0}:probe*", "wa:probe*"],
        )
        (error,) = await probe(queue)
        assert "wa:{0}:processing_lock:probe" in error
        assert "wa:{0}:active_queues" in error
        assert "msg_queue" not in error
        assert "~wa:*" in error
    await real_redis.acl_deluser("limited")


async def test_a_user_who_may_use_the_keys_of_the_queue_only_is_enough(real_redis: Redis) -> None:
    queue, client = await queue_without(real_redis, "incr")
    async with client:
        await real_redis.acl_setuser("limited", enabled=True, reset_keys=True, keys=["wa:*"])
        assert await probe(queue) == []
    await real_redis.acl_deluser("limited")


async def test_keys_of_others_stay(real_redis: Redis) -> None:
    """A field of `Partition` is a number, which is not a key to delete."""
    await real_redis.set("1", "of another program")
    assert await probe(MessageQueue(real_redis)) == []
    assert await real_redis.get("1")


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("min-replicas-to-write", "1", "min-replicas-to-write"),
        ("maxmemory", "1", "raise maxmemory"),
    ],
)
async def test_writes_that_redis_refuses(real_redis: Redis, setting: str, value: str, words: str) -> None:
    before: Any = (await real_redis.config_get(setting))[setting]
    await real_redis.config_set(setting, value)
    try:
        (error,) = await probe(MessageQueue(real_redis))
    finally:
        await real_redis.config_set(setting, before)
    assert error.startswith("a trial message cannot be stored: ")
    assert words in error
    assert await keys_of(real_redis) == []


async def test_a_replica(real_redis: Redis) -> None:
    await real_redis.replicaof("127.0.0.1", "1")
    try:
        (error,) = await probe(MessageQueue(real_redis))
    finally:
        await real_redis.replicaof("NO", "ONE")
    assert "connect to its primary" in error


@pytest.mark.parametrize("redis_client", ["fakeredis"], indirect=True)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("ERR max daily request limit exceeded. Limit: 10000", "limits of your plan"),
        ("MISCONF Errors writing to the AOF file: No space left on device", "free space"),
        ("ERR something new", "something new"),
    ],
)
async def test_what_a_provider_answers(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, answer: str, words: str
) -> None:
    async def refuse(self: ScriptRunner, calls: Any) -> list[Any]:
        return [exceptions.ResponseError(answer) for _ in calls]

    monkeypatch.setattr(ScriptRunner, "_pipeline", refuse)
    (error,) = await probe(MessageQueue(redis_client))
    assert error.startswith("a trial message cannot be stored: ")
    assert words in error


def test_every_command_of_the_scripts_is_tried() -> None:
    """Commands without a key are left out: TIME, and those of redis-py."""
    used = {
        command
        for path in LUA.glob("*.lua")
        for command in re.findall(r"redis\.p?call\('([A-Z]+)'", path.read_text("utf-8"))
    }
    used |= {
        command
        for path in PYTHON.rglob("*.py")
        for command in re.findall(r'\("([A-Z]{3,})", (?:partition|place|shared|key)', path.read_text("utf-8"))
    }
    assert used - {"TIME"} <= set(COMMANDS)
    assert len(used) > 30
