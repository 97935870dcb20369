"""`hold` and `resume`: what they show, and that old messages are never answered unasked."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from queue_core import MessageQueue, QueueMessage
from queue_core.queue.health.health import examine
from tests.queue_core.bot import claimed_batch
from tests.queue_core.server.operator.console import Console

HOUR_MS = 3_600_000


async def put_old(console: Console, message_id: str, *, hours: float, phone: str = "201") -> None:
    """Store a message that arrived some hours ago."""
    at_ms = time.time_ns() // 1_000_000 - round(hours * HOUR_MS)
    past = MessageQueue(console.queue.redis, console.settings.queue, clock=lambda: at_ms)
    await past.enqueue(QueueMessage(id=message_id, instance_name="bot", user_phone=phone, message="x"))


async def dead_ids(console: Console) -> list[str]:
    return [letter.message.id for letter in await console.queue.dead_letters() if letter.message]


async def test_hold_shows_what_would_be_answered(console: Console) -> None:
    await console.put_dead_letter("dead", "no luck", phone="202")
    await console.put("unsure", phone="203")
    batch = await claimed_batch(console.queue)
    await console.queue.record_reply(batch, "sent or not")
    await console.queue.fail(batch, "cut off")
    await put_old(console, "old", hours=26)
    held = await console.run("hold")
    assert held.code == 0
    words = "\n".join(held.lines)
    assert re.search(
        r"^held +since .*; no worker takes a turn until `python -m queue_core resume`$", words, re.MULTILINE
    )
    assert re.search(r"^waiting +2 messages of 2 conversations$", words, re.MULTILINE)
    assert re.search(r"^oldest +26 h old, of ", words, re.MULTILINE)
    assert re.search(r"^newest +0\.\d s old, of ", words, re.MULTILINE)
    assert re.search(
        r"^perhaps sent +1 recorded answer; by QUEUE_UNSURE_SENDS they are sent again$", words, re.MULTILINE
    )
    assert re.search(r"^dead letters +1$", words, re.MULTILINE)
    as_json = (await console.run("hold", "--json")).json
    assert (as_json["messages"], as_json["conversations"], as_json["unsureReplies"]) == (2, 2, 1)
    assert as_json["heldSinceMs"] == await console.queue.holding.since_ms()


async def test_status_and_health_say_that_it_is_held(console: Console) -> None:
    assert "held" not in (await console.run("status")).out
    await console.run("hold")
    report = await examine(console.queue)
    assert report.held_since_ms == await console.queue.holding.since_ms()
    assert "the queue is held, so nothing is answered: end the hold with `resume`" in report.warnings
    assert re.search(r"^held +since ", (await console.run("status")).out, re.MULTILINE)
    assert (await console.run("resume")).code == 0
    assert "held" not in (await console.run("status")).out


async def test_resume_asks_what_becomes_of_old_messages(console: Console) -> None:
    await put_old(console, "yesterday", hours=26)
    await put_old(console, "new", hours=0.1)
    await console.run("hold")
    refused = await console.run("resume")
    assert (refused.code, refused.out) == (3, "")
    assert "still held, with 1 message that had waited for over 1 h when the hold began" in refused.err
    assert (await console.run("resume", "--json")).json == {"held": True, "older": 1}
    assert await console.queue.holding.since_ms() is not None
    resumed = await console.run("resume", "--drop-older-than", "1h")
    assert resumed.code == 0
    assert re.fullmatch(
        r"resumed after .* s; 1 message became a dead letter: see `dead list`", resumed.lines[0]
    )
    assert await dead_ids(console) == ["yesterday"]
    assert await console.queue.holding.since_ms() is None
    (letter,) = await console.queue.dead_letters()
    assert letter.reason == "dropped at resume: older than 1 h"
    assert (await claimed_batch(console.queue)).ids == ("new",)


async def test_resume_can_answer_all_messages(console: Console) -> None:
    await put_old(console, "yesterday", hours=26)
    await console.run("hold")
    answer = await console.run("resume", "--answer-all", "--json")
    assert (answer.code, answer.json["held"], answer.json["deadLettered"]) == (0, False, 0)
    assert await console.queue.holding.since_ms() is None
    assert await console.queue.depth() == 1


async def test_the_time_of_the_hold_makes_no_message_old(console: Console) -> None:
    """The queue is held for three hours, and two hours ago a message came."""
    await console.run("hold")
    three_hours_ago = await console.queue.now_ms() - 3 * HOUR_MS
    for partition in console.queue.keys.partitions:
        await console.queue.redis.hset(partition.hold, "since", str(three_hours_ago))
    await put_old(console, "during", hours=2)
    await put_old(console, "shortly before", hours=3.9)
    assert (await console.run("resume")).code == 0
    assert await console.queue.depth() == 2


@pytest.mark.parametrize("value", ["a string", {"since": "soon"}, {"other": "1"}], ids=str)
async def test_a_damaged_hold_is_reported_and_moved_aside_by_resume(
    console: Console, value: str | dict[Any, Any]
) -> None:
    client, key = console.queue.redis, console.queue.keys.partitions[0].hold
    await put_old(console, "old", hours=2)
    await (client.set(key, value) if isinstance(value, str) else client.hset(key, mapping=value))
    for command in ("status", "check"):
        words = " ".join((await console.run(command)).out.split())
        assert "held since when is unknown: the key of the hold is damaged" in words
        assert "damaged data of the queue cannot be read (hold)" in words
    assert "since when is unknown" in (await console.run("hold")).out
    refused = await console.run("resume")
    assert refused.code == 3
    assert "1 message of over 1 h, and it is unknown when the hold began" in refused.err
    assert await console.queue.holding.since_ms(), "the queue stays held, since a time that is known"
    assert (await console.run("resume", "--answer-all")).code == 0
    assert await console.queue.holding.since_ms() is None
    (moved,) = [key async for key in console.queue.damage.iterate()]
    assert (moved.key, moved.holds) == (key, "hold")


async def test_the_end_of_a_damaged_hold_names_no_time(console: Console) -> None:
    await console.queue.redis.set(console.queue.keys.partitions[0].hold, "x")
    assert (await console.run("resume")).out == "resumed\n"


async def test_resume_of_a_queue_that_is_not_held(console: Console) -> None:
    answer = await console.run("resume")
    assert (answer.code, answer.out) == (0, "the queue is not held\n")
    assert "type `hold` first" in await console.usage_error("resume", "--drop-older-than", "1h")
    assert "not allowed with argument" in await console.usage_error(
        "resume", "--drop-older-than", "1h", "--answer-all"
    )
