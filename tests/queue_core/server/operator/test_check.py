"""`check`: faults of a Redis that break the guarantees."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from redis.asyncio import Redis

from queue_core import InvalidSettingsError, QueueUnavailableError
from queue_core.redis_server.binaries import EmbeddedRedisError
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.server.own_redis import own_redis, redis_url
from tests.queue_core.redis.scripts.test_partial_writes import PASSWORD, USER, queue_without
from tests.queue_core.server.operator.console import Console, settings_for, url_of


async def test_check_starts_the_redis_of_serve_finds_nothing_wrong_and_stops_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(DATA_DIR=str(tmp_path / "data"))
    answer = await Console(settings, capsys).run("check", "--embedded")
    assert answer.code == 0, answer.out
    assert "started for this check" in answer.out
    assert answer.lines[-1].startswith("OK: nothing breaks the guarantees")
    assert "ERROR" not in answer.out
    with pytest.raises(InvalidSettingsError):
        redis_url(settings)


async def test_check_leaves_no_data_behind_unless_the_folder_is_set_or_exists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = await Console(settings_for(), capsys).run("check", "--embedded")
    assert answer.code == 0, answer.out
    assert "data in a temporary folder" in answer.out
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    for settings, folder in ((settings_for(), "data"), (settings_for(DATA_DIR="named"), "named")):
        answer = await Console(settings, capsys).run("check", "--embedded")
        assert f"data in {folder}/" in answer.out
        assert (tmp_path / folder / "appendonlydir").is_dir()


async def test_check_examines_the_redis_of_a_running_serve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(DATA_DIR=str(tmp_path))
    async with own_redis(settings) as server:
        answer = await Console(settings, capsys).run("check", "--json")
        assert answer.code == 0
        assert answer.json["checked"] == f"the Redis that runs with its data in {tmp_path}/"
        assert server.is_running(), "it is not ours to stop"


async def test_check_is_not_misled_by_what_a_killed_serve_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "redis.url").write_text("unix:///nowhere/redis.sock\n")
    answer = await Console(settings_for(DATA_DIR=str(tmp_path)), capsys).run("check", "--embedded")
    assert answer.code == 0
    assert "started for this check" in answer.out


async def test_check_says_when_the_redis_of_serve_cannot_be_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with EmbeddedRedis(tmp_path), pytest.raises(EmbeddedRedisError, match="in use by another redis-server"):
        await Console(settings_for(DATA_DIR=str(tmp_path)), capsys).run("check", "--embedded")


async def test_check_starts_no_redis_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A Redis started for the check is not the one in use. The address of a killed serve changes nothing."""
    console = Console(settings_for(DATA_DIR=str(tmp_path / "data")), capsys)
    with pytest.raises(InvalidSettingsError, match=r"set REDIS_URL.*check --embedded"):
        await console.run("check")
    assert not (tmp_path / "data").exists()
    (tmp_path / "redis.url").write_text("unix:///nowhere/redis.sock\n")
    with pytest.raises(InvalidSettingsError, match="set REDIS_URL"):
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


async def test_tls_to_a_port_without_tls_is_named_as_a_cause(capsys: pytest.CaptureFixture[str]) -> None:
    """A Redis without TLS takes the handshake for a part of a command, and waits for the rest."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rediss://127.0.0.1:{silent.getsockname()[1]}"
        console = Console(settings_for(url), capsys)
        answer = await console.run("check")
        with pytest.raises(
            QueueUnavailableError, match=r"^Redis cannot be used now: .*rediss:// needs a port"
        ):
            await console.run("status")
    assert answer.code == 1
    assert "rediss:// needs a port with TLS" in answer.out


async def test_check_fails_while_new_messages_go_to_the_legacy_buffer(
    redis_server: EmbeddedRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await Console(settings_for(redis_server.url, USE_QUEUE_SYSTEM="false"), capsys).run("check")
    assert answer.code == 1
    assert "USE_QUEUE_SYSTEM is false" in answer.out


async def test_check_shows_no_password(
    redis_server: EmbeddedRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    url = redis_server.url.replace("unix://", "unix://:hunter2hunter2@")
    answer = await Console(settings_for(url), capsys).run("check")
    assert "hunter2" not in answer.out + answer.err


async def test_check_names_a_missing_right(real_redis: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    _, client = await queue_without(real_redis, "rpush")
    await client.aclose()
    url = url_of(real_redis).replace("unix://", f"unix://{USER}:{PASSWORD}@")
    answer = await Console(settings_for(url), capsys).run("check", "--json")
    await real_redis.acl_deluser(USER)
    assert answer.code == 1
    assert any("RPUSH" in error and "+rpush" in error for error in answer.json["errors"])


async def test_check_says_once_that_this_is_a_replica(
    real_redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await real_redis.replicaof("127.0.0.1", "1")
    try:
        answer = await Console(settings_for(url_of(real_redis)), capsys).run("check", "--json")
    finally:
        await real_redis.replicaof("NO", "ONE")
    assert sum("takes no writes" in error for error in answer.json["errors"]) == 1


async def test_check_on_a_redis_without_config_says_so_and_passes(capsys: pytest.CaptureFixture[str]) -> None:
    config = {"rename-command CONFIG": ""}
    with EmbeddedRedis(append_only=True, config=config) as server:
        answer = await Console(settings_for(server.url), capsys).run("check")
    assert answer.code == 0, answer.out
    assert "CONFIG is switched off here" in answer.out
