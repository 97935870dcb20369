"""Each Lua script, on fakeredis and on every real server.

Each answer it can give, what it leaves behind, and that repeating it changes nothing.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import pytest
from redis.asyncio import Redis

from queue_core import QueueMessage, QueueSettings
from queue_core.keys import KeySpace
from queue_core.message import decode, encode
from queue_core.redis import scripts
from queue_core.redis.runner import ScriptRunner
from queue_core.redis.scripts import Call, ClaimAnswer, LeasedAnswer
from queue_core.redis.scripts.loader import text

NOW = 1_790_000_000_000
DAY_MS = 86_400_000
SETTINGS = QueueSettings()
SPACE = KeySpace("wa", 1)
SHARED = SPACE.partitions[0]
KEYS = SPACE.of("bot", "1")
RULE = {"window_ms": 8_000, "max_messages": 5, "idle_ms": 0}
Result = TypeVar("Result")


class Steps:
    """Fills in the stubs. Times are milliseconds after NOW; every call is made twice on demand."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.runner = ScriptRunner(redis, deadline_ms=5_000)

    async def enqueue(self, message_id: str, at: int | str = 0, phone: str = "1", **changed: Any) -> Any:
        keys = SPACE.of("bot", phone)
        message = QueueMessage(id=message_id, instance_name="bot", user_phone=phone, message="…")
        call = scripts.Enqueue(
            queue=keys.queue,
            lock=keys.lock,
            active=SHARED.active,
            wake=SHARED.wake,
            seen=keys.seen_of(message_id),
            stats=keys.stats,
            dead=SHARED.dead,
            now_ms=_at(at),
            conversation=keys.conversation,
            message=encode(message, 10_000),
            provider_ms=0,
            dedupe_ttl_ms=DAY_MS,
            late_is_dead=1,
            stats_ttl_ms=3_600_000,
            waits_for_disk=0,
            **RULE,
        )
        return await self.run(call, changed)

    async def claim(self, at: int | str = 0, claim_id: str = "c1", **changed: Any) -> ClaimAnswer:
        call = scripts.Claim(
            active=SHARED.active,
            wake=SHARED.wake,
            token_key=SHARED.token,
            dead=SHARED.dead,
            last_claim=SHARED.last_claim_of("p"),
            now_ms=_at(at),
            base=SHARED.base,
            processor_id="p",
            claim_id=claim_id,
            limit=10,
            lock_ttl_ms=15_000,
            max_batch=100,
            max_attempts=4,
            queue_ttl_ms=3_600_000,
            only="",
            **RULE,
        )
        return await self.run(call, changed)

    async def leased(self, at: int, claim_id: str = "c1", **changed: Any) -> LeasedAnswer:
        (batch,) = (await self.claim(at, claim_id, **changed)).batches
        return batch

    async def extend(self, token: int, at: int = 0) -> str:
        return await self.run(
            scripts.Extend(
                lock=KEYS.lock,
                active=SHARED.active,
                now_ms=NOW + at,
                conversation=KEYS.conversation,
                token=token,
                lock_ttl_ms=15_000,
            )
        )

    async def record_reply(self, token: int, words: str = "hello") -> str:
        return await self.run(
            scripts.RecordReply(lock=KEYS.lock, reply=KEYS.reply, now_ms=NOW, token=token, text=words)
        )

    async def record_sent(self, token: int) -> str:
        return await self.run(
            scripts.RecordSent(lock=KEYS.lock, reply=KEYS.reply, now_ms=NOW + 5, token=token)
        )

    async def complete(self, token: int, at: int = 0) -> str:
        return await self.run(
            scripts.Complete(
                queue=KEYS.queue,
                lock=KEYS.lock,
                active=SHARED.active,
                wake=SHARED.wake,
                stats=KEYS.stats,
                completed=KEYS.completed,
                reply=KEYS.reply,
                now_ms=NOW + at,
                conversation=KEYS.conversation,
                token=token,
                completed_ttl_ms=1_800_000,
                stats_ttl_ms=3_600_000,
                **RULE,
            )
        )

    async def fail(self, token: int, mode: Any = "retry", at: int = 0, **changed: Any) -> tuple[str, int]:
        call = scripts.Fail(
            queue=KEYS.queue,
            lock=KEYS.lock,
            active=SHARED.active,
            wake=SHARED.wake,
            stats=KEYS.stats,
            dead=SHARED.dead,
            reply=KEYS.reply,
            now_ms=NOW + at,
            conversation=KEYS.conversation,
            token=token,
            mode=mode,
            reason="no luck",
            not_sent=0,
            backoff_ms=700,
            max_attempts=4,
            stats_ttl_ms=3_600_000,
            **RULE,
        )
        standing, given_up = await self.run(call, changed)
        return standing, given_up

    async def requeue(self, dead_id: str, at: int = 0) -> bool:
        return await self.run(
            scripts.Requeue(
                dead=SHARED.dead,
                active=SHARED.active,
                wake=SHARED.wake,
                now_ms=NOW + at,
                base=SHARED.base,
                dead_id=dead_id,
                **RULE,
            )
        )

    async def withdraw(self, message_id: str, at: int = 0) -> str:
        return await self.run(
            scripts.Withdraw(
                queue=KEYS.queue,
                lock=KEYS.lock,
                active=SHARED.active,
                wake=SHARED.wake,
                seen=KEYS.seen_of(message_id),
                completed=KEYS.completed,
                reply=KEYS.reply,
                now_ms=NOW + at,
                conversation=KEYS.conversation,
                message_id=message_id,
                dedupe_ttl_ms=DAY_MS,
                completed_ttl_ms=1_800_000,
                **RULE,
            )
        )

    async def run(self, call: Call[Result], changed: dict[str, Any] | None = None) -> Result:
        return await self.runner.alone(msgspec.structs.replace(call, **(changed or {})))

    # What is there afterwards.

    async def due(self, phone: str = "1") -> int | None:
        score = await self.redis.zscore(SHARED.active, SPACE.of("bot", phone).conversation)
        return None if score is None else int(score) - NOW

    async def ids(self, key: str = KEYS.queue) -> str:
        found = [decode(element) for element in await self.redis.lrange(key, 0, -1)]
        return " ".join(message.id for message in found if message)

    async def fields(self, key: str) -> dict[str, str]:
        return {text(name): text(value) for name, value in (await self.redis.hgetall(key)).items()}

    async def dead(self) -> list[tuple[str, dict[str, str]]]:
        return [
            (text(entry_id), {text(name): text(value) for name, value in (fields or {}).items()})
            for entry_id, fields in await self.redis.xrange(SHARED.dead) or []
        ]

    async def everything(self) -> dict[str, Any]:
        """All data, but for times to live."""
        readers: dict[Any, Any] = {
            b"list": lambda key: self.redis.lrange(key, 0, -1),
            b"hash": self.redis.hgetall,
            b"string": self.redis.get,
            b"zset": lambda key: self.redis.zrange(key, 0, -1, withscores=True),
            b"stream": self.redis.xrange,
        }
        return {
            text(key): await readers[await self.redis.type(key)](key)
            for key in sorted(await self.redis.keys())
        }


def _at(at: int | str) -> int | str:
    return NOW + at if isinstance(at, int) else at


@pytest.fixture
def steps(redis_client: Redis) -> Steps:
    return Steps(redis_client)


class TestEnqueue:
    async def test_queued(self, steps: Steps) -> None:
        assert await steps.enqueue("m1", 0) == ("queued", NOW, 1)
        assert await steps.enqueue("m2", 100) == ("queued", NOW + 100, 2)
        assert await steps.ids() == "m1 m2"
        assert await steps.due() == 8_000
        stats = {"totalMessages": "2", "lastActivity": str(NOW + 100)}
        assert await steps.fields(KEYS.stats) == stats

    async def test_the_last_of_max_messages_makes_it_due_now(self, steps: Steps) -> None:
        for number in range(4):
            await steps.enqueue(f"m{number}", number)
        assert await steps.due() == 8_000
        await steps.enqueue("m5", 500)
        assert await steps.due() == 500
        await steps.enqueue("m6", 600)
        assert await steps.due() == 500, "it keeps its place in the line"

    async def test_duplicate(self, steps: Steps) -> None:
        await steps.enqueue("m1", 0)
        before = await steps.everything()
        assert await steps.enqueue("m1", 700) == ("duplicate", NOW, 0)
        assert await steps.everything() == before

    async def test_in_strict_mode_a_duplicate_writes_what_is_there(self, steps: Steps) -> None:
        await steps.enqueue("m1", 0, waits_for_disk=1, dedupe_ttl_ms=50_000)
        before = await steps.everything()
        left_ms = await steps.redis.pttl(KEYS.seen_of("m1"))
        assert await steps.enqueue("m1", 700, waits_for_disk=1) == ("duplicate", NOW, 0)
        assert await steps.everything() == before
        assert left_ms - 10_000 < await steps.redis.pttl(KEYS.seen_of("m1")) <= left_ms, (
            "its time is not renewed"
        )

    async def test_the_same_id_of_another_user_is_another_message(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        assert (await steps.enqueue("m1", phone="2")).status == "queued"

    @pytest.mark.parametrize(
        ("age_ms", "late_is_dead", "status"),
        [(DAY_MS, 1, "queued"), (DAY_MS + 1, 1, "late"), (DAY_MS + 1, 0, "queued"), (-DAY_MS, 1, "queued")],
    )
    async def test_late_is_what_is_older_than_ids_are_remembered(
        self, steps: Steps, age_ms: int, late_is_dead: int, status: str
    ) -> None:
        answer = await steps.enqueue("m1", provider_ms=NOW - age_ms, late_is_dead=late_is_dead)
        assert answer.status == status
        assert answer.added_at_ms == NOW
        assert (await steps.due() is None) == (status == "late")

    async def test_late_is_a_dead_letter_with_the_reason(self, steps: Steps) -> None:
        assert await steps.enqueue("m1", provider_ms=NOW - 7 * DAY_MS) == ("late", NOW, 0)
        ((_, fields),) = await steps.dead()
        assert fields["reason"] == f"late: delivered {7 * 86_400} s after it was written"
        assert fields["attempts"] == "0"
        assert (await steps.enqueue("m1", 5, provider_ms=NOW - 7 * DAY_MS)).status == "duplicate"

    async def test_by_redis_s_own_clock(self, steps: Steps) -> None:
        answer = await steps.enqueue("m1", "")
        seconds, microseconds = await steps.redis.time()
        assert 0 <= seconds * 1000 + microseconds // 1000 - answer.added_at_ms < 10_000
        due = await steps.due()
        assert due is not None
        assert due + NOW == answer.added_at_ms + 8_000

    async def test_a_ring_only_for_what_is_due_before_all_else(self, steps: Steps) -> None:
        await steps.enqueue("m1", 0)
        first = await steps.redis.xrange(SHARED.wake)
        await steps.enqueue("m1", 100, phone="2")
        assert await steps.redis.xrange(SHARED.wake) == first
        await steps.enqueue("m1", 100, phone="3", window_ms=10)
        assert await steps.redis.xrange(SHARED.wake) != first
        assert await steps.redis.xlen(SHARED.wake) == 1


class TestClaim:
    async def test_nothing_there(self, steps: Steps) -> None:
        assert await steps.claim() == ClaimAnswer(NOW, None, 0, [])

    async def test_nothing_due_yet(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        assert await steps.claim(7_999) == ClaimAnswer(NOW + 7_999, NOW + 8_000, 0, [])

    async def test_a_batch(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.enqueue("m2", 10)
        answer = await steps.claim(8_000)
        (batch,) = answer.batches
        assert (batch.conversation, batch.attempt, batch.waiting) == (KEYS.conversation, 1, 2)
        assert batch.due_ms == NOW + 8_000
        assert (batch.reply, batch.send_state) == (None, None)
        assert [message.id for message in map(decode, batch.elements) if message] == ["m1", "m2"]
        assert batch.token >= (NOW + 8_000) * 1000
        assert (answer.given_up, answer.next_due_ms) == (0, NOW + 23_000)
        assert await steps.ids() == "m1 m2", "the head stays until it is complete"
        assert await steps.fields(KEYS.lock) == {
            "processorId": "p",
            "claimId": "c1",
            "token": str(batch.token),
            "lockedAt": str(NOW + 8_000),
            "expiresAt": str(NOW + 23_000),
            "dueAt": str(NOW + 8_000),
            "size": "2",
            "tries": "2",
        }

    async def test_the_longest_overdue_first_and_no_more_than_asked_for(self, steps: Steps) -> None:
        for phone, at in (("3", 30), ("1", 10), ("2", 20)):
            await steps.enqueue("m1", at, phone=phone)
        answer = await steps.claim(9_000, limit=2)
        assert [batch.conversation for batch in answer.batches] == ["bot:1", "bot:2"]
        assert answer.next_due_ms == NOW + 8_030
        tokens = [batch.token for batch in answer.batches]
        assert tokens == sorted(set(tokens))

    async def test_no_more_messages_than_max_batch(self, steps: Steps) -> None:
        for number in range(7):
            await steps.enqueue(f"m{number}")
        batch = await steps.leased(0, max_batch=5)
        assert (len(batch.elements), batch.waiting) == (5, 7)
        assert await steps.complete(batch.token, 100) == "held"
        assert await steps.ids() == "m5 m6"
        assert await steps.due() == 8_000

    async def test_repeated_it_hands_over_the_same_again(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.enqueue("m1", phone="2")
        first = await steps.claim(8_000)
        again = await steps.claim(8_100)
        assert again.batches == first.batches
        assert (await steps.claim(8_100, "c2")).batches == []

    async def test_repeated_it_renews_the_leases(self, steps: Steps) -> None:
        """The holder begins only now: what is left of the lease may be less than a heartbeat's wait."""
        await steps.enqueue("m1")
        await steps.claim(8_000)
        again = await steps.claim(20_000)
        assert again.next_due_ms == NOW + 35_000
        assert await steps.due() == 35_000
        assert (await steps.fields(KEYS.lock))["expiresAt"] == str(NOW + 35_000)
        assert (await steps.fields(KEYS.lock))["tries"] == "1"
        assert (await steps.claim(34_999, "c2")).batches == []

    async def test_repeated_it_hands_over_no_more_what_is_finished_or_taken_over(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.complete(batch.token, 8_000)
        assert (await steps.claim(8_001)).batches == []

    async def test_a_lease_that_ran_out_is_due_again_and_counts(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        first = await steps.leased(8_000)
        assert (await steps.claim(22_999, "c2")).batches == []
        second = await steps.leased(23_000, "c2")
        assert (second.attempt, second.due_ms) == (2, NOW + 23_000)
        assert second.token > first.token

    async def test_after_the_last_attempt_the_dead_letters_hold_it(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        for attempt in range(4):
            assert (await steps.leased(8_000 + attempt * 15_000, f"c{attempt}")).attempt == attempt + 1
        answer = await steps.claim(8_000 + 60_000, "last")
        assert (answer.batches, answer.given_up, answer.next_due_ms) == ([], 1, None)
        ((_, fields),) = await steps.dead()
        assert (
            fields["reason"] == "given up after 4 attempts: the last lease ran out (worker died or stalled)"
        )
        assert (fields["attempts"], fields["conversation"]) == ("4", KEYS.conversation)
        assert not await steps.redis.exists(KEYS.queue, KEYS.lock, KEYS.reply, SHARED.active)

    async def test_the_error_before_a_lease_ran_out_is_in_the_reason(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000, max_attempts=2)
        await steps.fail(batch.token, at=8_000, max_attempts=2)
        await steps.leased(9_000, "c2", max_attempts=2)
        await steps.claim(30_000, "c3", max_attempts=2)
        ((_, fields),) = await steps.dead()
        assert fields["reason"].endswith("; error before that: no luck")

    async def test_what_nobody_took_for_too_long_is_a_dead_letter(self, steps: Steps) -> None:
        await steps.enqueue("m1", 0)
        await steps.enqueue("m2", 5_000)
        answer = await steps.claim(3_600_001)
        assert answer.given_up == 1
        assert [message.id for message in map(decode, answer.batches[0].elements) if message] == ["m2"]
        ((_, fields),) = await steps.dead()
        assert fields["reason"] == "expired: no worker took it for over 3600 s"

    async def test_what_expired_beyond_one_batch_is_never_handed_over(self, steps: Steps) -> None:
        """Downtime: more messages expired than one step gives up."""
        for number in range(7):
            await steps.enqueue(f"m{number}")
        answers = [await steps.claim(3_600_001, f"c{number}", max_batch=3) for number in range(3)]
        assert [(answer.given_up, answer.batches) for answer in answers] == [(3, []), (3, []), (1, [])]
        assert answers[0].next_due_ms == NOW + 3_600_001
        assert answers[2].next_due_ms is None

    async def test_what_was_tried_does_not_expire(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.leased(8_000)
        assert (await steps.leased(7_200_000, "c2")).attempt == 2

    async def test_an_index_entry_without_messages_is_cleared(self, steps: Steps) -> None:
        await steps.redis.zadd(SHARED.active, {"bot:ghost": NOW})
        assert (await steps.claim(1)).next_due_ms is None

    @pytest.mark.parametrize("counter", [None, "1", "5"])
    async def test_tokens_grow_even_when_a_failover_set_the_counter_back(
        self, steps: Steps, counter: str | None
    ) -> None:
        await steps.enqueue("m1")
        tokens = [(await steps.leased(8_000, "c1")).token]
        await (
            steps.redis.delete(SHARED.token) if counter is None else steps.redis.set(SHARED.token, counter)
        )
        tokens += [(await steps.leased(23_000, "c2")).token, (await steps.leased(38_000, "c3")).token]
        assert tokens == sorted(set(tokens))

    async def test_tokens_grow_even_when_the_clock_is_set_back(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        first = await steps.leased(8_000, "c1")
        await steps.redis.zadd(SHARED.active, {KEYS.conversation: NOW - 1_000_000})
        second = await steps.leased(-500_000, "c2")
        assert second.token == first.token + 1

    async def test_only_one_conversation(self, steps: Steps) -> None:
        await steps.enqueue("m1", 0)
        await steps.enqueue("m1", 500, phone="2")
        assert await steps.claim(8_499, only="bot:2") == ClaimAnswer(NOW + 8_499, NOW + 8_500, 0, [])
        answer = await steps.claim(8_500, "c2", only="bot:2")
        assert [batch.conversation for batch in answer.batches] == ["bot:2"]
        assert answer.next_due_ms == NOW + 23_500, "its own"
        assert await steps.due() == 8_000, "the other one is untouched"
        assert await steps.claim(8_500, "c3", only="bot:3") == ClaimAnswer(NOW + 8_500, None, 0, [])
        assert (await steps.claim(60_000, "c4", only="bot:2", limit=0)).batches == []


class TestExtend:
    async def test_held(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        assert await steps.extend(batch.token, 12_000) == "held"
        assert await steps.due() == 27_000
        assert (await steps.fields(KEYS.lock))["expiresAt"] == str(NOW + 27_000)

    async def test_held_on_after_the_lease_ran_out_as_long_as_nobody_took_over(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        assert await steps.extend(batch.token, 60_000) == "held"

    async def test_lost(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        assert await steps.extend(1) == "lost"
        first = await steps.leased(8_000)
        await steps.leased(23_000, "c2")
        before = await steps.everything()
        assert await steps.extend(first.token, 24_000) == "lost"
        assert await steps.everything() == before


class TestRecords:
    async def test_reply_held(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        assert await steps.record_reply(batch.token, "مرحبا") == "held"
        fields = {"text": "مرحبا", "size": "1", "state": "unsure", "recordedAt": str(NOW)}
        assert await steps.fields(KEYS.reply) == fields

    async def test_after_a_crash_the_batch_is_the_one_that_the_reply_answers(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.enqueue("m2")
        first = await steps.leased(8_000)
        await steps.record_reply(first.token)
        await steps.enqueue("m3", 9_000)
        second = await steps.leased(23_000, "c2")
        assert (second.reply, second.send_state, second.waiting) == ("hello", "unsure", 3)
        assert [message.id for message in map(decode, second.elements) if message] == ["m1", "m2"]
        assert await steps.complete(second.token, 23_000) == "held"
        assert await steps.ids() == "m3"
        assert await steps.due() == 23_000, "m3 has waited for longer than the window"
        third = await steps.leased(23_000, "c3")
        assert (third.reply, third.attempt) == (None, 1)

    async def test_sent_held(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        assert await steps.record_sent(batch.token) == "held"
        assert not await steps.redis.exists(KEYS.reply), "without a reply there is nothing to note"
        await steps.record_reply(batch.token)
        assert await steps.record_sent(batch.token) == "held"
        fields = await steps.fields(KEYS.reply)
        assert (fields["state"], fields["sentAt"]) == ("sent", str(NOW + 5))
        assert (await steps.leased(23_000, "c2")).send_state == "sent"

    async def test_lost(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        first = await steps.leased(8_000)
        await steps.leased(23_000, "c2")
        before = await steps.everything()
        assert await steps.record_reply(first.token) == "lost"
        assert await steps.record_sent(first.token) == "lost"
        assert await steps.everything() == before


class TestComplete:
    async def test_held(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.enqueue("m2", 100)
        batch = await steps.leased(8_000)
        await steps.enqueue("m3", 9_000)
        await steps.record_reply(batch.token)
        assert await steps.complete(batch.token, 12_000) == "held"
        assert await steps.ids() == "m3"
        assert await steps.ids(KEYS.completed) == "m1 m2"
        assert await steps.due() == 17_000, "by its own oldest message"
        assert not await steps.redis.exists(KEYS.lock, KEYS.reply)
        archived = decode(await steps.redis.lindex(KEYS.completed, 1) or b"")
        assert archived is not None
        assert (archived.added_at, archived.completed_at) == (NOW + 100, NOW + 12_000)
        assert (await steps.fields(KEYS.stats))["processedMessages"] == "2"

    async def test_nothing_left_leaves_the_index(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.complete(batch.token, 8_000)
        assert not await steps.redis.exists(SHARED.active, KEYS.queue)

    async def test_settled(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.complete(batch.token, 8_000)
        await steps.enqueue("m2", 8_001)
        before = await steps.everything()
        assert await steps.complete(batch.token, 9_000) == "settled"
        assert await steps.everything() == before

    async def test_lost(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        first = await steps.leased(8_000)
        await steps.leased(23_000, "c2")
        before = await steps.everything()
        assert await steps.complete(first.token, 24_000) == "lost"
        assert await steps.complete(first.token + 1_000_000_000, 24_000) == "lost"
        assert await steps.everything() == before

    async def test_the_archive_is_trimmed_by_age(self, steps: Steps) -> None:
        for number, at in enumerate([0, 1_000_000, 1_800_000, 1_800_001]):
            await steps.enqueue(f"m{number}", at, window_ms=0)
            batch = await steps.leased(at, f"c{number}", window_ms=0)
            assert await steps.complete(batch.token, at) == "held"
            expected = ["m0", "m0 m1", "m0 m1 m2", "m1 m2 m3"][number]
            assert await steps.ids(KEYS.completed) == expected


class TestFail:
    async def test_retry(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        assert await steps.fail(batch.token, at=9_000) == ("held", 0)
        assert await steps.due() == 9_700
        assert await steps.fields(KEYS.lock) == {"tries": "1", "error": "no luck"}
        await steps.enqueue("m2", 9_100)
        assert await steps.due() == 9_700, "the backoff stands"
        assert (await steps.claim(9_699, "c2")).batches == []
        again = await steps.leased(9_700, "c2")
        assert (again.attempt, len(again.elements)) == (2, 2)

    async def test_even_max_messages_wait_for_the_backoff(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.fail(batch.token, at=9_000)
        for number in range(5):
            await steps.enqueue(f"x{number}", 9_000)
        assert await steps.due() == 9_700

    async def test_dead(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.record_reply(batch.token, "half an answer")
        await steps.enqueue("m2", 9_000)
        assert await steps.fail(batch.token, "dead", 9_000) == ("held", 1)
        ((_, fields),) = await steps.dead()
        assert (fields["reason"], fields["attempts"], fields["reply"]) == ("no luck", "1", "half an answer")
        assert await steps.ids() == "m2"
        assert await steps.due() == 17_000
        assert not await steps.redis.exists(KEYS.lock, KEYS.reply)

    async def test_release(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        assert await steps.fail(batch.token, "release", 9_000) == ("held", 0)
        assert await steps.due() == 9_000
        assert not await steps.redis.exists(KEYS.lock)
        assert (await steps.leased(9_000, "c2")).attempt == 1

    async def test_release_of_a_retry_counts_the_attempts_before(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.leased(8_000)
        batch = await steps.leased(23_000, "c2")
        await steps.fail(batch.token, "release", 24_000)
        assert (await steps.fields(KEYS.lock))["tries"] == "1"
        assert (await steps.leased(24_000, "c3")).attempt == 2

    @pytest.mark.parametrize(("not_sent", "state"), [(0, "unsure"), (1, "not sent")])
    @pytest.mark.parametrize("mode", ["retry", "release"])
    async def test_whether_the_reply_was_sent(
        self, steps: Steps, mode: str, not_sent: int, state: str
    ) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.record_reply(batch.token)
        await steps.fail(batch.token, mode, 8_000, not_sent=not_sent)
        again = await steps.leased(20_000, "c2")
        assert (again.reply, again.send_state) == ("hello", state)

    async def test_only_those_die_that_had_every_attempt(self, steps: Steps) -> None:
        """m2 came during the first attempt, m3 during the last."""
        await steps.enqueue("m1")
        first = await steps.leased(8_000, max_attempts=3)
        await steps.enqueue("m2", 8_000)
        await steps.fail(first.token, at=8_000, max_attempts=3)
        second = await steps.leased(9_000, "c2", max_attempts=3)
        await steps.fail(second.token, at=9_000, max_attempts=3)
        third = await steps.leased(10_000, "c3", max_attempts=3)
        await steps.enqueue("m3", 10_000)
        assert await steps.fail(third.token, at=10_000, max_attempts=3) == ("held", 1)
        assert [decode(fields["message"]).id for _, fields in await steps.dead()] == ["m1"]  # type: ignore[union-attr]
        assert await steps.ids() == "m2 m3"
        assert (await steps.fields(KEYS.lock))["tries"] == "1,1"
        fourth = await steps.leased(10_700, "c4", max_attempts=3)
        assert (fourth.attempt, len(fourth.elements)) == (3, 2)
        assert await steps.fail(fourth.token, at=10_700, max_attempts=3) == ("held", 1)
        assert await steps.ids() == "m3"

    async def test_a_recorded_reply_answers_its_whole_batch_and_dies_with_it(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        first = await steps.leased(8_000, max_attempts=2)
        await steps.enqueue("m2", 8_000)
        await steps.fail(first.token, at=8_000, max_attempts=2)
        second = await steps.leased(9_000, "c2", max_attempts=2)
        await steps.record_reply(second.token)
        assert await steps.fail(second.token, at=9_000, max_attempts=2) == ("held", 2)
        assert [fields["reply"] for _, fields in await steps.dead()] == ["hello", "hello"]
        assert await steps.ids() == ""

    @pytest.mark.parametrize("mode", ["retry", "dead", "release"])
    async def test_settled(self, steps: Steps, mode: str) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.fail(batch.token, mode, 8_000)
        before = await steps.everything()
        assert await steps.fail(batch.token, mode, 8_500) == ("settled", 0)
        assert await steps.everything() == before

    @pytest.mark.parametrize("mode", ["retry", "dead", "release"])
    async def test_lost(self, steps: Steps, mode: str) -> None:
        await steps.enqueue("m1")
        first = await steps.leased(8_000)
        await steps.leased(23_000, "c2")
        before = await steps.everything()
        assert await steps.fail(first.token, mode, 24_000) == ("lost", 0)
        assert await steps.everything() == before


class TestRequeue:
    async def test_found(self, steps: Steps) -> None:
        await steps.enqueue("m1", provider_ms=NOW - 2 * DAY_MS)
        await steps.enqueue("m2", 1_000)
        ((dead_id, _),) = await steps.dead()
        assert await steps.requeue(dead_id, 2_000) is True
        assert await steps.ids() == "m2 m1"
        assert await steps.due() == 9_000
        again = decode(await steps.redis.lindex(KEYS.queue, 1) or b"")
        assert again is not None
        assert again.added_at == NOW + 2_000
        assert await steps.dead() == []

    async def test_it_is_scheduled_like_one_that_arrives(self, steps: Steps) -> None:
        await steps.enqueue("m0", provider_ms=NOW - 2 * DAY_MS)
        ((dead_id, _),) = await steps.dead()
        for number in range(1, 5):
            await steps.enqueue(f"m{number}")
        await steps.requeue(dead_id, 2_000)
        assert await steps.due() == 2_000, "five are waiting"

    async def test_while_in_flight_it_disturbs_nothing(self, steps: Steps) -> None:
        await steps.enqueue("m0", provider_ms=NOW - 2 * DAY_MS)
        ((dead_id, _),) = await steps.dead()
        await steps.enqueue("m1")
        await steps.leased(8_000)
        await steps.requeue(dead_id, 9_000)
        assert await steps.due() == 23_000

    async def test_not_found_or_not_any_more(self, steps: Steps) -> None:
        await steps.enqueue("m1", provider_ms=NOW - 2 * DAY_MS)
        ((dead_id, _),) = await steps.dead()
        await steps.requeue(dead_id)
        before = await steps.everything()
        assert await steps.requeue(dead_id) is False
        assert await steps.everything() == before

    async def test_what_is_no_message_stays_what_it_is(self, steps: Steps) -> None:
        fields: Any = {"conversation": KEYS.conversation, "reason": "unreadable", "at": 1, "attempts": 1}
        dead_id = await steps.redis.xadd(SHARED.dead, {**fields, "message": "rubbish"})
        await steps.requeue(text(dead_id))
        assert await steps.redis.lrange(KEYS.queue, 0, -1) == [b"rubbish"]


class TestWithdraw:
    async def test_marked(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        assert await steps.withdraw("m2", 100) == "marked"
        assert await steps.enqueue("m2", 200) == ("duplicate", NOW + 100, 0)
        assert await steps.ids() == "m1"

    async def test_withdrawn(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.enqueue("m2", 500)
        assert await steps.withdraw("m1", 1_000) == "withdrawn"
        assert await steps.ids() == "m2"
        assert await steps.ids(KEYS.completed) == "m1"
        assert await steps.due() == 8_500, "by its own oldest message"
        assert await steps.withdraw("m2", 1_000) == "withdrawn"
        assert await steps.due() is None
        assert await steps.withdraw("m2", 1_000) == "marked"

    async def test_in_flight(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.enqueue("m2", 8_000)
        assert await steps.withdraw("m1", 8_000) == "in flight"
        assert await steps.withdraw("m2", 8_000) == "withdrawn"
        assert await steps.due() == 23_000
        await steps.fail(batch.token, at=9_000)
        assert await steps.withdraw("m1", 9_000) == "in flight", (
            "it is being answered, only not at this moment"
        )

    async def test_a_reply_on_record_keeps_its_messages(self, steps: Steps) -> None:
        """Handed back with its reply: were one of its messages taken out, the reply would cover one that came later."""
        await steps.enqueue("m1")
        await steps.enqueue("m2")
        batch = await steps.leased(8_000)
        await steps.record_reply(batch.token)
        await steps.fail(batch.token, "release", 8_000)
        await steps.enqueue("m3", 8_000)
        assert await steps.withdraw("m2", 8_000) == "in flight"
        again = await steps.leased(8_000, "c2")
        assert [message.id for message in map(decode, again.elements) if message] == ["m1", "m2"]

    @pytest.mark.parametrize("rubbish", ["5", "true", "null", '"id"', "[]", "{", "\0"])
    async def test_what_is_no_message_is_passed_over(self, steps: Steps, rubbish: str) -> None:
        await steps.redis.rpush(KEYS.queue, rubbish)
        await steps.enqueue("m1")
        assert await steps.withdraw("m1") == "withdrawn"
        assert await steps.redis.lrange(KEYS.queue, 0, -1) == [rubbish.encode()]
