"""Change of the number of partitions while messages wait."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

import pytest
from redis.asyncio import Redis, RedisCluster

from loadtests.replicated_redis.cluster import ClusterServers
from queue_core import Batch, Intake, MessageQueue, QueueMessage, QueueSettings, connect
from queue_core.errors import LeaseLostError, PartitionsError, QueueError
from queue_core.keys import ConversationKey, KeySpace, Place, home_of
from queue_core.queue.health.health import examine
from queue_core.queue.partitions import change, noted, turns
from queue_core.queue.partitions.carrying import CONVERSATION_KINDS, Carrying
from queue_core.queue.partitions.mover import Mover
from tests.conftest import store_client
from tests.queue_core.queue.conftest import Clock
from tests.queue_core.queue.partitions.content import (
    check_process_refused,
    claim_all,
    contents,
    fill,
    written,
)

USERS = [f"20{number}" for number in range(6)]


@pytest.fixture(autouse=True)
def _few_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close few partitions, and look at the leases often."""
    monkeypatch.setattr(noted, "PARTITIONS_MAX", 12)
    monkeypatch.setattr(turns, "LOOK_S", 0.001)


@pytest.fixture
async def redis() -> Redis:
    """A client of the simulator's store, for steps that need no other server."""
    return store_client()


def process(redis: Redis, partitions: int, clock: Clock) -> MessageQueue:
    """A process of a deployment; its leases are short, so that tests need not wait for them."""
    rules = QueueSettings(partitions=partitions, lock_ttl_ms=50, lock_renew_ms=20, redis_deadline_ms=20_000)
    return MessageQueue(redis, rules, clock=clock, monotonic=clock.seconds, rng=random.Random(partitions))


async def lease(queue: MessageQueue, clock: Clock) -> dict[str, Batch]:
    """Store a message of each user, and lease all turns."""
    for user in USERS:
        await queue.enqueue(written(f"m{user}", user))
    clock.now_ms += 8_000
    return {batch.user_phone: batch for batch in await claim_all(queue)}


async def check_refused(call: Callable[[], Awaitable[object]], words: str) -> None:
    """Check that a call raises PartitionsError in these words."""
    with pytest.raises(PartitionsError, match=words):
        await call()


def test_every_kind_of_key_of_a_conversation_is_carried() -> None:
    kinds = {made.kind for made in vars(Place).values() if isinstance(made, ConversationKey)}
    assert set(CONVERSATION_KINDS) == kinds


@pytest.mark.newest_redis
@pytest.mark.parametrize(("before", "after"), [(2, 6), (6, 2), (4, 6)])
async def test_everything_is_found_again_by_the_new_number(
    redis_client: Redis, clock: Clock, before: int, after: int
) -> None:
    await check_change(redis_client, clock, before, after)


async def test_everything_is_found_again_on_a_cluster(cluster_client: RedisCluster, clock: Clock) -> None:
    await check_change(cast("Redis", cluster_client), clock, 2, 5)


async def check_change(redis: Redis, clock: Clock, before: int, after: int) -> None:
    """Change the number of partitions, and check that everything is kept."""
    old, new = process(redis, before, clock), process(redis, after, clock)
    stored = await fill(old, clock)
    kept = await contents(redis, before)
    await old.partitions.change(after).run(wait_s=10)
    assert await contents(redis, after) == kept
    for message in stored:
        assert (await new.enqueue(message)).status == "duplicate"
    tokens = [int(await redis.get(keys.token) or 0) for keys in new.keys.partitions]
    assert len(set(tokens)) == 1, "a token of a new partition could be older than a lease that was lost"


async def test_messages_that_waited_are_answered_in_order_and_once(redis: Redis, clock: Clock) -> None:
    old, new = process(redis, 2, clock), process(redis, 5, clock)
    for number in range(3):
        for user in USERS:
            await old.enqueue(written(f"{user}-{number}", user))
    await old.partitions.change(5).run(wait_s=10)
    for user in USERS:
        await new.enqueue(written(f"{user}-3", user))
    clock.now_ms += 8_000
    batches = await claim_all(new)
    assert sorted(batch.ids for batch in batches) == [
        tuple(f"{user}-{number}" for number in range(4)) for user in USERS
    ]
    for batch in batches:
        await new.complete(batch)
    assert await new.depth() == 0


async def test_processes_with_another_number_are_refused_after_the_change(redis: Redis, clock: Clock) -> None:
    old = process(redis, 2, clock)
    batches = await lease(old, clock)
    await old.fail(batches[USERS[0]], "no", dead=True)
    for batch in list(batches.values())[1:]:
        await old.fail(batch, "later")
    await old.partitions.change(5).run(wait_s=10)
    for partitions in (2, 7):
        words = f"lie in 5 partitions, but this process has {partitions}, .* set partitions .QUEUE_PARTITIONS. to 5"
        await check_process_refused(process(redis, partitions, clock), words)
    assert await process(redis, 5, clock).partitions.noted() == noted.NotedPartitions(partitions=5)


async def test_the_health_report_names_both_numbers(real_redis: Redis, clock: Clock) -> None:
    queue = process(real_redis, 2, clock)
    await queue.partitions.change(5).run(wait_s=10)
    (error,) = [error for error in (await examine(queue)).errors if "partitions" in error]
    assert "lie in 5 partitions, but this process has 2" in error


async def test_a_worker_that_missed_the_change_finds_its_lease_lost(redis: Redis, clock: Clock) -> None:
    old = process(redis, 2, clock)
    batches = await lease(old, clock)
    clock.now_ms += 60  # it was paused
    await old.partitions.change(5).run(wait_s=10)
    new = KeySpace("wa", 5)
    moved = [
        batch for user, batch in batches.items() if new.of("bot", user).partition != batch_partition(batch)
    ]
    assert moved
    for batch in moved:
        with pytest.raises(LeaseLostError):
            await old.record_reply(batch, "too late")


def batch_partition(batch: Batch) -> int:
    """Return the partition of a batch by the number before."""
    return KeySpace("wa", 2).of(batch.instance_name, batch.user_phone).partition


async def test_turns_in_progress_are_waited_for_and_then_nothing_is_changed(
    redis: Redis, clock: Clock
) -> None:
    old = process(redis, 2, clock)
    batches = await lease(old, clock)
    with pytest.raises(QueueError, match=f"turns that are under way: {len(USERS)}"):
        await old.partitions.change(5).run(wait_s=0.01)
    assert await old.holding.since_ms() is None
    is_waiting = asyncio.Event()
    changing = asyncio.create_task(old.partitions.change(5, lambda _: is_waiting.set()).run(wait_s=60))
    await is_waiting.wait()
    assert await old.holding.since_ms() is not None
    for batch in batches.values():
        assert (await old.enqueue(written(f"n{batch.user_phone}", batch.user_phone))).status == "queued"
        await old.complete(batch)
    assert (await changing).partitions is None
    assert await process(redis, 5, clock).depth() == len(USERS)


async def test_a_hold_of_the_operator_stays(redis: Redis, clock: Clock) -> None:
    old, new = process(redis, 2, clock), process(redis, 5, clock)
    await old.enqueue(written("m", USERS[0]))
    since_ms = await old.holding.hold()
    await old.partitions.change(5).run(wait_s=10)
    assert await new.holding.since_ms() == since_ms
    clock.now_ms += 8_000
    assert not await claim_all(new)
    await new.holding.resume()
    assert await claim_all(new)


async def test_a_hold_that_lacks_a_partition_is_completed_before_anything_is_carried(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, held = process(redis, 2, clock), list[bool]()

    async def look_at_the_holds(mover: Mover, *, is_opening: bool) -> None:
        held.extend([await redis.exists(keys.hold) == 1 for keys in old.keys.partitions])
        await close(mover, is_opening=is_opening)

    close = change._close
    monkeypatch.setattr(change, "_close", look_at_the_holds)
    since_ms = await old.without([1]).holding.hold()
    await old.partitions.change(3).run(wait_s=10)
    assert held == [True, True]
    assert await process(redis, 3, clock).holding.since_ms() == since_ms


async def test_a_wrong_number_before_is_noticed(redis: Redis, clock: Clock) -> None:
    old = process(redis, 2, clock)
    for user in USERS:
        await old.enqueue(written(f"m{user}", user))
    before = await contents(redis, 2)
    mistaken = process(redis, 5, clock)
    await check_refused(
        lambda: mistaken.partitions.change(5).run(wait_s=10), "do not lie where 5 partitions put them"
    )
    await check_refused(lambda: mistaken.partitions.change(7).run(wait_s=10), "Nothing was changed")
    assert await contents(redis, 2) == before
    assert (await old.partitions.noted()).partitions is None


async def test_a_paused_run_that_was_overtaken_does_no_harm(redis: Redis, clock: Clock) -> None:
    old = process(redis, 2, clock)
    stored = await fill(old, clock)
    kept = await contents(redis, 2)
    overtaken: list[int] = []

    async def overtake() -> None:
        await process(redis, 2, clock).partitions.change(5).run(wait_s=10)
        overtaken.append(await process(redis, 5, clock).depth())

    slow = process(redis, 2, clock)
    runs = slow.transport.gathered

    def gathered(call: object) -> Awaitable[object]:
        """Let another run come before the first run hands over a bundle."""
        if type(call).__name__ == "HandOver" and not overtaken:
            return after(overtake(), call)
        return runs(call)  # type: ignore[arg-type]

    async def after(first: Awaitable[None], call: object) -> object:
        await first
        return await runs(call)  # type: ignore[arg-type]

    slow.transport.gathered = gathered  # type: ignore[method-assign, assignment]
    await check_refused(
        lambda: slow.partitions.change(5).run(wait_s=10), "another run of this command took over"
    )
    assert overtaken
    assert await contents(redis, 5) == kept
    assert (await process(redis, 5, clock).enqueue(stored[0])).status == "duplicate"


async def test_a_note_that_somebody_deletes_during_the_change_is_reported(redis: Redis, clock: Clock) -> None:
    mover = process(redis, 2, clock)
    runs = mover.transport.gathered

    def gathered(call: object) -> Awaitable[object]:
        return deleted(call) if type(call).__name__ == "OpenPartition" else runs(call)  # type: ignore[arg-type]

    async def deleted(call: object) -> object:
        await redis.delete(*(f"wa:{{{number}}}:layout" for number in range(5)))
        return await runs(call)  # type: ignore[arg-type]

    mover.transport.gathered = gathered  # type: ignore[method-assign, assignment]
    await check_refused(lambda: mover.partitions.change(5).run(wait_s=10), "the note of this change is gone")


async def test_another_change_must_wait_until_the_first_is_complete(redis: Redis, clock: Clock) -> None:
    old = process(redis, 2, clock)
    await redis.hset("wa:{0}:layout", "partitions", "2>5")
    await check_refused(lambda: old.partitions.change(7).run(wait_s=10), "carried from 2 to 5 partitions")
    await old.partitions.change(5).run(wait_s=10)
    await old.partitions.change(7).run(wait_s=10)
    assert (await old.partitions.noted()).partitions == 7


async def test_webhooks_answer_nothing_directly_while_partitions_are_closed(
    redis: Redis, clock: Clock
) -> None:
    old = process(redis, 2, clock)
    await old.partitions.change(5).run(wait_s=10)

    async def unexpected(*_: object) -> None:
        raise AssertionError("answered directly")

    intake = Intake(old, unexpected, unexpected)
    await check_refused(lambda: intake.receive(written("m", USERS[0])), "QUEUE_PARTITIONS")
    message: QueueMessage = written("direct", USERS[0])
    intake._unsettled.add((("bot", USERS[0]), "direct"), message)
    await check_refused(intake.settle, "QUEUE_PARTITIONS")
    assert intake.unsettled == 1, "it would be answered again"


@pytest.mark.soak
async def test_a_cluster_whose_primary_dies_during_the_change(cluster_servers: ClusterServers) -> None:
    rules = QueueSettings(partitions=4, lock_ttl_ms=500, lock_renew_ms=100, wait_for_replicas=1)
    async with connect(cluster_servers.url) as client:
        old = MessageQueue(client, rules)
        users = [f"20{number}" for number in range(300)]
        await asyncio.gather(*(old.enqueue(written(f"m{user}", user)) for user in users))
        phases: list[str] = []

        def note(words: str) -> None:
            phases.append(words)
            if words.startswith("carried so far: ") and not dying:
                dying.append(asyncio.create_task(asyncio.to_thread(replace_primary)))

        def replace_primary() -> None:
            dead = cluster_servers.primaries()[0]
            dead.kill()
            cluster_servers.await_failover(dead)
            dead.start()  # as the replica for which the others wait

        dying: list[asyncio.Task[None]] = []
        await old.partitions.change(9, note).run(wait_s=60)
        await dying[0]
        assert any(words.startswith("trying again") for words in phases), "the failover came too late"
        new = MessageQueue(client, replace(rules, partitions=9))
        waiting = [await new.pending("bot", user) for user in users]
        assert [[message.id for message in messages] for messages in waiting] == [
            [f"m{user}"] for user in users
        ]
        assert await new.depth() == len(users)


async def test_a_lease_that_was_renewed_meanwhile_is_waited_for(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker wakes up when its leases have run out and the change begins to carry."""
    old = process(redis, 2, clock)
    batches = await lease(old, clock)
    clock.now_ms += 60
    carry, notes = Carrying.run, list[str]()

    async def wake_up(carrying: Carrying) -> None:
        if not notes:
            await asyncio.gather(*(old.extend(batch) for batch in batches.values()))
        await carry(carrying)

    def note(words: str) -> None:
        if words.startswith("waiting for a turn to end"):
            notes.append(words)
            clock.now_ms += 60

    monkeypatch.setattr(Carrying, "run", wake_up)
    await old.partitions.change(3, note).run(wait_s=10)
    assert len(notes) == 1
    carried = {user for user in USERS if home_of(f"bot:{user}", 2) != home_of(f"bot:{user}", 3)}
    assert carried <= {batch.user_phone for batch in await claim_all(process(redis, 3, clock))}


async def test_a_worker_with_short_leases_that_died_stops_no_change(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = process(redis, 2, clock)
    await lease(old, clock)
    clock.now_ms += 100_000
    monkeypatch.setattr(turns, "LOOK_S", 0.05)  # longer than a quarter of the lease
    await old.partitions.change(3).run(wait_s=5)


async def test_a_hold_that_an_operator_sets_meanwhile_stays(redis: Redis, clock: Clock) -> None:
    old = process(redis, 2, clock)
    await lease(old, clock)
    running = asyncio.create_task(old.partitions.change(3).run(wait_s=10))
    async with asyncio.timeout(10):
        while not await redis.keys("*}:hold"):
            await old.depth()
    await old.holding.hold()
    clock.now_ms += 100
    await running
    assert await process(redis, 3, clock).holding.since_ms() is not None


async def test_a_command_that_comes_too_late_leaves_no_hold(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, verify = process(redis, 2, clock), change._verify
    await old.enqueue(written("m", USERS[0]))

    async def be_overtaken(mover: Mover) -> None:
        monkeypatch.setattr(change, "_verify", verify)
        await old.partitions.change(3).run(wait_s=10)

    monkeypatch.setattr(change, "_verify", be_overtaken)
    await check_refused(lambda: old.partitions.change(3).run(wait_s=10), "lie in 3 partitions")
    assert await redis.keys("*}:hold") == []


async def test_a_wrong_number_is_noticed_when_nothing_waits(redis: Redis, clock: Clock) -> None:
    for batch in (await lease(process(redis, 2, clock), clock)).values():
        await process(redis, 2, clock).complete(batch)
    wrong = process(redis, 4, clock)
    await check_refused(
        lambda: wrong.partitions.change(8).run(wait_s=10), "do not lie where 4 partitions put them"
    )


async def test_old_messages_are_not_dropped_by_the_old_number(redis: Redis, clock: Clock) -> None:
    old = process(redis, 2, clock)
    await old.enqueue(written("m", USERS[0]))
    await old.partitions.change(3).run(wait_s=10)
    await check_refused(
        lambda: old.holding._drop(old.keys.of("bot", USERS[0]), 1, "too old"), "lie in 3 partitions"
    )
