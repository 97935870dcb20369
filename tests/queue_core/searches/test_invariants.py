"""The checks themselves: without a bug they are silent, and each kind of bug, planted, makes them speak."""

from __future__ import annotations

import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test
from redis.asyncio import Redis

from queue_core import QueueSettings
from tests.conftest import store_client
from tests.queue_core.searches.changing import (
    edited_messages_are_deleted,
    messages_are_changed,
    messages_in_work_are_changed,
)
from tests.queue_core.searches.driver import Driver
from tests.queue_core.searches.observed import InvariantBrokenError
from tests.queue_core.searches.planting import plant
from tests.queue_core.searches.test_state_machine import QueueMachine

A, B, C, D = ("bot", "a"), ("bot", "b"), ("bot", "c"), ("bot", "d")
DAY_MS = 86_400_000
SETTINGS = QueueSettings(
    max_messages=3, max_batch=4, max_retry_count=1, queue_ttl_s=60, completed_ttl_s=20, supersede_ms=2_000
)


async def a_bit_of_everything(driver: Driver) -> None:
    """Every step at least once, each as it is meant."""
    await messages_come_in(driver)
    await turns_are_answered(driver)
    await turns_are_joined(driver)
    await messages_in_flight_are_answered_elsewhere(driver)
    await messages_are_changed(driver)
    await messages_in_work_are_changed(driver)
    await edited_messages_are_deleted(driver)
    await redis_is_away(driver)
    await workers_die(driver)
    await attempts_fail(driver)
    await people_intervene(driver)
    await old_messages_are_dropped(driver)
    await users_are_forgotten(driver)


async def messages_come_in(driver: Driver) -> None:
    await driver.enqueue(A, "a1", age_ms=200)
    driver.pass_time(100)
    await driver.enqueue(A, "a2", age_ms=1_000)
    await driver.enqueue(A, "a1")
    await driver.enqueue(A, "a3", lost=True)
    await driver.enqueue(B, "a1", age_ms=DAY_MS + 1)
    await driver.enqueue(B, "b1")
    assert await driver.withdraw(B, "b2") == "marked"
    await driver.enqueue(B, "b2")
    await driver.enqueue(B, "b3")
    assert await driver.withdraw(B, "b3") == "withdrawn"
    assert await driver.withdraw(B, "b3", lost=True) == "marked"


async def turns_are_answered(driver: Driver) -> None:
    assert await driver.claim("p1", only=B) == ()
    (batch,) = await driver.claim("p1", lost=True, later_ms=3_000)
    assert batch.ids == ("a1", "a2", "a3")
    assert await driver.claim("p2") == ()
    await driver.enqueue(A, "a4")
    driver.pass_time(4_000)
    await driver.extend(batch)
    await driver.record_reply(batch, "hello")
    assert await driver.withdraw(A, "a2") == "in flight"
    await driver.record_sent(batch)
    await driver.complete(batch, lost=True)
    driver.pass_time(1_000)
    (batch,) = await driver.claim("p1", only=B)
    assert batch.ids == ("b1",)
    await driver.complete(batch)
    driver.pass_time(15_000)
    (rest,) = await driver.claim("p1")
    assert rest.ids == ("a4",)
    await driver.complete(rest)
    await driver.enqueue(A, "a5")
    driver.pass_time(30_000)
    (batch,) = await driver.claim("p1", only=A)
    await driver.complete(batch)


async def turns_are_joined(driver: Driver) -> None:
    """Two messages join a turn while it is answered; a third is too late, and a fourth comes between two parts."""
    for number in (20, 21, 22):
        await driver.enqueue(C, f"c{number}")
    (batch,) = await driver.claim("p1")
    driver.pass_time(1_000)
    await driver.enqueue(C, "c23")
    assert await driver.record_reply(batch, "dropped", lost=True)
    assert not await driver.record_reply(batch, "dropped")
    (batch,) = await driver.claim("p1")
    assert (len(batch.ids), batch.attempt) == (4, 1)
    await driver.complete(batch)
    for number in (24, 25, 26):
        await driver.enqueue(C, f"c{number}")
    (batch,) = await driver.claim("p1")
    await driver.record_reply(batch, "in three parts")
    await driver.enqueue(C, "c27")
    await driver.record_sent(batch, parts=1)
    await driver.fail(batch, not_sent=True, after_ms=0)
    (batch,) = await driver.claim("p1")
    assert (batch.ids, batch.parts_sent, batch.attempt) == (("c24", "c25", "c26"), 1, 2)
    await driver.record_reply(batch, "in three parts")
    await driver.record_sent(batch, parts=2)
    await driver.complete(batch)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    await driver.complete(batch)


async def messages_in_flight_are_answered_elsewhere(driver: Driver) -> None:
    """Between two attempts, while a reply is made, and while an attempt fails for good."""
    for number in (40, 41, 42):
        await driver.enqueue(C, f"c{number}")
    (batch,) = await driver.claim("p1")
    await driver.fail(batch, after_ms=0)
    assert await driver.withdraw(C, "c40", lost=True) == "withdrawn"
    (batch,) = await driver.claim("p1")
    assert (batch.ids, batch.attempt) == (("c41", "c42"), 2)
    assert await driver.withdraw(C, "c42") == "withdrawn"
    assert await driver.record_reply(batch, "dropped", lost=True)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert (batch.ids, batch.attempt) == (("c41",), 2)
    await driver.enqueue(C, "c43")
    await driver.fail(batch)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert (batch.ids, batch.attempt) == (("c43",), 1)
    assert await driver.withdraw(C, "c43") == "withdrawn"
    assert await driver.record_reply(batch, "dropped")
    assert await driver.claim("p1") == ()
    await driver.enqueue(C, "c44")
    await driver.enqueue(C, "c45")
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert await driver.withdraw(C, "c44") == "withdrawn"
    assert await driver.fail(batch, dead=True)
    await driver.enqueue(C, "c46")
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert await driver.withdraw(C, "c46") == "withdrawn"
    assert await driver.release(batch)
    assert await driver.claim("p1") == ()


async def redis_is_away(driver: Driver) -> None:
    """For longer than a lease, twice; in between only the other worker gets through. The holder lives."""
    await driver.enqueue(C, "c30")
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    for _ in range(2):
        driver.pass_time(20_000)
        assert await driver.claim("p2") == ()
    driver.pass_time(2_000)
    assert await driver.claim("p1", kept=[batch]) == ()
    await driver.look_on(14_000)
    assert await driver.claim("p2") == ()
    await driver.complete(batch)


async def workers_die(driver: Driver) -> None:
    """Two die over one message; one more came while the second tried."""
    await driver.enqueue(C, "c1")
    driver.pass_time(8_000)
    (first,) = await driver.claim("p1")
    await driver.look_on(15_001)
    await driver.enqueue(C, "c2")
    await driver.rescue()
    (second,) = await driver.claim("p2")
    assert second.attempt == 2
    assert not await driver.complete(first)
    assert not await driver.extend(first)
    assert not await driver.record_reply(first, "too late")
    assert not await driver.fail(first)
    await driver.look_on(15_000)
    (third,) = await driver.claim("p3")
    assert (third.ids, third.attempt) == (("c2",), 2)
    await driver.record_reply(third, "answer")
    await driver.release(third)
    (fourth,) = await driver.claim("p3")
    assert fourth.reply == "answer"
    await driver.complete(fourth)


async def attempts_fail(driver: Driver) -> None:
    await driver.enqueue(D, "d1")
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    await driver.record_reply(batch, "hm")
    await driver.fail(batch, not_sent=True, after_ms=5_000)
    await driver.enqueue(D, "d2")
    assert await driver.claim("p1") == ()
    driver.pass_time(5_000)
    (batch,) = await driver.claim("p1")
    assert batch.ids == ("d1",)
    await driver.fail(batch, lost=True)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    await driver.fail(batch)
    driver.pass_time(1_000)
    await driver.enqueue(D, "d3")
    (batch,) = await driver.claim("p1")
    assert batch.ids == ("d2", "d3")
    await driver.fail(batch)
    driver.pass_time(2_000)
    (batch,) = await driver.claim("p1")
    await driver.fail(batch, dead=True)
    for number in range(6):
        await driver.enqueue(D, f"d{10 + number}")
    driver.pass_time(60_001)
    assert await driver.claim("p1") == ()
    assert await driver.claim("p1") == ()


async def people_intervene(driver: Driver) -> None:
    for letter in tuple(driver.contract.dead):
        index = driver.contract.dead.index(letter)
        await (driver.drop(index) if letter.reason == "late" else driver.requeue(index))
    for _ in range(2):
        for batch in await driver.claim("p1"):
            await driver.complete(batch)
        driver.pass_time(8_000)
    await driver.enqueue(B, "")


async def old_messages_are_dropped(driver: Driver) -> None:
    """While the queue is held. A batch that has a reply goes as a whole; what a worker has in work stays."""
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1", only=B)
    await driver.complete(batch)
    await driver.enqueue(C, "c60")
    await driver.enqueue(D, "d60")
    driver.pass_time(7_000)
    await driver.enqueue(D, "d61")
    driver.pass_time(1_000)
    in_work, batch = sorted(await driver.claim("p1"), key=lambda batch: batch.user_phone)
    await driver.record_reply(batch, "perhaps sent")
    await driver.fail(batch, after_ms=0)
    await driver.enqueue(D, "d62")
    driver.pass_time(1_000)
    await driver.hold()
    assert await driver.claim("p1") == ()
    await driver.drop_older(5_000)
    await driver.resume()
    assert [dead.id for dead in driver.contract.dead][-2:] == ["d60", "d61"]
    await driver.complete(in_work)


async def users_are_forgotten(driver: Driver) -> None:
    await driver.forget(D, drop_waiting=False)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1", only=D)
    await driver.forget(D, drop_waiting=True)
    await driver.complete(batch)
    await driver.forget(D, drop_waiting=False)
    await driver.enqueue(D, "d62")
    await driver.enqueue(C, "c61")
    await driver.change(C, "edit", "c61", "e30")
    await driver.forget(C, drop_waiting=True)
    await driver.forget(C, drop_waiting=True)


@pytest.mark.newest_redis
async def test_without_a_bug_the_checks_are_silent(redis_client: Redis) -> None:
    driver = Driver(redis_client, SETTINGS)
    await a_bit_of_everything(driver)
    assert {dead.reason for dead in driver.contract.dead} == set()
    assert len(driver.contract.acknowledged) == 87


async def test_the_time_that_a_run_takes_does_not_count() -> None:
    """Redis deletes the archive after 20 s of its own time, which goes on between the steps of a slow run."""
    now_us = 1

    class SlowDriver(Driver):
        async def check(self) -> None:
            nonlocal now_us
            await super().check()
            now_us += 2 * SETTINGS.completed_ttl_s * 1_000_000

    await a_bit_of_everything(SlowDriver(store_client(clock_us=lambda: now_us), SETTINGS))


BUGS = {
    "claim carries no change out": (
        "claim",
        "if has_more and has_changes(place) then",
        "if false then",
        "batches",
    ),
    "record_reply keeps a reply to what was changed": (
        "record_reply",
        "if (lock[3] or lock[4]) and not is_kept then",
        "if lock[3] and not is_kept then",
        "reply",
    ),
    "complete forgets an edit": (
        "complete",
        "elements = on_demand().release_changes(place, elements, now_ms)",
        "",
        "in .* wait|has a text",
    ),
    "withdraw forgets an edit": (
        "withdraw",
        "release_changes(place, {element}, now_ms)[1]",
        "element",
        "in .* wait",
    ),
    "fail makes dead letters of deleted messages": ("fail", "if lock[4] then", "if false then", "given up"),
    "change knows no id": ("change", "if duplicate then", "if false then", "receipt|places"),
    "change takes an old edit for a new one": (
        "change",
        "provider_ms > 0 and provider_ms < edited_ms",
        "false",
        "finished",
    ),
    "change lets an edit undo a deletion": (
        "change",
        "if noted_what == 'd' or noted_what and",
        "if noted_what and",
        "receipt|batches|in .* places|finished",
    ),
    "change does not note that a reply is out of date": (
        "change",
        "redis.call('HSET', place.lock, 'changed', 1)",
        "",
        "reply",
    ),
    "change has replies made anew for ever": (
        "change",
        "and now_ms - stamp_of(redis.call('LINDEX', place.queue, 0)) < supersede_ms",
        "",
        "receipt",
    ),
    "change does not look at a recorded reply": (
        "change",
        "index <= (reply_size(place) or 0)",
        "false",
        "receipt|places|finished",
    ),
    "change leaves deleted texts in the archive": (
        "change",
        "  erase_finished()\n  if is_read",
        "  if is_read",
        "has a text",
    ),
    "an edit in work outlives the deletion of its message": (
        "changes",
        "return note and string.sub(note, 1, 1) == 'd' and note or",
        "return",
        "has a text",
    ),
    "change forgets what is not there": ("change", "  note('')\n", "", "batches|finished"),
    "change does not mark the id": (
        "change",
        "  mark_seen(place, seen, layers, since, now_ms, dedupe_ttl_ms)",
        "",
        "receipt",
    ),
    "an edit moves its message in time": (
        "changes",
        "tonumber(message['writtenAt'] or message['timestamp']) or 0",
        "4e15",
        "batches",
    ),
    "forget leaves the changes": (
        "forget",
        ", place.changes, place.change_notes)",
        ")",
        "places|batches",
    ),
    "enqueue keeps no note of the id": ("enqueue", "if duplicate then", "if false then", "receipt"),
    "enqueue notes the id and stores nothing": (
        "enqueue",
        "local waiting = redis.call('RPUSH', place.queue, element)",
        "local waiting = redis.call('LLEN', place.queue) + 1",
        "in 0 places",
    ),
    "enqueue puts the newest first": (
        "enqueue",
        "'RPUSH', place.queue",
        "'LPUSH', place.queue",
        "in .* wait",
    ),
    "enqueue schedules nothing": ("enqueue", "\n  schedule_arrival(", "\n  type(", "ever look at"),
    "enqueue disturbs the work under way": (
        "lib",
        "if not lock[1] and (number_in",
        "if true or (number_in",
        "is due at",
    ),
    "enqueue lets what waits expire": (
        "enqueue",
        "group.known = known\nif names",
        "redis.call('PEXPIRE', place.queue, dedupe_ttl_ms)\nif names",
        "would vanish",
    ),
    "enqueue remembers ids for ever": ("seen", "if ids == 1 then", "if false then", "stay for ever"),
    "enqueue looks for an id in the wrong bucket": (
        "seen",
        "math.floor(prefix / 2 ^ (32 - layer.bits))",
        "math.floor(prefix / 2 ^ (32 - layer.bits)) + redis.call('LLEN', 'wa:{0}:msg_queue:' .. 'bot:a')",
        "receipt",
    ),
    "enqueue takes what is a day old": (
        "arrivals",
        "local is_late = late_ms",
        "local is_late = false",
        "receipt",
    ),
    "the window is a millisecond longer": (
        "lib",
        "+ limit_ms\n",
        "+ limit_ms + 1\n",
        "is due at",
    ),
    "five messages wait like one": (
        "lib",
        "if rules.max_messages > 0 and waiting >= rules.max_messages then",
        "if false then",
        "is due at",
    ),
    "claim takes what is leased": (
        "claim",
        "partition.active, '-inf', digits(now_ms)",
        "partition.active, '-inf', '+inf'",
        "batches|is due at",
    ),
    "claim leases the same turn twice": (
        "claim",
        "redis.call('ZADD', partition.active, unpack(unscheduled))",
        "",
        "is due at",
    ),
    "claim does not know its own repetition": (
        "claim",
        "if has_leased then",
        "if false then",
        "batches",
    ),
    "claim repeated does not renew": (
        "claim",
        "renew(place)\n        local is_readable",
        "local is_readable",
        "is due at",
    ),
    "claim renews in the index only": (
        "claim",
        "redis.call('HSET', place.lock, 'expiresAt', digits(now_ms + lock_ttl_ms))",
        "",
        "is held by",
    ),
    "claim does not renew what the claimer names": (
        "claim",
        "seldom().renew_kept()",
        "",
        "spared|is held by|is due at",
    ),
    "claim takes over what nobody could renew": (
        "claim",
        "math.max(expires, since + grace_ms)",
        "expires",
        "batches",
    ),
    "claim takes an outage for time without a gap": (
        "claim",
        "or now_ms - at > GAP_MS or",
        "or",
        "batches",
    ),
    "claim spares a dead worker's lease for ever": (
        "claim",
        "if not at or now_ms - at",
        "if true or now_ms - at",
        "batches|spared|is due at",
    ),
    "claim takes others than it is told to": ("claim", "if only == '' then", "if true then", "batches"),
    "claim of one tells when others are due": (
        "claim",
        "next_due = tonumber(redis.call('ZSCORE', partition.active, only) or -1)",
        "next_due = tonumber(redis.call('ZRANGE', partition.active, 0, 0, 'WITHSCORES')[2] or -1)",
        "next due",
    ),
    "claim gives out a token twice": (
        "claim",
        "math.max(last < TOKEN_MAX and last + 1 or 0, now_ms * 1000)",
        "math.floor(now_ms / 100000)",
        "does not follow",
    ),
    "claim does not count attempts": (
        "claim",
        "tries[#tries + 1] = size",
        "tries[1] = size",
        "was tried|attempt",
    ),
    "claim tries for ever": ("claim", "if #tries >= max_attempts then", "if false then", "batches"),
    "claim gives up on those who came later too": (
        "claim",
        "count = head.size or tries[1]",
        "count = redis.call('LLEN', place.queue)",
        "batches",
    ),
    "claim takes more than fits": (
        "claim",
        "math.min(head.waiting, max_batch)",
        "99",
        "is held by|batches",
    ),
    "claim hands over what has expired": (
        "claim",
        "return at > 0 and math.max(at, counts_from) < now_ms - queue_ttl_ms",
        "return false",
        "batches",
    ),
    "claim drops what has expired": (
        "claim",
        "tries = on_demand().give_up(place,",
        (
            "redis.call('LTRIM', place.queue, count, -1) place.queue = place.queue .. 'x' "
            "tries = on_demand().give_up(place,"
        ),
        "in 0 places|batches",
    ),
    "extend does not move the lease": (
        "extend",
        "\nschedule_look(place, now_ms, lock_ttl_ms)",
        "",
        "is due at",
    ),
    "extend obeys anybody": (
        "extend",
        "if redis.call('HGET', place.lock, 'token') ~= token then",
        "if false then",
        "obeyed",
    ),
    "record_reply obeys anybody": (
        "record_reply",
        "return on_demand().standing(place, token) == 'settled' and 'superseded' or 'lost'",
        "if on_demand().standing(place, token) == 'settled' then return 'superseded' end",
        "obeyed",
    ),
    "record_reply never lets a message join": (
        "record_reply",
        "elseif not is_kept and supersede_ms > 0",
        "elseif false",
        "reply",
    ),
    "record_reply lets messages join for ever": (
        "record_reply",
        "- oldest < supersede_ms",
        "- oldest < 1e9",
        "reply",
    ),
    "record_reply replaces a reply that was kept": (
        "record_reply",
        "local is_kept = state ~= false",
        "local is_kept = false",
        "reply",
    ),
    "record_reply keeps a reply to what was answered": (
        "record_reply",
        "if (lock[3] or lock[4]) and not is_kept then",
        "if false then",
        "reply",
    ),
    "a message answered elsewhere is not kept": (
        "changes",
        "ipairs(release_changes(place, gone, now_ms))",
        "ipairs({})",
        "in 0 places",
    ),
    "fail makes a dead letter of what was answered elsewhere": (
        "fail",
        "if answered and redis.call('EXISTS', place.reply) == 0 then",
        "if false then",
        "given up|places",
    ),
    "claim hands over what was answered elsewhere": (
        "claim",
        "if lock[4] and not head.has_reply then",
        "if false then",
        "batches",
    ),
    "a message answered elsewhere leaves its attempts behind": (
        "changes",
        "rest[#rest + 1] = tried - gone",
        "rest[#rest + 1] = tried",
        "given up|is held by|was tried",
    ),
    "record_reply superseded counts the attempt": (
        "record_reply",
        "  take_back_lease(place)\n  schedule_rest",
        "  take_back_lease(place) redis.call('HSET', place.lock, 'tries', '1')\n  schedule_rest",
        "was tried|is due",
    ),
    "record_reply superseded is forgotten": (
        "record_reply",
        "note_settled(place, token, now_ms, stats_ttl_ms)\n  take_back",
        "take_back",
        "reply: ",
    ),
    "record_sent forgets the parts": ("record_sent", "'parts', parts", "'parts', 0", "the reply of"),
    "record_sent does not count attempts anew": (
        "record_sent",
        "redis.call('HSET', place.lock, 'tries', lease[2])",
        "",
        "was tried",
    ),
    "record_reply forgets the size of the batch": (
        "record_reply",
        "'size', size, 'state'",
        "'size', 99, 'state'",
        "the reply of",
    ),
    "record_sent notes nothing": (
        "record_sent",
        "'state', 'sent',",
        "'state', 'unsure',",
        "the reply of",
    ),
    "complete and fail obey anybody": (
        "lib",
        "if redis.call('HGET', place.lock, 'token') == token then",
        "if redis.call('HEXISTS', place.lock, 'token') == 1 then",
        "obeyed",
    ),
    "complete trims one too many": (
        "complete",
        "redis.call('LTRIM', place.queue, size, -1)",
        "redis.call('LTRIM', place.queue, size + 1, -1)",
        "in 0 places",
    ),
    "complete trims one too few": (
        "complete",
        "redis.call('LTRIM', place.queue, size, -1)",
        "redis.call('LTRIM', place.queue, size - 1, -1)",
        "in 2 places",
    ),
    "complete keeps the reply": (
        "complete",
        "redis.call('DEL', place.lock, place.reply)\n",
        "redis.call('DEL', place.lock)\n",
        "the reply of",
    ),
    "complete forgets the rest": (
        "complete",
        "  schedule_rest(",
        "  redis.call('ZREM', place.active, place.conversation)\n  type(",
        "ever look at",
    ),
    "complete lets the rest wait a whole window more": (
        "lib",
        "schedule(place, math.max(no_later(due, latest), now_ms))",
        "schedule(place, now_ms + rules.window_ms)",
        "is due at",
    ),
    "complete leaves the conversation in the index": (
        "lib",
        "  else\n    redis.call('ZREM', place.active, place.conversation)",
        "",
        "without a message|is due at",
    ),
    "complete told twice is refused": ("lib", "return 'settled'", "return 'lost'", "refused"),
    "complete keeps the archive for ever": (
        "complete",
        "if not oldest or",
        "if true or",
        "in 2 places|finished",
    ),
    "fail waits for nothing": ("fail", "now_ms + backoff_ms", "now_ms", "is due at|a backoff of"),
    "fail tries once more": (
        "fail",
        "elseif #tries >= max_attempts then",
        "elseif #tries > max_attempts then",
        "given up",
    ),
    "fail gives up on those who came later too": (
        "fail",
        "count = reply_size(place) or tries[1]",
        "count = size",
        "given up",
    ),
    "fail does not note that nothing was sent": (
        "fail",
        "if not_sent == '1' and",
        "if false and",
        "the reply of",
    ),
    "release counts the attempt": ("lib", "tries[#tries] = nil", "", "was tried|is held by"),
    "giving up leaves no dead letter": (
        "lib",
        "redis.call('XADD', place.dead, '*', unpack(entry))",
        "",
        "in 0 places",
    ),
    "giving up forgets the reply": (
        "lib",
        "entry[#entry + 1] = recorded",
        "entry[#entry + 1] = 'another'",
        "dead are",
    ),
    "requeue keeps the dead letter": (
        "requeue",
        "redis.call('XDEL', partition.dead, dead_id)",
        "",
        "in 2 places",
    ),
    "requeue schedules nothing": ("requeue", "\nschedule_arrival(", "\ntype(", "ever look at"),
    "rescue finds what is not lost": (
        "rescue",
        "if not redis.call('ZSCORE', place.active, place.conversation) then",
        "if redis.call('ZSCORE', place.active, place.conversation) then",
        "rescued",
    ),
    "rescue deletes locks that are needed": ("rescue", "elseif redis", "end if redis", "rescued"),
    "survey takes what is in flight for waiting": ("survey", "length - held", "length", "survey"),
    "survey takes the newest for the oldest": ("survey", "added_at < oldest", "added_at > oldest", "survey"),
    "survey sees no lease that ran out": ("survey", "expired + 1", "expired", "survey"),
    "drop_old cuts a batch that has a reply": (
        "drop_old",
        "math.max(math.min(count, limit, room), replied)",
        "math.min(count, limit, room)",
        "dropped",
    ),
    "drop_old takes what is in work": ("drop_old", "(number_in(lock[2]) or 0) > now_ms", "false", "dropped"),
    "drop_old schedules nothing": ("drop_old", "if #tries == 0 then", "if false then", "is due at"),
    "forget deletes what waits": ("forget", "drop_waiting ~= '1'", "false", "forgotten"),
    "forget deletes what is in work": ("forget", "if lease_left_ms > 0 then", "if false then", "forgotten"),
    "forget leaves the conversation in the index": (
        "forget",
        "redis.call('ZREM', place.active, place.conversation)\n  forget_waits(place)\nend",
        "forget_waits(place)\nend",
        "without a message",
    ),
    "forget leaves the archive": (
        "forget",
        "place.completed, place.memory, place.stats)",
        "place.stats)",
        "places",
    ),
    "claim knows no hold": (
        "claim",
        "gate.is_on_hold and 0 or",
        "",
        "batches",
    ),
    "claim keeps workers busy while the queue is held": (
        "gate",
        "  if gate.is_on_hold then\n    return -1\n  elseif",
        "  if",
        "next due",
    ),
    "withdraw takes what is in flight": (
        "withdraw",
        "if index <= begun then",
        "if false then",
        "withdraw|places|in .* wait|is due at",
    ),
    "withdraw forgets what is in flight": ("withdraw", "\n  note_answered()", "", "reply"),
    "withdraw leaves the message": (
        "withdraw",
        "redis.call('LREM', place.queue, 2 * index > redis.call('LLEN', place.queue) and -1 or 1, element)",
        "",
        "in 2 places",
    ),
    "withdraw does not mark the id": (
        "withdraw",
        "  mark_seen(place, seen, layers, since, now_ms, dedupe_ttl_ms)",
        "",
        "receipt",
    ),
}


@pytest.mark.parametrize("bug", BUGS)
async def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script, sound, broken, complaint = BUGS[bug]
    plant(monkeypatch, script, sound, broken)
    with pytest.raises(InvariantBrokenError, match=complaint):
        await a_bit_of_everything(Driver(store_client(), SETTINGS))


@pytest.mark.parametrize(
    "bug",
    [
        "enqueue schedules nothing",
        pytest.param("complete trims one too many", marks=pytest.mark.soak),
        pytest.param("claim takes what is leased", marks=pytest.mark.soak),
    ],
)
def test_the_state_machine_finds_a_planted_bug_by_itself(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script, sound, broken, _ = BUGS[bug]
    plant(monkeypatch, script, sound, broken)
    with pytest.raises(InvariantBrokenError):
        run_state_machine_as_test(
            lambda: QueueMachine(store_client),  # type: ignore[arg-type]  # hypothesis calls what it is given
            settings=hypothesis_settings(max_examples=50, stateful_step_count=40, phases=[Phase.generate]),
        )
