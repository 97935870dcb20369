"""Faults of Redis and of the way to it, in the middle of traffic.

Producers repeat what was not acknowledged by the same id, two workers answer, and everything comes out exactly once.
On a machine that stands still for longer than a worker has to renew its lease after an outage, a reply may come twice
(`unsure_sends`): such a run shows nothing, and says so.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import Batch, MessageQueue, Processor, QueueSettings, QueueUnavailableError, connect
from queue_core.redis import scripts
from queue_core.redis.scripts.loader import Call
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import (
    PATIENCE_S,
    Bot,
    at_rest,
    check_ledger,
    enqueue,
    eventually,
    message,
    quick,
    running,
)
from tests.queue_core.faults.proxy import Fault, Proxy

USERS = 12
MESSAGES_BEFORE_AND_AFTER = 40
SETTINGS = quick(
    redis_deadline_ms=300,
    lock_ttl_ms=10_000,
    lock_renew_ms=500,
    backoff_base_ms=1,
    window_ms=10,
    max_messages=3,
)


class Traffic:
    """Users who write, producers that repeat until acknowledged, two workers that answer."""

    def __init__(self, redis: Redis, settings: QueueSettings = SETTINGS) -> None:
        self.settings = settings
        self.queue = MessageQueue(redis, settings)
        self.bot = Bot(on_send=self._notes)
        self.on_send: Callable[[Batch], Awaitable[None]] | None = None
        self.accepted: list[str] = []
        self.refused = 0
        self._is_enough = False
        self._sends: list[str] = []
        """Each send: ids, worker, attempt, token, and when by this machine's clock."""
        self._unrenewed_s: dict[str, float] = {}
        """Longest time between two renewals of a worker's leases, or since its claim."""
        self._stalled_s = 0.0
        """Longest time for which this process stood still."""
        self._workers = [self._worker(redis, f"worker-{number}") for number in range(2)]

    def _worker(self, redis: Redis, name: str) -> Processor:
        queue = MessageQueue(redis, self.settings)
        renewed_at: dict[int, float] = {}
        extend = queue.extend

        async def noted_extend(batch: Batch) -> None:
            await extend(batch)
            now = time.monotonic()
            unrenewed_s = now - renewed_at.get(batch.token, now)
            self._unrenewed_s[name] = max(unrenewed_s, self._unrenewed_s.get(name, 0.0))
            renewed_at[batch.token] = now

        queue.extend = noted_extend  # type: ignore[method-assign]  # to look on
        return Processor(queue, self.bot.handle, self.bot.send, processor_id=name)

    async def _notes(self, batch: Batch) -> None:
        send = f"{' '.join(batch.ids)} by {batch.processor_id}, attempt {batch.attempt}, token {batch.token}"
        claimed = f"claimed at {batch.claimed_at_ms} by Redis's clock"
        self._sends.append(f"{send}, {claimed}, sent at {time.time() * 1000:.0f} by this machine's")
        if self.on_send:
            await self.on_send(batch)

    async def _measures_stalls(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            self._stalled_s = max(self._stalled_s, time.monotonic() - before - 0.01)

    async def flows_through(self, fault: Callable[[], Awaitable[None]]) -> None:
        """Let everybody write while the fault strikes; return when all is answered and the ledger closed."""
        measuring = asyncio.create_task(self._measures_stalls())
        async with running(*self._workers):
            await self._delivers("first", "somebody else")  # every script is loaded
            await at_rest(self.queue)
            users = [asyncio.create_task(self._writes(f"user-{number}")) for number in range(USERS)]
            await self._accepts_more()
            await fault()
            await self._accepts_more()
            self._is_enough = True
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*users)
            await at_rest(self.queue)
        measuring.cancel()
        if self._stalled_s * 1000 >= self.settings.grace_ms / 2:
            pytest.skip(
                f"this machine stood still for {self._stalled_s:.1f} s, so leases could not be renewed"
            )
        doubles = {it for it, times in Counter(self.bot.sent_ids).items() if times > 1}
        sends = "\n".join(send for send in self._sends if doubles & set(send.split(" by ")[0].split()))
        assert not doubles, (
            f"sent twice; this process stood still for {self._stalled_s:.2f} s at most, leases were not renewed for "
            f"{self._unrenewed_s} s:\n{sends}"
        )
        await check_ledger(self.queue, self.accepted, self.bot.sent_ids)
        assert self.bot.overlaps == []
        for number in range(USERS):
            of_user = [it for it in self.bot.sent_ids if it.startswith(f"user-{number}:")]
            assert of_user == [it for it in self.accepted if it.startswith(f"user-{number}:")]

    async def _accepts_more(self) -> None:
        enough = len(self.accepted) + MESSAGES_BEFORE_AND_AFTER
        await eventually(lambda: len(self.accepted) >= enough, "traffic")

    async def _writes(self, phone: str) -> None:
        for number in count():
            await self._delivers(f"{phone}:{number}", phone)
            if self._is_enough:
                return
            await asyncio.sleep(0.02)

    async def _delivers(self, message_id: str, phone: str) -> None:
        while True:
            try:
                await self.queue.enqueue(message(message_id, phone))
            except QueueUnavailableError:
                self.refused += 1
                await asyncio.sleep(0.02)
            else:
                break
        self.accepted.append(message_id)


@asynccontextmanager
async def traffic_through_a_proxy(server: EmbeddedRedis) -> AsyncIterator[tuple[Proxy, Traffic]]:
    """Make traffic whose way to Redis can be cut."""
    async with Proxy(server.url) as proxy, connect(proxy.url) as redis:
        yield proxy, Traffic(redis)


async def test_redis_is_killed_and_restarted(redis_server: EmbeddedRedis) -> None:
    """With `appendfsync always` nothing acknowledged is lost, and the scripts come back."""

    async def kill_and_restart() -> None:
        for _ in range(2):
            redis_server.kill()
            await asyncio.sleep(0.05)
            await asyncio.to_thread(redis_server.start)
            await asyncio.sleep(0.05)

    async with connect(redis_server.url) as redis:
        traffic = Traffic(redis)
        await traffic.flows_through(kill_and_restart)
        assert traffic.refused > 0


@pytest.mark.parametrize("outages_s", [(4.5,), (2.4, 2.4)], ids=["one", "two"])
async def test_redis_is_away_for_longer_than_a_lease_after_a_send(
    redis_server: EmbeddedRedis, outages_s: tuple[float, ...]
) -> None:
    """No worker dies: the sender knows that it sent, and has time to note it. Two outages add up to a lease."""
    settings = quick(redis_deadline_ms=300, lock_ttl_ms=4_000, lock_renew_ms=500, window_ms=10)
    is_sent = asyncio.Event()

    async def kill(batch: Batch) -> None:
        if not is_sent.is_set():
            redis_server.kill()
            is_sent.set()

    async def away() -> None:
        traffic.on_send = kill
        await is_sent.wait()
        for outage_s in outages_s:
            redis_server.kill()
            await asyncio.sleep(outage_s)
            await asyncio.to_thread(redis_server.start)
            await asyncio.sleep(0.05)

    async with connect(redis_server.url) as redis:
        traffic = Traffic(redis, settings)
        await traffic.flows_through(away)


async def test_redis_stands_still_for_longer_than_the_deadline(redis_server: EmbeddedRedis) -> None:
    """Calls made meanwhile are carried out when Redis goes on, and are repeated: they count once all the same."""

    async def stand_still() -> None:
        redis_server.pause()
        await asyncio.sleep(1.0)
        redis_server.resume()

    async with connect(redis_server.url, socket_timeout_s=0.5) as redis:
        traffic = Traffic(redis)
        await traffic.flows_through(stand_still)
        assert traffic.refused > 0


async def test_connections_are_killed_over_and_over(redis_server: EmbeddedRedis) -> None:

    async def kill_clients() -> None:
        async with Redis.from_url(redis_server.url) as direct:
            for _ in range(10):
                await direct.client_kill_filter(_type="normal", skipme=True)
                await asyncio.sleep(0.01)

    async with connect(redis_server.url) as redis:
        await Traffic(redis).flows_through(kill_clients)


async def test_scripts_are_flushed_over_and_over(redis_server: EmbeddedRedis) -> None:
    """Redis answers NOSCRIPT, also inside a pipeline."""

    async def flush() -> None:
        async with Redis.from_url(redis_server.url) as direct:
            for _ in range(30):
                await direct.script_flush()
                await asyncio.sleep(0.002)

    async with connect(redis_server.url) as redis:
        # Each flush may cost a pipeline two round trips, and a slow machine needs more than 300 ms for thirty of them.
        traffic = Traffic(redis, replace(SETTINGS, redis_deadline_ms=5_000))
        await traffic.flows_through(flush)
        assert traffic.refused == 0


@pytest.mark.parametrize("fault", ["lose the answer", "cut the request in half", "cut before the answer"])
@pytest.mark.parametrize(
    "stub",
    [scripts.Enqueue, scripts.Claim, scripts.RecordReply, scripts.Complete],
    ids=lambda stub: stub.script.name,
)
async def test_a_request_or_its_answer_is_lost_on_the_way(
    redis_server: EmbeddedRedis, stub: type[Call[Any]], fault: Fault
) -> None:
    """A reset inside a pipeline, and answers that never come."""
    async with traffic_through_a_proxy(redis_server) as (proxy, traffic):

        async def strike() -> None:
            for _ in range(2):
                armed = proxy.arm(fault, stub)
                async with asyncio.timeout(PATIENCE_S):
                    await armed.happened.wait()

        await traffic.flows_through(strike)


async def test_a_small_pool_is_waited_for(redis_server: EmbeddedRedis) -> None:
    """Two doorbells hold a connection each, and one is left for everything else."""

    async def nothing() -> None:
        pass

    async with connect(redis_server.url, connections_max=3) as redis:
        await Traffic(redis).flows_through(nothing)


async def test_a_full_redis_refuses_loudly_and_still_drains(redis_server: EmbeddedRedis) -> None:
    """Nothing more goes in, nothing is lost, and what is in is answered."""
    async with connect(redis_server.url) as redis:
        queue, bot = MessageQueue(redis, quick()), Bot()
        ids = [f"m{number}" for number in range(20)]
        for number, message_id in enumerate(ids):
            await enqueue(queue, [message_id], f"user-{number}")
        await redis.config_set("maxmemory", "1")
        with pytest.raises(QueueUnavailableError, match=r"(?i)oom|memory"):
            await queue.enqueue(message("refused"))
        async with running(Processor(queue, bot.handle, bot.send)):
            await at_rest(queue)
        await check_ledger(queue, ids, bot.sent_ids)
        await redis.config_set("maxmemory", "0")
        assert (await queue.enqueue(message("refused"))).status == "queued", "its id was marked as seen"


async def test_a_redis_that_cannot_save_refuses_loudly(redis_server: EmbeddedRedis) -> None:
    """Redis answers MISCONF. Work goes on when it can save again."""
    in_the_way = redis_server.data_dir / "dump.rdb"
    in_the_way.mkdir()
    async with connect(redis_server.url) as redis:
        queue, bot = MessageQueue(redis, quick()), Bot()
        await enqueue(queue, ["m1"])
        await redis.config_set("save", "3600 1000000")
        await _save(redis, "err")
        with pytest.raises(QueueUnavailableError, match="MISCONF"):
            await queue.enqueue(message("m2"))
        async with running(Processor(queue, bot.handle, bot.send)):
            await asyncio.sleep(0.2)
            assert bot.asked == []
            in_the_way.rmdir()
            await _save(redis, "ok")
            await at_rest(queue)
        assert (await queue.enqueue(message("m2"))).status == "queued"
        await check_ledger(queue, ["m1", "m2"], bot.sent_ids)


async def test_a_redis_that_is_still_loading_is_unavailable() -> None:
    """Redis answers LOADING."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(65_536):
                writer.write(b"-LOADING Redis is loading the dataset in memory\r\n")
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, connect(f"redis://127.0.0.1:{port}/0") as redis:
        queue = MessageQueue(redis, quick())
        with pytest.raises(QueueUnavailableError, match=r"(?i)loading"):
            await queue.enqueue(message("m1"))
        with pytest.raises(QueueUnavailableError, match=r"(?i)loading"):
            await Processor(queue, Bot().handle).process_all_queues()


async def _save(redis: Redis, result: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await redis.bgsave()
        while True:
            state = await redis.info("persistence")
            if not state["rdb_bgsave_in_progress"] and state["rdb_last_bgsave_status"] == result:
                return
            await asyncio.sleep(0.01)
