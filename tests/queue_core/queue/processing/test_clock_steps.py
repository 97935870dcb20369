"""Steps of Redis's clock, forward and back: no message expires or waits because of them, and no lease is broken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis

from queue_core import Batch, MessageQueue, QueueMessage, QueueSettings
from queue_core.queue.outages import OutageSign
from queue_core.queue.server_time import STEP_MS, ServerTime
from queue_core.redis import scripts
from tests.queue_core.queue.conftest import EPOCH_MS

HOUR_MS = 3_600_000
SCRIPTS = Path(scripts.__file__).parent


@dataclass
class Clocks:
    """Redis's clock, and that of the processes, which runs evenly."""

    redis_ms: int = EPOCH_MS
    process_ms: int = 0

    def pass_ms(self, duration_ms: int) -> None:
        """Let time pass."""
        self.redis_ms += duration_ms
        self.process_ms += duration_ms

    def step_ms(self, step_ms: int) -> None:
        """Set Redis's clock."""
        self.redis_ms += step_ms


class World:
    """A queue as several processes see it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.clocks = Clocks()
        self.queue = self.new_process()

    def new_process(self) -> MessageQueue:
        """Return the queue of another process."""
        return MessageQueue(
            self.redis,
            QueueSettings(),
            clock=lambda: self.clocks.redis_ms,
            monotonic=lambda: self.clocks.process_ms / 1000,
        )

    async def put(self, message_id: str, phone: str = "1") -> None:
        """Store a message."""
        await self.queue.enqueue(
            QueueMessage(id=message_id, instance_name="bot", user_phone=phone, message="x")
        )

    async def claim(self, processor_id: str = "p") -> tuple[Batch, ...]:
        """Claim what is due."""
        return (await self.queue.claim(processor_id, limit=100)).batches

    async def wait_for_claim(self, within_ms: int, processor_id: str = "p") -> tuple[Batch, ...]:
        """Claim every half second until a claim leases something, for `within_ms`."""
        for _ in range(within_ms // 500):
            if batches := await self.claim(processor_id):
                return batches
            self.clocks.pass_ms(500)
        return ()


@pytest.fixture
def world(redis_client: Redis) -> World:
    """A world on each Redis."""
    return World(redis_client)


# Forward.


@pytest.mark.parametrize("step_ms", [HOUR_MS + 1_000, 100 * HOUR_MS])
async def test_a_fresh_message_does_not_expire_by_a_step_forward(world: World, step_ms: int) -> None:
    await world.claim()
    for number in range(5):
        await world.put(f"m{number}", str(number))
    world.clocks.step_ms(step_ms)
    assert len(await world.claim()) == 5
    assert await world.queue.dead_letters() == []


async def test_later_claims_and_other_workers_know_of_the_step(world: World) -> None:
    await world.claim()
    await world.put("m1")
    world.clocks.step_ms(2 * HOUR_MS)
    assert (await world.queue.claim("p", limit=0)).given_up == 0
    other = world.new_process()
    (batch,) = (await other.claim("other")).batches
    assert batch.ids == ("m1",)


async def test_a_message_expires_when_its_time_has_passed_since_the_step(world: World) -> None:
    await world.claim()
    await world.put("m1")
    world.clocks.step_ms(2 * HOUR_MS)
    await world.queue.claim("p", limit=0)
    world.clocks.pass_ms(HOUR_MS - 1_000)
    await world.queue.claim("p", limit=0)
    world.clocks.pass_ms(2_000)
    assert (await world.queue.claim("p")).given_up == 1


async def test_time_that_passes_is_not_a_step(world: World) -> None:
    await world.claim()
    await world.put("m1")
    for _ in range(61):
        world.clocks.pass_ms(60_000)
        await world.queue.claim("p", limit=0)
    assert (await world.queue.claim("p")).given_up == 1


async def test_a_holder_that_lives_keeps_its_lease(world: World) -> None:
    await world.put("m1")
    world.clocks.pass_ms(8_000)
    (batch,) = await world.claim("holder")
    world.clocks.step_ms(16_000)
    assert await world.claim("other") == ()
    world.clocks.pass_ms(2_000)
    await world.queue.extend(batch)
    world.clocks.pass_ms(5_000)
    assert await world.claim("other") == ()
    assert await world.queue.record_reply(batch, "a reply")
    await world.queue.complete(batch)


# Back.


async def test_what_waits_does_not_wait_for_the_clock(world: World) -> None:
    await world.claim()
    for number in range(250):
        await world.put("m1", str(number))
    world.clocks.step_ms(-10 * 60_000)
    phones = set[str]()
    while len(phones) < 250:
        batches = await world.wait_for_claim(5_000)
        assert batches, f"only {len(phones)} of 250 were due within 5 s"
        phones |= {batch.user_phone for batch in batches}


async def test_a_step_back_to_a_time_after_the_last_claim_is_noticed(world: World) -> None:
    """The worker's clock shows that more time has passed since then."""
    await world.claim()
    world.clocks.pass_ms(12_000)
    await world.put("m1")
    world.clocks.step_ms(-15_000)
    world.clocks.pass_ms(8_000)
    assert len(await world.wait_for_claim(1_000)) == 1


def test_an_answer_that_comes_late_is_not_a_step_back() -> None:
    now_s = [0.0]
    time = ServerTime(lambda: now_s[0])
    assert time.bounds_ms(0) == (0, 0)
    now_s[0] = 5.0
    time.note(0, EPOCH_MS, asked_s=0.0)
    now_s[0] = 7.0
    assert time.bounds_ms(0) == (EPOCH_MS + 2_000, EPOCH_MS + 7_000)


def test_processes_and_scripts_mean_the_same_by_a_step() -> None:
    assert f"local STEP_MS = {STEP_MS}\n" in (SCRIPTS / "lib.lua").read_text("utf-8")


@pytest.mark.parametrize("step_ms", [-600_000, 600_000])
def test_a_step_is_remembered_until_a_claim_tells_redis_of_it(step_ms: int) -> None:
    time = ServerTime(lambda: 0.0)
    assert time.note(0, EPOCH_MS, asked_s=0.0)
    assert not time.note(0, EPOCH_MS + step_ms, asked_s=0.0)
    assert time.bounds_ms(0) == (EPOCH_MS, EPOCH_MS)
    assert not time.note(0, EPOCH_MS + step_ms, asked_s=0.0, of_claim=True)
    assert time.bounds_ms(0) == (EPOCH_MS + step_ms, EPOCH_MS + step_ms)


async def test_a_new_message_makes_an_old_one_due(world: World) -> None:
    """No claim came before the step."""
    await world.put("m1")
    world.clocks.step_ms(-10 * 60_000)
    await world.put("m2")
    (batch,) = await world.claim()
    assert batch.ids == ("m1", "m2")


async def test_a_dead_worker_s_turn_is_taken_over_in_time(world: World) -> None:
    await world.put("m1")
    world.clocks.pass_ms(8_000)
    assert len(await world.claim("dies")) == 1
    world.clocks.step_ms(-10 * 60_000)
    (batch,) = await world.wait_for_claim(20_000, "other")
    assert (batch.ids, batch.attempt) == (("m1",), 2)


async def test_a_living_worker_s_turn_is_not_taken_over(world: World) -> None:
    await world.put("m1")
    world.clocks.pass_ms(8_000)
    (batch,) = await world.claim("holder")
    world.clocks.step_ms(-10 * 60_000)
    for _ in range(8):
        assert await world.wait_for_claim(5_000, "other") == ()
        await world.queue.extend(batch)
    await world.queue.complete(batch)
    assert await world.queue.active_conversations() == []


@pytest.mark.parametrize(("after_ms", "within_ms"), [(3_000, 6_000), (120_000, 125_000)])
async def test_a_backoff_ends_in_its_time_and_not_before(world: World, after_ms: int, within_ms: int) -> None:
    await world.put("m1")
    world.clocks.pass_ms(8_000)
    (batch,) = await world.claim()
    await world.queue.fail(batch, "no luck", after_ms=after_ms)
    world.clocks.step_ms(-10 * 60_000)
    assert await world.wait_for_claim(after_ms - 500) == ()
    assert len(await world.wait_for_claim(within_ms - after_ms)) == 1


async def test_a_step_back_below_a_second_changes_nothing(world: World) -> None:
    await world.claim()
    await world.put("m1")
    world.clocks.step_ms(-900)
    assert await world.wait_for_claim(8_500) == ()
    assert len(await world.wait_for_claim(1_000)) == 1


async def test_the_monitor_brings_forward_what_no_claim_saw(world: World) -> None:
    """The record of the last claims was lost with the step, as in a failover, and all workers are new."""
    await world.put("m1")
    world.clocks.step_ms(-10 * 60_000)
    worker = world.new_process()
    assert (await worker.claim("p", limit=1)).batches == ()
    await worker.rescue()
    assert len((await worker.claim("p", limit=1)).batches) == 1


async def test_a_stranded_turn_of_a_dead_worker_is_taken_over_in_time(world: World) -> None:
    await world.put("m1")
    world.clocks.pass_ms(8_000)
    assert len(await world.claim("dies")) == 1
    await world.redis.delete(world.queue.keys.partitions[0].active)
    world.clocks.step_ms(-10 * 60_000)
    assert (await world.queue.rescue()).stranded == 1
    assert len(await world.wait_for_claim(20_000, "other")) == 1


async def test_forward_and_back_again(world: World) -> None:
    await world.claim()
    await world.put("m1")
    world.clocks.step_ms(5 * HOUR_MS)
    await world.queue.claim("p", limit=0)
    world.clocks.step_ms(-5 * HOUR_MS)
    await world.queue.claim("p", limit=0)
    await world.put("m2", "2")
    world.clocks.pass_ms(HOUR_MS + 10_000)
    assert (await world.queue.claim("p", limit=5)).given_up == 2, "the wait counts again"


async def test_a_backend_that_is_away_is_probed_in_its_time(world: World) -> None:
    """The times that were noted of it lie in the future."""
    for phone in ("1", "2", "3"):
        await world.put(f"m{phone}", phone)
    world.clocks.pass_ms(8_000)
    for batch in (await world.claim())[:2]:
        sign = OutageSign("ai", took_ms=100)
        await world.queue.fail(batch, "connection refused", not_sent=True, sign=sign)
    assert [(outage.kind, outage.is_away) for outage in await world.queue.outages()] == [("ai", True)]
    world.clocks.step_ms(-10 * 60_000)
    assert len(await world.wait_for_claim(5_000)) == 1
