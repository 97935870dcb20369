"""Commands of the operator on damaged keys that no script has moved aside yet: none fails, and they name the keys."""

from __future__ import annotations

import re
from typing import Any

import pytest

from queue_core.queue.health.health import examine
from queue_core.queue.upkeep import damage
from queue_core.redis.scripts.loader import library, text
from tests.queue_core.server.operator.console import Console

READS = (
    "check",
    "status",
    "show bot 201",
    "dead list",
    "damaged list",
    "drain --timeout 10ms",
    "hold",
    "resume",
    "resume --answer-all",
)
ODD: dict[str, dict[Any, Any]] = {
    "lock": {
        "tries": "x,y,z",
        "failedAt": "abc",
        "waitMs": "soon",
        "lockedAt": "x",
        "token": "1",
        "size": "²",
    },
    "reply": {"text": "hi", "size": "many", "recordedAt": "1e9"},
    "stats": {"total": "x", "done": "-1", "at": "9" * 5_000},
}


async def write_odd_values(console: Console) -> None:
    client, place = console.queue.redis, console.queue.keys.of("bot", "201")
    for name, fields in ODD.items():
        await client.hset(getattr(place, name), mapping=fields)
    await client.zadd(place.active, {place.conversation: float("inf"), "odd": float("-inf")})
    await client.rpush(place.undelivered, "{")
    await client.xadd(place.dead, {"conversation": "bot:201", "attempts": "9" * 5_000, "at": "²"})
    await client.hset(console.queue.keys.searches_key, mapping={"examination": "x", "rescue": "[]"})


async def write_wrong_types(console: Console, kind: str) -> None:
    client, place, partition = (
        console.queue.redis,
        console.queue.keys.of("bot", "201"),
        console.queue.keys.partitions[0],
    )
    keys = [getattr(place, name) for name in (*damage._OF_CONVERSATION, "memory", "sent_again")]
    keys += [getattr(partition, name) for name in damage._OF_PARTITION]
    for key in (*keys, console.queue.keys.searches_key):
        await client.delete(key)
        await (client.set(key, "oops") if kind == "string" else client.sadd(key, "oops"))


@pytest.mark.parametrize("command", READS)
@pytest.mark.parametrize("what", ["odd values", "string", "set"])
async def test_no_command_fails(console: Console, command: str, what: str) -> None:
    await console.put("m1")
    if what == "odd values":
        await write_odd_values(console)
    else:
        await write_wrong_types(console, what)
    result = await console.run(*command.split())
    assert "WRONGTYPE" not in result.out + result.err
    fails = command in ("check", "drain --timeout 10ms") and (what == "odd values" or command == "check")
    assert result.code == (1 if fails else 0)


async def test_status_and_show_name_what_they_leave_out(console: Console) -> None:
    await console.put("m1")
    await console.queue.redis.set(console.queue.keys.partitions[0].active, "oops")
    status = await console.run("status")
    error = next(line for line in status.lines if line.startswith("ERROR") and "cannot be read" in line)
    assert "index of conversations" in error
    assert "start a worker or the monitor" in error
    await console.queue.redis.hset(console.queue.keys.of("bot", "201").lock, "tries", "x,y,z")
    shown = await console.run("show", "bot", "201")
    assert any(line.startswith("damaged") and "lease and attempts" in line for line in shown.lines)


@pytest.mark.parametrize("name", ["queue", "lock"])
async def test_status_and_check_count_conversations_that_they_leave_out(console: Console, name: str) -> None:
    client, place = console.queue.redis, console.queue.keys.of("bot", "201")
    await console.put("m1")
    await console.put("m2", phone="202")
    await client.delete(getattr(place, name))
    await client.set(getattr(place, name), "oops")
    for command, code in (("status", 0), ("check", 1)):
        result = await console.run(command)
        assert result.code == code
        assert "the messages or the lease of 1 conversation cannot be read" in " ".join(result.out.split())
    report = await examine(console.queue)
    assert report.waiting == (1 if name == "queue" else 2), "a damaged lock reads as missing"


async def test_a_lock_with_odd_values_counts_as_damaged(console: Console) -> None:
    await console.put("m1")
    lock = console.queue.keys.of("bot", "201").lock
    for field in ("size", "expiresAt"):
        await console.queue.redis.hset(
            lock, mapping={"token": "1", "size": "1", "expiresAt": "9", field: "x"}
        )
        assert (await console.queue.survey(console.queue.keys.partitions[0], 0, -1)).damaged == 1


@pytest.mark.parametrize("size", ["0.5", "nan", "inf", "-3", "1e1", "", None])
async def test_a_lease_with_an_odd_size_counts_as_damaged(console: Console, size: str | None) -> None:
    await console.put("m1")
    await console.put("m2", phone="202")
    lock: dict[Any, Any] = {"token": "5", "expiresAt": "99999999999999"} | (
        {} if size is None else {"size": size}
    )
    await console.queue.redis.hset(console.queue.keys.of("bot", "201").lock, mapping=lock)
    survey = await console.queue.survey(console.queue.keys.partitions[0], 0, -1)
    assert (survey.waiting, survey.in_flight, survey.damaged) == (2, 0, 1)
    assert survey.oldest_added_ms is not None


async def test_a_lease_whose_end_is_not_a_number_counts_as_expired(console: Console) -> None:
    await console.put("m1")
    lock: dict[Any, Any] = {"token": "5", "size": "1", "expiresAt": "nan"}
    await console.queue.redis.hset(console.queue.keys.of("bot", "201").lock, mapping=lock)
    survey = await console.queue.survey(console.queue.keys.partitions[0], 0, -1)
    assert (survey.in_flight, survey.expired_leases, survey.damaged) == (1, 1, 1)


async def test_resume_counts_old_messages_of_a_damaged_index(console: Console) -> None:
    """Otherwise they would be answered, once the next rescue has scheduled them."""
    client, place = console.queue.redis, console.queue.keys.of("bot", "201")
    await console.put("m1")
    (stored,) = await client.lrange(place.queue, 0, -1)
    await client.lset(place.queue, 0, re.sub(r'"addedAt":\d+', '"addedAt":1', text(stored)))
    await console.run("hold")
    await client.set(place.active, "oops")
    assert (await console.run("resume")).code == 3
    dropped = await console.run("resume", "--drop-older-than", "1h")
    assert "1 message became a dead letter" in dropped.out


def test_python_and_lua_know_the_same_types() -> None:
    mend = library().split("local function mend")[1].split("local count")[0]
    listed = dict(re.findall(r"\{'(\w+)', '(\w+)'\}", mend))
    assert listed == {name: kind for name, (kind, _) in damage._EXPECTED.items()}
