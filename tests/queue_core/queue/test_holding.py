"""Hold: nobody takes a turn, everything is stored, and what is too old can be dropped before the queue resumes."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, Processor
from queue_core.message import Batch
from queue_core.queue.health.health import examine
from queue_core.queue.holding import Inventory
from tests.queue_core.bot import Bot, at_rest, enqueue, eventually, message, quick, running
from tests.queue_core.queue.conftest import EPOCH_MS, Clock

HOUR_MS = TTL_MS = 3_600_000
USER = "201000000001"


async def leased(queue: MessageQueue, phone: str = USER) -> Batch:
    (batch,) = (await queue.claim("p", only=("bot", phone))).batches
    return batch


async def test_a_held_queue_stores_and_leases_nothing(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(message("m1"))
    clock.now_ms += 8_000
    assert await queue.holding.hold() == clock.now_ms
    assert (await queue.enqueue(message("m2"))).waiting == 2
    for only in (None, ("bot", USER)):
        claimed = await queue.claim("p", limit=10, only=only)
        assert (claimed.batches, claimed.next_due_ms) == ((), None)
    await queue.holding.resume()
    assert (await leased(queue)).ids == ("m1", "m2")


async def test_a_second_hold_does_not_change_since_when(queue: MessageQueue, clock: Clock) -> None:
    assert await queue.holding.since_ms() is None
    await queue.holding.hold()
    clock.now_ms += 1_000
    assert await queue.holding.hold() == EPOCH_MS
    assert await queue.holding.since_ms() == EPOCH_MS
    await queue.holding.resume()
    assert await queue.holding.since_ms() is None


async def test_a_damaged_hold_is_a_hold(queue: MessageQueue, clock: Clock, redis_client: Redis) -> None:
    """Until somebody resumes: workers must not begin by themselves."""
    await redis_client.set(queue.keys.partitions[0].hold, "not a hash")
    await queue.enqueue(message("m1"))
    clock.now_ms += 8_000
    assert (await queue.claim("p")).batches == ()
    assert await queue.holding.since_ms() == 0
    assert await queue.holding.hold() == 0
    await queue.holding.resume()
    assert await queue.holding.since_ms() is None
    assert (await leased(queue)).ids == ("m1",)


async def test_turns_in_progress_go_on(queue: MessageQueue, clock: Clock) -> None:
    await enqueue(queue, ["m1"])
    clock.now_ms += 8_000
    batch = await leased(queue)
    await queue.holding.hold()
    await queue.extend(batch)
    await queue.record_reply(batch, "a reply")
    await queue.complete(batch)
    assert await queue.depth() == 0


async def test_the_turn_of_a_dead_worker_is_taken_over_after_the_hold(
    queue: MessageQueue, clock: Clock
) -> None:
    await queue.enqueue(message("m1"))
    clock.now_ms += 8_000
    await leased(queue)
    await queue.holding.hold()
    for _ in range(20):
        clock.now_ms += 1_000
        assert (await queue.claim("q")).batches == ()
    await queue.holding.resume()
    (batch,) = (await queue.claim("q")).batches
    assert (batch.ids, batch.attempt) == (("m1",), 2)


@pytest.mark.not_on_store("the store has no INFO")
async def test_nothing_is_said_to_expire_while_the_queue_is_held(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(message("m1"))
    await queue.holding.hold()
    clock.now_ms += queue.settings.queue_ttl_s * 1000
    warnings = (await examine(queue)).warnings
    assert any("is held" in warning for warning in warnings)
    assert not any("becomes a dead letter" in warning for warning in warnings)


@pytest.mark.parametrize("held_for_ms", [TTL_MS + 1, 10 * TTL_MS])
async def test_no_message_expires_by_a_hold(queue: MessageQueue, clock: Clock, held_for_ms: int) -> None:
    await queue.enqueue(message("before"))
    await queue.holding.hold()
    await queue.enqueue(message("during"))
    clock.now_ms += held_for_ms
    assert (await queue.claim("p")).given_up == 0
    await queue.holding.resume()
    clock.now_ms += TTL_MS
    claimed = await queue.claim("p")
    assert (claimed.given_up, [batch.ids for batch in claimed.batches]) == (0, [("before", "during")])


async def test_after_a_hold_messages_expire_as_always(queue: MessageQueue, clock: Clock) -> None:
    await queue.holding.hold()
    await queue.enqueue(message("during"))
    clock.now_ms += 10 * TTL_MS
    await queue.holding.resume()
    clock.now_ms += TTL_MS + 1
    assert (await queue.claim("p")).given_up == 1


async def test_what_is_not_a_message_is_not_old_and_makes_no_message_old(
    queue: MessageQueue, clock: Clock
) -> None:
    """Something else wrote before, between and after the messages."""
    key = queue.keys.of("bot", USER).queue
    await queue.redis.rpush(key, b"rubbish")
    await queue.enqueue(message("old"))
    clock.now_ms += 2 * HOUR_MS
    await queue.redis.rpush(key, *[b"rubbish"] * 3)
    await queue.enqueue(message("new"))
    await queue.redis.rpush(key, b"rubbish")
    inventory = await queue.holding.inventory(older_than_ms=HOUR_MS)
    assert (inventory.messages, inventory.older) == (7, 2), "the first rubbish came before the old message"
    assert (inventory.oldest_ms, inventory.newest_ms) == (EPOCH_MS, clock.now_ms)
    assert await queue.holding.drop_older(HOUR_MS, "too old") == 2
    inventory = await queue.holding.inventory(older_than_ms=HOUR_MS)
    assert (inventory.messages, inventory.older, inventory.oldest_ms) == (5, 0, clock.now_ms)
    await queue.redis.delete(key)
    await queue.redis.rpush(key, b"rubbish")
    inventory = await queue.holding.inventory(older_than_ms=HOUR_MS)
    assert (inventory.messages, inventory.older, inventory.oldest_ms) == (1, 0, None)


async def test_workers_hear_of_the_end(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick())
    bot = Bot()
    await queue.holding.hold()
    processor = Processor(queue, bot.handle, bot.send)
    claims, claim = 0, queue.claim

    async def counted(*args: object, **options: object) -> object:
        nonlocal claims
        answer = await claim(*args, **options)  # type: ignore[arg-type]  # passed on as they came
        claims += 1
        return answer

    queue.claim = counted  # type: ignore[method-assign, assignment]  # to see when the worker has looked
    async with running(processor):
        await enqueue(queue, ["m1", "m2"])
        await eventually(lambda: claims >= 2, "looks at the held queue")
        assert bot.asked == []
        await queue.holding.resume()
        await at_rest(queue)
    assert bot.sent_ids == ["m1", "m2"]


async def test_an_idle_worker_does_not_ask_again_and_again(redis_client: Redis) -> None:
    """A turn that is due and may not be taken must not keep workers busy."""
    queue = MessageQueue(redis_client, quick(window_ms=0))
    await enqueue(queue, ["m1"])
    await queue.holding.hold()
    report = await Processor(queue, Bot().handle, Bot().send).process_all_queues()
    assert (report.conversations, report.next_due_ms) == (0, None)


async def test_the_inventory_says_what_would_be_answered(queue: MessageQueue, clock: Clock) -> None:
    assert await queue.holding.inventory() == Inventory(now_ms=EPOCH_MS)
    for phone in ("1", "2", "3"):
        await enqueue(queue, ["a", "b"], phone)
    clock.now_ms += 8_000
    unsure = await leased(queue, "1")
    await queue.record_reply(unsure, "sent or not")
    await queue.fail(unsure, "cut off")
    await leased(queue, "2")
    clock.now_ms += 1_000
    await enqueue(queue, ["c"], "2")
    await enqueue(queue, ["c"], "3")
    assert await queue.holding.inventory(older_than_ms=1_001) == Inventory(
        now_ms=clock.now_ms,
        conversations=3,
        messages=2 + 1 + 3,  # a and b of user 2 are in progress
        older=4,
        oldest_ms=EPOCH_MS,
        newest_ms=clock.now_ms,
        unsure_replies=1,
    )


@pytest.mark.newest_redis
async def test_the_inventory_of_more_than_a_page(queue: MessageQueue, clock: Clock) -> None:
    await asyncio.gather(*(queue.enqueue(message("m", str(phone))) for phone in range(450)))
    clock.now_ms += 1
    inventory = await queue.holding.inventory(older_than_ms=0)
    assert (inventory.conversations, inventory.messages, inventory.older) == (450, 450, 450)


async def test_old_messages_are_dropped_and_young_ones_answered(queue: MessageQueue, clock: Clock) -> None:
    await enqueue(queue, ["old1", "old2"])
    await enqueue(queue, ["only old"], "2")
    clock.now_ms += 2 * HOUR_MS
    await enqueue(queue, ["young"])
    await queue.holding.hold()
    assert await queue.holding.drop_older(HOUR_MS, "too old") == 3
    assert await queue.holding.drop_older(HOUR_MS, "too old") == 0
    await queue.holding.resume()
    clock.now_ms += 8_000
    (batch,) = (await queue.claim("p", limit=10)).batches
    assert batch.ids == ("young",)
    dropped = {letter.message.id: letter.reason for letter in await queue.dead_letters() if letter.message}
    assert dropped == {"old1": "too old", "old2": "too old", "only old": "too old"}


async def test_a_batch_with_a_recorded_reply_is_dropped_as_a_whole(queue: MessageQueue, clock: Clock) -> None:
    await enqueue(queue, ["old"])
    clock.now_ms += 8_000
    await enqueue(queue, ["with it"])
    batch = await leased(queue)
    await queue.record_reply(batch, "a reply")
    await queue.fail(batch, "cut off")
    clock.now_ms += HOUR_MS - 1_000
    await enqueue(queue, ["young"])
    await queue.holding.hold()
    assert await queue.holding.drop_older(HOUR_MS, "too old") == 2
    assert [letter.reply for letter in await queue.dead_letters()] == ["a reply", "a reply"]
    left = await queue.conversation("bot", USER)
    assert ([waiting.id for waiting in left.pending], left.reply, left.retry) == (["young"], None, None)


@pytest.mark.parametrize("is_alive", [True, False])
async def test_a_turn_in_progress_is_not_dropped(queue: MessageQueue, clock: Clock, is_alive: bool) -> None:
    await enqueue(queue, ["m1"])
    clock.now_ms += 8_000
    batch = await leased(queue)
    await queue.holding.hold()
    clock.now_ms += 15_000 - is_alive
    dropped = await queue.holding.drop_older(10_000, "too old")
    assert dropped == (0 if is_alive else 1)
    if is_alive:
        await queue.complete(batch)
    assert await queue.depth() == 0
    assert len(await queue.dead_letters()) == dropped


async def test_messages_answered_without_the_queue_are_not_dropped_but_finished(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["answered", "old"])
    clock.now_ms += 8_000
    await leased(queue)
    assert await queue.withdraw(message("answered")) == "withdrawn"
    clock.now_ms += HOUR_MS
    assert await queue.holding.drop_older(HOUR_MS, "too old") == 1
    assert [letter.message and letter.message.id for letter in await queue.dead_letters()] == ["old"]
    assert [finished.id for finished in await queue.completed("bot", USER)] == ["answered"]
    assert await queue.active_conversations() == []


@pytest.mark.newest_redis
async def test_a_long_conversation_is_dropped_in_steps(queue: MessageQueue, clock: Clock) -> None:
    await enqueue(queue, [f"m{number}" for number in range(450)])
    clock.now_ms += HOUR_MS
    await enqueue(queue, ["young"])
    assert await queue.holding.drop_older(HOUR_MS, "too old") == 0
    clock.now_ms += 1
    assert await queue.holding.drop_older(HOUR_MS, "too old") == 450
    assert [waiting.id for waiting in await queue.pending("bot", USER)] == ["young"]
