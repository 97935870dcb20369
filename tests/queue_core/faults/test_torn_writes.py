"""Torn writes: a Redis that dies while it writes a transaction, as docs/guarantees.md describes it."""

from __future__ import annotations

import os
import time

import pytest
import redis

from queue_core.redis_server.binaries import find_all_redis_servers
from queue_core.redis_server.embedded import EmbeddedRedis

SERVERS = {binary.version: binary.path for binary in find_all_redis_servers()}
SCRIPT = "redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 1)"


@pytest.mark.parametrize("rewrites", [False, True])
@pytest.mark.parametrize("version", SERVERS)
def test_half_a_transaction_takes_effect_at_the_second_start_unless_the_file_is_rewritten(
    version: str, *, rewrites: bool
) -> None:
    with EmbeddedRedis(server=SERVERS[version], append_only=True, append_fsync="always") as server:
        with redis.Redis.from_url(server.url) as client:
            client.eval(SCRIPT, 2, "torn", "torn too")
        server.kill()
        (file,) = [*server.data_dir.glob("appendonlydir/*.incr.aof"), *server.data_dir.glob("appendonly.aof")]
        os.truncate(file, file.stat().st_size - 8)  # within EXEC
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
