"""The switch back: the legacy buffer in production, what it loses, and the ways out of it into the queue.

That the buffer behaves as the old bot's did, step by step, is tested where it is replayed: tests/sim.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from queue_core import (
    Batch,
    InvalidMessageError,
    MessageQueue,
    QueueMessage,
    QueueUnavailableError,
    connect,
)
from queue_core.legacy.store import HandOver
from queue_core.legacy.switch_back import LegacyIntake, adopt_all_leftovers, adopt_leftovers
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import PATIENCE_S, Bot, eventually, happens, message, on_newest, quick

PHONE = "201000000001"
KEY = f"wa:legacy_buffer:bot:{PHONE}"
LOCK = f"wa:legacy_lock:bot:{PHONE}"


class Time:
    """A clock that stands still until it is moved, and sleepers that wake by it."""

    def __init__(self) -> None:
        self.now_ms = 1_767_225_600_000
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def clock(self) -> int:
        return self.now_ms

    async def sleep(self, seconds: float) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now_ms + round(seconds * 1000), sleeper))
        await sleeper

    @property
    def sleeping_ms(self) -> list[int]:
        """How long each sleeper has still to sleep."""
        return sorted(at_ms - self.now_ms for at_ms, sleeper in self._sleepers if not sleeper.done())

    def move(self, by_ms: int) -> None:
        """Moves the clock and wakes whoever is to be awake by then."""
        self.now_ms += by_ms
        for at_ms, sleeper in self._sleepers:
            if at_ms <= self.now_ms and not sleeper.done():
                sleeper.set_result(None)

    async def until_somebody_sleeps(self, *sleeping_ms: int) -> None:
        """Waits for exactly these sleepers."""
        await eventually(lambda: self.sleeping_ms == list(sleeping_ms), f"sleepers of {sleeping_ms} ms")


class Gate:
    """An AI that is asked, and answers when it may; with an error if there is one."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, batch: Batch) -> None:
        self.asked.set()
        await self.may_answer.wait()
        if self.error:
            raise self.error


class Unreliable:
    """A client whose Redis can be away, or do what it is asked and lose the answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.is_away = False
        self.loses_answers_to: tuple[str, str] | None = None
        """Command and key."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **options: Any) -> Any:
            if self.is_away:
                raise RedisConnectionError("away")
            answer = await getattr(self._redis, name)(*arguments, **options)
            if (name, arguments[0]) == self.loses_answers_to:
                raise RedisConnectionError("the answer was lost")
            return answer

        return call


class World:
    """A process with the switch back, and the queue beside it."""

    def __init__(
        self,
        redis: Redis,
        on_handle: Callable[[Batch], Awaitable[None]] | None = None,
        *,
        grace_s: float = PATIENCE_S,
    ) -> None:
        unreliable: Any = Unreliable(redis)
        self.unreliable = unreliable
        self.time = Time()
        self.bot = Bot(on_handle)
        self.queue = MessageQueue(redis, quick())
        self.intake = LegacyIntake(
            self.queue_of_a_process(),
            self.bot.handle,
            self.bot.send,
            grace_s=grace_s,
            clock=self.time.clock,
            sleep=self.time.sleep,
        )

    async def receive(self, *ids: str, phone: str = PHONE) -> None:
        for message_id in ids:
            assert await self.intake.receive(message(message_id, phone)) == "buffered"

    async def is_killed(self) -> None:
        """Without grace, and without another word to Redis."""
        self.unreliable.is_away = True
        await self.intake.close(None)
        self.unreliable.is_away = False

    def queue_of_a_process(self, enqueue: Any = None) -> MessageQueue:
        """The queue over the client that fails, with an enqueue that does not, or the one given."""
        queue = MessageQueue(self.unreliable, quick())
        queue.enqueue = enqueue or self.queue.enqueue  # type: ignore[method-assign]
        return queue

    async def adopt(self, enqueue: HandOver | None = None) -> int:
        """One pass of another process."""
        return await adopt_leftovers(self.queue_of_a_process(enqueue), clock=self.time.clock)

    async def at_rest(self) -> None:
        await eventually(lambda: self.intake.waiting == 0, "every timer ended")

    async def queued(self, phone: str = PHONE) -> list[str]:
        return [one.id for one in await self.queue.pending("bot", phone)]


async def test_a_burst_is_answered_as_one_turn(redis_client: Redis) -> None:
    world = World(redis_client)
    await world.receive("m1")
    world.time.move(3_100)
    await world.receive("m2")
    world.time.move(3_549)
    await world.receive("m3")
    world.time.move(1_350)
    await world.time.until_somebody_sleeps(1)
    assert (world.intake.waiting, world.bot.asked) == (1, [])
    world.time.move(1)
    await world.at_rest()
    assert world.bot.asked_ids == [("m1", "m2", "m3")]
    assert world.bot.sent_ids == ["m1", "m2", "m3"]
    (batch,) = world.bot.asked
    assert (batch.trigger, batch.token, batch.attempt) == ("direct", 0, 1)
    assert batch.due_at_ms == batch.claimed_at_ms == world.time.now_ms
    assert 60 < await redis_client.ttl(KEY) <= 300
    await world.receive("m4")
    assert 8 < await redis_client.ttl(KEY) <= 60, "a new buffer"
    world.time.move(8_000)
    await world.at_rest()
    assert world.bot.asked_ids[1:] == [("m4",)]


@on_newest
async def test_the_incident_is_the_same_as_ever(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes during the AI call is lost, and the two lines on record are in the log."""
    caplog.set_level(logging.INFO, "queue_core.legacy.switch_back")
    ai = Gate()
    world = World(redis_client, ai)
    for message_id, after_ms in (("m1", 0), ("m2", 3_100), ("m3", 3_549)):
        world.time.move(after_ms)
        await world.receive(message_id)
    world.time.move(1_351)
    await happens(ai.asked)
    for message_id, after_ms in (("m4", 2_976), ("m5", 2_224)):
        world.time.move(after_ms)
        await world.receive(message_id)
    ai.may_answer.set()
    await world.at_rest()
    assert world.time.sleeping_ms == []
    assert world.bot.sent_ids == ["m1", "m2", "m3"]
    lines = [(record.getMessage(), vars(record)) for record in caplog.records]
    appended = [
        (it["totalMessages"], it["timespan"]) for said, it in lines if said == "legacy buffer.appended"
    ]
    read = [(it["messageCount"], it["timespan"]) for said, it in lines if said == "legacy buffer.read"]
    assert appended == [(2, 3_100), (3, 6_649), (4, 10_976), (5, 13_200)]
    assert read == [(3, 6_649)]
    world.time.move(120_000)
    assert await world.adopt() == 0, "lost is lost: the buffer is marked as processed"


@on_newest
async def test_a_turn_on_which_the_ai_fails_is_lost(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(batch: Batch) -> None:
        raise ConnectionError("the AI at +201000000001 is down")

    world = World(redis_client, fail)
    await world.receive("m1")
    world.time.move(8_000)
    await world.at_rest()
    world.time.move(120_000)
    assert (world.bot.sent, await world.adopt(), world.time.sleeping_ms) == ([], 0, [])
    assert "not answered: ConnectionError" in caplog.text
    assert PHONE not in caplog.text


async def test_a_lock_that_somebody_else_holds_is_waited_for_a_little_and_then_ignored(
    redis_client: Redis,
) -> None:
    world = World(redis_client)
    await redis_client.set(LOCK, "locked", px=60_000)
    receiving = asyncio.create_task(world.receive("m1"))
    for wait_ms in (50, 100):
        await world.time.until_somebody_sleeps(wait_ms)
        assert await redis_client.exists(KEY) == 0
        world.time.move(wait_ms)
    await receiving
    assert await redis_client.exists(KEY, LOCK) == 2, "written, and the lock left to its holder"
    await redis_client.delete(LOCK)
    await world.receive("m2")
    assert await redis_client.exists(LOCK) == 0, "its own lock is released"
    world.time.move(8_000)
    await world.at_rest()
    assert world.bot.asked_ids == [("m1", "m2")]


async def test_names_do_not_mix_and_the_whole_message_is_kept(redis_client: Redis) -> None:
    """The old bot's keys mixed these users up."""
    world = World(redis_client)
    for instance, phone in (("bot:eu", "1"), ("bot", "eu:1"), ("{bot}", "\ud800*")):
        one = QueueMessage(
            id=f"m {instance}",
            instance_name=instance,
            user_phone=phone,
            message="مرحبا \ud800",
            message_data={"channel": "cloud", "webhook": {"deep": [{"1": None}]}},
            timestamp=1_767_225_600_000,
        )
        assert await world.intake.receive(one) == "buffered"
    assert world.intake.waiting == 3
    world.time.move(8_000)
    await world.at_rest()
    asked = {(batch.instance_name, batch.user_phone): batch.messages for batch in world.bot.asked}
    assert {names: [one.id for one in messages] for names, messages in asked.items()} == {
        ("bot:eu", "1"): ["m bot:eu"],
        ("bot", "eu:1"): ["m bot"],
        ("{bot}", "\ud800*"): ["m {bot}"],
    }
    (kept,) = asked["bot:eu", "1"]
    assert (kept.message, kept.timestamp) == ("مرحبا \ufffd", 1_767_225_600_000)
    assert kept.message_data == {"channel": "cloud", "webhook": {"deep": [{"1": None}]}}
    keys = [key async for key in redis_client.scan_iter()]
    assert all(key.startswith(b"wa:legacy_") for key in keys)


@on_newest
@pytest.mark.parametrize(
    "unfit",
    [
        QueueMessage(id="m1", instance_name="bot", user_phone=" ", message="text"),
        QueueMessage(id="m1", instance_name="bot", user_phone=PHONE, message="x" * 300_000),
        QueueMessage(
            id="m1", instance_name="bot", user_phone=PHONE, message="", message_data={"a": object()}
        ),
    ],
)
async def test_refuses_what_can_never_be_a_message(redis_client: Redis, unfit: QueueMessage) -> None:
    world = World(redis_client)
    with pytest.raises(InvalidMessageError):
        await world.intake.receive(unfit)
    assert await redis_client.dbsize() == 0


@on_newest
async def test_a_webhook_that_is_cancelled_leaves_no_buffer_without_a_timer(redis_client: Redis) -> None:
    world = World(redis_client)
    await redis_client.set(LOCK, "locked")
    receiving = asyncio.create_task(world.receive("m1"))
    await world.time.until_somebody_sleeps(50)
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    world.time.move(50)
    await world.time.until_somebody_sleeps(100)
    world.time.move(100)
    await world.time.until_somebody_sleeps(8_000)
    await redis_client.delete(LOCK)
    world.time.move(8_000)
    await world.at_rest()
    assert world.bot.sent_ids == ["m1"]


# Redis away.


async def test_without_redis_nothing_is_accepted(redis_server: EmbeddedRedis) -> None:
    async with connect(redis_server.url) as redis:
        bot = Bot()
        intake = LegacyIntake(MessageQueue(redis, quick(redis_deadline_ms=500)), bot.handle, bot.send)
        redis_server.kill()
        with pytest.raises(QueueUnavailableError):
            await intake.receive(message("m1"))
        assert intake.waiting == 0
        await intake.close(None)


async def test_a_redis_that_hangs_is_not_waited_for(redis_server: EmbeddedRedis) -> None:
    async with connect(redis_server.url) as redis:
        bot = Bot()
        intake = LegacyIntake(MessageQueue(redis, quick(redis_deadline_ms=100)), bot.handle, bot.send)
        redis_server.pause()
        try:
            with pytest.raises(QueueUnavailableError, match="did not answer in time"):
                await intake.receive(message("m1"))
        finally:
            redis_server.resume()
        assert intake.waiting == 0


@on_newest
async def test_an_error_of_redis_shows_no_phone(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with commands renamed quotes what it was asked."""

    async def get(key: str) -> None:
        raise ResponseError(f"unknown or disabled GET, with args beginning with: '{key}'")

    world = World(redis_client)
    monkeypatch.setattr(redis_client, "get", get)
    with pytest.raises(
        QueueUnavailableError, match="refused a call of the legacy buffer: ResponseError"
    ) as it:
        await world.receive("m1")
    assert PHONE not in str(it.value)


@on_newest
async def test_what_lies_there_and_is_no_buffer_is_replaced(redis_client: Redis) -> None:
    world = World(redis_client)
    for garbage in (b"{", b'{"messages":[]}', b"\xff"):
        await redis_client.set(KEY, garbage)
        assert await world.adopt() == 0
        await world.receive("m1")
        world.time.move(8_000)
        await world.at_rest()
    assert world.bot.sent_ids == ["m1", "m1", "m1"]


@on_newest
async def test_a_write_whose_answer_was_lost_starts_its_timer_all_the_same(redis_client: Redis) -> None:
    """Else what is delivered again would be added to a buffer that has none, and nobody would read it."""
    world = World(redis_client)
    world.unreliable.loses_answers_to = ("set", KEY)
    with pytest.raises(QueueUnavailableError):
        await world.receive("m1")
    world.unreliable.loses_answers_to = None
    await redis_client.delete(LOCK)  # it ends by itself after 3 s
    await world.receive("m1", "m2")
    world.time.move(8_000)
    await world.at_rest()
    assert world.bot.asked_ids == [("m1", "m1", "m2")], "the buffer does not know a message again"


@on_newest
async def test_a_lock_that_could_not_be_released_costs_no_timer(redis_client: Redis) -> None:
    world = World(redis_client)
    world.unreliable.loses_answers_to = ("delete", LOCK)
    await world.receive("m1")
    world.time.move(8_000)
    await world.at_rest()
    assert world.bot.sent_ids == ["m1"]


@on_newest
async def test_a_timer_that_finds_redis_away_tries_again_1_2_and_4_s_later(redis_client: Redis) -> None:
    world = World(redis_client)
    await world.receive("m1")
    world.unreliable.is_away = True
    world.time.move(8_000)
    for wait_ms in (1_000, 2_000, 4_000):
        await world.time.until_somebody_sleeps(wait_ms)
        world.unreliable.is_away = wait_ms < 4_000
        world.time.move(wait_ms)
    await world.at_rest()
    assert world.bot.sent_ids == ["m1"]


@on_newest
async def test_a_timer_that_never_finds_redis_leaves_the_buffer_to_be_adopted(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(redis_client)
    await world.receive("m1")
    world.unreliable.is_away = True
    for wait_ms in (8_000, 1_000, 2_000, 4_000):
        await world.time.until_somebody_sleeps(wait_ms)
        world.time.move(wait_ms)
    await world.at_rest()
    assert "could not be read in 4 tries" in caplog.text
    world.unreliable.is_away = False
    world.time.move(5_000)
    assert (await world.adopt(), await world.queued()) == (1, ["m1"])


@on_newest
async def test_a_mark_that_fails_is_no_reason_to_answer_again(redis_client: Redis) -> None:
    async def goes_away(batch: Batch) -> None:
        world.unreliable.is_away = True

    world = World(redis_client, goes_away)
    await world.receive("m1")
    world.time.move(8_000)
    await world.at_rest()
    assert (world.bot.sent_ids, world.time.sleeping_ms) == (["m1"], [])


# Closing: the switch forward.


async def test_closing_hands_over_what_waits_for_its_timer(redis_client: Redis) -> None:
    world = World(redis_client)
    kept = QueueMessage(
        id="m1", instance_name="bot", user_phone=PHONE, message="text", message_data={"webhook": {"a": 1}}
    )
    await world.intake.receive(kept)
    await world.receive("m2")
    await world.receive("other", phone="2")
    await world.intake.close(world.queue.enqueue)
    assert world.intake.waiting == 0
    assert (await world.queued(), await world.queued("2")) == (["m1", "m2"], ["other"])
    assert (await world.queue.pending("bot", PHONE))[0].message_data == {"webhook": {"a": 1}}
    assert [key async for key in redis_client.scan_iter("wa:legacy_*")] == []
    assert world.bot.asked == []
    with pytest.raises(QueueUnavailableError, match="ending"):
        await world.receive("m3")


@on_newest
async def test_closing_lets_an_answer_finish_and_hands_over_what_came_meanwhile(redis_client: Redis) -> None:
    ai = Gate()
    world = World(redis_client, ai)
    await world.receive("m1", "m2")
    world.time.move(8_000)
    await happens(ai.asked)
    world.time.move(1_000)
    await world.receive("m3")
    closing = asyncio.create_task(world.intake.close(world.queue.enqueue))
    await asyncio.sleep(0)
    with pytest.raises(QueueUnavailableError, match="ending"):
        await world.receive("m4")
    ai.may_answer.set()
    await closing
    assert world.bot.sent_ids == ["m1", "m2"]
    assert await world.queued() == ["m3"]


@on_newest
@pytest.mark.parametrize("how", ["takes too long", "fails"])
async def test_an_answer_that_does_not_come_while_closing_is_left_to_the_queue(
    redis_client: Redis, how: str
) -> None:
    ai = Gate()
    world = World(redis_client, ai, grace_s=0.0 if how == "takes too long" else PATIENCE_S)
    await world.receive("m1", "m2")
    world.time.move(8_000)
    await happens(ai.asked)
    ai.error = ConnectionError("down")
    closing = asyncio.create_task(world.intake.close(world.queue.enqueue))
    await asyncio.sleep(0)
    if how == "fails":
        ai.may_answer.set()
    await closing
    assert (world.bot.sent, await world.queued()) == ([], ["m1", "m2"])
    assert await redis_client.exists(KEY) == 0


@on_newest
async def test_what_another_process_adds_while_it_is_handed_over_is_handed_over_too(
    redis_client: Redis,
) -> None:
    world, other = World(redis_client), World(redis_client)
    await world.receive("m1")
    seen: list[str] = []

    async def enqueue(one: QueueMessage) -> None:
        if not seen:
            await other.receive("m2")
        seen.append(one.id)

    await world.intake.close(enqueue)
    assert seen == ["m1", "m2"]
    assert await redis_client.exists(KEY) == 0


@on_newest
async def test_closing_while_redis_is_away_leaves_the_buffers_to_the_next_process(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(redis_client)
    for user in range(100):
        await world.receive(f"m{user}", phone=str(user))
    world.unreliable.is_away = True
    await world.intake.close(world.queue.enqueue)
    assert "not everything" in caplog.text
    world.unreliable.is_away = False
    world.time.move(20_000)
    assert await world.adopt() == 100
    assert await world.queued("42") == ["m42"]


# Adopting: after a kill.


async def test_what_a_killed_process_left_is_adopted_once_no_timer_can_be_left(redis_client: Redis) -> None:
    world = World(redis_client)
    await world.receive("m1")
    await world.receive("", phone="2")
    await world.is_killed()
    world.time.move(19_999)
    assert await world.adopt() == 0
    world.time.move(1)
    assert await world.adopt() == 2
    assert (await world.queued(), len(await world.queued("2"))) == (["m1"], 1)
    assert [key async for key in redis_client.scan_iter("wa:legacy_*")] == []
    assert await world.adopt() == 0


@on_newest
async def test_what_a_live_process_is_answering_is_not_adopted(redis_client: Redis) -> None:
    ai = Gate()
    world = World(redis_client, ai)
    await world.receive("m1")
    world.time.move(8_000)
    await happens(ai.asked)
    world.time.move(25_000)
    assert await world.adopt() == 0
    ai.may_answer.set()
    await world.at_rest()
    assert (await world.adopt(), world.bot.sent_ids) == (0, ["m1"])


@on_newest
async def test_what_a_process_was_answering_when_it_was_killed_is_adopted(redis_client: Redis) -> None:
    ai = Gate()
    world = World(redis_client, ai, grace_s=0.0)
    await world.receive("m1")
    world.time.move(8_000)
    await happens(ai.asked)
    await world.is_killed()
    world.time.move(30_000)
    assert await world.adopt() == 0
    (answering,) = [key async for key in redis_client.scan_iter("wa:legacy_answering:*")]
    assert 0 < await redis_client.pttl(answering) <= 30_000
    await redis_client.delete(answering)  # as time does
    assert (await world.adopt(), await world.queued()) == (1, ["m1"])


@on_newest
async def test_a_buffer_is_deleted_only_when_all_of_it_is_in_the_queue(redis_client: Redis) -> None:
    world = World(redis_client)
    await world.receive("m1", "m2")
    await world.is_killed()
    world.time.move(20_000)

    async def fails_on_m2(one: QueueMessage) -> None:
        if one.id == "m2":
            raise QueueUnavailableError("away")
        await world.queue.enqueue(one)

    with pytest.raises(QueueUnavailableError):
        await world.adopt(fails_on_m2)
    assert await redis_client.exists(KEY) == 1
    assert (await world.adopt(), await world.queued()) == (2, ["m1", "m2"])


@on_newest
async def test_what_the_queue_refuses_for_good_does_not_keep_the_rest(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(redis_client)
    await world.receive("m1", "m2")
    await world.is_killed()
    world.time.move(20_000)

    async def refuses_m1(one: QueueMessage) -> None:
        if one.id == "m1":
            raise InvalidMessageError("too large")
        await world.queue.enqueue(one)

    await world.adopt(refuses_m1)
    assert await world.queued() == ["m2"]
    assert "refuses a message of the legacy buffer for good: too large" in caplog.text


@on_newest
async def test_many_leftovers_of_two_deployments_are_not_mixed_up(redis_client: Redis) -> None:
    world = World(redis_client)
    other = LegacyIntake(
        MessageQueue(redis_client, quick(prefix="other")),
        world.bot.handle,
        world.bot.send,
        clock=world.time.clock,
        sleep=world.time.sleep,
    )
    await other.receive(message("not ours"))
    for user in range(1_500):  # more than one step of a SCAN
        await world.receive(f"m{user}", phone=str(user))
    await world.is_killed()
    await other.close(None)
    world.time.move(20_000)
    adopted: list[str] = []

    async def enqueue(one: QueueMessage) -> None:
        adopted.append(one.id)

    assert await world.adopt(enqueue) == 1_500
    assert sorted(adopted) == sorted(f"m{user}" for user in range(1_500))


@on_newest
async def test_adopts_until_nothing_is_too_young_and_waits_for_redis(redis_client: Redis) -> None:
    world = World(redis_client)
    await world.receive("m1")
    await world.is_killed()
    world.unreliable.is_away = True
    adopting = asyncio.create_task(
        adopt_all_leftovers(world.queue_of_a_process(), clock=world.time.clock, sleep=world.time.sleep)
    )
    for _ in range(4):
        await world.time.until_somebody_sleeps(5_000)
        assert await world.queued() == []
        world.unreliable.is_away = False
        world.time.move(5_000)
    assert await adopting == 1
    assert await world.queued() == ["m1"]


async def test_on_a_cluster(cluster_client: RedisCluster) -> None:
    redis: Any = cluster_client
    world = World(redis)
    await world.receive("m1", "m2")
    world.time.move(8_000)
    await world.at_rest()
    await world.receive("m3", phone="2")
    await world.is_killed()
    world.time.move(20_000)
    adopted = await adopt_leftovers(world.queue, clock=world.time.clock)
    assert (adopted, world.bot.asked_ids, await world.queued("2")) == (1, [("m1", "m2")], ["m3"])
