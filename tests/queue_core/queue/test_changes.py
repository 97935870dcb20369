"""Edits and deletions: what the AI reads of a message that its user changed, and when."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from queue_core import Batch, InvalidMessageError, MessageQueue, Processor, QueueMessage, QueueSettings
from queue_core.message import as_deletion, as_edit, change_of
from queue_core.queue.changes import with_changes
from queue_core.redis.scripts.loader import text
from tests.queue_core.bot import Bot, at_rest, enqueue, message, on_newest, quick, running
from tests.queue_core.queue.conftest import Clock

PHONE = "201000000001"
NOTES_MAX = 200


def edit(target: str, change_id: str = "e", *, words: str = "new text", timestamp: int = 0) -> QueueMessage:
    """An edit as a provider's parser makes it: its text says that it is an edit."""
    made = msgspec.structs.replace(message(change_id, timestamp=timestamp), message=words)
    data = {**as_edit(made, target).message_data, "kind": "edit"}
    data["change"] = {**data["change"], "kind": "text"}
    return msgspec.structs.replace(made, message=f"[edited] {words}", message_data=data)


def deletion(target: str, change_id: str = "d") -> QueueMessage:
    return as_deletion(msgspec.structs.replace(message(change_id), message="[deleted a message]"), target)


def queue_with(redis: Redis, clock: Clock, **settings: Any) -> MessageQueue:
    return MessageQueue(
        redis, QueueSettings(**settings), clock=clock, monotonic=clock.seconds, rng=random.Random(1)
    )


async def due(queue: MessageQueue, clock: Clock, ms: int = 8_000) -> Batch | None:
    """Return the batch that a worker gets when the window is over; None if there is none."""
    clock.now_ms += ms
    batches = (await queue.claim("p")).batches
    return batches[0] if batches else None


async def texts(queue: MessageQueue, clock: Clock) -> list[str]:
    batch = await due(queue, clock)
    return [it.message for it in batch.messages] if batch else []


async def finished(queue: MessageQueue) -> list[tuple[str, str, str]]:
    return [(it.id, it.message, it.changed) for it in await queue.completed("bot", PHONE)]


async def everything(redis: Any) -> str:
    """All values in Redis."""
    read: dict[str, tuple[Any, ...]] = {
        "string": ("GET",),
        "list": ("LRANGE", 0, -1),
        "hash": ("HGETALL",),
        "zset": ("ZRANGE", 0, -1),
        "stream": ("XRANGE", "-", "+"),
    }
    values = []
    for key in await redis.keys():
        command, *bounds = read[text(await redis.type(key))]
        values.append(str(await redis.execute_command(command, key, *bounds)))
    return " ".join(values)


# While the message waits.


async def test_a_message_is_read_with_its_new_text(queue: MessageQueue, clock: Clock) -> None:
    """Id, time and order stay."""
    start_ms = clock.now_ms
    await queue.enqueue(message("m1", timestamp=start_ms))
    await queue.enqueue(message("m2", timestamp=start_ms + 1_000))
    receipt = await queue.enqueue(edit("m1", timestamp=start_ms + 2_000))
    assert (receipt.status, receipt.waiting) == ("changed", 2)
    assert [it.message for it in await queue.pending("bot", PHONE)] == ["new text", "text m2"]
    batch = await due(queue, clock)
    assert batch is not None
    assert batch.text == "new text\ntext m2"
    assert (batch.ids, batch.messages[0].timestamp, batch.messages[0].changed) == (
        ("m1", "m2"),
        start_ms,
        "edited",
    )
    assert batch.messages[0].message_data == {"kind": "text"}
    await queue.complete(batch)
    assert [it[:2] for it in await finished(queue)] == [("e", ""), ("m1", "new text"), ("m2", "text m2")]


async def test_a_deleted_message_is_not_read_and_its_text_is_nowhere(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    await enqueue(queue, ["m1", "m2"])
    assert (await queue.enqueue(deletion("m1"))).status == "changed"
    assert [it.message for it in await queue.pending("bot", PHONE)] == ["", "text m2"]
    assert [it.message for it in (await queue.conversation("bot", PHONE)).pending] == ["", "text m2"]
    assert await texts(queue, clock) == ["text m2"]
    assert await finished(queue) == [("d", "", "noted"), ("m1", "", "deleted")]
    assert "text m1" not in await everything(redis_client)


async def test_deleted_texts_are_kept_for_the_operator_on_demand(redis_client: Redis, clock: Clock) -> None:
    queue = queue_with(redis_client, clock, keep_deleted_texts=True)
    await enqueue(queue, ["m1", "m2"])
    await queue.enqueue(deletion("m1"))
    await queue.enqueue(edit("m2"))
    shown = [(it.message, it.changed, it.earlier) for it in await queue.pending("bot", PHONE)]
    assert shown == [("text m1", "deleted", ""), ("new text", "edited", "text m2")]
    assert await texts(queue, clock) == ["new text"]
    assert ("m1", "text m1", "deleted") in await finished(queue)
    (waiting,) = await queue.pending("bot", PHONE)
    assert waiting.earlier == "text m2"


@pytest.mark.parametrize("count", [1, 3, 130])
async def test_a_turn_that_is_deleted_whole_is_never_handed_over(
    redis_client: Redis, clock: Clock, count: int
) -> None:
    queue = queue_with(redis_client, clock, max_batch=5)
    await enqueue(queue, [f"m{number}" for number in range(count)])
    for number in range(count):
        await queue.enqueue(deletion(f"m{number}", f"d{number}"))
    while await queue.depth():
        assert await due(queue, clock) is None
    assert {(it[0], it[2]) for it in await finished(queue)} >= {("m0", "deleted"), ("d0", "noted")}
    assert await queue.active_conversations() == []
    assert await redis_client.keys("*lock*") == await redis_client.keys("*}:changes*") == []


async def test_the_rest_of_a_turn_has_its_own_window(queue: MessageQueue, clock: Clock) -> None:
    await enqueue(queue, ["m1"])
    clock.now_ms += 5_000
    await enqueue(queue, ["m2"])
    await queue.enqueue(deletion("m1"))
    assert await due(queue, clock, 3_000) is None
    batch = await due(queue, clock, 5_000)
    assert batch is not None
    assert batch.ids == ("m2",)


async def test_a_change_that_is_told_twice_counts_once(queue: MessageQueue, clock: Clock) -> None:
    await enqueue(queue, ["m1"])
    await queue.enqueue(edit("m1"))
    assert (await queue.enqueue(edit("m1"))).status == "duplicate"
    assert await texts(queue, clock) == ["new text"]
    assert (await queue.enqueue(edit("m1"))).status == "duplicate"
    assert await queue.depth() == 1


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_of_two_edits_the_one_that_was_written_later_counts(
    queue: MessageQueue, clock: Clock, order: tuple[int, int]
) -> None:
    await enqueue(queue, ["m1"])
    for number in order:
        await queue.enqueue(
            edit("m1", f"e{number}", words=f"version {number}", timestamp=clock.now_ms + number)
        )
    assert await texts(queue, clock) == ["version 2"]


async def test_an_older_edit_does_not_replace_the_text_of_a_turn_that_was_taken(
    redis_client: Redis, clock: Clock
) -> None:
    queue = queue_with(redis_client, clock, supersede_ms=45_000)
    await enqueue(queue, ["m1"])
    await queue.enqueue(edit("m1", "e2", words="version 2", timestamp=clock.now_ms + 2))
    batch = await due(queue, clock)
    assert batch is not None
    assert batch.text == "version 2"
    older = edit("m1", "e1", words="version 1", timestamp=batch.messages[0].timestamp + 1)
    assert (await queue.enqueue(older)).status == "changed"
    assert await queue.record_reply(batch, "to version 2")
    await queue.complete(batch)
    assert await due(queue, clock) is None


async def test_an_older_edit_is_not_read_after_the_answer_to_a_newer_one(
    queue: MessageQueue, clock: Clock
) -> None:
    """Neither for a message that waits, nor for the edit of an answered message."""
    start_ms = clock.now_ms
    await enqueue(queue, ["m1"])
    for in_time, too_late in (((2,), 1), ((3, 5), 4)):
        for number in in_time:
            await queue.enqueue(edit("m1", f"e{number}", timestamp=start_ms + number))
        batch = await due(queue, clock)
        assert batch is not None
        await queue.complete(batch)
        older = edit("m1", f"e{too_late}", words="old text", timestamp=start_ms + too_late)
        assert (await queue.enqueue(older)).status == "changed"
        assert await due(queue, clock) is None


@pytest.mark.parametrize("is_deleted_first", [True, False])
async def test_a_deletion_counts_more_than_an_edit(
    queue: MessageQueue, clock: Clock, redis_client: Redis, is_deleted_first: bool
) -> None:
    await enqueue(queue, ["m1"])
    changes = [deletion("m1"), edit("m1")]
    for change in changes if is_deleted_first else reversed(changes):
        assert (await queue.enqueue(change)).status == "changed"
    assert await due(queue, clock) is None
    assert "new text" not in await everything(redis_client)


async def test_an_expired_message_is_a_dead_letter_with_its_new_text(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["m1", "m2"])
    await queue.enqueue(edit("m1"))
    await queue.enqueue(deletion("m2"))
    assert await due(queue, clock, 3_700_000) is None
    assert [it.message.message for it in await queue.dead_letters() if it.message] == ["new text"]


# Before the message comes, and after its answer.


async def test_an_edit_that_comes_before_its_message_is_read_instead(
    queue: MessageQueue, clock: Clock
) -> None:
    assert (await queue.enqueue(edit("m1"))).status == "queued"
    assert (await queue.enqueue(message("m1"))).status == "queued"
    assert await texts(queue, clock) == ["[edited] new text"]


@pytest.mark.parametrize("made", [edit, deletion])
async def test_a_message_that_comes_long_after_its_change_is_not_read(
    queue: MessageQueue, clock: Clock, made: Any
) -> None:
    await queue.enqueue(made("m1"))
    if batch := await due(queue, clock):
        await queue.complete(batch)
    clock.now_ms += 3_600_000
    await enqueue(queue, ["m1"])
    assert (await queue.pending("bot", PHONE))[0].message == ""
    assert await due(queue, clock) is None
    assert await queue.depth() == 0


async def test_an_edit_of_an_answered_message_says_so_and_may_be_changed_itself(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["m1"])
    batch = await due(queue, clock)
    assert batch is not None
    await queue.complete(batch)
    assert (await queue.enqueue(edit("m1", "e1"))).status == "queued"
    assert (await queue.enqueue(edit("m1", "e2", words="newer"))).status == "changed"
    assert await texts(queue, clock) == ["[edited] newer"]


async def test_a_deletion_of_an_answered_message_takes_its_edit_along_and_erases_both(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    await enqueue(queue, ["m1"])
    batch = await due(queue, clock)
    assert batch is not None
    await queue.complete(batch)
    await queue.enqueue(edit("m1"))
    assert (await queue.enqueue(deletion("m1"))).status == "changed"
    assert await due(queue, clock) is None
    assert (await queue.enqueue(deletion("m1", "d2"))).status == "changed"
    stored = await everything(redis_client)
    assert "new text" not in stored


async def test_the_text_of_an_answered_message_is_erased_when_it_is_deleted(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    await enqueue(queue, ["m1"])
    batch = await due(queue, clock)
    assert batch is not None
    await queue.record_reply(batch, "hello")
    await queue.enqueue(deletion("m1", "d1"))  # while the reply is sent
    await queue.complete(batch)
    assert "text m1" not in await everything(redis_client)
    await enqueue(queue, ["m2"])
    batch = await due(queue, clock)
    assert batch is not None
    await queue.complete(batch)
    await queue.enqueue(deletion("m2", "d2"))
    assert "text m2" not in await everything(redis_client)
    assert await queue.depth() == 0


async def test_a_dead_letter_that_its_user_deleted_is_not_answered_when_it_is_requeued(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["m1"])
    batch = await due(queue, clock)
    assert batch is not None
    await queue.fail(batch, "no luck", dead=True)
    await queue.enqueue(deletion("m1"))
    (letter,) = await queue.dead_letters()
    await queue.requeue(letter.id)
    assert await due(queue, clock) is None
    assert await queue.depth() == 0


# A deletion of a message that was edited: no text of it stays, whatever became of the message and of its edits.


async def answered(queue: MessageQueue, clock: Clock) -> Batch:
    """Answer the next turn, and return it."""
    batch = await due(queue, clock)
    assert batch is not None
    await queue.complete(batch)
    return batch


async def test_a_deletion_erases_a_message_whose_edit_waits(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    await enqueue(queue, ["m1"])
    await answered(queue, clock)
    await queue.enqueue(edit("m1"))
    assert (await queue.enqueue(deletion("m1"))).status == "changed"
    assert await due(queue, clock) is None
    assert [it[1:] for it in await finished(queue)] == [("", "deleted"), ("", "noted"), ("", "deleted")]
    stored = await everything(redis_client)
    assert "text m1" not in stored
    assert "new text" not in stored


async def test_a_deletion_erases_all_edits_that_were_answered(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    await enqueue(queue, ["m1", "m2"])
    await answered(queue, clock)
    for number in (1, 2):
        await queue.enqueue(edit("m1", f"e{number}", words=f"newer text {number}"))
        assert (await answered(queue, clock)).text == f"[edited] newer text {number}"
    await queue.enqueue(deletion("m1"))
    stored = await everything(redis_client)
    assert "text m1" not in stored
    assert "newer text" not in stored
    assert "text m2" in stored


async def test_a_deletion_erases_a_message_in_progress_whose_edit_waits(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    await enqueue(queue, ["m1"])
    batch = await due(queue, clock)
    assert batch is not None
    assert (await queue.enqueue(edit("m1"))).status == "queued"
    assert (await queue.enqueue(deletion("m1"))).status == "queued"
    await queue.complete(batch)
    assert (await answered(queue, clock)).text == "[deleted a message]"
    stored = await everything(redis_client)
    assert "text m1" not in stored
    assert "new text" not in stored


@pytest.mark.parametrize("is_replied", [False, True])
async def test_a_deletion_erases_an_edit_in_progress(
    queue: MessageQueue, clock: Clock, redis_client: Redis, is_replied: bool
) -> None:
    await enqueue(queue, ["m1"])
    await answered(queue, clock)
    await queue.enqueue(edit("m1"))
    batch = await due(queue, clock)
    assert batch is not None
    if is_replied:
        await queue.record_reply(batch, "hello")
    status = (await queue.enqueue(deletion("m1"))).status
    assert status == ("changed" if is_replied else "queued")
    await queue.complete(batch)
    assert "new text" not in await everything(redis_client)


async def test_an_edit_in_progress_is_not_read_again_after_a_deletion(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["m1"])
    await answered(queue, clock)
    await queue.enqueue(edit("m1"))
    batch = await due(queue, clock)
    assert batch is not None
    await queue.enqueue(deletion("m1"))
    await queue.fail(batch, "no luck", after_ms=0)
    assert [it.message for it in await queue.pending("bot", PHONE)] == ["", "[deleted a message]"]
    assert await due(queue, clock) is None
    assert await queue.depth() == 0


async def test_an_edit_that_waits_for_a_reply_to_be_made_anew_ends_with_a_deletion(
    redis_client: Redis, clock: Clock
) -> None:
    queue = queue_with(redis_client, clock, supersede_ms=45_000)
    await enqueue(queue, ["m1"])
    batch = await due(queue, clock)
    assert batch is not None
    assert (await queue.enqueue(edit("m1"))).status == "changed"
    clock.now_ms += 40_000
    await queue.enqueue(deletion("m1"))
    await queue.complete(batch)
    assert await texts(queue, clock) == ["[deleted a message]"]
    assert "new text" not in await everything(redis_client)


async def test_an_edit_that_comes_long_after_the_deletion_is_not_read(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["m1"])
    await queue.enqueue(deletion("m1"))
    assert await due(queue, clock) is None
    assert (await queue.enqueue(edit("m1"))).status == "changed"
    assert await queue.depth() == 0


async def test_an_edit_does_not_undo_a_deletion_whose_note_expired(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    await enqueue(queue, ["m1"])
    await queue.enqueue(deletion("m1"))
    assert await redis_client.delete(queue.keys.of("bot", PHONE).change_notes) == 1
    assert (await queue.enqueue(edit("m1"))).status == "changed"
    assert await due(queue, clock) is None


async def test_an_edit_that_became_a_dead_letter_is_not_answered_after_a_deletion(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["m1"])
    await answered(queue, clock)
    await queue.enqueue(edit("m1"))
    batch = await due(queue, clock)
    assert batch is not None
    await queue.fail(batch, "no luck", dead=True)
    await queue.enqueue(deletion("m1"))
    (letter,) = await queue.dead_letters()
    await queue.requeue(letter.id)
    assert await due(queue, clock) is None
    assert await queue.depth() == 0


async def test_a_deletion_through_an_alias_erases_the_archive_of_its_name(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    await enqueue(queue, ["m1"])
    await answered(queue, clock)
    await redis_client.set(
        queue.keys.of("bot", PHONE).alias, queue.keys.of("bot", "201000000002").conversation
    )
    assert (await queue.enqueue(deletion("m1"))).user_phone == "201000000002"
    assert "text m1" not in await everything(redis_client)


async def test_deleted_texts_of_edits_are_kept_for_the_operator_on_demand(
    redis_client: Redis, clock: Clock
) -> None:
    queue = queue_with(redis_client, clock, keep_deleted_texts=True)
    await enqueue(queue, ["m1"])
    await answered(queue, clock)
    await queue.enqueue(edit("m1"))
    await answered(queue, clock)
    await queue.enqueue(deletion("m1"))
    assert (await finished(queue))[:2] == [
        ("m1", "text m1", "deleted"),
        ("e", "[edited] new text", "deleted"),
    ]


# While the message is being answered.


async def test_a_reply_is_made_anew_when_its_message_is_edited(redis_client: Redis, clock: Clock) -> None:
    queue = queue_with(redis_client, clock, supersede_ms=45_000)
    await enqueue(queue, ["m1"])
    batch = await due(queue, clock)
    assert batch is not None
    assert (await queue.enqueue(edit("m1"))).status == "changed"
    assert not await queue.record_reply(batch, "to the old text")
    again = await due(queue, clock, 0)
    assert again is not None
    assert (again.text, again.attempt) == ("new text", 1)
    assert await queue.record_reply(again, "to the new text")


async def test_a_reply_is_not_made_anew_for_ever(redis_client: Redis, clock: Clock) -> None:
    queue = queue_with(redis_client, clock, supersede_ms=45_000)
    await enqueue(queue, ["m1"])
    batch = await due(queue, clock)
    clock.now_ms += 37_000
    assert batch is not None
    assert (await queue.enqueue(edit("m1"))).status == "queued"
    assert await queue.record_reply(batch, "to the old text")


async def test_without_supersede_the_next_turn_says_what_was_changed(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["m1", "m2"])
    batch = await due(queue, clock)
    assert batch is not None
    assert (await queue.enqueue(edit("m1"))).status == "queued"
    assert (await queue.enqueue(deletion("m2"))).status == "queued"
    assert await queue.record_reply(batch, "to the old text")
    await queue.complete(batch)
    assert await texts(queue, clock) == ["[edited] new text", "[deleted a message]"]


async def test_an_attempt_that_fails_is_followed_by_one_with_the_changes(
    queue: MessageQueue, clock: Clock
) -> None:
    await enqueue(queue, ["m1", "m2"])
    batch = await due(queue, clock)
    assert batch is not None
    await queue.enqueue(edit("m1"))
    await queue.enqueue(deletion("m2"))
    await queue.fail(batch, "no luck", after_ms=0)
    again = await due(queue, clock)
    assert again is not None
    assert again.text == "[edited] new text"


async def test_a_turn_that_is_deleted_while_it_is_answered_gets_no_reply(
    redis_client: Redis, clock: Clock
) -> None:
    queue = queue_with(redis_client, clock, supersede_ms=45_000)
    await enqueue(queue, ["m1"])
    batch = await due(queue, clock)
    assert batch is not None
    await queue.enqueue(deletion("m1"))
    assert not await queue.record_reply(batch, "hello")
    assert await due(queue, clock, 0) is None
    assert await queue.depth() == 0


async def test_a_turn_without_a_reply_ends_and_its_edit_is_read_next(
    redis_client: Redis, clock: Clock
) -> None:
    """A handler that sends by itself records nothing."""
    queue = queue_with(redis_client, clock, supersede_ms=45_000)
    await enqueue(queue, ["m1"])
    batch = await due(queue, clock)
    assert batch is not None
    await queue.enqueue(edit("m1"))
    await queue.complete(batch)
    assert await texts(queue, clock) == ["[edited] new text"]


async def test_an_edit_outlives_a_message_that_was_answered_without_the_queue(
    redis_client: Redis, clock: Clock
) -> None:
    queue = queue_with(redis_client, clock, supersede_ms=45_000)
    await enqueue(queue, ["m1"])
    await queue.enqueue(edit("m1"))
    await queue.withdraw(message("m1"))
    batch = await due(queue, clock)
    assert batch is not None
    assert batch.text == "[edited] new text"
    await queue.complete(batch)
    await enqueue(queue, ["m2"])
    batch = await due(queue, clock)
    assert batch is not None
    await queue.enqueue(edit("m2", "e2"))
    await queue.withdraw(message("m2"))
    assert not await queue.record_reply(batch, "dropped")
    assert await texts(queue, clock) == ["[edited] new text"]


# With workers.


@on_newest
async def test_the_ai_is_asked_about_the_new_text_and_never_about_deleted_ones(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick(supersede_ms=60_000))
    changes = iter([edit("m1"), deletion("m2")])

    async def change(_: Batch) -> None:
        if (made := next(changes, None)) is not None:
            await queue.enqueue(made)

    bot = Bot(on_handle=change)
    await enqueue(queue, ["m1", "m2"])
    async with running(Processor(queue, bot.handle, bot.send)):
        await at_rest(queue)
    assert [batch.text for batch in bot.asked] == ["text m1\ntext m2", "new text\ntext m2", "new text"]
    assert bot.sent_ids == ["m1"]


# Odd changes, and limits.


@pytest.mark.parametrize(
    "change",
    [
        None,
        "edit",
        {"what": "edit", "id": "m1"},
        {"what": "edit", "id": "", "text": "x"},
        {"what": "edit", "id": 'm"1', "text": "x"},
        {"what": "edit", "id": "e", "text": "x"},
        {"what": "deletion", "id": ["m1"]},
        {"what": "move", "id": "m1"},
        {"what": "deletion", "id": "m" * 513},
    ],
)
async def test_a_change_that_cannot_be_carried_out_is_read_as_it_is(
    queue: MessageQueue, clock: Clock, change: Any
) -> None:
    await enqueue(queue, ["m1"])
    odd = msgspec.structs.replace(message("e"), message_data={"change": change})
    assert change_of(odd) is None
    await queue.enqueue(odd)
    assert await texts(queue, clock) == ["text m1", "text e"]


@pytest.mark.parametrize("target", ["", "e", "m" * 513, 'm"1'])
async def test_a_change_needs_the_id_of_another_message(queue: MessageQueue, target: str) -> None:
    for change in (queue.edit, queue.delete):
        with pytest.raises(
            InvalidMessageError, match=r"^target_id is .*, must be the id of another message$"
        ):
            await change(message("e"), target)
    assert await queue.depth() == 0


async def test_an_edited_message_can_be_stored_anew(queue: MessageQueue, clock: Clock) -> None:
    await enqueue(queue, ["m1"])
    await queue.enqueue(edit("m1"))
    batch = await due(queue, clock)
    assert batch is not None
    moved = msgspec.structs.replace(batch.messages[0], user_phone="2", id="m9")
    await queue.enqueue(moved)
    (waiting,) = await queue.pending("bot", "2")
    assert (waiting.message, waiting.changed) == ("new text", "")


async def test_notes_are_limited_and_expire(queue: MessageQueue, redis_client: Redis) -> None:
    for number in range(NOTES_MAX + 5):
        await queue.enqueue(deletion(f"m{number}", f"d{number}"))
    (key,) = await redis_client.keys("*change_notes*")
    assert await redis_client.hlen(key) == 5
    assert 0 < await redis_client.pttl(key) <= 2 * 86_400_000


async def test_an_edit_whose_message_was_taken_out_by_an_older_release_is_read(
    queue: MessageQueue, clock: Clock, redis_client: Redis
) -> None:
    await enqueue(queue, ["m1", "m2"])
    await queue.enqueue(edit("m1"))
    await redis_client.lpop(queue.keys.of("bot", PHONE).queue)
    assert await texts(queue, clock) == ["text m2", "[edited] new text"]


@pytest.mark.parametrize("name", ["changes", "change_notes"])
async def test_damaged_changes_are_moved_aside(
    queue: MessageQueue, clock: Clock, redis_client: Redis, name: str
) -> None:
    await enqueue(queue, ["m1"])
    await redis_client.set(getattr(queue.keys.of("bot", PHONE), name), "damaged")
    assert (await queue.enqueue(edit("m1"))).status == "changed"
    assert await texts(queue, clock) == ["new text"]
    assert len([key async for key in queue.damage.iterate()]) == 1


# Elsewhere than in the queue.


def test_changes_are_carried_out_among_messages() -> None:
    messages = [message("m1"), message("m2"), edit("m2"), deletion("m1"), message("m3"), deletion("x", "d2")]
    assert [(it.id, it.message) for it in with_changes(messages)] == [("m2", "new text"), ("m3", "text m3")]
    assert [it.message for it in with_changes([edit("x")])] == ["[edited] new text"]
