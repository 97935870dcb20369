"""`drain`: waiting for an empty queue."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from queue_core import MessageQueue, Processor
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import Bot, claimed_batch, eventually, running
from tests.queue_core.server.operator.console import Console, settings_for


async def test_drain_of_an_empty_queue(console: Console) -> None:
    answer = await console.run("drain")
    assert (answer.code, answer.out) == (0, "empty\n")


async def test_drain_waits_for_the_workers(console: Console) -> None:
    may_answer = asyncio.Event()

    async def hold(_: object) -> None:
        await may_answer.wait()

    bot = Bot(on_handle=hold)
    for at in range(4):
        await console.put(f"m{at}", phone=f"20{at}")
    async with running(Processor(console.queue, bot.handle, bot.send)):
        await eventually(lambda: bot.at_once == 4, "all four in progress")
        drain = console.start("drain", "--timeout", "20s")
        err = ""

        def progress() -> str:
            nonlocal err
            err += console.capsys.readouterr().err
            return err

        await eventually(lambda: "4 messages of 4 conversations left" in progress(), "progress is shown")
        assert not drain.done(), "messages in progress are not finished"
        may_answer.set()
        assert await drain == 0
    assert "empty" in console.capsys.readouterr().out


async def test_drain_times_out_and_says_what_is_left(console: Console) -> None:
    await console.put("one")
    answer = await console.run("drain", "--timeout", "50ms")
    assert answer.code == 1
    assert answer.out == "not empty after 0.1 s: 1 message of 1 conversation left\n"
    as_json = (await console.run("drain", "--timeout", "10ms", "--json")).json
    assert (as_json["empty"], as_json["messages"], as_json["conversations"]) == (False, 1, 1)


async def test_drain_names_overdue_conversations(console: Console) -> None:
    await console.put("one")
    partition = console.queue.keys.partitions[0]
    await console.queue.redis.zadd(partition.active, {"bot:201": 1})
    answer = await console.run("drain", "--timeout", "10ms")
    assert "1 conversation overdue: check that a worker runs" in answer.out


async def test_drain_says_that_the_queue_is_held(console: Console) -> None:
    await console.put("one")
    await console.queue.holding.hold()
    partition = console.queue.keys.partitions[0]
    await console.queue.redis.zadd(partition.active, {"bot:201": 1})
    answer = await console.run("drain", "--timeout", "10ms")
    assert "1 message of 1 conversation left; the queue is held: see" in answer.out
    assert "overdue" not in answer.out
    assert (await console.run("drain", "--timeout", "10ms", "--json")).json["held"] is True


async def test_drain_counts_stranded_conversations(console: Console) -> None:
    await console.put("one")
    await console.queue.redis.delete(console.queue.keys.partitions[0].active)
    answer = await console.run("drain", "--timeout", "10ms")
    assert answer.code == 1
    assert "1 more conversation that no worker will look at" in answer.out


async def test_drain_leaves_dead_letters_and_says_so(console: Console) -> None:
    await console.put_dead_letter("one", "gave up")
    answer = await console.run("drain")
    assert answer.code == 0
    assert answer.out.startswith("empty; 1 dead letter: see")
    assert (await console.run("drain", "--json")).json["deadLetters"] == 1


async def test_drain_outlives_a_redis_that_goes_away(
    redis_server: EmbeddedRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Redis.from_url(redis_server.url) as client:
        console = Console(settings_for(redis_server.url), capsys, client)
        await console.put("one")
        drain = console.start("drain", "--timeout", "30s")
        err = ""

        def errors() -> str:
            nonlocal err
            err += capsys.readouterr().err
            return err

        await eventually(lambda: "1 message" in errors(), "it waits")
        redis_server.kill()
        await eventually(lambda: "Redis does not answer" in errors(), "it says so")
        redis_server.restart()
        queue = MessageQueue(client, console.settings.queue)
        await queue.complete(await claimed_batch(queue))
        assert await drain == 0
