"""The store against real servers: random sequences of nearly all of its commands, answer by answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import example, given
from hypothesis import strategies as st

from sim.engine.store.store import Store, UnknownCommandError, lua_language
from tests.conftest import OLDEST_AND_NEWEST, ServerOf

NOW_US = 1_700_000_000_123_456
KEYS = st.sampled_from(["a", "b", "c", "d"])
WORDS = st.sampled_from(["", "x", "y", "zz", "10", "-3", "1.5", "a b", "\u0645", "\x00\xff"])
NUMBERS = st.sampled_from(["0", "1", "2", "-1", "-2", "7", "-100", "100"])
SCORES = st.sampled_from(["0", "1", "-1", "1.5", "inf", "-inf", "1700000000000", "0.1", "x"])
LIMITS = st.sampled_from(["0", "1", "(1", "-inf", "+inf", "(1.5", "1700000000000", "nonsense"])
IDS = st.sampled_from(["1-1", "1-2", "2-0", "5", "5-3", "9-9", "0-0", "bad"])
ENDS = st.sampled_from(["-", "+", "1", "1-1", "(1-1", "2", "(5-3", "9"])


def command(name: str, *parts: st.SearchStrategy[Any] | str) -> st.SearchStrategy[tuple[Any, ...]]:
    """A command whose parts are drawn; a part that is drawn as a tuple becomes several."""
    drawn = [part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts]
    return st.tuples(*drawn).map(lambda values: (name, *_flat(values)))


def _flat(values: tuple[Any, ...]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple | list):
            yield from _flat(tuple(value))
        else:
            yield value


def some(of: st.SearchStrategy[Any], least: int = 0, most: int = 3) -> st.SearchStrategy[Any]:
    return st.lists(of, min_size=least, max_size=most).map(tuple)


def maybe(*words: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sampled_from([(), words])


COMMANDS = st.one_of(
    command("DEL", some(KEYS)),
    command("UNLINK", some(KEYS)),
    command("EXISTS", some(KEYS)),
    command("TYPE", KEYS),
    command("RENAME", KEYS, KEYS),
    command("PEXPIRE", KEYS, st.sampled_from(["100000", "-5", "0", "x"])),
    command("EXPIRE", KEYS, st.sampled_from(["100", "-5"])),
    command("PERSIST", KEYS),
    command("TTL", KEYS),
    command("GET", KEYS),
    command("SET", KEYS, WORDS, maybe("NX"), maybe("EX", "100")),
    command(
        "SET", KEYS, WORDS, st.sampled_from([("XX",), ("PX", "100000"), ("PX", "0"), ("EX", "x"), ("NO",)])
    ),
    command("SETEX", KEYS, st.sampled_from(["100", "0"]), WORDS),
    command("SETNX", KEYS, WORDS),
    command("GETRANGE", KEYS, NUMBERS, NUMBERS),
    command("KEYS", st.sampled_from(["*", "a", "[ab]", "?", "\\a", "x*"])),
    command("STRLEN", KEYS),
    command("INCR", KEYS),
    command("INCRBY", KEYS, NUMBERS),
    command("RPUSH", KEYS, some(WORDS)),
    command("LPUSH", KEYS, some(WORDS)),
    command("LPOP", KEYS),
    command("RPOP", KEYS),
    command("LLEN", KEYS),
    command("LINDEX", KEYS, NUMBERS),
    command("LRANGE", KEYS, NUMBERS, NUMBERS),
    command("LSET", KEYS, NUMBERS, WORDS),
    command("LTRIM", KEYS, NUMBERS, NUMBERS),
    command("LREM", KEYS, NUMBERS, WORDS),
    command("HSET", KEYS, some(st.tuples(WORDS, WORDS))),
    command("HSET", KEYS, WORDS),
    command("HSETNX", KEYS, WORDS, WORDS),
    command("HGET", KEYS, WORDS),
    command("HMGET", KEYS, some(WORDS)),
    command("HGETALL", KEYS),
    command("HKEYS", KEYS),
    command("HVALS", KEYS),
    command("HDEL", KEYS, some(WORDS)),
    command("HLEN", KEYS),
    command("HEXISTS", KEYS, WORDS),
    command("HINCRBY", KEYS, WORDS, NUMBERS),
    command("SADD", KEYS, some(WORDS)),
    command("SREM", KEYS, some(WORDS)),
    command("SMEMBERS", KEYS),
    command("SISMEMBER", KEYS, WORDS),
    command("SCARD", KEYS),
    command("ZADD", KEYS, maybe("NX"), maybe("CH"), some(st.tuples(SCORES, WORDS))),
    command("ZADD", KEYS, "XX", SCORES, WORDS),
    command("ZREM", KEYS, some(WORDS)),
    command("ZSCORE", KEYS, WORDS),
    command("ZMSCORE", KEYS, some(WORDS)),
    command("ZSCAN", KEYS, "0", maybe("COUNT", "1")),
    command("ZCARD", KEYS),
    command("ZRANGE", KEYS, NUMBERS, NUMBERS, maybe("WITHSCORES")),
    command("ZREVRANGE", KEYS, NUMBERS, NUMBERS, maybe("WITHSCORES")),
    command("ZRANGEBYSCORE", KEYS, LIMITS, LIMITS, maybe("WITHSCORES"), maybe("LIMIT", "1", "2")),
    command("XADD", KEYS, st.sampled_from([(), ("MAXLEN", "2"), ("MAXLEN", "=", "1")]), IDS, WORDS, WORDS),
    command("XLEN", KEYS),
    command("XRANGE", KEYS, ENDS, ENDS, maybe("COUNT", "2")),
    command("XREVRANGE", KEYS, ENDS, ENDS, maybe("COUNT", "1")),
    command("XDEL", KEYS, some(IDS)),
    command("XREAD", maybe("COUNT", "1"), "STREAMS", KEYS, IDS),
    command("XREAD", "STREAMS", "a", "b", IDS, IDS),
    command("PING"),
    command("DBSIZE"),
)


@pytest.fixture(scope="module", params=OLDEST_AND_NEWEST)
def server(request: pytest.FixtureRequest, server_of: ServerOf) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server_of(request.param).url, protocol=2, db=3) as client:
        client.response_callbacks.clear()
        yield client


def answer_of(client: redis.Redis, words: tuple[Any, ...]) -> Any:
    try:
        return client.execute_command(*words)  # type: ignore[no-untyped-call]
    except redis.ResponseError as error:
        return error


def comparable(answer: Any, words: tuple[Any, ...]) -> Any:
    """Return an answer in a form that compares: all errors are equal, as a call may be wrong twice; sets are sorted."""
    if isinstance(answer, Exception):
        return "error"
    if words[0] == "SMEMBERS" and isinstance(answer, list):
        return sorted(answer)
    if words[0] == "HGETALL" and isinstance(answer, list):
        return dict(zip(answer[::2], answer[1::2], strict=True))
    if words[0] in ("HKEYS", "HVALS", "KEYS") and isinstance(answer, list):
        return sorted(answer)
    return answer


@given(st.lists(COMMANDS, min_size=1, max_size=30))
@example([("RPUSH", "a", "x", "y", "x"), ("LREM", "a", "-1", "x"), ("LRANGE", "a", "0", "-1")])
@example([("RPUSH", "a"), ("SADD", "b"), ("DBSIZE",)])
def test_every_answer_is_that_of_a_real_server(server: redis.Redis, calls: list[tuple[Any, ...]]) -> None:
    server.flushdb()
    store = Store(lambda: NOW_US)
    for number, words in enumerate(calls):
        wanted = comparable(answer_of(server, words), words)
        assert comparable(store.execute(words), words) == wanted, (number, words)


@given(st.data())
def test_a_wrongtype_of_the_server_is_an_error_here_too(server: redis.Redis, data: st.DataObject) -> None:
    server.flushdb()
    store = Store(lambda: NOW_US)
    for words in (
        ("SET", "a", "x"),
        ("RPUSH", "b", "x"),
        ("HSET", "c", "x", "y"),
        ("XADD", "d", "1-1", "x", "y"),
    ):
        assert comparable(store.execute(words), words) == comparable(answer_of(server, words), words)
    words = data.draw(COMMANDS)
    wanted, got = answer_of(server, words), store.execute(words)
    assert str(got).startswith("WRONGTYPE") == str(wanted).startswith("WRONGTYPE") or isinstance(
        got, Exception
    )


def test_a_command_that_the_store_does_not_have_is_an_error_of_the_simulation() -> None:
    store = Store(lambda: NOW_US)
    with pytest.raises(UnknownCommandError, match="GEOADD"):
        store.execute(("GEOADD", "a", 1, 2, "x"))
    sha = store.execute(("SCRIPT LOAD", "return redis.pcall('GEOADD', 'a')"))
    with pytest.raises(UnknownCommandError, match="GEOADD"):
        store.execute(("EVALSHA", sha, 0))


@pytest.mark.parametrize(
    ("words", "lacking"),
    [
        (("ZSCAN", "a", "0", "MATCH", "x*"), "ZSCAN with MATCH"),
        (("XREAD", "STREAMS", "a", "$"), "XREAD with"),
    ],
)
def test_an_option_that_the_store_does_not_have_is_an_error_of_the_simulation(
    words: tuple[str, ...], lacking: str
) -> None:
    with pytest.raises(UnknownCommandError, match=lacking):
        Store(lambda: NOW_US).execute(words)


def test_scripts_run_on_luajit_although_fakeredis_has_loaded_another_lua() -> None:
    assert "fakeredis" in sys.modules
    assert lua_language.LuaRuntime().execute("return jit.version").startswith("LuaJIT")
