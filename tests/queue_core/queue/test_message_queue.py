"""MessageQueue as webhooks, workers and people use it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from queue_core import (
    Batch,
    InvalidMessageError,
    LeaseLostError,
    MessageQueue,
    QueueMessage,
    QueueSettings,
)
from queue_core.redis.scripts.loader import text
from tests.queue_core.bot import let_leases_run_out
from tests.queue_core.queue.conftest import EPOCH_MS, Clock


def message(message_id: str = "m1", phone: str = "1", instance: str = "bot", **values: Any) -> QueueMessage:
    return QueueMessage(
        **{
            "id": message_id,
            "instance_name": instance,
            "user_phone": phone,
            "message": message_id,
            **values,
        }
    )


async def the_batch(queue: MessageQueue, processor_id: str = "p") -> Batch:
    (batch,) = (await queue.claim(processor_id)).batches
    return batch


async def test_the_life_of_a_turn(queue: MessageQueue, clock: Clock) -> None:
    data = {"key": {"id": "m1"}, "text": "مرحبا"}
    receipt = await queue.enqueue(message("m1", message_data=data, timestamp=EPOCH_MS - 500))
    assert (receipt.status, receipt.id, receipt.added_at_ms, receipt.waiting) == ("queued", "m1", EPOCH_MS, 1)
    clock.now_ms += 2_000
    await queue.enqueue(message("m2", timestamp=EPOCH_MS - 900))
    assert (await queue.claim("p")).next_due_ms == EPOCH_MS + 8_000
    clock.now_ms = EPOCH_MS + 8_010
    batch = await the_batch(queue)
    assert batch.ids == ("m2", "m1"), "by the provider's time"
    assert (batch.trigger, batch.attempt, batch.reply, batch.send_state) == ("window", 1, None, "not sent")
    assert (batch.due_at_ms, batch.claimed_at_ms) == (EPOCH_MS + 8_000, EPOCH_MS + 8_010)
    first = batch.messages[1]
    assert (first.message_data, first.added_at, first.status) == (data, EPOCH_MS, "processing")
    assert first.processing_started_at == EPOCH_MS + 8_010
    await queue.record_reply(batch, "ok")
    await queue.record_sent(batch)
    await queue.complete(batch)
    assert await queue.depth() == 0
    done = await queue.completed("bot", "1")
    assert [(it.id, it.status, it.completed_at) for it in done] == [
        ("m1", "completed", clock.now_ms),
        ("m2", "completed", clock.now_ms),
    ]
    statistics = {"totalMessages": 2, "processedMessages": 2, "lastActivity": clock.now_ms}
    assert await queue.statistics("bot", "1") == statistics
    assert await queue.statistics("bot", "nobody") == {}


async def test_statistics_count_what_waits_what_was_finished_and_what_left_otherwise(
    queue: MessageQueue, clock: Clock
) -> None:
    async def counts() -> tuple[int, int]:
        statistics = await queue.statistics("bot", "1")
        assert statistics["lastActivity"] == clock.now_ms
        assert (await queue.conversation("bot", "1")).statistics == statistics
        return statistics["totalMessages"], statistics.get("processedMessages", 0)

    for number in range(4):
        clock.now_ms += 1
        await queue.enqueue(message(f"m{number}"))
    assert await counts() == (4, 0)
    await queue.withdraw(message("m3"))
    assert await counts() == (4, 0)
    clock.now_ms += 8_000
    (batch,) = (await queue.claim("p")).batches
    await queue.fail(batch, "no luck", dead=True)
    assert await counts() == (4, 0)
    for letter in await queue.dead_letters():
        clock.now_ms += 1
        await queue.requeue(letter.id)
    assert await counts() == (4, 0)
    clock.now_ms += 8_000
    (batch,) = (await queue.claim("p")).batches
    await queue.complete(batch)
    assert await counts() == (4, 3)
    assert await queue.redis.pttl(queue.keys.of("bot", "1").stats) > 0


async def test_statistics_of_the_release_before_are_added(queue: MessageQueue, clock: Clock) -> None:
    place = queue.keys.of("bot", "1")
    before = ("totalMessages", 5, "processedMessages", 4, "lastActivity", clock.now_ms - 9, "settledToken", 1)
    await queue.redis.hset(place.stats, items=list(before))
    await queue.enqueue(message("m1"))
    statistics = {"totalMessages": 6, "processedMessages": 4, "lastActivity": clock.now_ms}
    assert await queue.statistics("bot", "1") == statistics


async def test_waiting_messages_are_shown_in_order_with_status(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(message("m1"))
    clock.now_ms += 8_000
    await queue.fail(await the_batch(queue), "no luck", after_ms=0)
    await queue.enqueue(message("m2"))
    batch = await the_batch(queue)
    assert [it.retry_count for it in batch.messages] == [1, 1]
    await queue.enqueue(message("m3"))
    shown = [(it.id, it.status, it.retry_count) for it in await queue.pending("bot", "1")]
    assert shown == [("m1", "processing", 1), ("m2", "processing", 0), ("m3", "pending", 0)]
    await queue.fail(batch, "no luck", after_ms=0)
    shown = [(it.id, it.status, it.retry_count) for it in await queue.pending("bot", "1")]
    assert shown == [("m1", "pending", 2), ("m2", "pending", 1), ("m3", "pending", 0)]
    assert await queue.pending("bot", "nobody") == []


async def test_conversations_are_shown_by_when_they_need_attention(queue: MessageQueue, clock: Clock) -> None:
    for phone in ("2", "1", "3"):
        await queue.enqueue(message(phone=phone))
        clock.now_ms += 10
    clock.now_ms = EPOCH_MS + 8_000
    assert (await the_batch(queue)).user_phone == "2"
    shown = [(it.user_phone, it.attention_at_ms - EPOCH_MS) for it in await queue.active_conversations()]
    assert shown == [("1", 8_010), ("3", 8_020), ("2", 15_500)]
    assert await queue.depth() == 3


@pytest.mark.parametrize(
    ("settings", "arrivals_ms", "trigger", "due_ms"),
    [
        (QueueSettings(), [0, 100], "window", 8_000),
        (QueueSettings(), [0, 100, 200, 300, 400], "size", 400),
        (QueueSettings(idle_ms=3_000), [0, 100], "idle", 3_100),
        (QueueSettings(idle_ms=3_000), [0, 2_900, 5_800], "window", 8_000),
        (QueueSettings(max_messages=1), [0], "size", 0),
    ],
)
async def test_a_turn_is_due_by_a_rule_and_names_it(
    redis_client: Redis,
    clock: Clock,
    settings: QueueSettings,
    arrivals_ms: list[int],
    trigger: str,
    due_ms: int,
) -> None:
    queue = MessageQueue(redis_client, settings, clock=clock)
    for number, at_ms in enumerate(arrivals_ms):
        clock.now_ms = EPOCH_MS + at_ms
        await queue.enqueue(message(f"m{number}"))
    clock.now_ms = EPOCH_MS + due_ms - 1
    if due_ms > arrivals_ms[-1]:
        assert (await queue.claim("p")).batches == ()
    clock.now_ms += 1
    batch = await the_batch(queue)
    assert (batch.trigger, batch.due_at_ms - EPOCH_MS) == (trigger, due_ms)


@pytest.mark.newest_redis
async def test_a_user_who_never_stops_is_answered_again_and_again(queue: MessageQueue, clock: Clock) -> None:
    """A message every 700 ms for two minutes; nobody waits for longer than the window."""
    waits = []
    for number in range(170):
        await queue.enqueue(message(f"m{number}"))
        for batch in (await queue.claim("p")).batches:
            waits += [clock.now_ms - it.added_at for it in batch.messages]
            await queue.complete(batch)
        clock.now_ms += 700
    assert len(waits) == 170
    assert max(waits) == 2_800


async def test_an_empty_id_is_replaced(queue: MessageQueue) -> None:
    first, second = await queue.enqueue(message("")), await queue.enqueue(message(""))
    assert first.status == second.status == "queued"
    assert first.id.startswith("own-")
    assert first.id != second.id
    assert [it.id for it in await queue.pending("bot", "1")] == [first.id, second.id]


async def test_a_late_message_is_a_dead_letter_or_answered_by_setting(
    redis_client: Redis, clock: Clock
) -> None:
    old = EPOCH_MS - 6 * 86_400_000
    queue = MessageQueue(redis_client, clock=clock)
    assert (await queue.enqueue(message("m1", timestamp=old))).status == "late"
    (letter,) = await queue.dead_letters()
    assert letter.reason == "late: delivered 144 h after it was written"
    assert letter.message is not None
    assert (letter.message.id, letter.message.status, letter.message.retry_count) == ("m1", "failed", 0)
    lenient = MessageQueue(redis_client, QueueSettings(late_messages="answer"), clock=clock)
    assert (await lenient.enqueue(message("m2", timestamp=old))).status == "queued"


async def test_a_stale_holder_can_change_nothing(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(message())
    clock.now_ms += 8_000
    stale = await the_batch(queue, "p1")
    await let_leases_run_out(queue)
    holder = await the_batch(queue, "p2")
    steps: list[Callable[[], Awaitable[object]]] = [
        lambda: queue.extend(stale),
        lambda: queue.record_reply(stale, "late"),
        lambda: queue.record_sent(stale),
        lambda: queue.complete(stale),
        lambda: queue.fail(stale, "late"),
        lambda: queue.fail(stale, "late", dead=True),
        lambda: queue.release(stale),
    ]
    for step in steps:
        with pytest.raises(LeaseLostError, match=f"the lease with token {stale.token} is over"):
            await step()
    await queue.extend(holder)
    assert (holder.attempt, holder.trigger, holder.reply) == (2, "retry", None)
    await queue.complete(holder)
    with pytest.raises(LeaseLostError):
        await queue.complete(stale)


async def test_a_repeated_end_is_harmless(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(message("m1"))
    await queue.enqueue(message("m1", phone="2"))
    clock.now_ms += 8_000
    first, second = (await queue.claim("p", limit=2)).batches
    await queue.complete(first)
    await queue.complete(first)
    assert await queue.fail(second, "no luck", dead=True) == 1
    assert await queue.fail(second, "no luck", dead=True) == 0
    assert len(await queue.dead_letters()) == 1


async def test_a_value_that_is_not_a_message_becomes_a_dead_letter_and_the_rest_goes_on(
    queue: MessageQueue, clock: Clock
) -> None:
    """Somebody else wrote into the list."""
    await queue.enqueue(message("m1"))
    keys = queue.keys.of("bot", "1")
    await queue.redis.lpush(keys.queue, b"\xff rubbish")
    clock.now_ms += 8_000
    assert [it.id for it in await queue.pending("bot", "1")] == ["unreadable", "m1"]
    claimed = await queue.claim("p")
    assert ([batch.ids for batch in claimed.batches], claimed.given_up) == ([("m1",)], 1)
    (letter,) = await queue.dead_letters()
    assert (letter.message, letter.reason) == (None, "unreadable: the value in Redis is not a message")
    await queue.complete(claimed.batches[0])
    assert await queue.active_conversations() == []


async def test_withdraw_returns_the_fate_of_the_message(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(message("m1"))
    assert await queue.withdraw(message("m1")) == "withdrawn"
    assert await queue.withdraw(message("m2")) == "marked"
    assert (await queue.enqueue(message("m2"))).status == "duplicate"
    assert await queue.active_conversations() == []


class TestLostAnswers:
    """Redis carried out the call, and the answer was lost."""

    async def test_a_cancelled_claim_is_repeated_by_the_next(self, queue: MessageQueue, clock: Clock) -> None:
        await queue.enqueue(message("m1"))
        clock.now_ms += 8_000
        real, done = queue.transport.alone, asyncio.Event()

        async def never_answers(call: Any) -> Any:
            await real(call)
            done.set()
            await asyncio.Event().wait()

        queue.transport.alone = never_answers  # type: ignore[method-assign]
        claiming = asyncio.create_task(queue.claim("p"))
        await done.wait()
        claiming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await claiming
        queue.transport.alone = real  # type: ignore[method-assign]
        batch = await the_batch(queue)
        assert (batch.ids, batch.attempt) == (("m1",), 1)
        await queue.complete(batch)


class TestWrongUse:
    @pytest.mark.parametrize("values", [{"phone": ""}, {"instance": ""}, {"instance": " "}, {"phone": 966}])
    async def test_names(self, queue: MessageQueue, values: dict[str, Any]) -> None:
        with pytest.raises(InvalidMessageError, match=r"instance_name|user_phone"):
            await queue.enqueue(message(**values))
        assert await queue.redis.keys() == []

    async def test_size(self, queue: MessageQueue) -> None:
        with pytest.raises(InvalidMessageError, match=r"over the limit of 262144 \(max_message_bytes\)"):
            await queue.enqueue(message(message_data={"media": "x" * 262_144}))
        assert await queue.redis.keys() == []

    async def test_a_refused_message_does_not_affect_others(self, queue: MessageQueue) -> None:
        results = await asyncio.gather(
            queue.enqueue(message("m1")),
            queue.enqueue(message("m2", message_data={"a": object()})),
            queue.enqueue(message("m3")),
            return_exceptions=True,
        )
        assert [type(result).__name__ for result in results] == ["Receipt", "InvalidMessageError", "Receipt"]


@pytest.mark.parametrize(
    ("instance", "phone", "message_id"),
    [
        ("a:b", "c", "d:e"),
        ("{1}", "}{", "{}"),
        ("متجر", "+966 50 000", "🙂"),
        ("a\nb", "\x00", "\r\n"),
        ("%3A", "*", "?"),
        ("\ud800", "\udfff", "\ud83d"),
        ("é" * 256, "x" * 512, "y" * 512),
    ],
)
async def test_hostile_names_work_like_others(
    queue: MessageQueue, clock: Clock, instance: str, phone: str, message_id: str
) -> None:
    hostile = message(message_id, phone, instance)
    assert (await queue.enqueue(hostile)).status == "queued"
    assert (await queue.enqueue(hostile)).status == "duplicate"
    clock.now_ms += 8_000
    batch = await the_batch(queue, "p\n{}:é")
    assert (batch.instance_name, batch.user_phone) == (instance, phone)
    await queue.record_reply(batch, "r\ud800\x00é")
    assert await queue.fail(batch, "b\ud800\x00", dead=True) == 1
    (letter,) = await queue.dead_letters()
    assert (letter.instance_name, letter.user_phone) == (instance, phone)
    assert (letter.reply, letter.reason) == ("r�\x00é", "b�\x00")
    await queue.requeue(letter.id)
    assert len(await queue.pending(instance, phone)) == 1


@pytest.mark.newest_redis
async def test_the_oldest_of_many_messages_is_withdrawn(queue: MessageQueue) -> None:
    await asyncio.gather(*(queue.enqueue(message(f"m{number}", "1")) for number in range(1_200)))
    assert await queue.withdraw(message("m0", "1")) == "withdrawn"
    assert len(await queue.pending("bot", "1")) == 1_199


async def test_ids_and_names_that_no_utf8_can_hold_are_withdrawn_too(queue: MessageQueue) -> None:
    hostile = message("\ud83d", "1\ud800", "bot")
    beside = asyncio.ensure_future(queue.enqueue(message("m1")))
    assert await queue.withdraw(hostile) == "marked"
    assert (await beside).status == "queued"
    assert (await queue.enqueue(hostile)).status == "duplicate"
    stored = message("\ud83e", "1\ud800", "bot")
    await queue.enqueue(stored)
    assert await queue.withdraw(stored) == "withdrawn"


@pytest.mark.newest_redis
class TestManyMessages:
    async def test_5000_in_one_conversation(self, redis_client: Redis, clock: Clock) -> None:
        """Lua's unpack takes a few thousand values at most."""
        queue = MessageQueue(
            redis_client, QueueSettings(max_batch=1_000, redis_deadline_ms=30_000), clock=clock
        )
        ids = [f"m{number}" for number in range(5_000)]
        await asyncio.gather(*(queue.enqueue(message(it)) for it in ids))
        answered: list[str] = []
        while batches := (await queue.claim("p")).batches:
            answered += batches[0].ids
            await queue.complete(batches[0])
        assert answered == ids
        assert await queue.active_conversations() == []

    async def test_1000_given_up_at_once(self, redis_client: Redis, clock: Clock) -> None:
        queue = MessageQueue(
            redis_client, QueueSettings(max_batch=1_000, redis_deadline_ms=30_000), clock=clock
        )
        await asyncio.gather(*(queue.enqueue(message(f"m{number}")) for number in range(1_200)))
        assert await queue.fail(await the_batch(queue), "no luck", dead=True) == 1_000
        assert len(await queue.dead_letters()) == 1_000
        assert await queue.depth() == 200

    async def test_10000_conversations(self, real_redis: Redis, clock: Clock) -> None:
        """All are due at once; each is handed over once, the longest overdue first."""
        queue = MessageQueue(real_redis, clock=clock)
        for start in range(0, 10_000, 1_000):
            await asyncio.gather(*(queue.enqueue(message(phone=str(n))) for n in range(start, start + 1_000)))
            clock.now_ms += 1
        assert await queue.depth() == 10_000
        clock.now_ms += 8_000
        dues: list[int] = []
        phones: set[str] = set()
        while batches := (await queue.claim("p", limit=500)).batches:
            dues += [batch.due_at_ms for batch in batches]
            phones |= {batch.user_phone for batch in batches}
            await asyncio.gather(*(queue.complete(batch) for batch in batches))
        assert len(dues) == len(phones) == 10_000
        assert dues == sorted(dues)
        assert await queue.active_conversations() == []


async def test_what_is_not_yet_answered_never_expires(queue: MessageQueue, clock: Clock) -> None:
    """All kinds of keys at once, each with its allowed times to live in seconds."""
    for phone in ("1", "2", "3"):
        await queue.enqueue(message("m1", phone=phone))
    await queue.enqueue(message("late", timestamp=1))
    clock.now_ms += 8_000
    first, second, third = (await queue.claim("p", limit=3)).batches
    await queue.complete(first)
    await queue.record_reply(second, "hello")
    await queue.fail(third, "no luck")
    ttls: dict[str, int] = {}
    for key in await queue.redis.keys():
        kind = text(key).removeprefix("wa:{0}:").split(":")[0]
        ttls[kind] = max(ttls.get(kind, -2), await queue.redis.ttl(key))
    assert ttls == {
        "msg_queue": -1,
        "processing_lock": -1,
        "reply": -1,
        "active_queues": -1,
        "dead_letters": -1,
        "token": -1,
        "wake": -1,
        "looks": -1,
        "layout": -1,
        "ids": pytest.approx(86_400 * 4 / 3, rel=1 / 64),
        "queue_stats": pytest.approx(3_600, abs=5),
        "completed": pytest.approx(1_800, abs=5),
        "last_claim": pytest.approx(3_600, abs=5),
        "backend": pytest.approx(3_600, abs=5),
    }


@pytest.mark.not_on_store("the store has no connections")
async def test_a_client_that_decodes_answers_works_too(clock: Clock, redis_client: Redis) -> None:
    options = {**redis_client.connection_pool.connection_kwargs, "decode_responses": True}
    pool = type(redis_client.connection_pool)(
        connection_class=redis_client.connection_pool.connection_class, **options
    )
    async with Redis.from_pool(pool) as decoding:
        queue = MessageQueue(decoding, clock=clock)
        await queue.enqueue(message("m1"))
        clock.now_ms += 8_000
        batch = await the_batch(queue)
        assert await queue.fail(batch, "no luck", dead=True) == 1
        (letter,) = await queue.dead_letters()
        assert letter.message == msgspec.structs.replace(message("m1"), added_at=EPOCH_MS, status="failed")


async def test_by_redis_s_own_clock(redis_client: Redis) -> None:
    """This machine's clock is not used."""
    queue = MessageQueue(redis_client, QueueSettings(window_ms=0))
    receipt = await queue.enqueue(message())
    seconds, microseconds = await redis_client.time()
    assert 0 <= seconds * 1_000 + microseconds // 1_000 - receipt.added_at_ms < 10_000
    claimed = await queue.claim("p")
    assert claimed.now_ms >= receipt.added_at_ms
    assert claimed.batches[0].due_at_ms == receipt.added_at_ms
