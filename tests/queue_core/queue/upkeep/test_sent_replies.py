"""Ids of replies: a report finds its reply in whatever order the two come, and what is kept has an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from queue_core import (
    Batch,
    Intake,
    MessageQueue,
    Processor,
    QueueError,
    QueueMessage,
    QueueSettings,
    QueueUnavailableError,
)
from queue_core.queue.upkeep import sent_replies
from queue_core.queue.upkeep.sent_replies import MatchedReport, Report, SentReply
from queue_core.sent import ID_CHARACTERS_MAX, PART_IDS_MAX, SentPart, note_sent, noting_sent
from tests.queue_core.bot import Bot, at_rest, claimed_batch, eventually, message, on_newest, quick, running
from tests.queue_core.queue.conftest import EPOCH_MS, Clock

PHONE = "201000000001"
HOUR_MS = 3_600_000
REPLY = SentReply("bot", PHONE, b"", "")


def turn(*texts: str, phone: str = PHONE, instance: str = "bot", **data: Any) -> Batch:
    """A turn of a worker."""
    return Batch(
        instance_name=instance,
        user_phone=phone,
        messages=tuple(
            QueueMessage(
                id=f"m{number}", instance_name=instance, user_phone=phone, message=text, message_data=data
            )
            for number, text in enumerate(texts or ("hi",), 1)
        ),
        token=1,
        processor_id="p",
        attempt=1,
        trigger="window",
        due_at_ms=0,
        claimed_at_ms=0,
    )


def echo(reply_id: str = "out", **values: Any) -> Report:
    """A report that the bot's number wrote a message."""
    return Report(kind="own", instance_name="bot", reply_id=reply_id, user_phone=PHONE, **values)


def failed(reply_id: str = "out", code: str = "131026", reason: str = "Undeliverable") -> Report:
    """A report that a reply did not arrive."""
    return Report(
        kind="failed", instance_name="bot", reply_id=reply_id, user_phone="1@lid", code=code, reason=reason
    )


async def matched(queue: MessageQueue) -> list[MatchedReport]:
    """Match the reports in all partitions."""
    return [pair for partition in queue.keys.partitions for pair in await queue.sent.match(partition)]


async def leftovers(queue: MessageQueue) -> int:
    """Count the entries in both keys of the kept reports."""
    keys = [(partition.reports, partition.reports_due) for partition in queue.keys.partitions]
    return sum([await queue.redis.hlen(first) + await queue.redis.zcard(second) for first, second in keys])


@pytest.mark.parametrize("report", [echo(), failed()])
async def test_a_report_on_a_known_id_has_the_conversation(queue: MessageQueue, report: Report) -> None:
    await queue.sent.note(turn(), [SentPart("out", "text")])
    found = await queue.sent.report(report)
    assert (found.status, found.reply) == ("known", REPLY)
    assert await leftovers(queue) == 0
    assert not queue.sent.waiting()


@pytest.mark.parametrize("report", [echo(at_ms=5), failed()])
async def test_a_report_that_is_faster_than_the_send_is_matched(
    queue: MessageQueue, clock: Clock, report: Report
) -> None:
    assert (await queue.sent.report(report)).status == "kept"
    assert (await queue.sent.report(report)).status == "repeated"
    clock.now_ms += 1_000
    assert await matched(queue) == []
    assert len(queue.sent.waiting()) == 1
    await queue.sent.note(turn(), [SentPart("other", "text")])
    assert await matched(queue) == []
    await queue.sent.note(turn(), [SentPart("out", "text")])
    assert await matched(queue) == [MatchedReport(report, REPLY)]
    await queue.sent.settle([report])
    assert await matched(queue) == []
    assert await leftovers(queue) == 0
    assert not queue.sent.waiting()


@pytest.mark.parametrize(("report", "after_ms"), [(echo(), 40_000), (failed(), HOUR_MS)])
async def test_a_report_on_an_id_that_stays_unknown_ends(
    queue: MessageQueue, clock: Clock, report: Report, after_ms: int
) -> None:
    await queue.sent.report(report)
    clock.now_ms += after_ms - 1
    assert await matched(queue) == []
    clock.now_ms += 1
    assert await matched(queue) == [MatchedReport(report, None)]
    assert await leftovers(queue) == 0


async def test_the_wait_for_an_echo_covers_the_longest_send(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, QueueSettings(send_timeout_ms=90_000))
    assert queue.sent.echo_ms == 100_000


async def test_a_failure_is_given_out_until_its_conversation_has_it(
    queue: MessageQueue, clock: Clock
) -> None:
    """The process that got it first has died."""
    await queue.sent.report(failed())
    await queue.sent.note(turn(), [SentPart("out", "text")])
    assert await matched(queue) == [MatchedReport(failed(), REPLY)]
    assert await matched(queue) == []
    clock.now_ms += sent_replies.RETURN_AGAIN_MS
    assert await matched(queue) == [MatchedReport(failed(), REPLY)]
    await queue.sent.settle([failed()])
    clock.now_ms += sent_replies.RETURN_AGAIN_MS
    assert await matched(queue) == []


async def test_equal_ids_of_two_instances_are_two(queue: MessageQueue) -> None:
    await queue.sent.note(turn(instance="shop"), [SentPart("out", "text")])
    assert (await queue.sent.report(echo())).status == "kept"


async def test_ids_and_reports_lie_in_many_partitions(redis_client: Redis, clock: Clock) -> None:
    queue = MessageQueue(redis_client, QueueSettings(partitions=8), clock=clock)
    names = [f"out{number}" for number in range(40)]
    for name in names[:20]:
        await queue.sent.note(turn(phone=name), [SentPart(name, "text")])
    found = await asyncio.gather(*(queue.sent.report(echo(name)) for name in names))
    assert [pair.reply and pair.reply.user_phone for pair in found] == names[:20] + [None] * 20
    for name in names[20:]:
        await queue.sent.note(turn(phone=name), [SentPart(name, "text")])
    assert sorted(pair.reply.user_phone for pair in await matched(queue) if pair.reply) == sorted(names[20:])


async def test_ids_end(queue: MessageQueue, clock: Clock, redis_client: Redis) -> None:
    await queue.sent.note(turn(), [SentPart("out", "text")])
    (bucket,) = await redis_client.keys("*:sent:*")
    assert 24 * HOUR_MS < await redis_client.pttl(bucket) <= 30 * HOUR_MS + HOUR_MS
    clock.now_ms += 24 * HOUR_MS
    assert (await queue.sent.report(echo())).status == "known"
    clock.now_ms += 7 * HOUR_MS
    assert (await queue.sent.report(echo())).status == "kept"


@pytest.mark.parametrize("step_ms", [-5 * HOUR_MS, 5 * HOUR_MS])
async def test_an_id_is_found_after_a_step_of_the_clock(
    queue: MessageQueue, clock: Clock, step_ms: int
) -> None:
    await queue.sent.note(turn(), [SentPart("out", "text")])
    clock.now_ms += step_ms
    assert (await queue.sent.report(echo())).status == "known"


async def test_without_ids_nothing_is_kept(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, QueueSettings(sent_ttl_s=0))
    await queue.sent.note(turn(), [SentPart("out", "text")])
    assert (await queue.sent.report(echo())).status == "off"
    assert (await queue.sent.report(failed(""))).status == "off"
    assert await redis_client.keys("*") == []


async def test_a_report_without_an_id_or_with_a_huge_one_is_not_kept(queue: MessageQueue) -> None:
    for reply_id in ("", "x" * (ID_CHARACTERS_MAX + 1)):
        assert (await queue.sent.report(failed(reply_id))).status == "off"
    assert await leftovers(queue) == 0


async def test_reports_have_a_limit(queue: MessageQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent_replies, "REPORTS_MAX", 3)
    statuses = [(await queue.sent.report(failed(str(number)))).status for number in range(4)]
    assert statuses == ["kept", "kept", "kept", "full"]


async def test_many_reports_are_settled_in_steps(queue: MessageQueue, clock: Clock) -> None:
    await asyncio.gather(*(queue.sent.report(echo(str(number))) for number in range(250)))
    clock.now_ms += queue.sent.echo_ms
    assert len(await matched(queue)) == 250


@on_newest
async def test_reports_that_are_given_out_are_not_lost_when_redis_goes_away_meanwhile(
    redis_client: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = MessageQueue(redis_client, clock=clock)
    await asyncio.gather(*(queue.sent.report(echo(str(number))) for number in range(250)))
    clock.now_ms += queue.sent.echo_ms
    calls = 0
    gathered = queue.transport.gathered

    def away_after_the_first(call: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise QueueUnavailableError("away")
        return gathered(call)

    async def away(*_: Any) -> None:
        raise QueueUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(queue.transport, "gathered", away_after_the_first)
        patch.setattr(type(queue.sent._access), "read", away)
        first = await matched(queue)
        with pytest.raises(QueueUnavailableError):
            await matched(queue)
    assert (len(first), {pair.may_be_reply for pair in first}) == (100, {True})
    assert len(await matched(queue)) == 150


async def test_a_damaged_bucket_costs_its_ids_only(
    queue: MessageQueue, redis_client: Redis, clock: Clock
) -> None:
    await queue.sent.note(turn(), [SentPart("out", "text")])
    (bucket,) = await redis_client.keys("*:sent:*")
    await redis_client.set(bucket, "broken")
    assert (await queue.sent.report(echo())).status == "kept"
    await queue.sent.note(turn(), [SentPart("out", "text")])
    assert (await queue.sent.report(failed())).status == "known"
    assert [key.kept_as async for key in queue.damage.iterate()] != []


@pytest.mark.parametrize("name", ["reports", "reports_due"])
async def test_damaged_reports_are_moved_aside(queue: MessageQueue, redis_client: Redis, name: str) -> None:
    await redis_client.set(getattr(queue.keys.partitions[0], name), "broken")
    assert (await queue.sent.report(echo())).status == "kept"
    await queue.sent.note(turn(), [SentPart("out", "text")])
    assert await matched(queue) == [MatchedReport(echo(), REPLY)]


# In the conversation.


async def test_a_failure_is_noted_once_in_its_conversation(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    assert await queue.sent.note_undelivered(failed(), REPLY) == "noted"
    clock.now_ms += 1_000
    assert await queue.sent.note_undelivered(failed(), REPLY) == "known"
    assert await queue.sent.note_undelivered(failed("out2", code="", reason=""), REPLY) == "noted"
    seen = await queue.conversation("bot", PHONE)
    assert seen.is_known
    assert [(it.reply_id, it.code, it.reason, it.noted_at_ms) for it in seen.undelivered] == [
        ("out", "131026", "Undeliverable", EPOCH_MS),
        ("out2", "", "", EPOCH_MS + 1_000),
    ]
    assert await queue.dead_letters() == []
    assert 0 < await redis_client.ttl(queue.keys.of("bot", PHONE).undelivered) <= 86_400
    assert await queue.depth() == 0, "nothing is sent again"


async def test_a_conversation_keeps_the_newest_failures(queue: MessageQueue) -> None:
    for number in range(25):
        await queue.sent.note_undelivered(failed(str(number)), REPLY)
    seen = await queue.conversation("bot", PHONE)
    assert [it.reply_id for it in seen.undelivered] == [str(number) for number in range(5, 25)]


async def test_a_settled_failure_is_not_known_anew(queue: MessageQueue, redis_client: Redis) -> None:
    """Providers repeat reports, even when the conversation keeps newer failures only. An echo is still known."""
    ids = ["out", "\ud800", *map(str, range(sent_replies.UNDELIVERED_MAX))]
    await queue.sent.note(turn(), [SentPart(reply_id, "text") for reply_id in ids])
    await queue.sent.settle([failed("never noted"), echo("1")])
    assert (await queue.sent.report(failed("1"))).status == "known", "only a failure is settled"
    for reply_id in ids:
        await queue.sent.note_undelivered(failed(reply_id), REPLY)
        await queue.sent.settle([failed(reply_id)])
    again = [await queue.sent.report(failed(reply_id)) for reply_id in ids]
    assert {found.status for found in again} == {"repeated"}
    assert (await queue.sent.report(echo())).reply == REPLY
    await queue.sent.forget("bot", PHONE)
    assert await redis_client.keys("*sent*") == []


async def test_a_report_that_something_else_changed_costs_no_other(
    queue: MessageQueue, clock: Clock, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await queue.sent.report(failed("a"))
    await queue.sent.report(failed("b"))
    (partition,) = [it for it in queue.keys.partitions if await redis_client.hlen(it.reports) == 2]
    for field, value in (await redis_client.hgetall(partition.reports)).items():
        if b'"a"' in value:
            await redis_client.hset(partition.reports, field, "no report")
    clock.now_ms += HOUR_MS
    assert [pair.report for pair in await matched(queue)] == [failed("b")]
    assert "dropped a report on a reply" in caplog.text
    assert await leftovers(queue) == 0


async def test_the_texts_of_a_reply_that_something_else_changed_cost_no_report(
    redis_client: Redis, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    settings = QueueSettings(delivery_failures="dead-letter")
    queue = MessageQueue(redis_client, settings, clock=clock, monotonic=clock.seconds)
    for reply_id in ("a", "b"):
        await queue.sent.report(failed(reply_id))
    await queue.sent.note(turn(), [SentPart("a", "first"), SentPart("b", "second")])
    for key in await redis_client.keys("*sent:*"):
        for field, note in (await redis_client.hgetall(key)).items():
            if b"first" in note:
                await redis_client.hset(key, field, note[:-3])
    texts = {pair.report.reply_id: pair.reply.text for pair in await matched(queue) if pair.reply}
    assert texts == {"a": "", "b": "second"}
    assert "ignored the texts of a reply" in caplog.text


async def test_a_damaged_list_of_failures_is_moved_aside(queue: MessageQueue, redis_client: Redis) -> None:
    await redis_client.set(queue.keys.of("bot", PHONE).undelivered, "broken")
    assert await queue.sent.note_undelivered(failed(), REPLY) == "noted"
    assert len((await queue.conversation("bot", PHONE)).undelivered) == 1


@pytest.fixture
def letters(redis_client: Redis, clock: Clock) -> MessageQueue:
    """A queue that makes dead letters of failed deliveries."""
    settings = QueueSettings(delivery_failures="dead-letter", dead_letters_max=1)
    return MessageQueue(redis_client, settings, clock=clock)


async def test_a_failed_delivery_is_a_dead_letter_for_a_person(letters: MessageQueue) -> None:
    data: dict[str, Any] = {"channel": "cloud", "kind": "text", "webhook": {"big": "x" * 9_000}}
    await letters.sent.note(turn("is it", "open?", **data), [SentPart("out", "yes ⭐")])
    reply = (await letters.sent.report(failed())).reply
    assert reply
    assert await letters.sent.note_undelivered(failed(), reply) == "dead letter"
    assert await letters.sent.note_undelivered(failed(), reply) == "known"
    (letter,) = await letters.dead_letters()
    assert (letter.user_phone, letter.reply, letter.attempts) == (PHONE, "yes ⭐", 1)
    assert letter.reason == "undelivered: error 131026: Undeliverable"
    assert letter.message
    assert (letter.message.id, letter.message.message) == ("m2", "is it\nopen?")
    assert letter.message.message_data == {"channel": "cloud", "kind": "text"}
    await letters.requeue(letter.id)
    (waiting,) = await letters.pending("bot", PHONE)
    assert waiting.message == "is it\nopen?"


async def test_the_parts_of_a_turn_make_one_dead_letter(redis_client: Redis, clock: Clock) -> None:
    """One for each part would have the turn answered several times."""
    queue = MessageQueue(redis_client, QueueSettings(delivery_failures="dead-letter"), clock=clock)
    first, second = turn("two pizzas"), turn("and a cola")
    parts = [SentPart(f"a{number}", "yes") for number in range(sent_replies.UNDELIVERED_MAX + 5)]
    await queue.sent.note(first, parts)
    await queue.sent.note(msgspec.structs.replace(second, token=first.token + 1), [SentPart("b1", "yes")])
    results = []
    for reply_id in (*(part.id for part in parts), "b1"):
        reply = (await queue.sent.report(failed(reply_id))).reply
        assert reply
        results.append(await queue.sent.note_undelivered(failed(reply_id), reply))
    assert results == ["dead letter", *["noted"] * (len(parts) - 1), "dead letter"]
    letters = await queue.dead_letters()
    assert [letter.reply for letter in letters] == ["yes", "yes"]


async def test_without_room_for_the_dead_letter_the_failure_is_noted(letters: MessageQueue) -> None:
    await letters.keep_unreadable(message("x"), "takes the room")
    await letters.sent.note(turn(), [SentPart("out", "yes")])
    reply = (await letters.sent.report(failed())).reply
    assert reply
    assert await letters.sent.note_undelivered(failed(), reply) == "full"
    assert len(await letters.dead_letters()) == 1
    assert len((await letters.conversation("bot", PHONE)).undelivered) == 1


async def test_what_is_kept_for_a_dead_letter_has_a_limit(letters: MessageQueue, redis_client: Redis) -> None:
    data: dict[str, Any] = {"channel": "cloud", "reply_to": "1@lid", "form": {"fields": "x" * 20_000}}
    await letters.sent.note(turn("x" * 20_000, **data), [SentPart("out", "y" * 20_000)])
    (bucket,) = await redis_client.keys("*:sent:*")
    (note,) = await redis_client.hvals(bucket)
    assert len(note) < 10_000
    reply = (await letters.sent.report(failed())).reply
    assert reply
    kept = msgspec.json.decode(reply.letter, type=QueueMessage)
    assert kept.message_data == {"channel": "cloud", "reply_to": "1@lid"}


async def test_texts_are_kept_only_for_dead_letters(queue: MessageQueue, redis_client: Redis) -> None:
    await queue.sent.note(turn("a secret"), [SentPart("out", "another secret")])
    (bucket,) = await redis_client.keys("*:sent:*")
    assert await redis_client.hvals(bucket) == [f"bot:{PHONE}".encode()]


async def test_broken_text_in_ids_and_reasons(queue: MessageQueue) -> None:
    report = failed("out\ud800", reason="bad \udfff")
    assert (await queue.sent.report(report)).status == "kept"
    await queue.sent.note(turn("\ud800"), [SentPart("out\ud800", "\ud800")])
    (pair,) = await matched(queue)
    assert pair.reply
    assert await queue.sent.note_undelivered(pair.report, pair.reply) == "noted"
    await queue.sent.settle([pair.report])
    assert await leftovers(queue) == 0


# From a sender to the ids.


def test_a_sender_notes_ids_within_a_send_only() -> None:
    parts: list[SentPart] = []
    note_sent("before", "x")
    with noting_sent(parts):
        for part_id in ("out", "", "x" * (ID_CHARACTERS_MAX + 1)):
            note_sent(part_id, "x")
    note_sent("after", "x")
    assert parts == [SentPart("out", "x")]
    with noting_sent(parts):
        for number in range(PART_IDS_MAX + 5):
            note_sent(str(number), "x")
    assert len(parts) == PART_IDS_MAX


class Provider:
    """A sender of two parts; `on_sent` runs after the provider took a part and before its answer is read."""

    def __init__(self, queue: MessageQueue) -> None:
        self.queue = queue
        self.reports: list[Report] = []
        """Reports that come before the answer of the send."""
        self.statuses: list[str] = []
        self.statuses_between_parts: list[str] = []

    async def send(self, batch: Batch, reply: str) -> AsyncIterator[None]:
        for number in (1, 2):
            if number == 2:
                yield
                self.statuses_between_parts.append((await self.queue.sent.report(echo("out1"))).status)
            for report in self.reports:
                self.statuses.append((await self.queue.sent.report(report)).status)
            note_sent(f"out{number}", reply)


async def test_reports_before_the_answer_of_the_send_find_the_turn_of_a_worker(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    noted: list[str] = []
    note = queue.sent.note

    async def recorded(batch: Batch, parts: Sequence[SentPart]) -> None:
        noted.extend(part.id for part in parts)
        await note(batch, parts)

    monkeypatch.setattr(queue.sent, "note", recorded)
    provider = Provider(queue)
    provider.reports = [echo("out2"), failed("out2")]
    async with running(Processor(queue, bot.handle, provider.send)):
        await queue.enqueue(message("m1"))
        await at_rest(queue)
    assert noted == ["out1", "out2"], "once each"
    assert provider.statuses == ["kept", "kept", "repeated", "repeated"]
    assert provider.statuses_between_parts == ["known"], (
        "the id of the first part is noted before the second is sent"
    )
    pairs = await matched(queue)
    assert sorted((pair.report.kind, pair.reply) for pair in pairs) == [("failed", REPLY), ("own", REPLY)]


async def test_a_reply_that_is_sent_again_may_come_back_with_an_id_that_is_lost(redis_client: Redis) -> None:
    """The first send timed out after the provider took it, and its echo came."""
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    sends = 0

    async def send(batch: Batch, reply: str) -> None:
        nonlocal sends
        sends += 1
        if sends == 1:
            await queue.sent.report(echo("lost"))
            raise TimeoutError
        note_sent("out", reply)

    async with running(Processor(queue, bot.handle, send)):
        await queue.enqueue(message("m1"))
        await at_rest(queue)
    await queue.sent.report(Report(kind="own", instance_name="bot", reply_id="typed", user_phone="other"))
    (partition,) = queue.keys.partitions
    later_ms = await queue.now_ms() + queue.sent.echo_ms
    queue = MessageQueue(redis_client, quick(), clock=lambda: later_ms)
    pairs = await queue.sent.match(partition)
    assert sorted((pair.report.reply_id, pair.may_be_reply) for pair in pairs) == [
        ("lost", True),
        ("typed", False),
    ]
    assert 0 < await redis_client.pttl(queue.keys.of("bot", PHONE).sent_again) <= sent_replies.UNSURE_MS


@on_newest
async def test_a_repeated_send_that_cannot_be_noted_is_still_made(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    sends: list[str] = []

    async def refuse(*_: Any) -> None:
        raise QueueUnavailableError("full")

    async def send(batch: Batch, reply: str) -> None:
        sends.append(reply)
        if len(sends) == 1:
            raise TimeoutError

    monkeypatch.setattr(queue.sent, "note_again", refuse)
    async with running(Processor(queue, bot.handle, send)):
        await queue.enqueue(message("m1"))
        await at_rest(queue)
    assert sends == ["re m1", "re m1"]


@on_newest
async def test_ids_that_redis_refuses_keep_no_turn_open(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, bot = MessageQueue(redis_client, quick()), Bot()

    async def refuse(*_: Any) -> None:
        raise QueueUnavailableError("full")

    monkeypatch.setattr(queue.sent, "note", refuse)
    async with running(Processor(queue, bot.handle, Provider(queue).send)):
        await queue.enqueue(message("m1"))
        await at_rest(queue)
    assert len(await queue.completed("bot", PHONE)) == 1


@on_newest
async def test_a_turn_that_is_handed_back_after_its_send_leaves_its_id(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is stopped while Redis does not take the end of the turn."""
    queue, bot = MessageQueue(redis_client, quick()), Bot()
    complete, refused = queue.complete, asyncio.Event()

    async def away(*_: Any) -> None:
        refused.set()
        raise QueueUnavailableError("away")

    async def send(batch: Batch, reply: str) -> None:
        note_sent("out", reply)

    monkeypatch.setattr(queue, "complete", away)
    monkeypatch.setattr(queue.sent, "note", away)
    processor = Processor(queue, bot.handle, send, grace_s=0)
    async with running(processor):
        await queue.enqueue(message("m1"))
        await eventually(refused.is_set, "the end of the turn is refused")
        monkeypatch.undo()
        monkeypatch.setattr(queue, "complete", complete)
    assert (await queue.sent.report(echo())).status == "known"
    assert await queue.depth() == 0


@on_newest
async def test_ids_of_direct_replies_are_noted_when_redis_is_back(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, bot = MessageQueue(redis_client, quick(direct_after_ms=0)), Bot()

    async def away(*_: Any) -> None:
        raise QueueUnavailableError("away")

    for name in ("enqueue", "withdraw"):
        monkeypatch.setattr(queue, name, away)
    monkeypatch.setattr(queue.sent, "note", away)
    intake = Intake(queue, bot.handle, Provider(MessageQueue(redis_client, quick())).send)
    assert await intake.receive(message("m1")) == "answered"
    assert (await queue.sent.report(failed("out2"))).status == "kept"
    monkeypatch.undo()
    await intake.settle()
    assert (await queue.sent.report(echo("out1"))).status == "known"
    pairs = await matched(queue)
    assert sorted((pair.report.reply_id, pair.reply) for pair in pairs) == [("out1", REPLY), ("out2", REPLY)]


@on_newest
@pytest.mark.parametrize("error", [QueueUnavailableError("away"), QueueError("refused")])
async def test_ids_that_redis_refuses_hold_no_message_back(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, error: QueueError
) -> None:
    queue, bot = MessageQueue(redis_client, quick(direct_after_ms=0)), Bot()

    async def away(*_: Any) -> None:
        raise QueueUnavailableError("away")

    async def refuse(*_: Any) -> None:
        raise error

    intake = Intake(queue, bot.handle, Provider(queue).send)
    with monkeypatch.context() as patch:
        for name in ("enqueue", "withdraw"):
            patch.setattr(queue, name, away)
        assert await intake.receive(message("m1")) == "answered"
    monkeypatch.setattr(queue.sent, "note", refuse)
    if isinstance(error, QueueUnavailableError):
        with pytest.raises(QueueUnavailableError):
            await intake.settle()
        assert intake.unsettled == 0
        monkeypatch.undo()
        await intake.settle()
        assert (await queue.sent.report(echo("out1"))).status == "known"
    else:
        assert await intake.receive(message("m2")) == "queued"


async def test_a_claimed_turn_keeps_its_conversation(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(message("m1"))
    clock.now_ms += 8_000
    await queue.sent.note(await claimed_batch(queue), [SentPart("out", "text")])
    assert (await queue.sent.report(echo())).reply == REPLY
