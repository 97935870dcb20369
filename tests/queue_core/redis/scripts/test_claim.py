"""Claims: which conversations are leased, when, how often, and which messages are given up instead."""

from __future__ import annotations

import pytest

from queue_core.message import decode
from queue_core.redis.scripts.answers import ClaimAnswer
from tests.queue_core.redis.scripts.steps import NOW, PLACE, SHARED, SPACE, Steps


class TestClaim:
    async def test_nothing_there(self, steps: Steps) -> None:
        assert await steps.claim() == ClaimAnswer(NOW, None, 0, 0, [])

    async def test_nothing_due_yet(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        assert await steps.claim(7_999) == ClaimAnswer(NOW + 7_999, NOW + 8_000, 0, 0, [])

    async def test_a_batch(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.enqueue("m2", 10)
        answer = await steps.claim(8_000)
        (batch,) = answer.batches
        assert (batch.conversation, batch.attempt, batch.waiting) == (PLACE.conversation, 1, 2)
        assert batch.due_ms == NOW + 8_000
        assert (batch.reply, batch.send_state) == (None, None)
        assert [message.id for message in map(decode, batch.elements) if message] == ["m1", "m2"]
        assert batch.token >= (NOW + 8_000) * 1000
        assert (answer.given_up, answer.next_due_ms) == (0, NOW + 15_500)
        assert await steps.ids() == "m1 m2", "the head stays until it is complete"
        assert await steps.fields(PLACE.lock) == {
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

    async def test_a_repeated_claim_returns_the_same_again(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.enqueue("m1", phone="2")
        first = await steps.claim(8_000)
        again = await steps.claim(8_100)
        assert again.batches == first.batches
        assert (await steps.claim(8_100, "c2")).batches == []

    async def test_a_repeated_claim_renews_the_leases(self, steps: Steps) -> None:
        """The holder begins only now: the lease might otherwise end before the first renewal."""
        await steps.enqueue("m1")
        await steps.claim(8_000)
        again = await steps.claim(20_000)
        assert again.next_due_ms == NOW + 27_500
        assert (await steps.fields(PLACE.lock))["expiresAt"] == str(NOW + 35_000)
        assert (await steps.fields(PLACE.lock))["tries"] == "1"
        assert (await steps.claim(34_999, "c2")).batches == []

    async def test_a_repeated_claim_leaves_out_what_is_finished_or_taken_over(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.complete(batch.token, 8_000)
        assert (await steps.claim(8_001)).batches == []

    async def test_a_lease_that_ran_out_is_due_again_and_counts(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        first = await steps.leased(8_000)
        assert (await steps.claim(22_999, "c2")).batches == []
        second = await steps.leased(23_000, "c3")
        assert (second.attempt, second.due_ms) == (2, NOW + 23_000)
        assert second.token > first.token

    async def test_after_the_last_attempt_a_message_is_a_dead_letter(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        for attempt in range(4):
            assert (await steps.leased(8_000 + attempt * 15_000, f"c{attempt}")).attempt == attempt + 1
        answer = await steps.claim(8_000 + 60_000, "last")
        assert (answer.batches, answer.given_up, answer.next_due_ms) == ([], 1, None)
        ((_, fields),) = await steps.dead()
        assert (
            fields["reason"] == "given up after 4 attempts: the last lease ran out (worker died or stalled)"
        )
        assert (fields["attempts"], fields["conversation"]) == ("4", PLACE.conversation)
        assert not await steps.redis.exists(PLACE.queue, PLACE.lock, PLACE.reply, SHARED.active)

    async def test_the_error_before_a_lease_ran_out_is_in_the_reason(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000, max_attempts=2)
        await steps.fail(batch.token, at=8_000, max_attempts=2)
        await steps.leased(9_000, "c2", max_attempts=2)
        await steps.claim(30_000, "c3", max_attempts=2)
        ((_, fields),) = await steps.dead()
        assert fields["reason"].endswith("; error before that: no luck")

    async def test_a_message_that_waited_too_long_is_a_dead_letter(self, steps: Steps) -> None:
        await steps.enqueue("m1", 0)
        await steps.enqueue("m2", 5_000)
        answer = await steps.claim(3_600_001)
        assert answer.given_up == 1
        assert [message.id for message in map(decode, answer.batches[0].elements) if message] == ["m2"]
        ((_, fields),) = await steps.dead()
        assert fields["reason"] == "expired: no worker took it for over 3600 s"

    async def test_expired_messages_beyond_one_batch_are_never_handed_over(self, steps: Steps) -> None:
        """Downtime: more messages expired than one step gives up."""
        for number in range(7):
            await steps.enqueue(f"m{number}")
        answers = [await steps.claim(3_600_001, f"c{number}", max_batch=3) for number in range(3)]
        assert [(answer.given_up, answer.batches) for answer in answers] == [(3, []), (3, []), (1, [])]
        assert answers[0].next_due_ms == NOW + 3_600_001
        assert answers[2].next_due_ms is None

    async def test_a_message_that_was_tried_does_not_expire(self, steps: Steps) -> None:
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
        await steps.redis.zadd(SHARED.active, {PLACE.conversation: NOW - 1_000_000})
        await steps.redis.hset(PLACE.lock, "expiresAt", NOW - 1_000_000)
        second = await steps.leased(-500_000, "c2")
        assert second.token > first.token

    async def test_only_one_conversation(self, steps: Steps) -> None:
        await steps.enqueue("m1", 0)
        await steps.enqueue("m1", 500, phone="2")
        assert await steps.claim(8_499, only="bot:2") == ClaimAnswer(NOW + 8_499, NOW + 8_500, 0, 0, [])
        answer = await steps.claim(8_500, "c2", only="bot:2")
        assert [batch.conversation for batch in answer.batches] == ["bot:2"]
        assert answer.next_due_ms == NOW + 16_000, "its own"
        assert await steps.due() == 8_000, "the other one is untouched"
        assert await steps.claim(8_500, "c3", only="bot:3") == ClaimAnswer(NOW + 8_500, None, 0, 0, [])
        assert (await steps.claim(60_000, "c4", only="bot:2", limit=0)).batches == []


class TestTakeover:
    """Leases whose holder does not renew them. The lease begins at 8 s, ends at 23 s, and its grace is 5 s."""

    async def test_a_lease_is_looked_at_from_the_middle_of_its_time_on(self, steps: Steps) -> None:
        """On a Redis that was only quiet a dead worker's lease is taken over when it ends."""
        await steps.enqueue("m1")
        await steps.leased(8_000)
        looks, at = [], 8_000
        while True:
            answer = await steps.claim(at, f"w{at}", looked_since=None)
            looks.append(at)
            if answer.batches:
                break
            assert answer.spared == 0
            at = (answer.next_due_ms or 0) - NOW
        assert looks == [8_000, 15_500, 17_375, 19_250, 21_125, 23_000]

    async def test_after_an_outage_a_lease_is_spared_for_the_grace(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        first = await steps.leased(8_000)
        answer = await steps.claim(60_000, "w", looked_since=None)
        assert (answer.batches, answer.spared, answer.next_due_ms) == ([], 1, NOW + 61_875)
        assert await steps.extend(first.token, 61_000) == "held", "the holder lives"
        assert (await steps.claim(75_999, "w2")).batches == []

    async def test_a_holder_that_does_not_come_back_loses_it(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        first = await steps.leased(8_000)
        for at in (60_000, 61_875, 63_750):
            assert (await steps.claim(at, f"w{at}", looked_since=None)).spared == 1
        (second,) = (await steps.claim(65_000, "w", looked_since=None)).batches
        assert (second.attempt, second.token > first.token) == (2, True)

    @pytest.mark.parametrize("back_ms", [4_000, 4_999])
    async def test_each_outage_begins_the_grace_anew(self, steps: Steps, back_ms: int) -> None:
        """Only another worker got through between two outages."""
        await steps.enqueue("m1")
        await steps.leased(8_000)
        for at in (60_000, 61_875, 63_750, 60_000 + back_ms):
            assert (await steps.claim(at, f"w{at}", looked_since=None)).batches == []
        answer = await steps.claim(80_000, "w", looked_since=None)
        assert (answer.batches, answer.spared) == ([], 1)

    async def test_a_clock_that_jumps_is_like_an_outage(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.leased(8_000)
        assert (await steps.claim(3_608_000, "w", looked_since=None)).spared == 1

    async def test_a_claim_renews_the_leases_that_the_claimer_names(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.enqueue("m1", phone="2")
        mine, other = (await steps.claim(8_000, limit=2)).batches
        kept = f"{mine.conversation} {mine.token} {other.conversation} {other.token - 1}"
        answer = await steps.claim(60_000, "w", kept=kept)
        assert [batch.conversation for batch in answer.batches] == [other.conversation], "by another token"
        assert await steps.due() == 67_500

    async def test_claims_of_nothing_count_as_looks(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.leased(8_000)
        for at in range(60_000, 65_001, 1_000):
            await steps.claim(at, f"w{at}", looked_since=None, limit=0)
        assert len((await steps.claim(65_000, "w", looked_since=None)).batches) == 1

    async def test_leases_that_are_only_looked_at_leave_room_for_what_is_due(self, steps: Steps) -> None:
        for number in range(20):
            await steps.enqueue("m1", phone=f"held{number}")
        assert len((await steps.claim(8_000, limit=20)).batches) == 20
        await steps.enqueue("m1", 9_000, phone="new")
        answer = await steps.claim(17_000, "w", limit=2)
        assert [batch.conversation for batch in answer.batches] == ["bot:new"]

    async def test_the_repetition_of_a_claim_is_kept_for_as_long_as_its_leases(self, steps: Steps) -> None:
        """`last_claim` is renewed with them: a third try would else find nothing."""
        await steps.enqueue("m1")
        await steps.leased(8_000)
        await steps.redis.pexpire(SHARED.last_claim_of("p"), 1)
        await steps.enqueue("m1", phone="2")
        again = await steps.claim(9_000, "c9")
        key = SHARED.last_claim_of("p")
        await steps.redis.pexpire(key, 100)
        assert (await steps.claim(9_500, "c9")).batches == again.batches
        assert await steps.redis.pttl(key) > 10_000


async def test_a_claim_leases_at_most_50_and_says_that_more_are_due(steps: Steps) -> None:
    for number in range(60):
        await steps.enqueue("m1", number, phone=str(number))
    answer = await steps.claim(9_000, limit=1_000)
    assert [batch.conversation for batch in answer.batches] == [f"bot:{number}" for number in range(50)]
    assert answer.next_due_ms == NOW + 8_050
    assert len((await steps.claim(9_000, "c2", limit=1_000)).batches) == 10


async def test_a_claim_hands_over_no_more_than_256_kib(steps: Steps) -> None:
    """The last conversation may go beyond it; the others are due at once, for the next claim."""
    for number in range(4):
        await steps.redis.rpush(
            SPACE.of("bot", str(number)).queue, f'{{"addedAt":{NOW},"x":"{"a" * (100 << 10)}"}}'
        )
        await steps.redis.zadd(SHARED.active, {SPACE.of("bot", str(number)).conversation: NOW + number})
    answer = await steps.claim(8_000)
    assert [batch.conversation for batch in answer.batches] == ["bot:0", "bot:1", "bot:2"]
    assert answer.next_due_ms == NOW + 3
    assert [batch.conversation for batch in (await steps.claim(8_000, "c2")).batches] == ["bot:3"]


class TestLateCopies:
    async def test_a_copy_that_comes_after_newer_claims_leases_nothing(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000, "c1")
        await steps.complete(batch.token)
        assert (await steps.claim(8_100, "c2")).batches == []
        await steps.enqueue("m2", 8_200)
        before = await steps.everything()
        late = await steps.claim(17_000, "c1", looked_since=None, claim_number=1)
        assert (late.batches, late.next_due_ms) == ([], NOW + 16_200)
        assert await steps.everything() == before
        assert (await steps.leased(17_000, "c3")).conversation == PLACE.conversation

    async def test_a_copy_of_the_last_claim_leases_nothing_and_its_repetition_does(
        self, steps: Steps
    ) -> None:
        """A copy may come when nobody reads the answer; a worker that repeats a claim reads it."""
        await steps.enqueue("m1")
        assert (await steps.claim(7_000, "c1")).batches == []
        assert (await steps.claim(9_000, "c1", claim_number=1)).batches == []
        assert len((await steps.claim(9_000, "c1", claim_number=2)).batches) == 1

    async def test_another_run_of_a_processor_counts_from_the_start(self, steps: Steps) -> None:
        """A worker with a fixed id that was started again."""
        for number in range(3):
            await steps.claim(number, f"c{number}")
        await steps.enqueue("m1")
        assert (await steps.leased(8_000, "d1", run="d1", claim_number=1)).attempt == 1
