"""The AI or a channel is away: its turns wait, one at a time probes it, and work resumes step by step."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import (
    Batch,
    GiveUpError,
    MessageQueue,
    Processor,
    QueueSettings,
    RetryLaterError,
)
from queue_core.queue.message_queue import Claimed
from queue_core.queue.outages import OutageNews, OutageSign
from queue_core.queue.processing.processor import Outcome
from queue_core.redis.scripts.loader import text
from tests.queue_core.bot import Bot, on_newest
from tests.queue_core.queue.backends import (
    HOUR_MS,
    MINUTE_MS,
    USERS,
    claim,
    enqueue,
    fail,
    next_probe,
    take_ai_away,
)
from tests.queue_core.queue.conftest import Clock


async def test_a_turn_that_fails_alone_uses_no_attempt_and_waits_longer_each_time(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["ali"])
    clock.now_ms += 8_000
    waits = []
    for setbacks in range(10):
        batch = await next_probe(queue, clock)
        assert (batch.attempt, batch.setbacks) == (1, setbacks)
        failed_ms = clock.now_ms
        assert await fail(queue, batch) == 0
        waits.append((await queue.claim("p", limit=1)).next_due_ms or 0)
        waits[-1] -= failed_ms
    for number, wait_ms in enumerate(waits):
        full_ms = min(1_000 * 2**number, MINUTE_MS)
        assert full_ms / 2 <= wait_ms <= full_ms
    assert await queue.outages() == []
    batch = await next_probe(queue, clock)
    await queue.complete(batch)
    assert await queue.depth() == 0


async def test_a_message_that_comes_meanwhile_does_not_end_the_backoff(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["ali"])
    clock.now_ms += 8_000
    (batch,) = await claim(queue)
    await queue.fail(batch, "503", after_ms=30_000, sign=OutageSign("ai", 100))
    await enqueue(queue, ["ali"], number=2)
    clock.now_ms += 29_000
    assert await claim(queue) == []
    clock.now_ms += 1_000
    (batch,) = await claim(queue)
    assert batch.ids == ("ali-1", "ali-2")


async def test_a_turn_that_fails_while_another_succeeds_uses_its_attempts(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["ali", "bea"])
    clock.now_ms += 8_000
    poison, other = await claim(queue)
    await queue.record_reply(other, "hello")
    dead = await fail(queue, poison)
    for attempt in (2, 3, 4):
        clock.now_ms += 10_000
        (poison,) = await claim(queue)
        assert (poison.attempt, poison.setbacks) == (attempt, 0)
        await enqueue(queue, ["cem"], number=attempt)
        clock.now_ms += 8_000
        (other,) = [batch for batch in await claim(queue) if batch.user_phone == "cem"]
        await queue.extend(poison)
        await queue.complete(other)
        dead = await fail(queue, poison, took_ms=8_000)
    assert dead == 1
    (letter,) = await queue.dead_letters()
    assert letter.reason == "given up after 4 attempts: 503"


async def test_a_success_of_the_turn_itself_or_from_before_does_not_count(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["ali", "bea"])
    clock.now_ms += 8_000
    first, other = await claim(queue)
    await queue.complete(other)
    clock.now_ms += 5_000
    await queue.record_reply(first, "hello")
    await queue.record_sent(first, parts=1)
    assert await fail(queue, first, "ai", took_ms=4_000) == 0
    clock.now_ms += 60_000
    (again,) = await claim(queue)
    assert (again.attempt, again.setbacks) == (1, 1)


async def test_a_backend_is_away_when_turns_of_two_conversations_failed_in_a_row(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["ali", "bea", "cem"])
    clock.now_ms += 8_000
    first, second, third = await claim(queue)
    await fail(queue, first)
    assert await queue.outages() == []
    await fail(queue, second)
    (outage,) = await queue.outages()
    assert (outage.kind, outage.instance_name, outage.is_away) == ("ai", "", True)
    assert (outage.since_ms, outage.error, outage.waiting) == (clock.now_ms, "503", 1)
    await fail(queue, third)
    assert (await queue.outages())[0].waiting == 2


async def test_the_same_conversation_twice_or_a_success_between_does_not_make_the_ai_away(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["ali", "bea", "cem"])
    clock.now_ms += 8_000
    first, second, third = await claim(queue)
    await fail(queue, first)
    await queue.complete(third)
    clock.now_ms += 2_000
    await queue.extend(second)
    await fail(queue, second)
    (first,) = await claim(queue)
    assert first.user_phone == "ali"
    assert await queue.outages() == []


async def test_under_load_two_failures_by_chance_do_not_make_it_away(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, USERS)
    clock.now_ms += 8_000
    first, second, third, fourth, fifth = await claim(queue)
    await queue.complete(fifth)
    await fail(queue, first)
    clock.now_ms += 900
    await fail(queue, second)
    assert await queue.outages() == []
    clock.now_ms += 100
    await fail(queue, third)
    assert len(await queue.outages()) == 1
    await fail(queue, fourth)


async def test_turns_wait_in_order_and_one_at_a_time_probes(queue: MessageQueue, clock: Clock) -> None:
    await take_ai_away(queue, clock)
    await enqueue(queue, ["ali", "fay"], number=2)
    clock.now_ms += 8_000
    probed, times = [], []
    for _ in range(9):
        batch = await next_probe(queue, clock)
        assert (await queue.claim("q", limit=10)).batches == ()
        probed.append(batch.user_phone)
        times.append(clock.now_ms)
        assert batch.attempt == 1
        clock.now_ms += 1
        await fail(queue, batch)
    assert set(probed[:6]) == {*USERS, "fay"}
    assert probed[6:] == probed[:3]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits == [2_001, 4_001, 8_001, 16_001, 32_001, 60_001, 60_001, 60_001]
    assert await queue.dead_letters() == []


async def test_a_probe_whose_worker_died_is_followed_by_another(queue: MessageQueue, clock: Clock) -> None:
    await take_ai_away(queue, clock)
    first = await next_probe(queue, clock)
    clock.now_ms += 10_000
    await queue.extend(first)
    clock.now_ms += 10_000
    assert await claim(queue) == []
    clock.now_ms += 5_000
    second = await next_probe(queue, clock)
    assert second.user_phone != first.user_phone


async def test_a_probe_that_is_handed_back_is_followed_by_another_at_once(
    queue: MessageQueue, clock: Clock
) -> None:
    await take_ai_away(queue, clock)
    await queue.release(await next_probe(queue, clock))
    assert len(await claim(queue)) == 1


async def test_work_resumes_step_by_step_when_a_probe_succeeds(queue: MessageQueue, clock: Clock) -> None:
    users = [f"user-{number:02}" for number in range(30)]
    await enqueue(queue, users)
    clock.now_ms += 8_000
    for batch in await claim(queue, limit=2):
        await fail(queue, batch)
    assert await claim(queue, limit=100) == []
    in_progress, sizes, answered = [await next_probe(queue, clock)], [], []
    while in_progress:
        sizes.append(len(in_progress))
        for batch in in_progress:
            await queue.complete(batch)
            answered.append(batch.user_phone)
        in_progress = await claim(queue, limit=100)
    assert sizes == [1, 2, 4, 8, 15]
    assert sorted(answered) == users
    assert answered[:3] == users[2:5], "those that failed before come last"
    assert await queue.outages() == []
    assert not [key for key in await queue.redis.keys() if b"backend_" in key or b"outage" in key]


async def test_while_work_resumes_failures_of_two_conversations_make_it_away_again(
    queue: MessageQueue, clock: Clock
) -> None:
    await take_ai_away(queue, clock)
    await queue.complete(await next_probe(queue, clock))
    clock.now_ms += 1_000
    for batch in await claim(queue):
        await fail(queue, batch)
    assert [outage.is_away for outage in await queue.outages()] == [True]
    assert await claim(queue) == []


async def test_news_is_told_once(queue: MessageQueue, clock: Clock) -> None:
    await take_ai_away(queue, clock)
    since_ms = clock.now_ms

    def news_of(claimed: Claimed) -> list[tuple[str, bool, int, str]]:
        return [(news.name, news.is_away, news.since_ms, news.error) for news in claimed.news]

    assert news_of(await queue.claim("p")) == [("the AI", True, since_ms, "503")]
    assert news_of(await queue.claim("q")) == []
    await queue.complete(await next_probe(queue, clock))
    assert news_of(await queue.claim("p", limit=0)) == [("the AI", False, since_ms, "503")]
    assert news_of(await queue.claim("q", limit=0)) == []


async def test_a_channel_is_that_of_an_instance_and_the_ai_is_shared(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["ali", "bea", "cem"], "shop:1")
    clock.now_ms += 8_000
    first, second, third = [batch for batch in await claim(queue) if batch.instance_name == "shop:1"]
    for batch in (first, second):
        await queue.record_reply(batch, "hello")
        await fail(queue, batch, "channel")
    await queue.release(third)
    (outage,) = await queue.outages()
    assert (outage.kind, outage.instance_name, outage.name) == ("channel", "shop:1", "the channel of shop:1")
    await enqueue(queue, ["eva"], "bank")
    clock.now_ms += 8_000
    claimed = await claim(queue)
    assert [batch.user_phone for batch in claimed if batch.instance_name == "bank"] == ["eva"]
    assert len([batch for batch in claimed if batch.instance_name == "shop:1"]) == 1


async def test_a_turn_with_a_recorded_reply_does_not_wait_for_the_ai(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["eva"])
    clock.now_ms += 8_000
    (answered,) = await claim(queue)
    await queue.record_reply(answered, "hello")
    await queue.fail(answered, "busy", not_sent=True, after_ms=8_001)
    await take_ai_away(queue, clock, USERS[:4])
    clock.now_ms += 1
    claimed = [batch for batch in await claim(queue) if batch.reply]
    assert [batch.user_phone for batch in claimed] == ["eva"]


async def test_a_reply_that_was_sent_is_completed_whatever_is_away(queue: MessageQueue, clock: Clock) -> None:
    await enqueue(queue, ["ali", "bea", "cem"])
    clock.now_ms += 8_000
    first, second, third = await claim(queue)
    await queue.record_reply(third, "hello")
    await queue.record_sent(third)
    clock.now_ms += 2_000
    for batch in (first, second):
        await queue.record_reply(batch, "hello")
        await fail(queue, batch, "channel")
    await queue.release(third)
    (third,) = [batch for batch in await claim(queue) if batch.send_state == "sent"]
    await queue.complete(third)
    assert [outage.is_away for outage in await queue.outages()] == [True]


async def test_a_send_that_may_have_arrived_uses_its_attempts_and_is_a_sign(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["ali", "bea"])
    clock.now_ms += 8_000
    for batch in await claim(queue):
        await queue.record_reply(batch, "hello")
        await fail(queue, batch, "channel", counts=True)
    assert [outage.name for outage in await queue.outages()] == ["the channel of bot"]
    attempts = []
    for _ in range(6):
        batch = await next_probe(queue, clock)
        attempts.append(batch.attempt)
        await fail(queue, batch, "channel", counts=True)
    assert sorted(attempts) == [2, 2, 3, 3, 4, 4]
    assert {letter.attempts for letter in await queue.dead_letters()} == {4}
    assert len(await queue.dead_letters()) == 2


async def test_what_waits_is_not_expired_and_its_time_counts_anew_when_the_ai_is_back(
    queue: MessageQueue, clock: Clock
) -> None:
    await take_ai_away(queue, clock)
    await enqueue(queue, ["fay", "gus"])
    for _ in range(5):
        clock.now_ms += HOUR_MS
        await fail(queue, await next_probe(queue, clock))
    await queue.complete(await next_probe(queue, clock))
    clock.now_ms += HOUR_MS - MINUTE_MS
    answered = 1
    while batches := await claim(queue):
        for batch in batches:
            await queue.complete(batch)
        answered += len(batches)
    assert answered == 7
    assert await queue.dead_letters() == []


@pytest.mark.parametrize("users", [("ali",), USERS], ids=["alone", "away"])
@pytest.mark.newest_redis
async def test_patience_ends_in_a_dead_letter_that_says_so(
    redis_client: Redis, clock: Clock, users: tuple[str, ...]
) -> None:
    queue = MessageQueue(redis_client, QueueSettings(outage_patience_s=7_200), clock=clock)
    began_ms = clock.now_ms
    await take_ai_away(queue, clock, users)
    while await queue.depth():
        claimed = await queue.claim("p", limit=10)
        for batch in claimed.batches:
            await fail(queue, batch)
        if not claimed.batches and claimed.next_due_ms:
            assert claimed.next_due_ms > clock.now_ms
            clock.now_ms = claimed.next_due_ms
    letters = await queue.dead_letters()
    assert {letter.user_phone for letter in letters} == set(users)
    for letter in letters:
        assert letter.reason == "given up after 7200 s: ai was away; last error: 503"
        assert 7_200_000 < letter.dead_at_ms - began_ms < 7_200_000 + MINUTE_MS + 10_000


async def test_without_room_for_dead_letters_what_waited_for_too_long_goes_on_waiting(
    redis_client: Redis, clock: Clock
) -> None:
    settings = QueueSettings(outage_patience_s=7_200, dead_letters_max=100)
    queue = MessageQueue(redis_client, settings, clock=clock)
    for number in range(100):
        await redis_client.xadd(queue.keys.partitions[0].dead, {"conversation": "bot:x", "at": number})
    await take_ai_away(queue, clock)
    clock.now_ms += 8_000_000
    for _ in range(20):
        claimed = await queue.claim("p", limit=10)
        for batch in claimed.batches:
            await fail(queue, batch)
        assert claimed.batches or (claimed.next_due_ms or 0) > clock.now_ms
        clock.now_ms = max(clock.now_ms, claimed.next_due_ms or 0)
    assert await queue.depth() == len(USERS)
    assert (await queue.sizes()).dead_letters == 100


@pytest.mark.newest_redis
async def test_a_claim_visits_few_of_many_conversations_that_wait(queue: MessageQueue, clock: Clock) -> None:
    await take_ai_away(queue, clock, ("ali", "bea"))
    users = [f"user-{number}" for number in range(450)]
    await enqueue(queue, users)
    clock.now_ms += 8_000
    (probe,) = await claim(queue)
    seen = []
    for _ in range(6):
        claimed = await queue.claim("q", limit=1_000)
        assert claimed.batches == ()
        seen.append((await queue.outages())[0].waiting)
    assert seen[0] < seen[-1] == 451
    assert all(later - earlier <= 100 for earlier, later in pairwise([0, *seen]) if earlier)
    assert ((await queue.claim("q")).next_due_ms or 0) > clock.now_ms
    await fail(queue, probe)
    assert (await queue.outages())[0].waiting == 452


async def test_a_clock_that_is_set_back_delays_neither_probes_nor_the_discovery_of_an_outage(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["fay", "gus"])
    clock.now_ms += 8_000
    for batch in await claim(queue):
        await queue.complete(batch)
    clock.now_ms -= 10 * HOUR_MS
    await enqueue(queue, USERS)
    clock.now_ms += 8_000
    for batch in await claim(queue):
        await fail(queue, batch)
    assert [outage.is_away for outage in await queue.outages()] == [True]
    clock.now_ms -= 10 * HOUR_MS
    await enqueue(queue, ["hal"])
    clock.now_ms += 8_000
    probe = await next_probe(queue, clock)
    assert probe.attempt == 1


@pytest.mark.parametrize(
    "kind", ["backend:ai", "backend_waiting:ai", "backend_trials:ai", "outages", "outage_news"]
)
async def test_a_damaged_key_of_an_outage_is_moved_aside_and_all_are_answered(
    queue: MessageQueue, clock: Clock, kind: str
) -> None:
    await take_ai_away(queue, clock)
    key = queue.keys.partitions[0].base + kind
    await queue.redis.delete(key)
    await queue.redis.set(key, "rubbish")
    answered = 0
    while await queue.depth():
        claimed = await queue.claim("p", limit=10)
        for batch in claimed.batches:
            await queue.complete(batch)
        answered += len(claimed.batches)
        clock.now_ms = max(clock.now_ms + 1, claimed.next_due_ms or 0)
    assert answered == len(USERS)
    assert await queue.dead_letters() == []
    assert (await queue.sizes()).damaged_keys == 1


async def test_a_user_who_waits_for_the_ai_can_be_forgotten(queue: MessageQueue, clock: Clock) -> None:
    await take_ai_away(queue, clock)
    forgotten = await queue.forget("bot", "cem", drop_waiting=True)
    assert forgotten.standing == "forgotten"
    (outage,) = await queue.outages()
    assert outage.waiting == 3
    for key in await queue.redis.keys("wa:{0}:backend*"):
        is_hash = await queue.redis.type(key) == b"hash"
        values = await (queue.redis.hgetall(key) if is_hash else queue.redis.zrange(key, 0, -1))
        assert b"cem" not in str(values).encode()


async def test_names_of_backends_are_read_back(queue: MessageQueue, clock: Clock) -> None:
    await enqueue(queue, ["ali", "bea"], "a b:{c}")
    clock.now_ms += 8_000
    for batch in await claim(queue):
        await queue.record_reply(batch, "hello")
        await fail(queue, batch, "channel")
    (outage,) = await queue.outages()
    assert outage.instance_name == "a b:{c}"
    (name,) = await queue.redis.zrange(queue.keys.partitions[0].outages, 0, -1)
    assert text(name) == "channel:a%20b%3A%7Bc%7D"


@pytest.mark.parametrize(
    ("stage", "error", "sign"),
    [
        ("handle", RetryLaterError("503"), ("ai", False)),
        ("handle", TimeoutError("no answer"), ("ai", False)),
        ("handle", ConnectionRefusedError("refused"), ("ai", False)),
        ("handle", RetryLaterError("400", blames="turn"), None),
        ("handle", RuntimeError("a bug"), None),
        ("handle", GiveUpError("no"), None),
        ("send", RetryLaterError("503"), ("channel", False)),
        ("send", RetryLaterError("131056", blames="turn"), None),
        ("send", GiveUpError("no such user"), None),
        ("send", ConnectionResetError("perhaps sent"), ("channel", True)),
        ("send", TimeoutError("perhaps sent"), ("channel", True)),
    ],
    ids=str,
)
@on_newest
async def test_an_error_is_a_sign_or_not(
    queue: MessageQueue,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    error: Exception,
    sign: tuple[str, bool] | None,
) -> None:
    seen: list[OutageSign | None] = []

    async def raising(batch: Batch) -> None:
        await asyncio.sleep(0.01)
        raise error

    async def noting(batch: Batch, reason: str, **how: Any) -> int:
        seen.append(how["sign"])
        return await real_fail(batch, reason, **how)

    real_fail = queue.fail
    monkeypatch.setattr(queue, "fail", noting)
    bot = Bot(**{"on_handle" if stage == "handle" else "on_send": raising})
    await enqueue(queue, ["ali"])
    clock.now_ms += 8_000
    await Processor(queue, bot.handle, bot.send).process_all_queues()
    (found,) = seen
    assert (found and (found.kind, found.counts)) == sign
    assert not found or 9 < found.took_ms < 5_000


class Listener:
    """Observer of a processor that keeps the news of backends."""

    def __init__(self) -> None:
        self.news: list[tuple[str, bool]] = []

    def claimed(self, batch: Batch) -> None:
        """Do nothing."""

    def ended(self, batch: Batch, outcome: Outcome, reason: str, dead_lettered: int) -> None:
        """Do nothing."""

    def given_up(self, messages: int) -> None:
        """Do nothing."""

    def backend_changed(self, news: OutageNews) -> None:
        """Keep it."""
        self.news.append((news.name, news.is_away))


@on_newest
async def test_a_processor_tells_its_observer_the_news(queue: MessageQueue, clock: Clock) -> None:
    await take_ai_away(queue, clock)
    listener = Listener()
    bot = Bot()
    processor = Processor(queue, bot.handle, bot.send, observer=listener)
    clock.now_ms += 1_000
    while await queue.depth():
        report = await processor.process_all_queues()
        clock.now_ms = max(clock.now_ms, report.next_due_ms or 0)
    assert listener.news == [("the AI", True), ("the AI", False)]
    assert len(bot.sent) == len(USERS)
