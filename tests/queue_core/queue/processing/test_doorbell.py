"""The doorbell: rings are heard, even during a reconnect, over a connection with a timeout of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, connect
from queue_core.queue.processing import doorbell
from queue_core.queue.processing.doorbell import Doorbell
from queue_core.queue.watch import Watch
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import PATIENCE_S, enqueue, eventually, happens, on_newest, quick
from tests.queue_core.faults.proxy import Proxy

WAKE = "wa:{0}:wake"


class Ears(Watch):
    """A watch that remembers its rings."""

    def __init__(self) -> None:
        super().__init__("worker")
        self.rung = asyncio.Event()
        self.waits_ms: list[float] = []

    def ring(self, wait_ms: float = 0.0) -> None:
        self.waits_ms.append(wait_ms)
        self.rung.set()


@asynccontextmanager
async def listening(redis: Redis) -> AsyncIterator[Ears]:
    """The ears of a doorbell that has rung at its start, and not since."""
    ears = Ears()
    task = asyncio.create_task(Doorbell(redis, {WAKE: ears}).listen())
    try:
        await happens(ears.rung)
        ears.rung.clear()
        yield ears
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=PATIENCE_S)
        assert task.done()


async def test_rings_when_something_is_due_earlier_than_known(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick(window_ms=600_000, max_messages=2))
    async with listening(redis_client) as ears:
        await enqueue(queue, ["m1"], "ali")
        await happens(ears.rung)  # the first one of all
        ears.rung.clear()
        await enqueue(queue, ["m2"], "mona")
        await asyncio.sleep(0.1)
        assert not ears.rung.is_set(), "rang for what is due later than the first"
        await enqueue(queue, ["m3"], "mona")
        await happens(ears.rung)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode_responses", [False, True])
async def test_every_kind_of_client_hears_each_ring_once(
    redis_server: EmbeddedRedis, protocol: int, decode_responses: bool
) -> None:
    async with Redis.from_url(
        redis_server.url, protocol=protocol, decode_responses=decode_responses
    ) as redis:
        await redis.xadd(WAKE, {"at": 1}, maxlen=1)
        async with listening(redis) as ears:
            for at in range(3):
                assert not ears.rung.is_set()
                await redis.xadd(WAKE, {"at": at}, maxlen=1)
                await happens(ears.rung)
                ears.rung.clear()
            await asyncio.sleep(0.05)
            assert not ears.rung.is_set(), "heard the same ring again"


@pytest.mark.parametrize("how", ["client kill", "reset", "restart"])
async def test_a_ring_during_a_disconnect_is_heard_afterwards(redis_server: EmbeddedRedis, how: str) -> None:
    async with (
        Redis.from_url(redis_server.url) as direct,
        Proxy(redis_server.url) as proxy,
        connect(proxy.url) as redis,
        listening(redis) as ears,
    ):
        if how == "client kill":
            await direct.client_kill_filter(_type="normal", skipme=True)
        elif how == "reset":
            proxy.cut_all()
        else:
            redis_server.kill()
            redis_server.start()
        await direct.xadd(WAKE, {"at": 1}, maxlen=1)
        await happens(ears.rung)


async def test_a_redis_that_comes_back_with_older_data_is_heard(redis_server: EmbeddedRedis) -> None:
    """After a failover the stream may end before the last ring heard, and redis-py reconnects silently."""
    async with (
        Redis.from_url(redis_server.url) as direct,
        connect(redis_server.url) as redis,
    ):
        await direct.xadd(WAKE, {"at": 1}, id="9999999999999-0")
        async with listening(redis) as ears:
            await direct.delete(WAKE)
            await direct.xadd(WAKE, {"at": 1}, id="1-0")
            await direct.client_kill_filter(_type="normal", skipme=True)
            await happens(ears.rung)
            ears.rung.clear()
            await direct.xadd(WAKE, {"at": 2}, id="2-0")
            await happens(ears.rung)


async def test_listening_goes_on_while_redis_stands_still(redis_server: EmbeddedRedis) -> None:
    async with connect(redis_server.url, socket_timeout_s=0.2) as redis, listening(redis) as ears:
        redis_server.pause()
        await asyncio.sleep(1.5)
        redis_server.resume()
        async with Redis.from_url(redis_server.url) as direct:
            await direct.xadd(WAKE, {"at": 1}, maxlen=1)
        await happens(ears.rung)


async def test_a_quiet_bell_outlives_the_timeout_of_the_pool_and_takes_none_of_its_connections(
    redis_server: EmbeddedRedis,
) -> None:
    """The blocking read has its own connection and timeout."""
    async with (
        Proxy(redis_server.url) as proxy,
        connect(proxy.url, socket_timeout_s=0.2, connections_max=1) as redis,
        listening(redis) as ears,
    ):
        before = proxy.connections
        await asyncio.sleep(0.6)
        assert await redis.ping()
        assert proxy.connections == before + 1, "the blocking read ran into the socket's timeout"
        assert not ears.rung.is_set()


async def test_the_bell_says_when_something_is_due(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick(window_ms=8_000, max_messages=2))
    async with listening(redis_client) as ears:
        await enqueue(queue, ["m1"])
        await happens(ears.rung)
        ears.rung.clear()
        await enqueue(queue, ["m2"])
        await happens(ears.rung)
    at_start, of_the_window, at_once = ears.waits_ms
    assert at_start == 0
    assert 7_900 <= of_the_window <= 8_000
    assert at_once <= 0


async def test_one_read_hears_all_partitions(real_redis: Redis) -> None:
    ears = {f"wa:{{{number}}}:wake": Ears() for number in range(64)}
    task = asyncio.create_task(Doorbell(real_redis, ears).listen())
    await asyncio.gather(*(happens(each.rung) for each in ears.values()))
    for key, each in ears.items():
        each.rung.clear()
        await real_redis.xadd(key, {"at": 1}, maxlen=1)
    await asyncio.gather(*(happens(each.rung) for each in ears.values()))
    blocked = [client for client in await real_redis.client_list() if "b" in client["flags"]]
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE_S)
    assert len(blocked) == 1


async def test_a_stream_that_begins_anew_is_noticed_after_a_silence(
    real_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted while the clock was set back: the next entries have ids below the one that was heard."""
    monkeypatch.setattr(doorbell, "BLOCK_MS", 50)
    await real_redis.xadd(WAKE, {"at": 1}, id="9999999999999-0")
    async with listening(real_redis) as ears:
        await real_redis.delete(WAKE)
        await real_redis.xadd(WAKE, {"at": 1}, id="1-0")
        await happens(ears.rung)


@on_newest
async def test_ends_when_cancelled_at_any_moment(redis_client: Redis) -> None:
    """redis-py may swallow a cancellation that comes at the wrong moment; the doorbell must still end."""
    for turns in range(40):
        task = asyncio.create_task(Doorbell(redis_client, {WAKE: Ears()}).listen())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        began = time.monotonic()
        await asyncio.wait([task], timeout=PATIENCE_S)
        assert task.cancelled(), f"cancelled after {turns} turns of the loop it went on"
        assert time.monotonic() - began < 4, "waited for a blocking read to end"


@on_newest
async def test_a_key_that_is_not_a_stream_is_retried_with_pauses(redis_client: Redis) -> None:
    await redis_client.set(WAKE, "something else")
    ears = Ears()
    task = asyncio.create_task(Doorbell(redis_client, {WAKE: ears}).listen())
    await asyncio.sleep(0.1)
    before = (await redis_client.info("stats"))["total_commands_processed"]
    await asyncio.sleep(0.2)
    after = (await redis_client.info("stats"))["total_commands_processed"]
    assert after - before <= 2
    await redis_client.delete(WAKE)
    await eventually(ears.rung.is_set, "it works again")
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE_S)
    assert task.cancelled()
