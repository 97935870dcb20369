"""Ids that were seen: how long they are known, what they cost, and what a release before this one finds of them."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from queue_core.redis.scripts.loader import text
from tests.queue_core.redis.scripts.filling import Ids
from tests.queue_core.redis.scripts.steps import DAY_MS, NOW, PLACE, SHARED, Steps

HOUR_MS = 3_600_000
LENGTH_MS = DAY_MS // 3
OLD = PLACE.seen_of("m1").old


async def test_an_id_is_known_for_its_time_and_at_most_a_third_longer(steps: Steps) -> None:
    await steps.enqueue("first", -LENGTH_MS + 1)  # a generation begins with it
    await steps.enqueue("m1", 0)
    for hours in (1, 8, 16, 23, 24):
        assert (await steps.enqueue("m1", hours * HOUR_MS)).status == "duplicate"
        await steps.enqueue(f"later {hours}", hours * HOUR_MS)
    assert (await steps.enqueue("m1", DAY_MS + LENGTH_MS + LENGTH_MS // 64 + 1)).status == "duplicate", (
        "it is in the list until another generation begins"
    )
    await steps.enqueue("last", 2 * DAY_MS)
    assert (await steps.enqueue("m1", 2 * DAY_MS)).status == "queued"


async def test_redis_forgets_the_buckets_of_a_generation_soon_after_their_last_id(steps: Steps) -> None:
    for number in range(300):
        await steps.enqueue(f"m{number}", number * LENGTH_MS // 300)
    ttls = [await steps.redis.pttl(key) for key in await steps.redis.keys("*:ids:*")]
    # Computed from the times of the messages: a bucket made at the end of its generation has less time left.
    assert max(ttls) <= DAY_MS + LENGTH_MS + LENGTH_MS // 64
    assert min(ttls) >= DAY_MS


async def test_an_id_is_found_in_every_layer_of_its_generation(real_redis: Redis) -> None:
    ids = Ids(real_redis)
    await ids.add(12_000, NOW)
    assert len(await ids.layers()) >= 2
    for first in range(0, 12_000, 1_000):
        assert await ids.note(first, 50, NOW + 1_000) == 0


async def test_a_generation_begins_with_as_many_buckets_as_the_last_one_needed(real_redis: Redis) -> None:
    ids = Ids(real_redis)
    for generation in range(3):
        await ids.add(35_000, NOW + generation * LENGTH_MS)
    layers = await ids.layers()
    bits = [[bits for begun, bits in layers if begun == NOW + number * LENGTH_MS] for number in range(3)]
    assert bits == [[6, 9], [10], [10]], "35,000 ids are 34 in each of 1,024 buckets"
    await ids.add(500, NOW + 3 * LENGTH_MS)
    await ids.add(500, NOW + 4 * LENGTH_MS)
    assert (await ids.layers())[-1][1] == 6, "fewer ids take fewer buckets"


async def test_an_id_takes_at_most_40_bytes_also_just_before_the_oldest_are_forgotten(
    real_redis: Redis,
) -> None:
    """The ids of 32 hours are kept then; each byte is counted against the ids of 24."""
    base = (await real_redis.info("memory"))["used_memory"]
    ids = Ids(real_redis)
    for part in range(16):
        await ids.add(3_000, NOW + part * LENGTH_MS // 4)
    buckets = await real_redis.keys("*:ids:*")
    used = (await real_redis.info("memory"))["used_memory"] - base
    assert used / (ids.count * 3 / 4) <= 40
    encodings = {text(await real_redis.object("ENCODING", key)) for key in buckets}
    assert encodings <= {"listpack", "ziplist"}


async def test_a_new_id_costs_a_bounded_number_of_commands(real_redis: Redis) -> None:
    steps, ids = Steps(real_redis), Ids(real_redis)
    for generation in range(4):
        await ids.add(7_000, NOW + generation * LENGTH_MS)
    await steps.enqueue("m0", 4 * LENGTH_MS - 10)
    await real_redis.config_resetstat()
    await steps.enqueue("m1", 4 * LENGTH_MS - 1)
    calls = {
        name.removeprefix("cmdstat_"): values["calls"]
        for name, values in (await real_redis.info("commandstats")).items()
    }
    assert calls["hget"] <= 4 + 2, "one for each layer: the first generation has more than one"
    assert calls["hlen"] == 1
    assert sum(calls.values()) < 25


async def test_an_id_is_known_although_the_clock_was_set_back(steps: Steps) -> None:
    await steps.enqueue("m1", 0)
    assert (await steps.enqueue("m1", -2 * HOUR_MS)).status == "duplicate"
    await steps.enqueue("m2", -2 * HOUR_MS)
    for at in (-HOUR_MS, 0, HOUR_MS):
        assert (await steps.enqueue("m1", at)).status == "duplicate"
        assert (await steps.enqueue("m2", at)).status == "duplicate"


async def test_an_id_is_known_after_the_setting_was_changed(steps: Steps) -> None:
    await steps.enqueue("m1", 0)
    assert (await steps.enqueue("m1", HOUR_MS, dedupe_ttl_ms=2 * DAY_MS)).status == "duplicate"
    assert (await steps.enqueue("m1", HOUR_MS, dedupe_ttl_ms=DAY_MS // 2)).status == "duplicate"


async def test_an_id_that_comes_after_the_time_was_raised_is_kept_for_the_new_time(steps: Steps) -> None:
    for number in range(300):
        await steps.enqueue(f"before {number}", dedupe_ttl_ms=HOUR_MS)
    before = set(await steps.redis.keys("*:ids:*"))
    for number in range(300):
        await steps.enqueue(f"after {number}", 60_000, dedupe_ttl_ms=DAY_MS)
    buckets = set(await steps.redis.keys("*:ids:*")) - before
    assert sum([await steps.redis.hlen(key) for key in buckets]) == 300, (
        "none is in a bucket that ends earlier"
    )
    assert min([await steps.redis.pttl(key) for key in buckets]) >= DAY_MS


async def test_a_duplicate_says_when_the_id_came_first(steps: Steps) -> None:
    await steps.enqueue("m0", 0)
    await steps.enqueue("m1", HOUR_MS)
    answer = await steps.enqueue("m1", 2 * HOUR_MS)
    assert NOW + HOUR_MS - LENGTH_MS // 128 <= answer.added_at_ms <= NOW + HOUR_MS


async def test_a_bucket_of_another_type_is_moved_aside(steps: Steps) -> None:
    await steps.enqueue("m1", 0)
    (bucket,) = await steps.redis.keys("*:ids:*")
    await steps.redis.set(bucket, "not a hash")
    assert (await steps.enqueue("m1", 1)).status == "queued", "what it held is forgotten"
    assert (await steps.enqueue("m1", 2)).status == "duplicate"
    assert await steps.redis.xlen(SHARED.damaged) == 1


async def test_a_list_of_layers_that_cannot_be_read_is_begun_anew(steps: Steps) -> None:
    await steps.enqueue("m1", 0)
    await steps.redis.hset(SHARED.layout, "ids", "rubbish")
    await steps.enqueue("m2", 1)
    assert (await steps.enqueue("m2", 2)).status == "duplicate"


class TestBesideTheReleaseBefore:
    """Processes of layout 1 keep a string for each id, and know nothing else."""

    @pytest.fixture(autouse=True)
    async def data_of_layout_1(self, steps: Steps) -> None:
        await steps.redis.xadd(SHARED.wake, {"at": "1"})

    async def test_both_forms_are_written_for_a_day(self, steps: Steps) -> None:
        await steps.enqueue("m0", 0)
        await steps.enqueue("m1", DAY_MS - 1)
        assert await steps.redis.get(OLD) == str(NOW + DAY_MS - 1).encode()
        assert await steps.redis.pttl(OLD) > DAY_MS - 10_000
        await steps.redis.delete(OLD)
        assert (await steps.enqueue("m1", DAY_MS)).status == "duplicate"
        await steps.enqueue("m2", DAY_MS)
        assert not await steps.redis.exists(PLACE.seen_of("m2").old)

    async def test_an_id_of_an_old_process_is_found_as_long_as_it_may_be_there(self, steps: Steps) -> None:
        await steps.enqueue("m0", 0)
        await steps.redis.set(OLD, NOW + 5)
        for at in (10, DAY_MS, 2 * DAY_MS - 1):
            assert await steps.enqueue("m1", at) == ("duplicate", NOW + 5, 0)
        assert (await steps.enqueue("m1", 2 * DAY_MS)).status == "queued"

    async def test_an_answer_without_the_queue_is_noted_in_both_forms(self, steps: Steps) -> None:
        await steps.withdraw("m1")
        assert await steps.redis.get(OLD) == str(NOW).encode()
        await steps.redis.delete(OLD)
        assert (await steps.enqueue("m1", 10)).status == "duplicate"


async def test_an_empty_redis_needs_one_form_only(steps: Steps) -> None:
    await steps.enqueue("m1", 0)
    assert not await steps.redis.exists(OLD)
    await steps.redis.set(PLACE.seen_of("m2").old, NOW)
    assert (await steps.enqueue("m2", 0)).status == "queued"
