"""Scripts that Redis aborts in the middle: it keeps what they wrote, and no message may be lost by that."""

from __future__ import annotations

import pytest
from redis.asyncio import ConnectionPool, Redis

from queue_core import MessageQueue, QueueError, QueueMessage, QueueSettings
from queue_core.keys import KeySpace

USER, PASSWORD = "limited", "for-this-test"
PLACE = KeySpace("wa", 1).of("bot", "1")
MESSAGE = QueueMessage(id="m1", instance_name="bot", user_phone="1", message="x")


async def set_rights(redis: Redis, *commands: str) -> None:
    await redis.acl_setuser(
        USER,
        enabled=True,
        reset=True,
        passwords=[f"+{PASSWORD}"],
        keys=["*"],
        channels=["*"],
        categories=["+@all"],
        commands=list(commands),
    )


async def queue_without(redis: Redis, command: str) -> tuple[MessageQueue, Redis]:
    """A queue whose user may not use a command, and its client."""
    await set_rights(redis, f"-{command}")
    pool = redis.connection_pool
    options = {**pool.connection_kwargs, "username": USER, "password": PASSWORD}
    client = Redis.from_pool(ConnectionPool(connection_class=pool.connection_class, **options))
    return MessageQueue(client, QueueSettings(window_ms=0)), client


@pytest.mark.parametrize("command", ["hset", "rpush", "zadd"])
async def test_a_message_that_could_not_be_stored_is_stored_when_it_is_delivered_again(
    real_redis: Redis, command: str
) -> None:
    queue, client = await queue_without(real_redis, command)
    async with client:
        for _ in range(2):
            with pytest.raises(QueueError):
                await queue.enqueue(MESSAGE)
        await set_rights(real_redis)
        assert (await queue.enqueue(MESSAGE)).status == "queued"
        (batch,) = (await queue.claim("p")).batches
        assert batch.ids == ("m1",)
    await real_redis.acl_deluser(USER)


@pytest.mark.parametrize("command", ["hincrby", "pexpire"])
async def test_a_message_is_stored_without_its_statistics(real_redis: Redis, command: str) -> None:
    queue, client = await queue_without(real_redis, command)
    async with client:
        assert (await queue.enqueue(MESSAGE)).status == "queued"
        assert (await queue.enqueue(MESSAGE)).status == "duplicate"
    await real_redis.acl_deluser(USER)


async def test_a_key_of_another_type_refuses_no_message(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, QueueSettings(window_ms=0))
    for key in (PLACE.queue, PLACE.lock, PLACE.active):
        await redis_client.set(key, "of a wrong type")
    assert (await queue.enqueue(MESSAGE)).status == "queued"
    assert (await queue.enqueue(MESSAGE)).status == "duplicate"
    (batch,) = (await queue.claim("p")).batches
    assert batch.ids == ("m1",)


async def test_statistics_of_another_type_cost_no_message(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, QueueSettings(window_ms=0))
    await redis_client.set(PLACE.stats, "not a hash")
    assert (await queue.enqueue(MESSAGE)).status == "queued"
