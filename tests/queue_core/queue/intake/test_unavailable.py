"""A Redis that refuses or is away: full, a replica, with a broken disk, without Lua or rights; on real servers."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import (
    MessageQueue,
    QueueMessage,
    QueueSettings,
    QueueUnavailableError,
    UnsupportedRedisError,
    connect,
)
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.conftest import REAL, SERVERS
from tests.queue_core.queue.conftest import EPOCH_MS

NO_WAIT = QueueSettings(window_ms=0, backoff_base_ms=0, max_retry_count=1)


def message(message_id: str, phone: str = "1") -> QueueMessage:
    return QueueMessage(id=message_id, instance_name="bot", user_phone=phone, message="x" * 100)


@asynccontextmanager
async def configured(redis: Redis, **directives: str) -> AsyncIterator[None]:
    """Change settings of Redis (`_` for `-`), and restore them: the server is shared."""
    before: dict[Any, Any] = {}
    for name, value in directives.items():
        directive = name.replace("_", "-")
        before |= await redis.config_get(directive)
        await redis.config_set(directive, value)
    try:
        yield
    finally:
        for name, value in before.items():
            await redis.config_set(name, value)


class TestAway:
    async def test_the_time_of_an_outage_does_not_count_as_waiting(
        self, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Workers tried to take the message, and could not reach Redis."""
        now_ms = [EPOCH_MS]
        queue = MessageQueue(redis_client, clock=lambda: now_ms[0], monotonic=lambda: now_ms[0] / 1000)
        await queue.enqueue(message("m1"))
        now_ms[0] += 2 * 3_600_000
        with monkeypatch.context() as patch:
            patch.setattr(queue.transport, "alone", _unreachable)
            with pytest.raises(QueueUnavailableError):
                await queue.claim("worker", limit=1)
        (batch,) = (await queue.claim("worker", limit=1)).batches
        assert batch.ids == ("m1",)
        await queue.complete(batch)
        await queue.enqueue(message("m2"))
        now_ms[0] += 2 * 3_600_000
        assert (await queue.claim("worker", limit=1)).given_up == 1, "without an outage the time counts"


async def _unreachable(_: object) -> None:
    raise QueueUnavailableError("away")


class TestFull:
    """The limit `maxmemory` is reached and nothing may be evicted."""

    async def test_enqueue_is_refused_and_says_so(self, real_redis: Redis) -> None:
        queue = MessageQueue(real_redis, NO_WAIT)
        async with configured(real_redis, maxmemory="1"):
            with pytest.raises(QueueUnavailableError, match=r"cannot be used now.*'maxmemory'\.?$"):
                await queue.enqueue(message("m1"))
        assert await queue.depth() == 0
        assert (await queue.enqueue(message("m1"))).status == "queued", "no trace was left of it"

    async def test_stored_messages_are_still_answered(self, real_redis: Redis) -> None:
        queue = MessageQueue(real_redis, NO_WAIT)
        for phone in ("done", "dead", "worn out", "released"):
            await queue.enqueue(message("m1", phone))
        async with configured(real_redis, maxmemory="1"):
            batches = {it.user_phone: it for it in (await queue.claim("p", limit=10)).batches}
            assert len(batches) == 4
            for batch in batches.values():
                await queue.extend(batch)
                await queue.record_reply(batch, "a reply")
                await queue.record_sent(batch)
            await queue.complete(batches["done"])
            assert await queue.fail(batches["dead"], "no use", dead=True) == 1
            assert await queue.fail(batches["worn out"], "no luck") == 0
            await queue.release(batches["released"])
            again = {it.user_phone: it for it in (await queue.claim("p", limit=10)).batches}
            assert set(again) == {"worn out", "released"}
            assert again["released"].reply == "a reply"
            assert await queue.fail(again["worn out"], "no luck") == 1
            await queue.complete(again["released"])
            assert await queue.depth() == 0
            assert len(await queue.dead_letters()) == 2
            assert [it.id for it in await queue.completed("bot", "done")] == ["m1"]

    async def test_a_dead_worker_s_conversation_is_taken_over(self, real_redis: Redis) -> None:
        now_ms = 1_790_000_000_000
        queue = MessageQueue(real_redis, NO_WAIT, clock=lambda: now_ms)
        await queue.enqueue(message("m1"))
        async with configured(real_redis, maxmemory="1"):
            for attempt in (1, 2):
                (batch,) = (await queue.claim("p")).batches
                assert batch.attempt == attempt
                for _ in range(9):
                    now_ms += 15_000 // 8
                    await queue.claim("looks on", limit=0)
            assert (await queue.claim("p")).given_up == 1
        (letter,) = await queue.dead_letters()
        assert letter.reason.startswith("given up after 2 attempts")


async def test_a_replica_cannot_be_written(real_redis: Redis) -> None:
    """After a failover the old address is a replica."""
    queue = MessageQueue(real_redis, NO_WAIT)
    await queue.enqueue(message("m1"))
    await real_redis.replicaof("127.0.0.1", "1")
    try:
        for step in (lambda: queue.enqueue(message("m2")), lambda: queue.claim("p")):
            with pytest.raises(QueueUnavailableError, match=r"cannot be used now.*read only replica"):
                await step()
        assert [it.id for it in await queue.pending("bot", "1")] == ["m1"], "it can still be read"
        async with configured(real_redis, replica_serve_stale_data="no"):
            with pytest.raises(QueueUnavailableError, match="MASTER is down"):
                await queue.enqueue(message("m2"))
            with pytest.raises(QueueUnavailableError, match="MASTER is down"):
                await queue.depth()
    finally:
        await real_redis.replicaof("NO", "ONE")
    assert (await queue.claim("p")).batches[0].ids == ("m1",)


async def test_too_few_replicas(real_redis: Redis) -> None:
    queue = MessageQueue(real_redis, NO_WAIT)
    async with configured(real_redis, min_replicas_to_write="1"):
        with pytest.raises(QueueUnavailableError, match="NOREPLICAS"):
            await queue.enqueue(message("m1"))


@pytest.mark.parametrize("label", REAL)
async def test_a_disk_that_cannot_be_written(label: str, tmp_path: Path) -> None:
    """MISCONF after a snapshot that failed."""
    with EmbeddedRedis(tmp_path / "data", server=SERVERS[label].path) as server:
        async with connect(server.url) as redis:
            queue = MessageQueue(redis, NO_WAIT)
            await redis.config_set("save", "3600 1")
            await queue.enqueue(message("m1"))
            (server.data_dir / "dump.rdb").unlink(missing_ok=True)
            (server.data_dir / "dump.rdb").mkdir()
            (server.data_dir / "dump.rdb" / "in the way").touch()
            await redis.bgsave()
            async with asyncio.timeout(10):
                while (await redis.info("persistence"))["rdb_last_bgsave_status"] == "ok":  # noqa: ASYNC110 - of Redis
                    await asyncio.sleep(0.02)
            with pytest.raises(QueueUnavailableError, match=r"cannot be used now.*(MISCONF|RDB)"):
                await queue.enqueue(message("m2"))
            shutil.rmtree(server.data_dir / "dump.rdb")
            await redis.config_set("stop-writes-on-bgsave-error", "no")
            assert (await queue.enqueue(message("m2"))).status == "queued"


@pytest.mark.parametrize("label", REAL)
@pytest.mark.parametrize("command", ["EVALSHA", "SCRIPT"])
async def test_a_redis_without_lua_is_named_as_such(label: str, command: str) -> None:
    with EmbeddedRedis(
        server=SERVERS[label].path, config={f"rename-command {command}": "NOT-HERE"}
    ) as server:
        async with connect(server.url) as redis:
            queue = MessageQueue(redis)
            for step in (queue.check(), queue.enqueue(message("m1", "966500"))):
                with pytest.raises(
                    UnsupportedRedisError, match=f"Lua scripts.*unknown command .{command}"
                ) as caught:
                    await step
                assert "966500" not in str(caught.value)


async def test_the_error_names_the_right_that_a_user_lacks(real_redis: Redis) -> None:
    await real_redis.acl_setuser(
        "poor", enabled=True, passwords="+pw", keys="*", categories=["+@all", "-@scripting"]
    )
    try:
        url = f"unix://poor:pw@{real_redis.connection_pool.connection_kwargs['path']}"
        async with connect(url) as redis:
            queue = MessageQueue(redis)
            for step in (queue.check(), queue.enqueue(message("m1"))):
                with pytest.raises(UnsupportedRedisError, match=r"\+@scripting"):
                    await step
    finally:
        await real_redis.acl_deluser("poor")


async def test_the_error_about_a_wrong_password_does_not_show_it(real_redis: Redis) -> None:
    url = f"unix://default:hunter2@{real_redis.connection_pool.connection_kwargs['path']}"
    await real_redis.config_set("requirepass", "secret")
    try:
        async with connect(url) as redis:
            queue = MessageQueue(redis)
            for step in (queue.check(), queue.enqueue(message("m1")), queue.depth()):
                with pytest.raises(QueueUnavailableError, match="password") as caught:
                    await step
                assert "hunter2" not in str(caught.value)
    finally:
        await real_redis.config_set("requirepass", "")


async def test_the_error_about_a_missing_server_shows_its_address() -> None:
    async with connect("redis://:hunter2@127.0.0.1:1/0") as redis:
        with pytest.raises(QueueUnavailableError, match=r"127\.0\.0\.1:1") as caught:
            await MessageQueue(redis).check()
        assert "hunter2" not in str(caught.value)


async def test_a_server_that_was_killed_and_came_back(redis_server: EmbeddedRedis) -> None:
    """Nothing acknowledged is gone, connections and scripts come back by themselves."""
    async with connect(redis_server.url) as redis:
        queue = MessageQueue(redis, QueueSettings(window_ms=0))
        await asyncio.gather(*(queue.enqueue(message(f"m{number}")) for number in range(50)))
        (batch,) = (await queue.claim("p")).batches
        redis_server.kill()
        with pytest.raises(QueueUnavailableError):
            await queue.enqueue(message("m50"))
        await asyncio.to_thread(redis_server.start)
        assert (await queue.enqueue(message("m50"))).status == "queued"
        await queue.complete(batch)
        assert [it.id for it in await queue.pending("bot", "1")] == ["m50"]
        assert len(await queue.completed("bot", "1")) == 50
