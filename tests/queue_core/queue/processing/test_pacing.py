"""Moments that Redis gives to the messages of a sending number: never more in a second than it may send."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue
from queue_core.redis.scripts.answers import PaceAnswer
from tests.queue_core.queue.conftest import EPOCH_MS, Clock


async def take(queue: MessageQueue, per_s: int = 80, count: int = 1, number: str = "cloud:1") -> PaceAnswer:
    """Take a moment that may be far away."""
    return await queue.pacing.take(number, per_s=per_s, count=count, wait_ms_max=60_000)


async def waits(queue: MessageQueue, messages: int, per_s: int = 80) -> list[int]:
    """Take moments for some messages, one after the other, and return their waits."""
    return [(await take(queue, per_s)).wait_ms for _ in range(messages)]


async def test_a_burst_within_the_rate_waits_for_nothing(queue: MessageQueue) -> None:
    assert await waits(queue, 80) == [0] * 80
    assert await waits(queue, 81) == [1_000] * 80 + [2_000], "first come, first served"


async def test_no_second_has_more_messages_than_the_rate(queue: MessageQueue, clock: Clock) -> None:
    moments = []
    for step in range(400):
        moments.append(clock.now_ms - EPOCH_MS + (await take(queue, 7)).wait_ms)
        clock.now_ms += 3 + 90 * (step % 11 == 0)
    assert moments == sorted(moments)
    assert all(later - earlier >= 1_000 for earlier, later in zip(moments, moments[7:], strict=False))
    assert moments[-1] <= 1_000 * (len(moments) // 7 + 1), "and no second has fewer while messages wait"


async def test_several_messages_that_ask_at_once_all_count(queue: MessageQueue) -> None:
    assert (await take(queue, count=79)).wait_ms == 0
    assert await waits(queue, 2) == [0, 1_000]


async def test_numbers_have_a_rate_each(queue: MessageQueue) -> None:
    await waits(queue, 80)
    assert (await take(queue, number="cloud:2")).wait_ms == 0


async def test_without_a_rate_nothing_waits_and_nothing_is_kept(
    queue: MessageQueue, redis_client: Redis
) -> None:
    assert await waits(queue, 300, per_s=0) == [0] * 300
    assert await redis_client.keys() == []


async def test_a_moment_that_is_too_far_away_is_not_taken(queue: MessageQueue, clock: Clock) -> None:
    await waits(queue, 160)
    for _ in range(3):
        refused = await queue.pacing.take("cloud:1", per_s=80, count=1, wait_ms_max=1_500)
        assert (refused.is_granted, refused.wait_ms) == (False, 2_000)
    clock.now_ms += 500
    granted = await queue.pacing.take("cloud:1", per_s=80, count=1, wait_ms_max=1_500)
    assert (granted.is_granted, granted.wait_ms) == (True, 1_500), "the refused ones took no place"


async def test_a_refusal_pauses_the_number_and_halves_its_rate(queue: MessageQueue, clock: Clock) -> None:
    await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=5_000)
    first = await take(queue)
    assert (first.wait_ms, first.halvings) == (5_000, 1)
    clock.now_ms += 5_000
    assert await waits(queue, 40) == [0] * 39 + [1_000]


async def test_refusals_of_one_moment_count_once(queue: MessageQueue, clock: Clock) -> None:
    slowed = [await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=0) for _ in range(20)]
    assert {answer.halvings for answer in slowed} == {1}
    for expected in (2, 3, 4, 5, 6, 6, 6):
        clock.now_ms += 1_500
        assert (await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=0)).halvings == expected
    assert await waits(queue, 2) == [0, 1_000], "one message in a second, and never none"


async def test_a_send_that_began_before_the_end_of_a_pause_halves_nothing_again(
    queue: MessageQueue, clock: Clock
) -> None:
    async def halvings(ago_ms: int) -> int:
        slowed = await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=0, ago_ms=ago_ms)
        return slowed.halvings

    await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=5_000)
    clock.now_ms += 4_999
    assert await halvings(0) == 1
    clock.now_ms += 2_000
    assert await halvings(2_000) == 1, "it began before the end of the pause"
    clock.now_ms += 1
    assert await halvings(0) == 2


async def test_a_message_that_asks_again_has_waited_already(queue: MessageQueue) -> None:
    await waits(queue, 80)
    for waited_ms, is_granted in ((1_001, False), (1_000, True)):
        answer = await queue.pacing.take("cloud:1", per_s=80, count=1, wait_ms_max=2_000, waited_ms=waited_ms)
        assert (answer.is_granted, answer.wait_ms) == (is_granted, 1_000)


async def test_the_rate_comes_back(queue: MessageQueue, clock: Clock) -> None:
    for _ in range(3):
        clock.now_ms += 1_500
        await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=0)
    seen = []
    for _ in range(4):
        clock.now_ms += 10_000
        seen.append((await take(queue)).halvings)
    assert seen == [2, 1, 0, 0]
    clock.now_ms += 10_000
    assert await waits(queue, 80) == [0] * 80


@pytest.mark.parametrize("pause_ms", [2_000, 12_000, 600_000])
async def test_the_rate_comes_back_only_after_the_pause(
    queue: MessageQueue, clock: Clock, pause_ms: int
) -> None:
    await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=pause_ms)
    clock.now_ms += pause_ms
    assert await waits(queue, 41) == [0] * 40 + [1_000]
    clock.now_ms += 9_999
    assert (await take(queue)).halvings == 1
    clock.now_ms += 1
    assert (await take(queue)).halvings == 0


async def test_a_refusal_right_after_the_rate_has_doubled_halves_it_again(
    queue: MessageQueue, clock: Clock
) -> None:
    await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=0)
    clock.now_ms += 10_000
    assert (await take(queue)).halvings == 0
    clock.now_ms += 300
    assert (await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=0)).halvings == 1


async def test_a_number_without_a_rate_slows_down_after_a_refusal(queue: MessageQueue, clock: Clock) -> None:
    await queue.pacing.slow_down("waha:1", per_s=0, asked_ms=2_000)
    slowed = [(await take(queue, 0, number="waha:1")).wait_ms for _ in range(11)]
    assert slowed == [2_000] * 10 + [3_000]
    clock.now_ms += 30_000
    assert [(await take(queue, 0, number="waha:1")).wait_ms for _ in range(50)] == [0] * 50


async def test_a_clock_that_is_set_back_stops_nothing(queue: MessageQueue, clock: Clock) -> None:
    await waits(queue, 200)
    await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=500_000)
    clock.now_ms -= 86_400_000
    assert (await take(queue)).wait_ms == 0
    clock.now_ms += 86_400_000
    assert (await take(queue)).wait_ms == 0, "the pause is over for good"


async def test_a_pause_is_limited(queue: MessageQueue) -> None:
    slowed = await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=10**9)
    assert slowed.wait_ms == 600_000


async def test_damaged_keys_are_forgotten(queue: MessageQueue, redis_client: Redis) -> None:
    partition = queue.keys.partitions[0]
    await redis_client.set(partition.moments_of("cloud:1"), "x")
    await redis_client.rpush(partition.slowdown_of("cloud:1"), "x")
    assert (await take(queue)).is_granted
    slowed = await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=0)
    assert slowed.halvings == 1


async def test_little_is_kept_and_not_for_long(queue: MessageQueue, redis_client: Redis) -> None:
    await waits(queue, 500)
    await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=0)
    partition = queue.keys.partitions[0]
    assert await redis_client.llen(partition.moments_of("cloud:1")) == 80
    for key in (partition.moments_of("cloud:1"), partition.slowdown_of("cloud:1")):
        assert 0 < await redis_client.pttl(key) <= 1_200_000


async def test_a_clock_that_is_set_back_stops_no_number(queue: MessageQueue, clock: Clock) -> None:
    """Moments are within the longest wait: one that is further away was given before the step."""

    async def grants() -> list[bool]:
        answers = [
            await queue.pacing.take("cloud:1", per_s=80, count=1, wait_ms_max=2_000) for _ in range(160)
        ]
        return [answer.is_granted for answer in answers]

    assert all(await grants())
    clock.now_ms -= 30_000
    assert (await queue.pacing.slow_down("cloud:2", per_s=80, asked_ms=0)).halvings == 1
    assert all(await grants())


async def test_a_refusal_leaves_the_moments_that_were_given(queue: MessageQueue, clock: Clock) -> None:
    for _ in range(240):
        await queue.pacing.take("cloud:1", per_s=80, count=1, wait_ms_max=2_000)
    await queue.pacing.slow_down("cloud:1", per_s=80, asked_ms=0)
    assert (await take(queue)).wait_ms >= 2_000
