"""URLs of several nodes."""

from __future__ import annotations

import traceback

import pytest
from redis.asyncio import Connection

from queue_core import InvalidSettingsError, connect
from queue_core.redis.nodes.urls import Address, read_url
from queue_core.redis.tls import TlsConnection


def test_a_cluster() -> None:
    seeds = read_url("redis+cluster://bot:p%40ss%2C@10.0.0.1:7000,node2,[::1]:7001/0?protocol=2")
    assert seeds.addresses == (Address("10.0.0.1", 7000), Address("node2", 6379), Address("::1", 7001))
    assert [str(address) for address in seeds.addresses] == ["10.0.0.1:7000", "node2:6379", "[::1]:7001"]
    assert seeds.options.items() >= {"username": "bot", "password": "p@ss,", "protocol": 2}.items()
    assert (seeds.kind, seeds.connection_class) == ("cluster", Connection)


def test_sentinels_have_passwords_of_their_own() -> None:
    seeds = read_url(
        "rediss+sentinel://:of-server@s1,s2:5000/my%20main/3?sentinel_username=u&sentinel_password=of%2Fsentinel"
    )
    assert seeds.addresses == (Address("s1", 26379), Address("s2", 5000))
    assert (seeds.kind, seeds.service, seeds.connection_class) == ("sentinel", "my main", TlsConnection)
    assert seeds.options == {"password": "of-server", "db": 3}
    assert seeds.sentinel_options == {"username": "u", "password": "of/sentinel"}


def test_sentinels_without_passwords_of_their_own_get_none() -> None:
    assert read_url("redis+sentinel://:of-server@s1/main").sentinel_options == {}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+cluster://", "each address must be"),
        ("redis+cluster://a,,b", "each address must be"),
        ("redis+cluster://a:hunter2", "each address must be"),
        ("redis+cluster://a:70000", "each address must be"),
        ("redis+cluster://u:hunter2/x@a:1", "each address must be"),
        ("redis+cluster://u:hunter2#x@a:1", "each address must be"),
        ("redis+cluster://a:1:hunter2", "each address must be"),
        ("redis+cluster://a/1", "database 0 only"),
        ("redis+cluster://a?hunter2=1", "an option"),
        ("redis+cluster://a?socket_timeout=hunter2", "an option"),
        ("redis+sentinel://a", "names no service"),
        ("redis+sentinel://a/main/hunter2", "must be a number"),
        ("redis+sentinel://a/main/1/hunter2", "must be a number"),
        ("redis+other://a", "starts with"),
    ],
)
def test_malformed_urls_are_refused_and_not_shown(url: str, words: str) -> None:
    with pytest.raises(InvalidSettingsError, match=words) as refused:
        connect(url)
    shown = "".join(traceback.format_exception(refused.value))
    assert "hunter2" not in shown.replace(url, "")
