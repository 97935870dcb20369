"""The intake: messages are stored, or answered directly while Redis is away, and never twice."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from queue_core import (
    Batch,
    Intake,
    InvalidMessageError,
    MessageQueue,
    Processor,
    QueueError,
    QueueMessage,
    QueueUnavailableError,
    RetryLaterError,
    connect,
    policy,
)
from queue_core.errors import OlderMessageWaitsError
from queue_core.message import as_deletion, as_edit
from queue_core.queue.intake import intake as direct
from queue_core.queue.intake import settling
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import (
    Bot,
    at_rest,
    check_ledger,
    eventually,
    happens,
    message,
    on_newest,
    quick,
    running,
)


class Away:
    """A queue whose Redis seems to be away; the next `answers_lost` calls are carried out, but raise all the same."""

    def __init__(self, redis: Redis, monkeypatch: pytest.MonkeyPatch, **settings: int) -> None:
        self.queue = MessageQueue(redis, quick(**{"direct_after_ms": 0, **settings}))
        self.is_away = True
        self.away_partitions = set[int]()
        self.answers_lost = 0
        for name in ("enqueue", "withdraw"):
            monkeypatch.setattr(self.queue, name, self._when_back(name))

    def _when_back(self, name: str) -> object:
        call = getattr(self.queue, name)

        async def when_back(subject: QueueMessage) -> object:
            if self.answers_lost:
                self.answers_lost -= 1
                await call(subject)
            elif not self.is_away and self._partition_of(subject) not in self.away_partitions:
                return await call(subject)
            raise QueueUnavailableError("away")

        return when_back

    def _partition_of(self, subject: QueueMessage) -> int:
        return self.queue.keys.of(subject.instance_name, subject.user_phone).partition


@on_newest
async def test_stores_while_redis_is_there(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    intake = Intake(queue, bot.handle, bot.send)
    assert await intake.receive(message("m1")) == "queued"
    assert await intake.receive(message("m1")) == "duplicate"
    assert await intake.receive(message("m0", timestamp=1)) == "late"
    assert (bot.asked, intake.answered_directly) == ([], 0)


@on_newest
async def test_refuses_a_message_that_can_never_be_stored(redis_client: Redis) -> None:
    bot = Bot()
    intake = Intake(MessageQueue(redis_client, quick()), bot.handle, bot.send)
    with pytest.raises(InvalidMessageError, match="user_phone is empty"):
        await intake.receive(message("m1", ""))
    with pytest.raises(InvalidMessageError, match="over the limit"):
        await intake.receive(
            QueueMessage(id="m1", instance_name="bot", user_phone="1", message="x" * 300_000)
        )
    assert bot.asked == []


async def test_answers_directly_and_once_while_redis_is_down(redis_server: EmbeddedRedis) -> None:
    async with connect(redis_server.url) as redis:
        queue, bot = MessageQueue(redis, quick(redis_deadline_ms=500, direct_after_ms=0)), Bot()
        intake = Intake(queue, bot.handle, bot.send)
        redis_server.kill()
        assert await intake.receive(message("m1")) == "answered"
        assert await intake.receive(message("m1")) == "duplicate"
        assert [(batch.ids, batch.trigger) for batch in bot.asked] == [(("m1",), "direct")]
        assert (intake.unsettled, intake.answered_directly) == (1, 1)
        redis_server.start()
        assert await intake.receive(message("m1")) == "duplicate"
        assert await intake.receive(message("m2")) == "queued"
        assert intake.unsettled == 0
        assert (await queue.enqueue(message("m1"))).status == "duplicate", "Redis does not know of it"
        async with running(Processor(queue, bot.handle, bot.send)):
            await at_rest(queue)
        assert bot.sent_ids == ["m1", "m2"]
        await check_ledger(queue, ["m1", "m2"], bot.sent_ids)


@on_newest
async def test_one_at_a_time_in_a_conversation_and_side_by_side_in_others(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()

    async def wait(batch: Batch) -> None:
        await gate.wait()

    away, bot = Away(redis_client, monkeypatch), Bot(wait)
    intake = Intake(away.queue, bot.handle, bot.send)
    received = [asyncio.create_task(intake.receive(message(f"a{n}", "ali"))) for n in range(5)]
    received += [asyncio.create_task(intake.receive(message(f"m{n}", "mona"))) for n in range(5)]
    await eventually(lambda: len(bot.asked) == 2, "one of each user at work")
    gate.set()
    assert await asyncio.gather(*received) == ["answered"] * 10
    assert bot.overlaps == []
    assert bot.at_once_max == 2
    assert [it for it in bot.sent_ids if it[0] == "a"] == [f"a{n}" for n in range(5)]


@on_newest
async def test_the_same_message_at_two_requests_at_once_is_answered_once(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, bot = Away(redis_client, monkeypatch), Bot()
    intake = Intake(away.queue, bot.handle, bot.send)
    answers = await asyncio.gather(*(intake.receive(message("m1")) for _ in range(3)))
    assert sorted(answers) == ["answered", "duplicate", "duplicate"]
    assert bot.sent_ids == ["m1"]


@on_newest
async def test_delivered_again_while_it_is_sent_and_redis_comes_back(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the message nor the user's next one, which would overtake, may be queued before the send has ended."""
    go_on, reached = asyncio.Event(), asyncio.Event()

    async def wait(batch: Batch) -> None:
        if batch.trigger == "direct":
            reached.set()
            await go_on.wait()

    away, bot = Away(redis_client, monkeypatch), Bot(on_send=wait)
    intake = Intake(away.queue, bot.handle, bot.send)
    first = asyncio.create_task(intake.receive(message("m1")))
    await happens(reached)
    away.is_away = False
    async with running(Processor(away.queue, bot.handle, bot.send)):
        again = asyncio.create_task(intake.receive(message("m1")))
        following = asyncio.create_task(intake.receive(message("m2")))
        await asyncio.sleep(0.1)
        assert len(bot.asked) == 1
        go_on.set()
        assert list(await asyncio.gather(first, again, following)) == ["answered", "duplicate", "queued"]
        await eventually(lambda: len(bot.sent) == 2, "the next one answered")
    assert bot.sent_ids == ["m1", "m2"]
    assert bot.overlaps == []
    await check_ledger(away.queue, ["m1", "m2"], bot.sent_ids)


@on_newest
@pytest.mark.parametrize("what", ["handle", "send"])
async def test_raises_when_the_ai_or_the_send_api_is_down_too(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    async def down(batch: Batch) -> None:
        raise ConnectionError("down too")

    away = Away(redis_client, monkeypatch)
    bot = Bot(down) if what == "handle" else Bot(on_send=down)
    intake = Intake(away.queue, bot.handle, bot.send)
    with pytest.raises(ConnectionError, match="down too"):
        await intake.receive(message("m1"))
    assert intake.unsettled == 0
    away.is_away, bot.on_handle, bot.on_send = False, None, None
    assert await intake.receive(message("m1")) == "queued", "it was neither stored nor answered"


@on_newest
async def test_a_handler_that_hangs_is_given_up(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(batch: Batch) -> None:
        await asyncio.Event().wait()

    away = Away(redis_client, monkeypatch)
    away.queue.settings = quick(handler_timeout_ms=50, direct_after_ms=0)
    bot = Bot(hang)
    with pytest.raises(TimeoutError, match="took longer than 50 ms"):
        await Intake(away.queue, bot.handle, bot.send).receive(message("m1"))


@on_newest
async def test_an_enqueue_whose_answer_was_lost_is_not_answered_directly(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis only stood still for longer than the deadline: a second try finds the message stored."""
    away, bot = Away(redis_client, monkeypatch, direct_after_ms=5_000), Bot()
    away.is_away, away.answers_lost = False, 1
    intake = Intake(away.queue, bot.handle, bot.send)
    assert await intake.receive(message("m1")) == "queued"
    assert bot.asked == []


@on_newest
@pytest.mark.parametrize("is_stored", [True, False])
async def test_redis_comes_back_while_the_ai_works(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, is_stored: bool
) -> None:
    """The direct call is dropped, and a worker answers, also if the message is in flight by then."""

    async def hang_directly(batch: Batch) -> None:
        if batch.trigger == "direct":
            await asyncio.Event().wait()

    away, bot = Away(redis_client, monkeypatch), Bot(hang_directly)
    away.answers_lost = int(is_stored)
    intake = Intake(away.queue, bot.handle, bot.send)
    async with running(Processor(MessageQueue(redis_client, quick()), bot.handle, bot.send)):
        received = asyncio.create_task(intake.receive(message("m1")))
        await eventually(lambda: "direct" in [batch.trigger for batch in bot.asked], "the direct call")
        if is_stored:
            await eventually(lambda: bot.sent, "the stored copy answered by the worker")
        away.is_away = False
        assert await received == "queued"
        await at_rest(away.queue)
    assert [batch.trigger for batch, _ in bot.sent] == ["window"]
    assert intake.unsettled == 0


@on_newest
async def test_the_messages_of_a_burst_wait_for_redis_together(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other they would each wait for `direct_after_ms`, and the provider would not wait for so long."""
    away, bot = Away(redis_client, monkeypatch, direct_after_ms=400), Bot()
    intake = Intake(away.queue, bot.handle, bot.send)
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(intake.receive(message(f"m{number}")) for number in range(20)))
    assert asyncio.get_running_loop().time() - began < 4, "20 times 400 ms are 8 s"
    assert bot.sent_ids == [f"m{number}" for number in range(20)]


@on_newest
async def test_a_redis_that_hangs_delays_the_handler_no_longer_than_one_that_refuses(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last try before the handler ends with the wait for Redis, even if Redis has more time to answer."""
    queue, bot = MessageQueue(redis_client, quick(direct_after_ms=200)), Bot()
    tries = 0

    async def refuse_then_hang(_: QueueMessage) -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            await asyncio.Event().wait()
        raise QueueUnavailableError("away")

    monkeypatch.setattr(queue, "enqueue", refuse_then_hang)
    receiving = asyncio.create_task(Intake(queue, bot.handle, bot.send).receive(message("m1")))
    try:
        await eventually(lambda: bot.asked, "the call of the handler")
        assert await receiving == "answered"
    finally:
        receiving.cancel()


@on_newest
async def test_redis_is_asked_once_more_right_before_the_send(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(redis_client, monkeypatch)

    async def back_as_the_ai_answers(batch: Batch) -> None:
        away.is_away = False

    bot = Bot(back_as_the_ai_answers)
    intake = Intake(away.queue, bot.handle, bot.send)
    assert await intake.receive(message("m1")) == "queued"
    assert (len(bot.answered), bot.sent, intake.unsettled) == (1, [], 0)
    assert [it.id for it in await away.queue.pending("bot", "201000000001")] == ["m1"]


@on_newest
@pytest.mark.parametrize("stored", [True, False])
async def test_a_message_that_this_process_knows_is_not_answered_again_while_redis_is_away(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    monkeypatch.setattr(direct, "ORDER_S_MAX", 0.0)
    away, bot = Away(redis_client, monkeypatch), Bot()
    intake = Intake(away.queue, bot.handle, bot.send)
    away.is_away = not stored
    await intake.receive(message("m1"))
    away.is_away = False
    await intake.settle()
    away.is_away = True
    assert await intake.receive(message("m1")) == "duplicate"
    monkeypatch.setattr(direct, "KNOWN_MAX", 1)
    await intake.receive(message("m2", "somebody else"))
    assert len(bot.asked) == (1 if stored else 2)


@on_newest
async def test_a_settling_that_nobody_waits_for_any_more_fails_silently(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, go_on = Away(redis_client, monkeypatch), asyncio.Event()
    intake = Intake(away.queue, Bot().handle, Bot().send)
    await intake.receive(message("m1"))

    async def fail(subject: QueueMessage) -> str:
        await go_on.wait()
        raise QueueUnavailableError("away")

    monkeypatch.setattr(away.queue, "withdraw", fail)
    errors: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    settling = asyncio.create_task(intake.settle())
    await asyncio.sleep(0)
    settling.cancel()
    go_on.set()
    await asyncio.wait([settling])
    await asyncio.sleep(0.01)
    gc.collect()
    assert errors == []


@on_newest
@pytest.mark.parametrize("is_back", [True, False])
async def test_a_reply_in_parts_goes_on_at_the_part_that_was_refused(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, is_back: bool
) -> None:
    """The provider delivers the message again; this process knows what it sent."""
    away, bot, sent = Away(redis_client, monkeypatch), Bot(), []
    refusals = [RetryLaterError("slow down")]

    async def send(batch: Batch, reply: str) -> AsyncIterator[None]:
        for part in range(batch.parts_sent, 3):
            if part > batch.parts_sent:
                yield
            if part == 1 and refusals:
                raise refusals.pop()
            sent.append(part)

    intake = Intake(away.queue, bot.handle, send)
    with pytest.raises(RetryLaterError):
        await intake.receive(message("m1"))
    away.is_away = not is_back
    assert await intake.receive(message("m1")) == "answered"
    assert sent == [0, 1, 2]
    assert len(bot.asked) == 1
    assert await intake.receive(message("m1")) == "duplicate"


@on_newest
async def test_a_message_waits_behind_an_older_one_that_waits_in_redis(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, bot = Away(redis_client, monkeypatch, window_ms=60_000), Bot()
    away.is_away = False
    intake = Intake(away.queue, bot.handle, bot.send)
    assert await intake.receive(message("m1")) == "queued"
    away.is_away = True
    with pytest.raises(OlderMessageWaitsError, match="an older message of this conversation waits"):
        await intake.receive(message("m2"))
    assert await intake.receive(message("m3", "somebody else")) == "answered"
    away.is_away = False
    assert await intake.receive(message("m2")) == "queued", "delivered again"
    assert bot.sent_ids == ["m3"]


@on_newest
async def test_a_message_is_answered_directly_when_older_ones_have_been_answered_by_now(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is assumed when a window and a lease have passed; time without Redis does not count."""
    away, bot = Away(redis_client, monkeypatch, lock_ttl_ms=50, lock_renew_ms=10), Bot()
    away.is_away = False
    intake = Intake(away.queue, bot.handle, bot.send)
    await intake.receive(message("m1"))
    await asyncio.sleep(0.08)
    away.is_away = True
    assert await intake.receive(message("m2")) == "answered"
    away.is_away = False
    assert await intake.receive(message("m3")) == "queued"
    away.is_away = True
    for _ in range(2):
        with pytest.raises(OlderMessageWaitsError):
            await intake.receive(message("m4"))
        await asyncio.sleep(0.08)
    monkeypatch.setattr(direct, "ORDER_S_MAX", 0.05)
    assert await intake.receive(message("m4")) == "answered", "in the end"


@on_newest
@pytest.mark.parametrize("message_id", ["m1", ""])
async def test_a_stored_copy_of_what_was_answered_directly_is_withdrawn(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, message_id: str
) -> None:
    away, bot = Away(redis_client, monkeypatch, window_ms=60_000), Bot()
    away.answers_lost = 1
    intake = Intake(away.queue, bot.handle, bot.send)
    assert await intake.receive(message(message_id)) == "answered"
    assert len(await away.queue.pending("bot", "201000000001")) == 1
    away.is_away = False
    await intake.settle()
    assert await away.queue.pending("bot", "201000000001") == []
    assert intake.unsettled == 0


@on_newest
async def test_settling_survives_the_loss_of_its_own_answer(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, bot = Away(redis_client, monkeypatch, window_ms=60_000), Bot()
    away.answers_lost = 1
    intake = Intake(away.queue, bot.handle, bot.send)
    assert await intake.receive(message("m1")) == "answered"
    away.answers_lost = 1
    with pytest.raises(QueueUnavailableError):
        await intake.settle()
    assert intake.unsettled == 1
    away.is_away = False
    await intake.settle()
    assert intake.unsettled == 0
    assert await intake.receive(message("m1")) == "duplicate"
    await check_ledger(away.queue, ["m1"], bot.sent_ids)


@on_newest
async def test_a_conversation_that_cannot_be_settled_holds_up_no_other(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away, bot = Away(redis_client, monkeypatch), Bot()
    intake = Intake(away.queue, bot.handle, bot.send)
    await intake.receive(message("m1", "damaged"))
    await intake.receive(message("m2", "fine"))
    withdraw = away.queue.withdraw

    async def refuse(subject: QueueMessage) -> str:
        if subject.user_phone == "damaged":
            raise QueueError("Redis refused a script of the queue")
        return await withdraw(subject)

    monkeypatch.setattr(away.queue, "withdraw", refuse)
    away.is_away = False
    assert await intake.receive(message("m3", "fine")) == "queued"
    assert intake.unsettled == 0
    assert "Redis refuses to record" in caplog.text


@on_newest
async def test_those_who_wait_for_settling_share_one_try(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other they would each wait for a Redis that hangs."""
    away, bot = Away(redis_client, monkeypatch), Bot()
    intake = Intake(away.queue, bot.handle, bot.send)
    await intake.receive(message("m1"))
    go_on, tries = asyncio.Event(), 0

    async def hang(subject: QueueMessage) -> str:
        nonlocal tries
        tries += 1
        await go_on.wait()
        return "marked"

    monkeypatch.setattr(away.queue, "withdraw", hang)
    settling = [asyncio.create_task(intake.settle()) for _ in range(3)]
    await eventually(lambda: tries, "the first try")
    go_on.set()
    await asyncio.gather(*settling)
    assert tries == 1


@on_newest
async def test_a_worker_s_reply_to_what_was_answered_directly_is_dropped(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, gate, reached = Away(redis_client, monkeypatch, window_ms=0), asyncio.Event(), asyncio.Event()

    async def wait(batch: Batch) -> None:
        if batch.trigger != "direct":
            reached.set()
            await gate.wait()

    bot = Bot(wait)
    away.answers_lost = 1
    intake = Intake(away.queue, bot.handle, bot.send)
    assert await intake.receive(message("m1")) == "answered"
    async with running(Processor(MessageQueue(redis_client, quick()), bot.handle, bot.send)):
        await happens(reached)
        away.is_away = False
        await intake.settle()
        gate.set()
        await at_rest(away.queue)
    assert [batch.trigger for batch, _ in bot.sent] == ["direct"]
    await check_ledger(away.queue, ["m1"], bot.sent_ids)


@on_newest
async def test_a_message_that_a_worker_took_cannot_be_withdrawn_and_is_answered_twice(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Only if the worker has a reply before this process reaches Redis."""
    away, bot = Away(redis_client, monkeypatch, window_ms=0), Bot()
    away.answers_lost = 1
    intake = Intake(away.queue, bot.handle, bot.send)
    assert await intake.receive(message("m1")) == "answered"
    (batch,) = (await away.queue.claim("worker", limit=10)).batches
    assert await away.queue.record_reply(batch, "re m1")
    away.is_away = False
    await intake.settle()
    assert "is being answered by a worker too" in caplog.text
    assert intake.unsettled == 0


@on_newest
async def test_settles_by_itself_when_redis_is_back(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "PIPELINE_CALLS_MAX", 20)
    away, bot = Away(redis_client, monkeypatch), Bot()
    intake = Intake(away.queue, bot.handle, bot.send)
    for number in range(50):  # more than one pipeline holds
        await intake.receive(message(f"m{number}", f"user-{number % 7}"))
    settler = asyncio.create_task(intake.settle_when_back(every_s=0.01))
    await asyncio.sleep(0.05)
    assert intake.unsettled == 50
    away.is_away = False
    await eventually(lambda: intake.unsettled == 0, "every message is settled")
    settler.cancel()
    await asyncio.wait([settler])
    assert settler.cancelled()
    assert (await away.queue.enqueue(message("m49", f"user-{49 % 7}"))).status == "duplicate"


@on_newest
async def test_the_number_of_unsettled_messages_is_limited(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "UNSETTLED_MAX", 3)
    away, bot = Away(redis_client, monkeypatch), Bot()
    intake = Intake(away.queue, bot.handle, bot.send)
    for number in range(3):
        assert await intake.receive(message(f"m{number}")) == "answered"
    with pytest.raises(QueueUnavailableError, match="3 messages were answered without it"):
        await intake.receive(message("m3"))
    assert bot.sent_ids == ["m0", "m1", "m2"]
    assert await intake.receive(message("m1")) == "duplicate"
    away.is_away = False
    assert await intake.receive(message("m3")) == "queued"


@on_newest
async def test_a_partition_that_is_away_holds_up_no_other(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, bot = Away(redis_client, monkeypatch, partitions=4), Bot()
    away.away_partitions = {away.queue.keys.of("bot", "ali").partition}
    away.is_away = False
    other = next(
        phone
        for phone in "abcdefgh"
        if away.queue.keys.of("bot", phone).partition not in away.away_partitions
    )
    intake = Intake(away.queue, bot.handle, bot.send)
    assert await intake.receive(message("m1", "ali")) == "answered"
    assert await intake.receive(message("m2", other)) == "queued"
    with pytest.raises(QueueUnavailableError):
        await intake.settle()
    assert (intake.unsettled, bot.sent_ids) == (1, ["m1"])
    away.away_partitions = set()
    assert await intake.receive(message("m3", "ali")) == "queued"
    assert (intake.unsettled, bot.sent_ids) == (0, ["m1"])


@on_newest
async def test_an_older_message_in_a_partition_that_is_away_keeps_its_place(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time passes for a partition only while it answers, whatever the others do."""
    away, bot = Away(redis_client, monkeypatch, partitions=4, lock_ttl_ms=50, lock_renew_ms=10), Bot()
    partition = away.queue.keys.of("bot", "ali").partition
    other = next(phone for phone in "abcdefgh" if away.queue.keys.of("bot", phone).partition != partition)
    intake = Intake(away.queue, bot.handle, bot.send)
    away.is_away = False
    assert await intake.receive(message("m1", "ali")) == "queued"
    away.away_partitions = {partition}
    with pytest.raises(OlderMessageWaitsError):
        await intake.receive(message("m2", "ali"))
    for number in range(10):
        await asyncio.sleep(policy.limit_ms(away.queue.settings) / 1000 / 4)
        assert await intake.receive(message(f"x{number}", other)) == "queued"
    with pytest.raises(OlderMessageWaitsError):
        await intake.receive(message("m2", "ali"))
    assert bot.sent_ids == []


@on_newest
async def test_webhooks_and_media_of_answered_messages_are_not_kept(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, bot = Away(redis_client, monkeypatch), Bot()
    intake = Intake(away.queue, bot.handle, bot.send)
    await intake.receive(
        QueueMessage(
            id="m1", instance_name="bot", user_phone="1", message="long", message_data={"media": "x" * 1000}
        )
    )
    ((kept,),) = (messages.values() for messages in intake._unsettled._messages.values())
    assert (kept.id, kept.message, kept.message_data) == ("m1", "", {})


@on_newest
async def test_nothing_of_a_conversation_stays_in_memory_after_its_turn(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()

    async def crash_or_hang(batch: Batch) -> None:
        if batch.user_phone == "crashes":
            raise RuntimeError
        reached.set()
        await asyncio.Event().wait()

    away, bot = Away(redis_client, monkeypatch), Bot(crash_or_hang)
    intake = Intake(away.queue, bot.handle, bot.send)
    with pytest.raises(RuntimeError):
        await intake.receive(message("m1", "crashes"))
    hanging = asyncio.create_task(intake.receive(message("m2", "hangs")))
    await happens(reached)
    hanging.cancel()
    await asyncio.wait([hanging])
    assert intake._deliveries == {}


@on_newest
async def test_a_deletion_is_not_answered_directly_and_an_edit_is(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, bot = Away(redis_client, monkeypatch), Bot()
    intake = Intake(away.queue, bot.handle, bot.send)
    with pytest.raises(QueueUnavailableError, match="deliver it again later"):
        await intake.receive(as_deletion(message("d"), "m1"))
    assert await intake.receive(as_edit(message("e"), "m1")) == "answered"
    assert bot.asked_ids == [("e",)]
    away.is_away = False
    assert await intake.receive(as_deletion(message("d"), "m1")) == "changed"
