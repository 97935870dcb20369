"""connect: which URLs it takes, and that no error shows a password."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection

from queue_core import (
    InvalidSettingsError,
    MessageQueue,
    QueueMessage,
    QueueSettings,
    QueueUnavailableError,
    Receipt,
    connect,
)
from queue_core.redis import tls
from queue_core.redis.nodes.client import NodesClient
from queue_core.redis.nodes.urls import Address
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.conftest import REAL, SERVERS
from tests.queue_core.bot import eventually, transport_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", {"host": "localhost"}),
        (
            "redis://user:pw@example.org:7000/3",
            {"host": "example.org", "port": 7000, "db": 3, "username": "user"},
        ),
        ("rediss://example.org:7000", {"host": "example.org", "port": 7000}),
        ("unix:///run/redis.sock", {"path": "/run/redis.sock"}),
        ("REDIS://localhost", {"host": "localhost"}),
        ("redis://:p%2Fw%40@localhost", {"password": "p/w@"}),
    ],
)
def test_a_good_url_makes_a_client_that_waits_and_gives_up(url: str, expected: dict[str, object]) -> None:
    pool = connect(url).connection_pool
    assert isinstance(pool, BlockingConnectionPool), "waits for a free connection instead of failing"
    assert pool.connection_kwargs.items() >= {"socket_timeout": 5.0, **expected}.items()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "hunter2@localhost:6379",
        "http://localhost",
        "redis:localhost",
        "redis://",
        "redis:///0",
        "redis://:hunter2@:6379",
        "redis://user:hunter2#x@localhost:6379/0",
        "redis://user:hunter2/x@localhost:6379/0",
        "redis://user:hunter2?x@localhost:6379/0",
        "redis://[hunter2",
        "redis://user:pw@localhost:hunter2",
        "redis://localhost:99999",
        "redis://localhost?hunter2=1",
    ],
)
def test_an_unusable_url_is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(InvalidSettingsError, match="Redis URL") as caught:
        connect(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_connections_with_tls_share_their_certificates_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading those of the system blocks the process, and a process on a cluster makes many connections."""
    now_s = 1_000.0
    monkeypatch.setattr(tls, "time", SimpleNamespace(monotonic=lambda: now_s))
    single = connect("rediss://h?ssl_cert_reqs=none")
    nodes = connect("rediss+cluster://h:1,h:2?ssl_cert_reqs=none")
    strict = connect("rediss+cluster://h:1,h:2")
    assert isinstance(nodes, NodesClient)
    assert isinstance(strict, NodesClient)

    def context_of(client: Redis) -> object:
        connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # in redis-py
        return connection.ssl_context.get()

    first = context_of(single)
    assert [context_of(each) is first for each in (single, nodes.node(Address("h", 1)), nodes.near("k"))] == [
        True
    ] * 3
    assert context_of(strict.near("k")) is not first
    now_s += tls.KEPT_S
    assert context_of(single) is not first, "certificates may have been renewed"
    assert context_of(nodes.near("k")) is context_of(single)


@pytest.mark.parametrize("tcp", [True, False])
async def test_it_connects_over_tcp_and_over_a_unix_socket(tcp: bool) -> None:
    with EmbeddedRedis(server=SERVERS[REAL[-1]].path, port=0 if tcp else None) as server:
        async with connect(server.url) as redis:
            queue = MessageQueue(redis)
            receipt = await queue.enqueue(
                QueueMessage(id="m1", instance_name="bot", user_phone="1", message="مرحبا")
            )
            assert receipt.status == "queued"
            assert [it.message for it in await queue.pending("bot", "1")] == ["مرحبا"]


MESSAGE = QueueMessage(id="m1", instance_name="bot", user_phone="1", message="x")


def client_of(server: EmbeddedRedis, scheme: str) -> Redis:
    return connect(server.url.replace("redis", scheme, 1))


async def take_connection(client: Redis, server: EmbeddedRedis) -> AbstractConnection:
    """Take a connection out of a client's pool, as a command does."""
    address = Address("127.0.0.1", int(server.url.split(":")[-1].split("/")[0]))
    pool = (client.node(address) if isinstance(client, NodesClient) else client).connection_pool
    connection: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call]  # in redis-py
    return connection


def open_connections(client: Redis) -> list[AbstractConnection]:
    nodes = client._nodes.values() if isinstance(client, NodesClient) else [client]
    pools = [node.connection_pool for node in nodes]
    connections = [it for pool in pools for it in (*pool._available_connections, *pool._in_use_connections)]
    return [connection for connection in connections if connection.is_connected]


both_schemes = pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])


@both_schemes
async def test_a_connection_of_a_closed_client_cannot_be_opened_again(
    scheme: str, cluster_server: EmbeddedRedis
) -> None:
    """redis-py repeats a command whose connection was closed meanwhile, on the same connection, opened again."""
    client = client_of(cluster_server, scheme)
    connection = await take_connection(client, cluster_server)
    await client.aclose()
    assert not connection.is_connected
    with pytest.raises(exceptions.ConnectionError, match="the client was closed"):
        await connection.connect()  # type: ignore[no-untyped-call]  # in redis-py
    assert not connection.is_connected


@both_schemes
async def test_a_client_that_is_used_after_its_close_opens_no_connection(
    scheme: str, cluster_server: EmbeddedRedis
) -> None:
    client = client_of(cluster_server, scheme)
    queue = MessageQueue(client, QueueSettings(redis_deadline_ms=20_000))
    await queue.enqueue(MESSAGE)
    await client.aclose()
    with pytest.raises(QueueUnavailableError, match="the client was closed"):
        await MessageQueue(client, QueueSettings(redis_deadline_ms=1_000)).enqueue(MESSAGE)
    assert open_connections(client) == []


async def close_during_a_call(client: Redis, redis_server: EmbeddedRedis) -> asyncio.Task[Receipt]:
    """Close a client while a call waits for the answer of a server that stands still, and let the server go on."""
    queue = MessageQueue(client, QueueSettings(redis_deadline_ms=20_000))
    await queue.enqueue(MESSAGE)
    redis_server.pause()
    call = asyncio.create_task(queue.enqueue(MESSAGE))
    writes = transport_of(queue).round_trips
    await eventually(lambda: transport_of(queue).round_trips > writes, "the call is written")
    await client.aclose()
    redis_server.resume()
    return call


async def test_calls_under_way_leave_no_connection_when_their_client_is_closed(
    redis_server: EmbeddedRedis,
) -> None:
    """Their link is closed; one made anew to repeat them would never be closed."""
    client = connect(redis_server.url)
    call = await close_during_a_call(client, redis_server)
    with pytest.raises(QueueUnavailableError, match="the client was closed"):
        await call
    assert open_connections(client) == []


async def test_calls_under_way_connect_again_when_a_plain_client_is_closed_and_a_second_close_ends_that(
    redis_server: EmbeddedRedis,
) -> None:
    """A client of redis-py may be used after its close, so the queue allows that: see docs/library.md."""
    client = Redis.from_url(redis_server.url)
    call = await close_during_a_call(client, redis_server)
    assert (await call).status == "duplicate"
    assert len(open_connections(client)) == 1
    await client.aclose()
    assert open_connections(client) == []


async def test_a_close_that_is_cancelled_leaves_no_connection(cluster_server: EmbeddedRedis) -> None:
    client = client_of(cluster_server, "redis")
    connection = await take_connection(client, cluster_server)
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0)  # the connections are closed in tasks, which have not begun yet
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not connection.is_connected
