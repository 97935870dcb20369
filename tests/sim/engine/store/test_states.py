"""A store that is full, and one that is a replica, beside a real server in the same state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from sim.engine.store.store import Store
from tests.conftest import OLDEST_AND_NEWEST, ServerOf

NOW_US = 1_700_000_000_123_456
AFTER_A_WRITE = (
    "redis.call('PERSIST', KEYS[1]); redis.call('RPUSH', KEYS[1], 'x'); return redis.call('LLEN', KEYS[1])"
)
AT_ONCE = "redis.call('RPUSH', KEYS[1], 'x'); return 1"
ABORTED = "redis.call('RPUSH', KEYS[1], 'x'); redis.call('HGET', KEYS[1], 'x'); redis.call('DEL', KEYS[1])"


@pytest.fixture(params=OLDEST_AND_NEWEST)
def server(request: pytest.FixtureRequest, server_of: ServerOf) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server_of(request.param).url, protocol=2, db=4) as client:
        client.response_callbacks.clear()
        client.flushdb()
        yield client
        client.config_set("maxmemory", 0)
        client.execute_command("REPLICAOF", "NO", "ONE")


def answers(run: Any, script: str) -> list[Any]:
    """Return what a write, a read, a removal and a script give; errors by their code."""
    sha = run("SCRIPT LOAD", script)
    calls = [
        ("SET", "t", "x"),
        ("LLEN", "l"),
        ("EVALSHA", sha, 1, "l"),
        ("LRANGE", "l", 0, -1),
        ("DEL", "l"),
        ("LLEN", "l"),
    ]
    return [code(run(*call)) for call in calls]


def code(answer: Any) -> Any:
    """Return an answer, or the code of an error: servers word the rest differently; redis-py removes the code."""
    if isinstance(answer, redis.exceptions.OutOfMemoryError) or "OOM" in str(answer):
        return "OOM"
    if isinstance(answer, redis.exceptions.ReadOnlyError) or "READONLY" in str(answer):
        return "READONLY"
    return "error" if isinstance(answer, Exception) else answer


def sender(client: redis.Redis) -> Any:
    def run(*call: Any) -> Any:
        try:
            return client.execute_command(*call)  # type: ignore[no-untyped-call]
        except redis.ResponseError as error:
            return error

    return run


def executing(store: Store) -> Any:
    def run(*call: Any) -> Any:
        return store.execute(call)

    return run


def fill(run: Any) -> None:
    run("RPUSH", "l", "a")


@pytest.mark.parametrize("script", [AFTER_A_WRITE, AT_ONCE])
def test_a_full_server_refuses_what_needs_memory(server: redis.Redis, script: str) -> None:
    store = Store(lambda: NOW_US)
    real, simulated = sender(server), executing(store)
    for run in (real, simulated):
        fill(run)
    server.config_set("maxmemory", 1)
    store.set_state(is_full=True)
    assert answers(simulated, script) == answers(real, script)
    assert code(simulated("SET", "t", "x")) == "OOM"


def test_a_replica_refuses_every_write(server: redis.Redis) -> None:
    store = Store(lambda: NOW_US)
    real, simulated = sender(server), executing(store)
    for run in (real, simulated):
        fill(run)
    server.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
    store.set_state(is_replica=True)
    assert answers(simulated, AT_ONCE) == answers(real, AT_ONCE)
    assert code(simulated("DEL", "l")) == "READONLY"


def test_an_aborted_script_leaves_what_it_wrote(server: redis.Redis) -> None:
    store = Store(lambda: NOW_US)
    real, simulated = sender(server), executing(store)
    for run in (real, simulated):
        fill(run)
    assert answers(simulated, ABORTED) == answers(real, ABORTED)


def test_keys_that_expired_are_removed_although_nobody_reads_them() -> None:
    now_us = NOW_US
    store = Store(lambda: now_us)
    for number in range(100):
        store.execute(("SET", f"k{number}", "x", "PX", 1_000 + number))
    store.execute(("SET", "kept", "x"))
    assert store.execute(("DBSIZE",)) == 101
    now_us += 3_600_000_000
    assert store.execute(("DBSIZE",)) == 1
