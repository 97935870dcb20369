"""Messages that were given up on: listed, shown, brought back, deleted."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs
from redis.asyncio import Redis

from queue_core import (
    DeadLetterNotFoundError,
    InvalidMessageError,
    MessageQueue,
    QueueSettings,
    QueueUnavailableError,
)
from queue_core.queue.upkeep.dead_letters import DeadLetters
from tests.queue_core.bot import claimed_batch, message
from tests.queue_core.queue.conftest import Clock


async def test_dead_letters_are_listed_requeued_and_dropped(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(structs.replace(message("m1", "1"), message_data={"a": 1}))
    await queue.enqueue(message("m2", "1"))
    clock.now_ms += 8_000
    batch = await claimed_batch(queue)
    await queue.record_reply(batch, "a reply")
    assert await queue.fail(batch, "the user blocked us", dead=True) == 2
    first, second = await queue.dead_letters()
    assert (first.instance_name, first.user_phone, first.reason) == ("bot", "1", "the user blocked us")
    assert (first.attempts, first.dead_at_ms, first.reply) == (1, clock.now_ms, "a reply")
    assert first.message is not None
    assert first.message.message_data == {"a": 1}
    await queue.requeue(first.id)
    await queue.drop(second.id)
    assert await queue.dead_letters() == []
    (again,) = await queue.pending("bot", "1")
    assert (again.id, again.added_at, again.message_data) == ("m1", clock.now_ms, {"a": 1})
    clock.now_ms += 8_000
    await queue.complete(await claimed_batch(queue))


async def test_a_message_that_cannot_be_read_is_kept(queue: MessageQueue, clock: Clock) -> None:
    """The message is not in the queue, and nobody made an attempt at it."""
    kept = structs.replace(message("m1", "1"), message="", message_data={"webhook": [1]})
    await queue.keep_unreadable(kept, "unreadable: half an emoji \ud83d " + "x" * 600)
    assert await queue.pending("bot", "1") == []
    (letter,) = await queue.dead_letters()
    assert (letter.instance_name, letter.user_phone, letter.attempts) == ("bot", "1", 0)
    assert letter.dead_at_ms == clock.now_ms
    assert letter.reason.startswith("unreadable: half an emoji \ufffd ")
    assert len(letter.reason) == 500
    assert letter.message == structs.replace(kept, added_at=clock.now_ms, status="failed")
    with pytest.raises(InvalidMessageError):
        await queue.keep_unreadable(structs.replace(kept, message="x" * 2_000_000), "too large")


async def test_there_is_no_room_for_more_than_the_limit(redis_client: Redis) -> None:
    """The provider delivers the message again."""
    queue = MessageQueue(redis_client, QueueSettings(dead_letters_max=2))
    for number in range(2):
        await queue.keep_unreadable(message(f"m{number}", "1"), "unreadable")
    with pytest.raises(QueueUnavailableError, match="raise dead_letters_max"):
        await queue.keep_unreadable(message("m3", "1"), "unreadable")
    assert len(await queue.dead_letters()) == 2


@pytest.mark.parametrize(
    "unknown",
    ["0/1-1", "7/1-1", "", "x", "0/", "/1-1", "0/1", "-1/1-1", "0/٣-٤", "\u0660/1-1", "0/" + "9" * 20 + "-0"],
)
async def test_an_unknown_dead_letter(queue: MessageQueue, unknown: str) -> None:
    for step in (queue.requeue, queue.drop, queue.dead_letter):
        with pytest.raises(DeadLetterNotFoundError, match="no dead letter"):
            await step(unknown)


@pytest.mark.newest_redis
async def test_more_dead_letters_than_a_page(queue: MessageQueue, clock: Clock) -> None:
    count = 450
    await asyncio.gather(*(queue.enqueue(message(f"m{number}", timestamp=1)) for number in range(count)))
    letters = [letter async for letter in queue.iterate_dead_letters()]
    assert [letter.message.id for letter in letters if letter.message] == [f"m{n}" for n in range(count)]


async def test_dead_letters_that_come_during_an_iteration_are_left_for_the_next(
    queue: MessageQueue,
) -> None:
    """Otherwise a command that requeues all of them would never end if they failed again at once."""
    for number in range(3):
        await queue.enqueue(message(f"m{number}", timestamp=1))
    seen = []
    async for letter in queue.iterate_dead_letters():
        seen.append(letter.id)
        await queue.enqueue(message(f"later {letter.id}", timestamp=1))
    assert len(seen) == 3
    assert len(await queue.dead_letters()) == 6


async def test_a_dead_letter_is_found_by_its_id_without_reading_the_others(
    queue: MessageQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.gather(*(queue.enqueue(message(f"m{number}", timestamp=1)) for number in range(3)))
    letters = await queue.dead_letters()
    monkeypatch.delattr(DeadLetters, "iterate")
    assert [await queue.dead_letter(letter.id) for letter in letters] == letters


@pytest.mark.newest_redis
async def test_the_oldest_are_moved_out_when_there_is_no_room_left(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, QueueSettings(dead_letters_max=450), clock=Clock())
    moved: list[dict[str, str]] = []

    async def write(letters: list[dict[str, str]]) -> None:
        moved.extend(letters)

    await asyncio.gather(*(queue.enqueue(message(f"m{number}", timestamp=1)) for number in range(449)))
    assert await queue.move_dead_letters_out(write) == 0
    before = await queue.dead_letters()
    await queue.enqueue(message("last", timestamp=1))
    assert await queue.move_dead_letters_out(write) == len(moved) == 45
    assert [letter["id"] for letter in moved] == [letter.id for letter in before[:45]]
    assert (moved[0]["reason"], moved[0]["message"]) == (before[0].reason, before[0].raw)
    assert len(await queue.dead_letters()) == 405


async def test_dead_letters_that_could_not_be_written_stay(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, QueueSettings(dead_letters_max=2), clock=Clock())

    async def fail(_: object) -> None:
        raise OSError("no space left on device")

    for number in range(3):
        await queue.enqueue(message(f"m{number}", timestamp=1))
    with pytest.raises(OSError, match="no space"):
        await queue.move_dead_letters_out(fail)
    assert len(await queue.dead_letters()) == 2
