"""`check`, `status` and `drain`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from queue_core import InvalidSettingsError, MessageQueue, Processor, QueueUnavailableError
from queue_core.redis_server.embedded import EmbeddedRedis, EmbeddedRedisError
from queue_core.server.own_redis import own_redis, redis_url
from tests.queue_core.bot import Bot, claimed_batch, eventually, running
from tests.queue_core.server.operator.console import HOSTILE, Console, console_on, settings_for


@pytest.fixture
def console(real_redis: Redis, capsys: pytest.CaptureFixture[str]) -> Console:
    return console_on(real_redis, capsys)


# check


async def test_check_starts_the_redis_of_serve_finds_nothing_wrong_and_stops_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(DATA_DIR=str(tmp_path / "data"))
    answer = await Console(settings, capsys).run("check")
    assert answer.code == 0, answer.out
    assert "started for this check" in answer.out
    assert answer.lines[-1].startswith("OK: nothing voids the guarantees")
    assert "ERROR" not in answer.out
    with pytest.raises(InvalidSettingsError):
        redis_url(settings)


async def test_check_takes_the_redis_of_a_running_serve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(DATA_DIR=str(tmp_path))
    async with own_redis(settings) as server:
        answer = await Console(settings, capsys).run("check", "--json")
        assert answer.code == 0
        assert "running serve" in answer.json["checked"]
        assert server.is_running(), "it is not ours to stop"


async def test_check_is_not_misled_by_what_a_killed_serve_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "redis.url").write_text("unix:///nowhere/redis.sock\n")
    answer = await Console(settings_for(DATA_DIR=str(tmp_path)), capsys).run("check")
    assert answer.code == 0
    assert "started for this check" in answer.out


async def test_check_says_when_the_redis_of_serve_cannot_be_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with EmbeddedRedis(tmp_path), pytest.raises(EmbeddedRedisError, match="in use by another redis-server"):
        await Console(settings_for(DATA_DIR=str(tmp_path)), capsys).run("check")


async def test_check_passes_a_redis_that_keeps_everything(
    redis_server: EmbeddedRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await Console(settings_for(redis_server.url), capsys).run("check", "--json")
    assert answer.code == 0
    assert (answer.json["ok"], answer.json["errors"], answer.json["reachable"]) == (True, [], True)


async def test_check_fails_on_a_redis_that_evicts(capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedRedis(append_only=True, config={"maxmemory-policy": "allkeys-lru"}) as server:
        console = Console(settings_for(server.url), capsys)
        answer = await console.run("check")
        as_json = (await console.run("check", "--json")).json
    assert answer.code == 1
    assert any(line.startswith("ERROR") and "maxmemory-policy" in line for line in answer.lines)
    assert answer.lines[-1].startswith("FAILED: 1 error")
    assert not as_json["ok"]


async def test_check_fails_on_a_redis_without_persistence(console: Console) -> None:
    answer = await console.run("check")
    assert answer.code == 1
    assert "ERROR" in answer.out


async def test_check_fails_when_redis_does_not_answer(capsys: pytest.CaptureFixture[str]) -> None:
    answer = await Console(settings_for("unix:///nowhere/redis.sock"), capsys).run("check", "--json")
    assert answer.code == 1
    assert not answer.json["reachable"]
    assert answer.json["errors"]


async def test_check_fails_while_new_messages_go_to_the_legacy_buffer(
    redis_server: EmbeddedRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await Console(settings_for(redis_server.url, USE_QUEUE_SYSTEM="false"), capsys).run("check")
    assert answer.code == 1
    assert "USE_QUEUE_SYSTEM=false" in answer.out


async def test_check_shows_no_password(
    redis_server: EmbeddedRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    url = redis_server.url.replace("unix://", "unix://:hunter2hunter2@")
    answer = await Console(settings_for(url), capsys).run("check")
    assert "hunter2" not in answer.out + answer.err


# status


async def test_status_has_figures_and_who_is_next(console: Console) -> None:
    await console.bury("one", "gave up", phone="203")
    await console.put("two", phone="201")
    await console.put("three", phone="202")
    shown = await console.run("status")
    assert shown.code == 0
    assert next(line for line in shown.lines if line.startswith("dead letters")).split()[-1] == "1"
    assert any(line.startswith("bot ") and "202" in line for line in shown.lines)


async def test_status_as_json(console: Console) -> None:
    for at in range(12):
        await console.put(f"m{at}", phone=f"2{at:02}")
    answer = (await console.run("status", "--json", "--limit", "3")).json
    assert answer["waiting"] == 12
    assert [one["userPhone"] for one in answer["nextDue"]] == ["200", "201", "202"]
    assert all(one["attentionInMs"] <= 20 for one in answer["nextDue"])
    shown = await console.run("status")
    assert shown.lines[-1] == "and 2 more"
    assert "and " not in (await console.run("status", "--limit", "12")).lines[-1]


async def test_status_keeps_hostile_names_on_their_line(console: Console) -> None:
    await console.put("one", phone=HOSTILE, instance=HOSTILE)
    shown = await console.run("status")
    assert not set(shown.out) & set("\x1b\x07\u202e")
    assert shown.lines[-1].startswith(r"ev:il{0}\n\x1b[2J\u202eeman \x07*  ev:il{0}")
    assert json.loads((await console.run("status", "--json")).out)["nextDue"][0]["userPhone"] == HOSTILE


async def test_status_watches_through_an_outage(
    redis_server: EmbeddedRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(settings_for(redis_server.url), capsys)
    watch = console.start("status", "--watch", "20ms", "--json")
    out = err = ""

    def seen() -> tuple[str, str]:
        nonlocal out, err
        captured = capsys.readouterr()
        out, err = out + captured.out, err + captured.err
        return out, err

    await eventually(lambda: len(seen()[0].splitlines()) >= 2, "two looks")
    redis_server.kill()
    await eventually(lambda: "status: Redis" in seen()[1], "it says that Redis is away")
    redis_server.restart()
    out = ""
    await eventually(lambda: out.splitlines() or seen()[0], "it goes on")
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
    assert json.loads(out.splitlines()[0])["reachable"] is True


async def test_status_clears_nothing_where_there_is_no_terminal(console: Console) -> None:
    watch = console.start("status", "--watch", "10ms")
    out = ""

    def looks() -> int:
        nonlocal out
        out += console.capsys.readouterr().out
        return out.count("dead letters")

    await eventually(lambda: looks() >= 2, "two looks")
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert "\x1b" not in out


@pytest.mark.parametrize("command", ["status", "drain"])
async def test_without_redis(command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(QueueUnavailableError):
        await Console(settings_for("unix:///nowhere/redis.sock"), capsys).run(command)
    with pytest.raises(InvalidSettingsError, match="set REDIS_URL"):
        await Console(settings_for(DATA_DIR=str(tmp_path)), capsys).run(command)


# drain


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
        await eventually(lambda: bot.at_once == 4, "all four in work")
        drain = console.start("drain", "--timeout", "20s")
        err = ""

        def progress() -> str:
            nonlocal err
            err += console.capsys.readouterr().err
            return err

        await eventually(lambda: "4 messages of 4 conversations left" in progress(), "progress is told")
        assert not drain.done(), "messages in work are not finished"
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


async def test_drain_names_conversations_that_nobody_takes(console: Console) -> None:
    await console.put("one")
    partition = console.queue.keys.partitions[0]
    await console.queue.redis.zadd(partition.active, {"bot:201": 1})
    answer = await console.run("drain", "--timeout", "10ms")
    assert "1 overdue: is a worker running?" in answer.out


async def test_drain_does_not_call_a_stranded_conversation_empty(console: Console) -> None:
    await console.put("one")
    await console.queue.redis.delete(console.queue.keys.partitions[0].active)
    answer = await console.run("drain", "--timeout", "10ms")
    assert answer.code == 1
    assert "1 more that no worker will look at" in answer.out


async def test_drain_leaves_dead_letters_and_says_so(console: Console) -> None:
    await console.bury("one", "gave up")
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

        def told() -> str:
            nonlocal err
            err += capsys.readouterr().err
            return err

        await eventually(lambda: "1 message" in told(), "it waits")
        redis_server.kill()
        await eventually(lambda: "Redis does not answer" in told(), "it says so")
        redis_server.restart()
        queue = MessageQueue(client, console.settings.queue)
        await queue.complete(await claimed_batch(queue))
        assert await drain == 0
