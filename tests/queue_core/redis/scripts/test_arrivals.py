"""Scripts that add and remove messages: enqueue, requeue, withdraw; each answer, and the data left behind."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core.message import decode
from queue_core.redis.scripts.loader import text
from queue_core.settings import Rules
from tests.queue_core.redis.scripts.steps import DAY_MS, NOW, PLACE, SHARED, Steps


class TestEnqueue:
    async def test_queued(self, steps: Steps) -> None:
        assert await steps.enqueue("m1", 0) == ("queued", NOW, 1)
        assert await steps.enqueue("m2", 100) == ("queued", NOW + 100, 2)
        assert await steps.ids() == "m1 m2"
        assert await steps.due() == 8_000

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

    async def test_in_strict_mode_a_duplicate_writes_the_same_value_again(self, steps: Steps) -> None:
        await steps.enqueue("m1", 0, confirms_duplicates=1, dedupe_ttl_ms=50_000)
        before = await steps.everything()
        assert await steps.enqueue("m1", 700, confirms_duplicates=1) == ("duplicate", NOW, 0)
        assert await steps.everything() == before

    async def test_the_same_id_of_another_user_is_another_message(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        assert (await steps.enqueue("m1", phone="2")).status == "queued"

    @pytest.mark.parametrize(
        ("age_ms", "late_is_dead", "status"),
        [(DAY_MS, 1, "queued"), (DAY_MS + 1, 1, "late"), (DAY_MS + 1, 0, "queued"), (-DAY_MS, 1, "queued")],
    )
    async def test_a_message_older_than_the_memory_of_ids_is_late(
        self, steps: Steps, age_ms: int, late_is_dead: int, status: str
    ) -> None:
        answer = await steps.enqueue("m1", provider_ms=NOW - age_ms, late_is_dead=late_is_dead)
        assert answer.status == status
        assert answer.added_at_ms == NOW
        assert (await steps.due() is None) == (status == "late")

    async def test_a_late_message_is_a_dead_letter_with_the_reason(self, steps: Steps) -> None:
        assert await steps.enqueue("m1", provider_ms=NOW - 7 * DAY_MS) == ("late", NOW, 0)
        ((_, fields),) = await steps.dead()
        assert fields["reason"] == "late: delivered 168 h after it was written"
        assert fields["attempts"] == "0"
        assert (await steps.enqueue("m1", 5, provider_ms=NOW - 7 * DAY_MS)).status == "duplicate"

    async def test_by_redis_s_own_clock(self, steps: Steps) -> None:
        answer = await steps.enqueue("m1", "")
        seconds, microseconds = await steps.redis.time()
        assert 0 <= seconds * 1000 + microseconds // 1000 - answer.added_at_ms < 10_000
        due = await steps.due()
        assert due is not None
        assert due + NOW == answer.added_at_ms + 8_000

    async def test_a_ring_only_for_a_conversation_that_is_due_first(self, steps: Steps) -> None:
        await steps.enqueue("m1", 0)
        first = await steps.redis.xrange(SHARED.wake)
        await steps.enqueue("m1", 100, phone="2")
        assert await steps.redis.xrange(SHARED.wake) == first
        await steps.enqueue("m1", 100, phone="3", rules=Rules(window_ms=10))
        assert await steps.redis.xrange(SHARED.wake) != first
        assert await steps.redis.xlen(SHARED.wake) == 1


class TestRequeue:
    async def test_found(self, steps: Steps) -> None:
        await steps.enqueue("m1", provider_ms=NOW - 2 * DAY_MS)
        await steps.enqueue("m2", 1_000)
        ((dead_id, _),) = await steps.dead()
        assert await steps.requeue(dead_id, 2_000) is True
        assert await steps.ids() == "m2 m1"
        assert await steps.due() == 9_000
        again = decode(await steps.redis.lindex(PLACE.queue, 1) or b"")
        assert again is not None
        assert again.added_at == NOW + 2_000
        assert await steps.dead() == []

    async def test_a_requeued_message_is_scheduled_like_an_arrival(self, steps: Steps) -> None:
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
        assert await steps.due() == 15_500

    async def test_not_found_or_not_any_more(self, steps: Steps) -> None:
        await steps.enqueue("m1", provider_ms=NOW - 2 * DAY_MS)
        ((dead_id, _),) = await steps.dead()
        await steps.requeue(dead_id)
        before = await steps.everything()
        assert await steps.requeue(dead_id) is False
        assert await steps.everything() == before

    async def test_a_value_that_is_not_a_message_is_requeued_unchanged(self, steps: Steps) -> None:
        fields: Any = {"conversation": PLACE.conversation, "reason": "unreadable", "at": 1, "attempts": 1}
        dead_id = await steps.redis.xadd(SHARED.dead, {**fields, "message": "rubbish"})
        await steps.requeue(text(dead_id))
        assert await steps.redis.lrange(PLACE.queue, 0, -1) == [b"rubbish"]


class TestWithdraw:
    async def test_marked(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        assert await steps.withdraw("m2", 100) == "marked"
        assert await steps.enqueue("m2", 200) == ("duplicate", NOW, 0)
        assert await steps.ids() == "m1"

    async def test_withdrawn(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.enqueue("m2", 500)
        assert await steps.withdraw("m1", 1_000) == "withdrawn"
        assert await steps.ids() == "m2"
        assert await steps.ids(PLACE.completed) == "m1"
        assert await steps.due() == 8_500, "by its own oldest message"
        assert await steps.withdraw("m2", 1_000) == "withdrawn"
        assert await steps.due() is None
        assert await steps.withdraw("m2", 1_000) == "marked"

    async def test_in_flight_without_a_recorded_reply(self, steps: Steps) -> None:
        """The holder's reply is dropped, and the rest of the turn is handed over again."""
        await steps.enqueue("m1")
        await steps.enqueue("m2")
        batch = await steps.leased(8_000)
        assert await steps.withdraw("m1", 8_000) == "withdrawn"
        assert await steps.withdraw("m1", 8_001) == "withdrawn", "once more"
        assert await steps.due() == 15_500, "the lease goes on"
        assert await steps.record_reply(batch.token, "dropped", 9_000) == "superseded"
        assert await steps.ids() == "m2"
        assert await steps.ids(PLACE.completed) == "m1"
        again = await steps.leased(9_000, "c2")
        assert (again.attempt, again.reply) == (1, None)
        assert await steps.record_reply(again.token, "", 9_500) == "held"

    async def test_in_backoff(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.fail(batch.token, at=9_000)
        assert await steps.withdraw("m1", 9_000) == "withdrawn"
        assert (await steps.claim(9_700, "c2")).batches == []
        assert await steps.ids(PLACE.completed) == "m1"
        assert not await steps.redis.exists(PLACE.queue, PLACE.lock, SHARED.active)

    async def test_in_flight_and_the_holder_is_late(self, steps: Steps) -> None:
        """The holder of a lease on messages that are gone may not touch the one that came after them."""
        await steps.enqueue("m1")
        stale = await steps.leased(8_000)
        assert await steps.withdraw("m1", 8_000) == "withdrawn"
        await steps.enqueue("m2", 22_000)
        assert (await steps.claim(23_000, "c2")).batches == []
        assert (await steps.ids(), await steps.due()) == ("m2", 30_000)
        assert await steps.extend(stale.token, 24_000) == "lost"
        assert await steps.record_reply(stale.token, "to m1", 24_000) == "lost"
        assert await steps.complete(stale.token, 24_000) == "lost"
        assert await steps.ids() == "m2"

    @pytest.mark.parametrize("mode", ["dead", "retry", "release"])
    async def test_before_the_attempt_ends(self, steps: Steps, mode: str) -> None:
        """A message that was answered does not become a dead letter, and is not tried again."""
        await steps.enqueue("m1")
        await steps.enqueue("m2")
        batch = await steps.leased(8_000, max_attempts=1)
        assert await steps.withdraw("m1", 8_000) == "withdrawn"
        given_up = 0 if mode == "release" else 1
        assert await steps.fail(batch.token, mode, 9_000, max_attempts=1) == ("held", given_up)
        assert await steps.ids(PLACE.completed) == "m1"
        left = await steps.ids() or " ".join(decode(it["message"]).id for _, it in await steps.dead())  # type: ignore[union-attr]
        assert left == "m2"

    async def test_behind_what_is_in_flight(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.leased(8_000)
        await steps.enqueue("m2", 8_000)
        assert await steps.withdraw("m2", 8_000) == "withdrawn"
        assert (await steps.ids(), await steps.due()) == ("m1", 15_500)

    async def test_a_recorded_reply_keeps_its_messages(self, steps: Steps) -> None:
        """After a batch is handed back with its reply: if a message left it, the reply would cover a later one."""
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
    async def test_a_value_that_is_not_a_message_is_skipped(self, steps: Steps, rubbish: str) -> None:
        await steps.redis.rpush(PLACE.queue, rubbish)
        await steps.enqueue("m1")
        assert await steps.withdraw("m1") == "withdrawn"
        assert await steps.redis.lrange(PLACE.queue, 0, -1) == [rubbish.encode()]

    async def test_a_long_conversation_is_searched_from_its_tail_in_several_steps(self, steps: Steps) -> None:
        await steps.enqueue("m0")
        element = text(await steps.redis.lindex(PLACE.queue, 0))
        others = [element.replace('"m0"', f'"m{number}"') for number in range(1, 1_250)]
        await steps.redis.rpush(PLACE.queue, *others)
        assert await steps.withdraw("m0", 1) == 500
        await steps.redis.rpush(PLACE.queue, element.replace('"m0"', '"another"'))
        assert await steps.withdraw("m0", 1, skipped=500) == 1_000
        assert await steps.withdraw("m0", 1, skipped=1_000) == "withdrawn"
        assert await steps.redis.llen(PLACE.queue) == 1_250

    @pytest.mark.parametrize("message_id", ["unknown", "m1"])
    async def test_the_search_ends_at_messages_that_are_older(
        self, real_redis: Redis, message_id: str
    ) -> None:
        """Look at 100 messages when the id is new, or when it came after the older ones and was finished since."""
        steps = Steps(real_redis)
        await steps.enqueue("m0")
        element = await real_redis.lindex(PLACE.queue, 0) or b""
        await real_redis.rpush(PLACE.queue, *[element] * 5_000)
        await steps.enqueue("m1", 12 * 3_600_000)
        await real_redis.rpop(PLACE.queue)
        await real_redis.config_resetstat()
        assert await steps.withdraw(message_id, 12 * 3_600_000 + 1) == "marked"
        assert (await real_redis.info("commandstats"))["cmdstat_lrange"]["calls"] == 1

    async def test_an_id_with_letters_that_json_escapes(self, steps: Steps) -> None:
        for message_id in ('a"b', "a\\b", "é\n", "متجر"):
            await steps.enqueue(message_id)
            assert await steps.withdraw(message_id, 1) == "withdrawn"
