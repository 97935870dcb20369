"""Data of the release before and of this one, each read and finished by the other; tests set the time, none waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, QueueSettings
from queue_core.queue.outages import OutageSign
from tests.queue_core.bot import message, on_newest
from tests.queue_core.server.operator.console import url_of
from tests.queue_core.upgrades.releases import ROOT, CallError, Remote
from tests.queue_core.upgrades.states import TURNS, WINDOW_MS, answer_one, fill

EPOCH_MS = 1_790_000_000_000
LEASE_MS = 15_000
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def remotes(before: Path) -> Iterator[tuple[Remote, Remote]]:
    """The release before, and this one."""
    both = Remote(before), Remote(ROOT)
    yield both
    for remote in both:
        remote.close()


def open_both(remotes: tuple[Remote, Remote], redis: Redis) -> None:
    """Open both on a Redis that the release before has used."""
    for remote in remotes:
        remote.open(url_of(redis), supersede_ms=45_000)
    answer_one(remotes[0], EPOCH_MS)


@pytest.fixture(params=["upgrade", "way back"])
def pair(
    request: pytest.FixtureRequest, redis_client: Redis, remotes: tuple[Remote, Remote]
) -> tuple[Remote, Remote]:
    """The release that was there first, and the one that takes over."""
    open_both(remotes, redis_client)
    return remotes if request.param == "upgrade" else remotes[::-1]


def look_on(remote: Remote, now_ms: int, *, for_ms: int) -> int:
    """Look at the index every second, as a worker does. Return the time at the end."""
    for at_ms in range(now_ms, now_ms + for_ms + 1, 1_000):
        remote("look", at_ms)
    return now_ms + for_ms


def take_all(remote: Remote, now_ms: int) -> dict[str, dict[str, Any]]:
    """Take and finish every turn that is due, as a worker does. Return the turns by user."""
    turns = {turn.pop("phone"): turn for turn in remote("claim", now_ms)}
    for turn in turns.values():
        token = turn.pop("token")
        if turn["state"] != "sent":
            assert remote("record_reply", now_ms, token=token, text=turn["reply"] or "re")
        remote("complete", now_ms, token=token)
    return turns


@on_newest
async def test_each_release_finishes_what_the_other_one_left(
    pair: tuple[Remote, Remote], redis_client: Redis
) -> None:
    """Turns of a process that died are taken over when their leases have run out."""
    first, second = pair
    now_ms = look_on(second, fill(first, EPOCH_MS), for_ms=LEASE_MS + WINDOW_MS)
    second("check", now_ms)
    assert take_all(second, now_ms) == TURNS
    assert take_all(second, now_ms) == {}
    assert second("depth", now_ms) == 0
    letters = second("dead_letters", now_ms)
    assert sorted(letter[1:] for letter in letters) == [["dead.a", "re dead.a"], ["late.a", None]]
    assert second("completed", now_ms, phone="answered-elsewhere") == [
        "answered-elsewhere.a",
        "answered-elsewhere.b",
    ]
    assert second("completed", now_ms, phone="finished") == ["finished.a"]
    assert second("note", now_ms, phone="finished") == "a memory"
    for letter_id, message_id, _ in letters:
        second("requeue", now_ms, letter_id=letter_id)
        turns = take_all(second, now_ms + WINDOW_MS)
        assert [turn["ids"] for turn in turns.values()] == [[message_id]]
    assert await redis_client.keys("wa:{0}:processing_lock:*") == []
    assert await redis_client.keys("wa:{0}:reply:*") == []


@on_newest
async def test_no_release_repairs_what_the_other_one_wrote(pair: tuple[Remote, Remote]) -> None:
    first, second = pair
    now_ms = fill(first, EPOCH_MS)
    assert second("rescue", now_ms) == 0
    now_ms = look_on(second, now_ms, for_ms=LEASE_MS + WINDOW_MS)
    assert take_all(second, now_ms) == TURNS
    assert first("rescue", now_ms) == 0


@on_newest
async def test_each_release_respects_the_leases_of_the_other(pair: tuple[Remote, Remote]) -> None:
    first, second = pair
    first("enqueue", EPOCH_MS, message_id="a", phone="1")
    now_ms = EPOCH_MS + WINDOW_MS
    (mine,) = first("claim", now_ms)
    for _ in range(3):
        now_ms = look_on(second, now_ms, for_ms=LEASE_MS - 1_000)
        assert second("claim", now_ms) == []
        first("extend", now_ms, token=mine["token"])
    now_ms = look_on(second, now_ms, for_ms=LEASE_MS)
    (taken,) = second("claim", now_ms)
    assert taken["token"] > mine["token"]
    for call in ("extend", "complete", "release"):
        with pytest.raises(CallError, match="LeaseLostError"):
            first(call, now_ms, token=mine["token"])
    second("complete", now_ms, token=taken["token"])


@on_newest
async def test_messages_through_both_releases_keep_their_order(pair: tuple[Remote, Remote]) -> None:
    first, second = pair
    ids = [f"m{number}" for number in range(6)]
    for number, message_id in enumerate(ids):
        remote = pair[number % 2]
        assert remote("enqueue", EPOCH_MS + number, message_id=message_id, phone="1") == "queued"
    (turn,) = second("claim", EPOCH_MS + 6)
    assert turn["ids"] == ids
    assert first("claim", EPOCH_MS + 6) == []


@on_newest
async def test_a_delivery_repeated_to_the_other_release_is_a_duplicate(pair: tuple[Remote, Remote]) -> None:
    """While both run, whether a release stored the message or answered it directly."""
    for number, (first, again) in enumerate((pair, pair[::-1])):
        stored, answered = f"stored{number}", f"answered{number}"
        assert first("enqueue", EPOCH_MS, message_id=stored, phone="1") == "queued"
        assert first("withdraw", EPOCH_MS, message_id=answered, phone="1") == "marked"
        for message_id in (stored, answered):
            for remote in (again, first):
                assert remote("enqueue", EPOCH_MS + 1, message_id=message_id, phone="1") == "duplicate"
            assert remote("enqueue", EPOCH_MS + 1, message_id=message_id, phone="2") == "queued"


@on_newest
@pytest.mark.parametrize("after_ms", [0, DAY_MS - 1])
async def test_for_a_day_the_release_before_knows_what_this_one_stored(
    remotes: tuple[Remote, Remote], redis_client: Redis, after_ms: int
) -> None:
    """So that the way back is open: what this release stored last is not answered again."""
    before, this = remotes
    open_both(remotes, redis_client)
    this("enqueue", EPOCH_MS, message_id="first", phone="1")
    this("enqueue", EPOCH_MS + after_ms, message_id="m", phone="1")
    at_ms = EPOCH_MS + after_ms + DAY_MS - 1_000
    assert before("enqueue", at_ms, message_id="m", phone="1") == "duplicate"


@on_newest
async def test_after_a_day_only_messages_of_the_release_before_are_known_to_both(
    remotes: tuple[Remote, Remote], redis_client: Redis
) -> None:
    """An upgrade must be complete by then."""
    before, this = remotes
    open_both(remotes, redis_client)
    this("enqueue", EPOCH_MS, message_id="first", phone="1")
    before("enqueue", EPOCH_MS + DAY_MS - 1, message_id="of before", phone="1")
    this("enqueue", EPOCH_MS + DAY_MS, message_id="of this", phone="1")
    assert this("enqueue", EPOCH_MS + 2 * DAY_MS - 2, message_id="of before", phone="1") == "duplicate"
    assert this("enqueue", EPOCH_MS + 2 * DAY_MS - 2, message_id="of this", phone="1") == "duplicate"
    assert before("enqueue", EPOCH_MS + DAY_MS, message_id="of this", phone="1") == "queued"


@on_newest
async def test_the_release_before_finishes_what_waits_by_rules_that_it_does_not_know(
    remotes: tuple[Remote, Remote], redis_client: Redis
) -> None:
    """For an AI that is away, for room among dead letters, or in a hold; then this release returns."""
    before, _ = remotes
    open_both(remotes, redis_client)
    now_ms = EPOCH_MS
    queue = MessageQueue(redis_client, QueueSettings(dead_letters_max=1), clock=lambda: now_ms)
    users = ("ali", "bea", "cem", "dia")
    for user in users:
        await queue.enqueue(message(user, user))
    await queue.enqueue(message("late", "eva", timestamp=1))
    now_ms += WINDOW_MS
    for batch in (await queue.claim("p", limit=10)).batches:
        if batch.user_phone == "dia":
            assert await queue.fail(batch, "no luck", dead=True) == 0
        else:
            await queue.fail(batch, "503", sign=OutageSign("ai", took_ms=100))
    assert [outage.kind for outage in await queue.outages()] == ["ai"]
    await queue.holding.hold()
    turns: dict[str, Any] = {}
    for _ in range(3):
        now_ms = look_on(before, now_ms, for_ms=60_000)
        turns |= take_all(before, now_ms)
    assert {user: turn["ids"] for user, turn in turns.items()} == {user: [user] for user in users}
    assert [letter[1] for letter in before("dead_letters", now_ms)] == ["late"]
    await queue.holding.resume()
    await queue.enqueue(message("again", "ali"))
    now_ms += 2 * WINDOW_MS
    (batch,) = (await queue.claim("p", limit=10)).batches
    await queue.complete(batch)
    assert batch.ids == ("again",)
    assert await queue.depth() == 0
