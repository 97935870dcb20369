"""Steps of a lease's holder: extend, record, complete, fail; each answer, and that nobody else changes anything."""

from __future__ import annotations

from typing import Any

import pytest

from queue_core.message import decode
from queue_core.settings import Rules
from tests.queue_core.redis.scripts.steps import NOW, PLACE, SHARED, Steps


class TestExtend:
    async def test_held(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        assert await steps.extend(batch.token, 12_000) == "held"
        assert await steps.due() == 19_500, "the middle of the new time"
        assert (await steps.fields(PLACE.lock))["expiresAt"] == str(NOW + 27_000)

    async def test_a_lease_that_ran_out_is_held_until_somebody_takes_over(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        assert await steps.extend(batch.token, 60_000) == "held"

    @pytest.mark.parametrize("expires", ["nan", "-nan", "inf", "-inf", "abc"])
    async def test_a_lease_without_a_time_is_taken_over(self, steps: Steps, expires: str) -> None:
        await steps.enqueue("m1")
        await steps.leased(8_000)
        await steps.redis.hset(PLACE.lock, "expiresAt", expires)
        assert (await steps.leased(23_000, "c2")).attempt == 2


class TestRecords:
    async def test_reply_held(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        assert await steps.record_reply(batch.token, "مرحبا") == "held"
        fields = {"text": "مرحبا", "size": "1", "state": "unsure", "recordedAt": str(NOW)}
        assert await steps.fields(PLACE.reply) == fields

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
        assert not await steps.redis.exists(PLACE.reply), "without a reply there is nothing to note"
        await steps.record_reply(batch.token)
        assert await steps.record_sent(batch.token) == "held"
        fields = await steps.fields(PLACE.reply)
        assert (fields["state"], fields["sentAt"]) == ("sent", str(NOW + 5))
        assert (await steps.leased(23_000, "c2")).send_state == "sent"

    async def test_a_part_that_was_sent_is_noted_and_is_progress(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.enqueue("m2")
        await steps.leased(8_000)
        batch = await steps.leased(23_000, "c2")
        await steps.record_reply(batch.token)
        assert await steps.record_sent(batch.token, 2, is_whole=False) == "held"
        assert (await steps.fields(PLACE.lock))["tries"] == "2", "attempts are counted anew"
        again = await steps.leased(38_000, "c3")
        assert (again.send_state, again.parts_sent, again.attempt) == ("unsure", 2, 2)

    async def test_late_copies_of_earlier_calls_take_nothing_back(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.record_reply(batch.token)
        await steps.record_sent(batch.token, 2, is_whole=False)
        assert await steps.record_sent(batch.token, 1, is_whole=False) == "held"
        assert (await steps.fields(PLACE.reply))["parts"] == "2"
        await steps.record_sent(batch.token)
        await steps.record_sent(batch.token, 2, is_whole=False)
        await steps.record_reply(batch.token)
        assert (await steps.leased(23_000, "c2")).send_state == "sent"


class TestSupersede:
    """The batch is m1 at 0 s, claimed at 8 s; m2 comes at 9 s, and the reply at 10 s."""

    async def superseded(self, steps: Steps, **changed: Any) -> tuple[str, int]:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.enqueue("m2", 9_000)
        answer = await steps.record_reply(batch.token, "dropped", 10_000, **changed)
        return answer, batch.token

    async def test_a_newer_message_joins(self, steps: Steps) -> None:
        answer, token = await self.superseded(steps, supersede_ms=45_000)
        assert answer == "superseded"
        assert await steps.due() == 10_000, "the window is over"
        assert not await steps.redis.exists(PLACE.reply)
        assert await steps.complete(token, 10_000) == "settled"
        again = await steps.leased(10_000, "c2")
        assert (again.attempt, len(again.elements), again.reply) == (1, 2, None)
        assert await steps.record_reply(again.token, "both", 20_000, supersede_ms=45_000) == "held"

    async def test_its_repetition_says_the_same(self, steps: Steps) -> None:
        _, token = await self.superseded(steps, supersede_ms=45_000)
        before = await steps.everything()
        assert await steps.record_reply(token, "dropped", 10_001, supersede_ms=45_000) == "superseded"
        assert await steps.everything() == before

    @pytest.mark.parametrize(
        "changed", [{}, {"supersede_ms": 9_000}, {"supersede_ms": 45_000, "max_batch": 1}]
    )
    async def test_not_when_off_or_too_late_or_cut_at_max_batch(self, steps: Steps, changed: Any) -> None:
        answer, _ = await self.superseded(steps, **changed)
        assert answer == "held"
        assert (await steps.fields(PLACE.reply))["text"] == "dropped"

    async def test_a_late_message_does_not_keep_an_earlier_one_from_joining(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.enqueue("m2", 9_000)
        await steps.enqueue("m3", 50_000)
        assert await steps.record_reply(batch.token, "dropped", 51_000, supersede_ms=45_000) == "superseded"

    async def test_a_recorded_reply_is_never_superseded(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.record_reply(batch.token, "kept", 8_500, supersede_ms=45_000)
        await steps.enqueue("m2", 9_000)
        assert await steps.record_reply(batch.token, "kept", 10_000, supersede_ms=45_000) == "held"

    @pytest.mark.parametrize(
        ("rules", "due", "later_due"),
        [
            (Rules(max_messages=0, idle_ms=7_500, cap_ms=45_000), 16_500, 23_500),
            (Rules(max_messages=0, idle_ms=7_500, cap_ms=60_000), 16_500, 23_500),
            (Rules(max_messages=0, idle_ms=40_000, cap_ms=60_000), 45_000, 45_000),
            (Rules(max_messages=2, idle_ms=40_000, cap_ms=60_000), 10_000, 10_000),
            (Rules(window_ms=20_000), 20_000, 20_000),
        ],
    )
    async def test_the_turn_is_due_by_the_ordinary_rule_and_45_s_at_the_latest(
        self, steps: Steps, rules: Rules, due: int, later_due: int
    ) -> None:
        await steps.enqueue("m1", rules=rules)
        batch = await steps.leased(60_000, rules=Rules(window_ms=0))
        await steps.enqueue("m2", 9_000, rules=rules)
        assert (
            await steps.record_reply(batch.token, "", 10_000, supersede_ms=45_000, rules=rules)
            == "superseded"
        )
        assert await steps.due() == due
        await steps.enqueue("m3", 16_000, rules=rules)
        assert await steps.due() == later_due, "also when another message comes"
        assert (await steps.claim(later_due - 1, "c2", rules=rules)).batches == []
        assert (await steps.leased(later_due, "c3", rules=rules)).attempt == 1

    async def test_failed_attempts_still_count(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        failed = await steps.leased(8_000)
        await steps.fail(failed.token, at=8_100)
        batch = await steps.leased(8_800, "c2")
        await steps.enqueue("m2", 9_000)
        assert await steps.record_reply(batch.token, "", 10_000, supersede_ms=45_000) == "superseded"
        assert (await steps.leased(10_000, "c3")).attempt == 2

    async def test_a_message_that_joined_can_be_withdrawn(self, steps: Steps) -> None:
        await self.superseded(steps, supersede_ms=45_000)
        assert await steps.withdraw("m1", 10_000) == "withdrawn"
        assert await steps.withdraw("m2", 10_000) == "withdrawn"
        assert not await steps.redis.exists(PLACE.lock, PLACE.queue, SHARED.active)


class TestComplete:
    async def test_held(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.enqueue("m2", 100)
        batch = await steps.leased(8_000)
        await steps.enqueue("m3", 9_000)
        await steps.record_reply(batch.token)
        assert await steps.complete(batch.token, 12_000) == "held"
        assert await steps.ids() == "m3"
        assert await steps.ids(PLACE.completed) == "m1 m2"
        assert await steps.due() == 17_000, "by its own oldest message"
        assert not await steps.redis.exists(PLACE.lock, PLACE.reply)
        archived = decode(await steps.redis.lindex(PLACE.completed, 1) or b"")
        assert archived is not None
        assert (archived.added_at, archived.completed_at) == (NOW + 100, NOW + 12_000)
        assert (await steps.fields(PLACE.stats))["done"] == "2"

    async def test_nothing_left_leaves_the_index(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        await steps.complete(batch.token, 8_000)
        assert not await steps.redis.exists(SHARED.active, PLACE.queue)

    async def test_the_archive_is_trimmed_by_age(self, steps: Steps) -> None:
        for number, at in enumerate([0, 1_000_000, 1_800_000, 1_800_001]):
            await steps.enqueue(f"m{number}", at, rules=Rules(window_ms=0))
            batch = await steps.leased(at, f"c{number}", rules=Rules(window_ms=0))
            assert await steps.complete(batch.token, at) == "held"
            expected = ["m0", "m0 m1", "m0 m1 m2", "m1 m2 m3"][number]
            assert await steps.ids(PLACE.completed) == expected


class TestFail:
    async def test_retry(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        assert await steps.fail(batch.token, at=9_000) == ("held", 0)
        assert await steps.due() == 9_700
        assert await steps.fields(PLACE.lock) == {
            "tries": "1",
            "error": "no luck",
            "waitMs": "700",
            "failedAt": str(NOW + 9_000),
        }
        await steps.enqueue("m2", 9_100)
        assert await steps.due() == 9_700, "the backoff stands"
        assert (await steps.claim(9_699, "c2")).batches == []
        again = await steps.leased(9_700, "c3")
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
        assert not await steps.redis.exists(PLACE.lock, PLACE.reply)

    async def test_release(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        batch = await steps.leased(8_000)
        assert await steps.fail(batch.token, "release", 9_000) == ("held", 0)
        assert await steps.due() == 9_000
        assert not await steps.redis.exists(PLACE.lock)
        assert (await steps.leased(9_000, "c2")).attempt == 1

    async def test_release_of_a_retry_counts_the_attempts_before(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        await steps.leased(8_000)
        batch = await steps.leased(23_000, "c2")
        await steps.fail(batch.token, "release", 24_000)
        assert (await steps.fields(PLACE.lock))["tries"] == "1"
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

    async def test_only_messages_that_had_every_attempt_become_dead_letters(self, steps: Steps) -> None:
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
        assert (await steps.fields(PLACE.lock))["tries"] == "1,1"
        fourth = await steps.leased(10_700, "c4", max_attempts=3)
        assert (fourth.attempt, len(fourth.elements)) == (3, 2)
        assert await steps.fail(fourth.token, at=10_700, max_attempts=3) == ("held", 1)
        assert await steps.ids() == "m3"

    async def test_a_recorded_reply_is_given_up_with_its_whole_batch(self, steps: Steps) -> None:
        await steps.enqueue("m1")
        first = await steps.leased(8_000, max_attempts=2)
        await steps.enqueue("m2", 8_000)
        await steps.fail(first.token, at=8_000, max_attempts=2)
        second = await steps.leased(9_000, "c2", max_attempts=2)
        await steps.record_reply(second.token)
        assert await steps.fail(second.token, at=9_000, max_attempts=2) == ("held", 2)
        assert [fields["reply"] for _, fields in await steps.dead()] == ["hello", "hello"]
        assert await steps.ids() == ""


async def step_by_name(steps: Steps, name: str, token: int, at: int) -> Any:
    """Take a step of a lease's holder, by its name; for `fail` that is the mode."""
    if name in ("retry", "dead", "release"):
        return (await steps.fail(token, name, at))[0]
    return await getattr(steps, name)(token, *([] if name.startswith("record") else [at]))


ENDS = ["complete", "retry", "dead", "release"]


@pytest.mark.parametrize("name", ["extend", "record_reply", "record_sent", *ENDS])
async def test_a_lost_lease_changes_nothing(steps: Steps, name: str) -> None:
    await steps.enqueue("m1")
    assert await step_by_name(steps, name, 1, 0) == "lost", "nobody has claimed it yet"
    first = await steps.leased(8_000)
    await steps.leased(23_000, "c2")
    before = await steps.everything()
    assert await step_by_name(steps, name, first.token, 24_000) == "lost"
    assert await step_by_name(steps, name, first.token + 1_000_000_000, 24_000) == "lost"
    assert await steps.everything() == before


@pytest.mark.parametrize("name", ENDS)
async def test_a_settled_token_is_remembered_for_a_time_only(steps: Steps, name: str) -> None:
    """The key with the statistics would else stay for ever when the end of a lease is its last write."""
    await steps.enqueue("m1")
    batch = await steps.leased(8_000)
    await steps.redis.delete(PLACE.stats)
    await step_by_name(steps, name, batch.token, 8_000)
    assert 0 < await steps.redis.pttl(PLACE.stats) <= 3_600_000


async def test_statistics_get_their_time_to_live_again_in_each_quarter_of_it(steps: Steps) -> None:
    async def ttl_after_a_turn(at: int) -> int:
        await steps.redis.pexpire(PLACE.stats, 1_000_000)
        await steps.enqueue(f"m{at}", at - 8_000)
        batch = await steps.leased(at, f"c{at}")
        assert await steps.complete(batch.token, at) == "held"
        return round(await steps.redis.pttl(PLACE.stats), -5)

    quarter_ms = 900_000
    begun = quarter_ms - NOW % quarter_ms
    assert await ttl_after_a_turn(begun) == 3_600_000
    assert await ttl_after_a_turn(begun + quarter_ms - 1) == 1_000_000
    assert await ttl_after_a_turn(begun + quarter_ms) == 3_600_000
    assert (await steps.fields(PLACE.stats))["done"] == "3"


@pytest.mark.parametrize("name", ENDS)
async def test_a_repeated_end_is_settled_and_changes_nothing(steps: Steps, name: str) -> None:
    await steps.enqueue("m1")
    batch = await steps.leased(8_000)
    await step_by_name(steps, name, batch.token, 8_000)
    await steps.enqueue("m2", 8_001)
    before = await steps.everything()
    assert await step_by_name(steps, name, batch.token, 9_000) == "settled"
    assert await steps.everything() == before
