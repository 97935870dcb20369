"""Torn writes: a Redis that dies while it writes a transaction, as docs/guarantees.md describes it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import redis

from queue_core.redis_server.binaries import EmbeddedRedisError, find_all_redis_servers
from queue_core.redis_server.embedded import EmbeddedRedis

SERVERS = {binary.version: binary.path for binary in find_all_redis_servers()}
SCRIPT = "redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 1)"


def server_of(version: str, config: dict[str, str]) -> EmbeddedRedis:
    return EmbeddedRedis(server=SERVERS[version], append_only=True, append_fsync="always", config=config)


def tear(server: EmbeddedRedis, length: int) -> None:
    """Carry out a script, kill the server, and cut the last bytes of its append-only file."""
    with redis.Redis.from_url(server.url) as client:
        client.eval(SCRIPT, 2, "torn", "torn too")
    server.kill()
    (file,) = [*server.data_dir.glob("appendonlydir/*.incr.aof"), *server.data_dir.glob("appendonly.aof")]
    os.truncate(file, file.stat().st_size - length)


@pytest.mark.parametrize("rewrites", [False, True])
@pytest.mark.parametrize("version", SERVERS)
def test_half_a_transaction_takes_effect_at_the_second_start_unless_the_file_is_rewritten(
    version: str, *, rewrites: bool
) -> None:
    with server_of(version, {"aof-load-truncated": "yes"}) as server:
        tear(server, 8)
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.exists("torn") == 0
            if rewrites:
                client.bgrewriteaof()
                while client.info("persistence")["aof_rewrite_in_progress"]:
                    time.sleep(0.01)
            client.eval(SCRIPT, 2, "whole", "whole too")
        server.kill()
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.exists("whole") == 1
            assert client.exists("torn") == int(not rewrites)


@pytest.mark.parametrize("length", [1, 8, 14, 20, 50, 90])
@pytest.mark.parametrize("version", SERVERS)
def test_the_embedded_server_cuts_a_torn_transaction_from_its_beginning(version: str, length: int) -> None:
    """EXEC has 14 bytes: 14 leaves whole commands without an end, more leaves half a command."""
    with server_of(version, {}) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("before", 1)
        tear(server, length)
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.keys("*torn*") == []
            client.eval(SCRIPT, 2, "whole", "whole too")
        server.kill()
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert sorted(client.keys()) == [b"before", b"whole", b"whole too"]


def test_a_damaged_file_is_reported_not_cut(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path, append_only=True) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("key", "value")
        server.kill()
        (file,) = [*tmp_path.glob("appendonlydir/*.incr.aof"), *tmp_path.glob("appendonly.aof")]
        damaged = file.read_bytes().replace(b"value", b"valuable")
        file.write_bytes(damaged)
        with pytest.raises(EmbeddedRedisError, match="Bad file format"):
            server.start()
        assert file.read_bytes() == damaged
