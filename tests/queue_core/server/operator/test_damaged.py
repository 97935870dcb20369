"""`damaged list | show | repair | drop`, and damaged keys in `status` and `check`."""

from __future__ import annotations

import json

import pytest

from queue_core import QueueMessage
from tests.queue_core.bot import claimed_batch
from tests.queue_core.server.operator.console import HOSTILE, Console


def message(message_id: str, phone: str = "201") -> QueueMessage:
    return QueueMessage(id=message_id, instance_name="bot", user_phone=phone, message="hi")


async def damage(console: Console, phone: str = "201") -> str:
    """Turn a conversation's list into a string and its statistics into a list; return the string's id."""
    client, place = console.queue.redis, console.queue.keys.of("bot", phone)
    await console.queue.enqueue(message(f"first-{phone}", phone))
    (stored,) = await client.lrange(place.queue, 0, -1)
    await client.delete(place.queue, place.stats)
    await client.set(place.queue, stored)
    await console.queue.enqueue(message(f"second-{phone}", phone))
    await client.delete(place.stats)
    await client.rpush(place.stats, "x")
    await console.queue.complete(await claimed_batch(console.queue))
    return next(
        key.id for key in [key async for key in console.queue.damage.iterate()] if key.key == place.queue
    )


async def test_list_and_show_name_the_key_and_what_it_holds(console: Console) -> None:
    damaged_id = await damage(console)
    listed = await console.run("damaged", "list")
    assert (listed.code, len(listed.lines)) == (0, 3)
    assert all(words in listed.lines[1] for words in (damaged_id, "messages", "201", "string", "WRONGTYPE"))
    assert "statistics" in listed.lines[2]
    shown = await console.run("damaged", "show", damaged_id)
    assert "first-201" in shown.out
    as_json = (await console.run("damaged", "show", damaged_id, "--json")).json
    assert as_json["userPhone"] == "201"
    assert "first-201" in as_json["contents"][0]


async def test_repair_puts_messages_back_and_leaves_the_rest(console: Console) -> None:
    await damage(console)
    repaired = await console.run("damaged", "repair", "--all")
    assert (repaired.code, repaired.out) == (0, "1 damaged key repaired, 1 value back in the queue\n")
    assert (await claimed_batch(console.queue)).ids == ("first-201",)
    (left,) = (await console.run("damaged", "list", "--json")).lines
    refused = await console.run("damaged", "repair", json.loads(left)["id"])
    assert refused.code == 1
    assert "damaged drop" in refused.err


async def test_repair_all_takes_messages_from_any_type_of_key(console: Console) -> None:
    client, place = console.queue.redis, console.queue.keys.of("bot", "201")
    await console.queue.enqueue(message("first"))
    stored = await client.lrange(place.queue, 0, -1)
    await client.delete(place.queue)
    await client.sadd(place.queue, *stored)
    await console.queue.enqueue(message("second"))
    repaired = await console.run("damaged", "repair", "--all")
    assert repaired.out == "1 damaged key repaired, 1 value back in the queue\n"
    assert (await claimed_batch(console.queue)).ids == ("second", "first")


async def test_drop_deletes(console: Console) -> None:
    damaged_id = await damage(console, HOSTILE)
    assert "--yes" in await console.usage_error("damaged", "drop", "--all")
    assert "ids or --all" in await console.usage_error("damaged", "drop")
    assert (await console.run("damaged", "drop", damaged_id)).code == 0
    gone = await console.run("damaged", "drop", damaged_id)
    assert (gone.code, gone.out, gone.err.count("\n")) == (1, "", 1)
    assert (await console.run("damaged", "show", damaged_id)).code == 1
    assert (await console.run("damaged", "drop", "--all", "--yes")).out == "1 damaged key dropped\n"
    assert (await console.run("damaged", "list")).out == "no damaged keys\n"
    assert await console.queue.redis.keys("wa:{0}:damaged*") in ([], [b"wa:{0}:damaged"])


@pytest.mark.parametrize("command", ["status", "check"])
async def test_status_and_check_name_damaged_keys(console: Console, command: str) -> None:
    await damage(console)
    shown = await console.run(command)
    assert any(line.startswith("damaged") and "2 keys" in line for line in shown.lines)
    assert any(line.startswith("ERROR") and "damaged list" in line for line in shown.lines)


async def test_check_says_what_moves_damaged_keys_aside(console: Console) -> None:
    index = console.queue.keys.partitions[0].active
    await console.queue.redis.set(index, "of a wrong type")
    checked = await console.run("check")
    assert checked.code == 1
    assert any("start a worker or the monitor" in line for line in checked.lines)
    await console.queue.rescue()
    assert "damaged list" in (await console.run("check")).out
