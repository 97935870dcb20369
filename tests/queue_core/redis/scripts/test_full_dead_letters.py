"""Dead letters without room for more: what fails then waits in its conversation, and nothing vanishes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.queue_core.redis.scripts.steps import DAY_MS, NOW, PLACE, SHARED, Steps

MINUTE_MS = 60_000


@pytest.fixture(autouse=True)
async def one_dead_letter(steps: Steps) -> None:
    """A dead letter; the tests call scripts with a limit of one."""
    await steps.enqueue("m0", provider_ms=NOW - 2 * DAY_MS)


async def make_room(steps: Steps) -> None:
    ((dead_id, _),) = await steps.dead()
    await steps.redis.xdel(SHARED.dead, dead_id)


@pytest.mark.parametrize(("mode", "attempts_max"), [("dead", 4), ("retry", 1)])
async def test_what_is_given_up_waits_with_its_reason_until_there_is_room(
    steps: Steps, mode: str, attempts_max: int
) -> None:
    await steps.enqueue("m1")
    batch = await steps.leased(8_000)
    limits: dict[str, Any] = {"max_attempts": attempts_max, "dead_letters_max": 1}
    assert await steps.fail(batch.token, mode, 8_000, **limits) == ("held", 0)
    await steps.enqueue("m2", 9_000)
    assert await steps.due() == 8_000 + MINUTE_MS
    assert (await steps.claim(8_000 + MINUTE_MS, "c2", **limits)).batches == [], (
        "the handler is not asked again"
    )
    assert await steps.due() == 8_000 + 2 * MINUTE_MS
    assert await steps.ids() == "m1 m2"
    assert await steps.fail(batch.token, mode, 8_000, **limits) == ("settled", 0), "once more"
    await make_room(steps)
    claimed = await steps.claim(8_000 + 2 * MINUTE_MS, "c3", **limits)
    ((_, fields),) = await steps.dead()
    assert (claimed.given_up, fields["attempts"]) == (1, "1")
    assert fields["reason"] == ("no luck" if mode == "dead" else "given up after 1 attempt: no luck")
    (batch,) = claimed.batches
    assert (batch.attempt, batch.waiting) == (1, 1), "m2 follows, with attempts of its own"
    assert await steps.fail(batch.token, "retry", 8_000 + 2 * MINUTE_MS) == ("held", 0)
    assert "given_up" not in await steps.fields(PLACE.lock)


async def test_what_lost_its_worker_too_often_waits(steps: Steps) -> None:
    await steps.enqueue("m1")
    await steps.leased(8_000)
    limits = {"max_attempts": 1, "dead_letters_max": 1}
    claimed = await steps.claim(30_000, "c2", **limits)
    assert (claimed.batches, claimed.given_up) == ([], 0)
    assert await steps.due() == 30_000 + MINUTE_MS
    await make_room(steps)
    assert (await steps.claim(30_000 + MINUTE_MS, "c3", **limits)).given_up == 1


async def test_what_expired_waits_and_is_still_expired_later(steps: Steps) -> None:
    await steps.enqueue("m1")
    later = 2 * 3_600_000
    claimed = await steps.claim(later, dead_letters_max=1)
    assert (claimed.batches, claimed.given_up) == ([], 0)
    assert await steps.due() == later + MINUTE_MS
    await make_room(steps)
    assert (await steps.claim(later + MINUTE_MS, "c2", dead_letters_max=1)).given_up == 1
    assert "expired" in (await steps.dead())[0][1]["reason"]
    assert not await steps.redis.exists(PLACE.queue, PLACE.lock)


async def test_what_waits_for_room_and_was_answered_elsewhere_does_not_become_a_dead_letter(
    steps: Steps,
) -> None:
    await steps.enqueue("m1")
    batch = await steps.leased(8_000)
    await steps.fail(batch.token, "dead", 8_000, dead_letters_max=1)
    assert await steps.withdraw("m1", 9_000) == "withdrawn"
    await steps.enqueue("m2", 9_000)
    await make_room(steps)
    (batch,) = (await steps.claim(8_000 + MINUTE_MS, "c2", dead_letters_max=1)).batches
    assert await steps.dead() == []
    await steps.fail(batch.token, "retry", 8_000 + MINUTE_MS)
    assert (await steps.claim(8_700 + MINUTE_MS, "c3")).batches, "its own attempts begin anew"


async def test_a_late_message_is_answered_rather_than_dropped(steps: Steps) -> None:
    assert (await steps.enqueue("m1", provider_ms=NOW - 2 * DAY_MS, dead_letters_max=1)).status == "queued"
    assert len(await steps.dead()) == 1
