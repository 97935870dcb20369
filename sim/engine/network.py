"""fakeredis as the Redis of a replay (`--engine fakeredis`), in simulated time, and the network in front of it.

`sim/engine/store/server.py` is the counterpart that replays use by default, with the same two kinds of client.

A caller that gives up (a timeout, a cancellation) stops waiting, but its request still reaches the server and is
executed there, as with a real server.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import queue
import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import redis.asyncio
import redis.exceptions
from fakeredis import FakeAsyncRedisConnection, FakeServer
from fakeredis._socket import FakeSocket
from fakeredis.aioredis import AsyncFakeSocket, FakeReader, FakeWriter

from queue_core.redis.scripts.loader import Call
from sim.engine.distributions import Distribution
from sim.engine.loop import SimLoop
from sim.engine.rest import RestRedis, WriteObserver, carry

SERVER_VERSION = (7,)
CONNECTIONS_MAX = 64
POOL_TIMEOUT_S = 20
LUA_CALLS_PER_COLLECTION = 1000


def unix_seconds(epoch_ms: int, now_ms: float) -> float:
    """Return the Unix time, like `time.time()`, from the recording's start and the simulated time since.

    The time is rounded to whole microseconds, and the float is chosen so that both `round(t * 1e6)` and
    `int(t * 1000)` are exact: after a timer for millisecond m the clock does not read m - 1.
    """
    microseconds = epoch_ms * 1000 + round(now_ms * 1000)
    seconds = microseconds / 1_000_000
    return seconds if int(seconds * 1000) >= microseconds // 1000 else math.nextafter(seconds, math.inf)


class _SimulatedTimeModule:
    """Stand-in for the module `time` inside fakeredis: `time()` is simulated, all else comes from the real module."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.time = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@contextlib.contextmanager
def server_time(clock: Callable[[], float]) -> Iterator[None]:
    """Give fakeredis the Unix time of `clock`, in seconds, for expiry, TIME and stream ids.

    Only fakeredis's modules are changed, until the end of the block. A process can run one simulation at a time: a
    second one raises RuntimeError.
    """
    modules = [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "fakeredis"]
    if any(isinstance(vars(module).get("time"), _SimulatedTimeModule) for module in modules):
        raise RuntimeError("another simulation is running in this process")
    patched = [module for module in modules if vars(module).get("time") is time]
    stand_in = _SimulatedTimeModule(clock)
    try:
        for module in patched:
            vars(module)["time"] = stand_in
        yield
    finally:
        for module in patched:
            vars(module)["time"] = time


class SimulatedRedis:
    """One Redis server and the network to it. A simulation takes place inside its `running()`."""

    def __init__(
        self, loop: SimLoop, *, epoch_ms: int, latency: Distribution, stream: Callable[[str], random.Random]
    ) -> None:
        self.loop = loop
        self._epoch_ms = epoch_ms
        self._latency = latency
        self._stream = stream
        self._clients: list[redis.asyncio.Redis] = []
        self._observers: list[WriteObserver] = []
        self._sockets_made = 0
        self._lua: _LuaRuntime | None = None
        self.server = FakeServer(version=SERVER_VERSION)
        # A plain set would wake blocked clients in the order of their addresses in memory.
        self.server.dbs[0]._change_callbacks = _OrderedSet()  # type: ignore[assignment]

    def clock(self) -> float:
        """Return the server's Unix time in seconds."""
        return unix_seconds(self._epoch_ms, self.loop.env.now)

    def client(self, name: str, **options: Any) -> redis.asyncio.Redis:
        """Make a redis-py client with its own connections, as for one process; `name` names its stream of latencies.

        Opening a connection takes a round trip, and so does each pipeline or command. `options` are those of
        redis-py's connections.
        """
        self._keep_compiled_scripts()
        pool = redis.asyncio.BlockingConnectionPool(
            max_connections=CONNECTIONS_MAX,
            timeout=POOL_TIMEOUT_S,
            connection_class=_LatentConnection,
            network=self,
            latency_stream=self._stream(f"redis/{name}"),
            server=self.server,
            **{"protocol": 2, "decode_responses": False, **options},
        )
        client = redis.asyncio.Redis(connection_pool=pool)
        self._clients.append(client)
        return client

    def rest(self, name: str) -> RestRedis:
        """Make a client that reaches the server over HTTP, by one request for each call."""
        stream = self._stream(f"rest/{name}")
        socket = FakeSocket(self.server, 0, client_class=redis.asyncio.Redis, client_info={"resp": 2})
        return RestRedis(
            partial(_at_once, socket), lambda: self._latency.sample_ms(stream), self._observers, carry
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Give fakeredis the simulated time for the block."""
        with server_time(self.clock):
            yield

    def round_trip_ms(self, stream: random.Random) -> float:
        """Draw one round trip."""
        return self._latency.sample_ms(stream)

    def next_socket(self) -> int:
        """Return the number of the next connection, in the order of opening."""
        self._sockets_made += 1
        return self._sockets_made

    def _keep_compiled_scripts(self) -> None:
        """Keep compiled scripts, since fakeredis would spend most of its time on compiling them.

        The queue's scripts are loaded here, since on fakeredis the queue would need a round trip for that, which it
        does not need in production.
        """
        if self._lua is None:
            socket = FakeSocket(self.server, 0, client_class=redis.asyncio.Redis)
            self._lua = _LuaRuntime(socket._get_server_runtime(self.server))
            self.server._lua_runtime = self._lua  # type: ignore[attr-defined]
            for stub in Call.__subclasses__():
                if stub.__module__.startswith("queue_core."):  # the stubs of tests may have no source
                    _at_once(socket, ("SCRIPT", "LOAD", stub.script.source))

    async def close(self) -> None:
        """Close the connections of every client."""
        for client in self._clients:
            await client.aclose()
            await client.connection_pool.disconnect()


def _at_once(socket: FakeSocket, command: tuple[str | int, ...]) -> Any:
    """Execute a command at the server, without a network."""
    socket._process_command([str(part).encode() for part in command])
    responses: queue.Queue[Any] = socket.responses  # type: ignore[assignment]
    return responses.get_nowait()


class _OrderedSet(dict[Any, None]):
    """An ordered set, with the methods that fakeredis uses."""

    def add(self, item: Any) -> None:
        self[item] = None

    def remove(self, item: Any) -> None:
        del self[item]


class _LuaRuntime:
    """A Lua runtime of fakeredis that keeps compiled scripts and collects garbage less often."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self._compiled: dict[bytes | str, Callable[[], Any]] = {}
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def execute(self, code: bytes | str) -> Any:
        """Run a chunk. Garbage is collected at every LUA_CALLS_PER_COLLECTION-th request of fakeredis."""
        if code == "collectgarbage()":
            self._calls += 1
            if self._calls % LUA_CALLS_PER_COLLECTION:
                return None
        chunk = self._compiled.get(code)
        if chunk is None:
            chunk = self._compiled[code] = self._runtime.compile(code)
        return chunk()


class _LatentSocket(AsyncFakeSocket):
    """Server's end of a connection. Requests and replies take half a round trip each and keep their order."""

    def __init__(self, *args: Any, network: SimulatedRedis, stream: random.Random, **options: Any) -> None:
        self._number = network.next_socket()
        self._network = network
        self._stream = stream
        self._half_s = 0.0
        self._sending: list[bytes] = []
        self._sent_at_s = self._request_due_s = -1.0
        self._replying: list[Any] = []
        self._replied_at_s = self._reply_due_s = -1.0
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        """Return the connection's number, on which the order of fakeredis's sets of sockets depends."""
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other

    def sendall(self, data: Any) -> None:
        """Send a request. Data sent at the same instant travels together, in one round trip."""
        if not self._reachable():
            raise self._connection_error_class("Connection closed by server.")
        loop = self._network.loop
        now_s = loop.time()
        if self._sending and self._sent_at_s == now_s:
            self._sending.append(data)
            return
        self._half_s = self._network.round_trip_ms(self._stream) / 2000
        self._sending, self._sent_at_s = [data], now_s
        self._request_due_s = max(self._request_due_s, now_s + self._half_s)
        loop.call_at(self._request_due_s, self._receive, self._sending)

    def put_response(self, msg: Any) -> None:
        """Send a reply."""
        loop = self._network.loop
        now_s = loop.time()
        if self._replying and self._replied_at_s == now_s:
            self._replying.append(msg)
            return
        self._replying, self._replied_at_s = [msg], now_s
        self._reply_due_s = max(self._reply_due_s, now_s + self._half_s)
        loop.call_at(self._reply_due_s, self._deliver, self._replying)

    def hang_up(self) -> None:
        """Close the client's end; the server notices once everything sent before has reached it."""
        due_s = max(self._request_due_s, self._network.loop.time() + self._half_s)
        self._network.loop.call_at(due_s, self._notice_closed)

    def _server_or_none(self) -> FakeServer | None:
        """Return the server, or None when the socket is closed, which fakeredis's type annotation does not say."""
        return self._server

    def _reachable(self) -> bool:
        server = self._server_or_none()
        return server is not None and server.connected and not self._killed

    def _receive(self, chunks: list[bytes]) -> None:
        if chunks is self._sending:
            self._sending = []
        if self._reachable():
            super().sendall(b"".join(chunks))

    def _deliver(self, replies: list[Any]) -> None:
        if replies is self._replying:
            self._replying = []
        for reply in replies:
            super().put_response(reply)

    def _notice_closed(self) -> None:
        """Close the server's end. A blocking command of the client ends as if its time were over."""
        if self._server_or_none() is None:
            return
        if self._blocked:
            self._unblock_reason = b"timeout"
            with self._server.lock:
                self._db.wake_all()
            self._network.loop.call_soon(self._notice_closed)
        else:
            self.close()


class _LatentConnection(FakeAsyncRedisConnection):
    """A connection of redis-py whose other end is a _LatentSocket."""

    def __init__(self, *, network: SimulatedRedis, latency_stream: random.Random, **options: Any) -> None:
        super().__init__(**options)
        self._network = network
        self._latency_stream = latency_stream

    async def _connect(self) -> None:
        if self._server is None or not self._server.connected:
            raise redis.exceptions.ConnectionError("Connection refused.")
        await asyncio.sleep(self._network.round_trip_ms(self._latency_stream) / 1000)
        self._sock = _LatentSocket(
            self._server,
            self.db,
            client_class=self._client_class,
            lua_modules=self._lua_modules,
            client_info=self._client_info,
            network=self._network,
            stream=self._latency_stream,
        )
        self._reader = FakeReader(self._sock)
        self._writer = FakeWriter(self._sock)

    async def disconnect(self, nowait: bool = False, *args: Any, **options: Any) -> None:
        socket = self._sock
        await super().disconnect(nowait, *args, **options)
        if isinstance(socket, _LatentSocket):
            socket.hang_up()

    async def _read_response(self, **options: Any) -> Any:
        """Read a response with the timeouts of redis-py: fakeredis ignores the socket's and cannot wait for `inf`."""
        timeout = options.pop("timeout", None)
        if timeout is not None or not self.socket_timeout:
            response = await super()._read_response(
                timeout=None if timeout == math.inf else timeout, **options
            )
        else:
            try:
                async with asyncio.timeout(self.socket_timeout):
                    response = await super()._read_response(timeout=None, **options)
            except TimeoutError:
                raise redis.exceptions.TimeoutError("Timeout reading from the simulated Redis") from None
        if isinstance(response, redis.exceptions.ConnectionError):  # the connection broke
            raise response
        return response
