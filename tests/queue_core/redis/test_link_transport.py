"""The transport over links: order, deadlines, and everything that can happen to a connection."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, cast

import pytest
from fakeredis import FakeAsyncRedis
from redis.asyncio import Connection, Redis, RedisCluster

from queue_core import QueueSettings, QueueUnavailableError, UnsupportedRedisError, connect
from queue_core.redis import link
from queue_core.redis.link_transport import LinkTransport
from queue_core.redis.path import TICKS
from queue_core.redis.protocol import PlainReader, new_reader, pack
from queue_core.redis.runner import ScriptRunner
from queue_core.redis.scripts.loader import Call, LuaScript
from queue_core.redis.transports import transport_for
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.conftest import REAL, ServerOf, store_client
from tests.queue_core.redis.servers import CERTIFICATE, Cutter, Played, server_tls

PATIENT_MS = 20_000


class Script:
    """Script that notes its argument and returns it; `name` makes it another script."""

    def __init__(self, name: str = "note") -> None:
        self.name = name
        self.source = f"redis.call('RPUSH', KEYS[1], ARGV[1]) return ARGV[1] -- {name}"
        self.sha = hashlib.sha1(self.source.encode()).hexdigest()


class Note(Call[int], frozen=True, kw_only=True):
    """Call that notes a number."""

    script: ClassVar[LuaScript] = cast("LuaScript", Script())
    number: int | str

    @staticmethod
    def read(raw: bytes) -> int:
        return int(raw)

    def command(self) -> tuple[Any, ...]:
        return (self.script.sha, 1, "k", self.number)


class OtherNote(Note, frozen=True, kw_only=True):
    """Call of another script."""

    script: ClassVar[LuaScript] = cast("LuaScript", Script("other"))


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def echo(_: int, command: tuple[bytes, ...]) -> bytes:
    return bulk(command[-1])


@asynccontextmanager
async def transport_on(url: str, deadline_ms: int = PATIENT_MS) -> AsyncIterator[LinkTransport]:
    async with connect(url) as redis:
        yield LinkTransport(redis, deadline_ms=deadline_ms)


@pytest.fixture
async def redis(server_of: ServerOf) -> AsyncIterator[Redis]:
    """A client of an empty real Redis, the newest."""
    async with connect(server_of(REAL[-1]).url) as client:
        await client.flushall()
        await client.script_flush()
        yield client


@pytest.fixture
async def cutter(redis: Redis) -> AsyncIterator[Cutter]:
    async with Cutter(f"unix://{redis.connection_pool.connection_kwargs['path']}") as proxy:
        yield proxy


def through(proxy: Cutter) -> str:
    return f"redis://127.0.0.1:{proxy.port}/0"


async def all_of(*calls: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def noted(redis: Redis) -> list[int]:
    """The numbers in the order in which they were first noted."""
    return list(dict.fromkeys(int(item) for item in await redis.lrange("k", 0, -1)))


async def until(is_so: Any) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 - the other end goes on by itself
            await asyncio.sleep(0.001)


async def test_a_call_that_goes_alone_is_written_in_the_turn_of_the_loop_that_makes_it(
    redis_server: EmbeddedRedis,
) -> None:
    async with transport_on(redis_server.url) as transport:
        await transport.alone(Note(number=1))
        before = transport.round_trips
        call = asyncio.create_task(transport.alone(Note(number=2)))
        await asyncio.sleep(0)
        assert transport.round_trips == before + 1
        assert await call == 2


async def test_which_client_gets_which_transport() -> None:
    class Traced(Redis):
        pass

    links = [connect("redis://h"), connect("rediss://h"), connect("unix:///s"), Redis()]
    clients: list[Any] = [FakeAsyncRedis(), store_client(), Traced(), RedisCluster(host="h")]
    kinds = [type(transport_for(each, QueueSettings())) for each in [*links, *clients]]
    assert kinds == [LinkTransport] * len(links) + [ScriptRunner] * len(clients)


class TestWrites:
    async def test_calls_of_one_turn_leave_in_one_write_and_wait_for_no_answer(self) -> None:
        async with Played(lambda *_: b"") as server, transport_on(server.url) as transport:
            first = [transport.gathered(Note(number=number)) for number in range(300)]
            await until(lambda: len(server.commands) == 301)
            second = [transport.gathered(Note(number=number)) for number in range(300, 303)]
            await until(lambda: len(server.commands) == 304)
            assert transport.round_trips == 2
            server.send(bulk(b"sha") + b"".join(bulk(b"%d" % number) for number in range(303)))
            assert await asyncio.gather(*first, *second) == [*range(303)]
            assert server.connections == 1

    async def test_an_answered_call_is_let_go_at_once(self, redis: Redis) -> None:
        """Else those of a whole tick would fill the memory."""
        transport = LinkTransport(redis, deadline_ms=PATIENT_MS)
        await asyncio.gather(*(transport.gathered(Note(number=number)) for number in range(40)))
        assert not transport._gathered._due

    async def test_a_call_alone_overtakes(self, redis: Redis, cutter: Cutter) -> None:
        async with transport_on(through(cutter)) as transport:
            assert await transport.gathered(Note(number=0)) == 0
            cutter.hold()
            behind = [transport.gathered(Note(number=number)) for number in range(1, 5)]
            await until(lambda: len(cutter.held) > 0)
            assert await transport.alone(Note(number=9)) == 9
            assert not any(call.done() for call in behind)
            cutter.release()
            assert await asyncio.gather(*behind) == [1, 2, 3, 4]

    async def test_what_cannot_be_written_fails_alone(self, redis: Redis) -> None:
        transport = LinkTransport(redis, deadline_ms=PATIENT_MS)
        calls = [Note(number=1), Note(number="\ud800"), Note(number=2), Note(number="x")]
        one, unwritable, two, unreadable = await all_of(*map(transport.gathered, calls))
        assert (one, two) == (1, 2)
        assert isinstance(unwritable, UnicodeEncodeError)
        assert isinstance(unreadable, ValueError)


@pytest.mark.parametrize(
    ("what", "step", "reader"),
    [
        ("answers", 1, new_reader),
        ("answers", 1, PlainReader),
        ("requests", 7, new_reader),
        pytest.param("requests", 1, new_reader, marks=pytest.mark.soak),
    ],
)
async def test_a_connection_that_is_cut_at_any_byte(
    redis: Redis, cutter: Cutter, monkeypatch: pytest.MonkeyPatch, what: str, step: int, reader: Any
) -> None:
    """Each call gets its own answer; the first copies of all are in order."""
    monkeypatch.setattr(link, "new_reader", reader)
    async with transport_on(through(cutter)) as transport:
        number, cuts = 0, 1
        while True:
            assert await transport.gathered(Note(number=number)) == number
            before = cutter.connections
            setattr(cutter, f"{what}_left", cuts)
            calls = [transport.gathered(Note(number=number + more)) for more in (1, 2)]
            assert await asyncio.gather(*calls) == [number + 1, number + 2]
            number += 3
            if cutter.connections == before:
                break
            cuts += step
    command = ("EVALSHA", *Note(number=1).command())
    assert cuts > 2 * len(pack(command) if what == "requests" else bulk(b"1"))
    assert await noted(redis) == [*range(number)]


async def test_a_connection_that_is_cut_twice_fails_what_was_under_way_and_nothing_else() -> None:
    def answer(number: int, command: tuple[bytes, ...]) -> bytes | None:
        return bulk(command[-1]) if number > 2 or command[0] == b"SCRIPT" else None

    async with Played(answer) as server, transport_on(server.url) as transport:
        results = await all_of(*(transport.gathered(Note(number=number)) for number in range(3)))
        assert {type(result) for result in results} == {QueueUnavailableError}
        assert "Connection closed by server" in str(results[0])
        assert server.connections == 2
        assert await transport.gathered(Note(number=5)) == 5


@pytest.mark.parametrize("reader", [new_reader, PlainReader])
class TestAnswersThatMeanNothing:
    @pytest.mark.parametrize("garbage", [b"?what\r\n", b"$x\r\n", b"*2\r\n:1\r\n!!!\r\n"])
    async def test_the_call_is_made_again_once(
        self, monkeypatch: pytest.MonkeyPatch, garbage: bytes, reader: Any
    ) -> None:
        monkeypatch.setattr(link, "new_reader", reader)

        def answer(number: int, command: tuple[bytes, ...]) -> bytes:
            return bulk(command[-1]) if number > 2 or command[0] == b"SCRIPT" else garbage

        async with Played(answer) as server, transport_on(server.url) as transport:
            with pytest.raises(
                QueueUnavailableError, match="cannot be used now: an answer of Redis cannot be read"
            ):
                await transport.gathered(Note(number=1))
            assert await transport.gathered(Note(number=2)) == 2
            assert server.connections == 3

    async def test_more_answers_than_calls_end_the_connection(
        self, monkeypatch: pytest.MonkeyPatch, reader: Any
    ) -> None:
        monkeypatch.setattr(link, "new_reader", reader)

        def answer(number: int, command: tuple[bytes, ...]) -> bytes:
            return bulk(command[-1]) if number > 1 or command[0] == b"SCRIPT" else b":1\r\n:7\r\n:8\r\n"

        async with Played(answer) as server, transport_on(server.url) as transport:
            assert await transport.gathered(Note(number=1)) == 1
            assert await transport.gathered(Note(number=2)) == 2
            assert server.connections == 2


class TestDeadlines:
    async def test_a_frozen_redis_is_noticed_by_every_call_at_its_own_deadline(
        self, redis_server: EmbeddedRedis
    ) -> None:
        """2,000 calls at once and 100 later; none hears of it later than at the next look."""
        deadline_s = 0.5
        waits: list[float] = []
        lags = [0.0]

        async def measure_lag() -> None:
            while True:
                began = time.monotonic()
                await asyncio.sleep(0.001)
                lags.append(time.monotonic() - began)

        async with transport_on(redis_server.url, deadline_ms=500) as transport:
            await transport.gathered(Note(number=0))
            redis_server.pause()
            measuring = asyncio.create_task(measure_lag())

            def call() -> asyncio.Future[int]:
                began, future = time.monotonic(), transport.gathered(Note(number=1))
                future.add_done_callback(lambda _: waits.append(time.monotonic() - began))
                return future

            began = time.monotonic()
            calls = [call() for _ in range(2_000)]
            lags.append(time.monotonic() - began)  # with a garbage collection of a large process
            for _ in range(10):
                await asyncio.sleep(deadline_s / 10)
                calls += [call() for _ in range(10)]
            results = await all_of(*calls)
            measuring.cancel()
            redis_server.resume()
            assert await transport.gathered(Note(number=2)) == 2
        assert {type(result) for result in results} == {QueueUnavailableError}
        assert "did not answer in time" in str(results[-1])
        assert min(waits) >= deadline_s
        assert max(waits) < deadline_s * (1 + 1 / TICKS) + 3 * max(lags) + 0.05, (
            "each pipeline has its own deadline"
        )

    async def test_an_answer_of_a_call_that_was_given_up_goes_to_nobody(self) -> None:
        """The connection lives: bytes of the late answer come, one at a time."""
        async with Played(lambda *_: b"") as server, transport_on(server.url, deadline_ms=200) as transport:
            late = transport.gathered(Note(number=1))
            await until(lambda: len(server.commands) == 2)
            answer = iter(bulk(b"sha") + bulk(b"%d" % 10**300))
            while not late.done():
                server.send(bytes([next(answer)]))
                await asyncio.sleep(0.01)
            with pytest.raises(QueueUnavailableError, match="did not answer in time"):
                await late
            prompt = transport.gathered(Note(number=2))
            await until(lambda: len(server.commands) == 3)
            server.send(bytes(answer) + bulk(b"2"))
            assert await prompt == 2
            assert server.connections == 1

    async def test_half_an_answer_and_then_silence(self) -> None:
        """Calls that were not given up yet are made again on another connection."""

        def answer(number: int, command: tuple[bytes, ...]) -> bytes:
            if number > 1 or command[0] == b"SCRIPT":
                return bulk(command[-1])
            return b"$1\r\n" if command[-1] == b"1" else b""

        async with Played(answer) as server, transport_on(server.url, deadline_ms=400) as transport:
            early = transport.gathered(Note(number=1))
            await asyncio.sleep(0.2)
            late = transport.gathered(Note(number=2))
            with pytest.raises(QueueUnavailableError, match="did not answer in time"):
                await early
            assert await late == 2
            assert server.connections == 2

    async def test_a_call_that_was_given_up_before_it_was_written_is_never_made(
        self, redis_server: EmbeddedRedis
    ) -> None:
        async with (
            connect(redis_server.url) as redis,
            transport_on(redis_server.url, deadline_ms=300) as transport,
        ):
            await transport.gathered(Note(number=0))
            redis_server.pause()
            large = transport.gathered(Note(number="1" + " " * 8_000_000))
            await asyncio.sleep(0.01)
            results = await all_of(large, transport.gathered(Note(number=2)))
            assert {type(result) for result in results} == {QueueUnavailableError}
            redis_server.resume()
            assert await transport.gathered(Note(number=3)) == 3
            assert 2 not in await noted(redis)

    async def test_nothing_is_left_to_do_when_nothing_is_under_way(self, redis: Redis) -> None:
        transport = LinkTransport(redis, deadline_ms=100)
        await transport.gathered(Note(number=1))
        path = transport._gathered
        await until(lambda: path._timer is None)
        assert not path._due


class TestScriptsThatTheServerLost:
    async def test_order_is_kept(self, redis: Redis, cutter: Cutter) -> None:
        """Calls of two scripts in several writes, all under way when the first NOSCRIPT comes back."""
        async with transport_on(through(cutter)) as transport:
            await asyncio.gather(transport.gathered(Note(number=0)), transport.gathered(OtherNote(number=1)))
            await redis.script_flush()
            cutter.hold()
            calls: list[asyncio.Future[int]] = []
            for number in range(2, 30):
                kind = Note if number % 3 else OtherNote
                calls.append(transport.gathered(kind(number=number)))
                if number % 5 == 0:
                    await until(lambda: cutter.held)
                    await asyncio.sleep(0)
            cutter.release()
            calls.append(transport.gathered(Note(number=30)))
            assert await asyncio.gather(*calls) == [*range(2, 31)]
            assert await noted(redis) == [*range(31)]
            assert cutter.connections == 1

    async def test_a_script_that_another_process_brought_back_does_not_reorder_the_rest(self) -> None:
        """Calls that were answered NOSCRIPT go before everything that was not written yet."""
        lost = {b"1", b"3"}

        def answer(_: int, command: tuple[bytes, ...]) -> bytes:
            if command[-1] in lost:
                lost.remove(command[-1])
                return b"-NOSCRIPT No matching script.\r\n"
            return bulk(command[-1])

        async with Played(answer) as server, transport_on(server.url) as transport:
            calls = [transport.gathered(Note(number=number)) for number in range(5)]
            assert await asyncio.gather(*calls) == [*range(5)]
            made = [command[-1] for command in server.commands if command[0] == b"EVALSHA"]
            assert made == [b"0", b"1", b"2", b"3", b"4", b"1", b"3"]

    async def test_a_server_that_refuses_the_script_is_named(self) -> None:
        def answer(_: int, command: tuple[bytes, ...]) -> bytes:
            return b"-NOSCRIPT No\r\n" if command[0] == b"EVALSHA" else b"-ERR unknown command 'SCRIPT'\r\n"

        async with Played(answer) as server, transport_on(server.url) as transport:
            for _ in range(2):
                with pytest.raises(UnsupportedRedisError, match="unknown command 'SCRIPT'"):
                    await transport.gathered(Note(number=1))


class TestServersThatRefuse:
    async def test_a_server_that_is_away_is_tried_once_for_each_call(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A second try by redis-py comes after a pause, which would delay the first reply after an outage."""
        tries = 0

        async def refuse(_: Connection) -> None:
            nonlocal tries
            tries += 1
            raise ConnectionRefusedError

        monkeypatch.setattr(Connection, "_connect", refuse)
        async with transport_on("redis://h") as transport:
            for _ in range(3):
                with pytest.raises(QueueUnavailableError):
                    await transport.gathered(Note(number=1))
        assert tries == 3

    async def test_a_replica_is_left_at_most_once_a_second(self) -> None:
        def answer(_: int, command: tuple[bytes, ...]) -> bytes:
            return b"-READONLY You can't write against a read only replica.\r\n"

        async with Played(answer) as server, transport_on(server.url) as transport:
            until_s, refused = time.monotonic() + 0.3, 0
            while time.monotonic() < until_s:
                with pytest.raises(QueueUnavailableError, match="read only replica"):
                    await transport.gathered(Note(number=1))
                refused += 1
            assert refused > 2
            assert server.connections == 2

    async def test_after_a_failover_behind_one_address_the_new_primary_is_found(
        self, redis: Redis, cutter: Cutter, redis_server: EmbeddedRedis
    ) -> None:
        """The old primary lives on as a replica, and open connections stay with it."""
        async with transport_on(through(cutter)) as transport, connect(redis_server.url) as new:
            await all_of(transport.gathered(Note(number=1)), transport.alone(Note(number=2)))
            await redis.replicaof("127.0.0.1", "1")
            try:
                cutter.redirect(redis_server.url)
                with pytest.raises(QueueUnavailableError, match="read only replica"):
                    await transport.gathered(Note(number=3))
                assert await transport.gathered(Note(number=4)) == 4
                assert await transport.alone(Note(number=5)) == 5
                assert await noted(new) == [4, 5]
            finally:
                await redis.replicaof("NO", "ONE")

    async def test_a_server_that_closes_all_connections_gets_few(self) -> None:
        connections = 0

        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with (
            server,
            transport_on(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}") as transport,
        ):
            for _ in range(3):
                results = await all_of(*(transport.gathered(Note(number=number)) for number in range(500)))
                assert {type(result) for result in results} == {QueueUnavailableError}
        assert connections <= 3 * 2, "redis-py connects again once; further calls do not connect"

    async def test_users_databases_and_protocols(self, redis: Redis) -> None:
        path = redis.connection_pool.connection_kwargs["path"]
        await redis.acl_setuser("writer", enabled=True, passwords="+pw", keys="*", categories=["+@all"])
        try:
            for protocol in (2, 3):
                async with transport_on(f"unix://writer:pw@{path}?db=3&protocol={protocol}") as transport:
                    assert await transport.gathered(Note(number=protocol)) == protocol
                    users = {client["user"] for client in await redis.client_list()}
                    assert users == {"writer", "default"}
                async with transport_on(f"unix://writer:wrong@{path}?protocol={protocol}") as transport:
                    with pytest.raises(QueueUnavailableError, match="username-password pair") as caught:
                        await transport.gathered(Note(number=1))
                    assert "wrong" not in str(caught.value).replace("WRONGPASS", "")
            async with connect(f"unix://{path}?db=3") as third:
                assert await noted(third) == [2, 3]
                assert await noted(redis) == []
        finally:
            await redis.acl_deluser("writer")

    async def test_tls(self, redis: Redis) -> None:
        async with Cutter(f"unix://{redis.connection_pool.connection_kwargs['path']}", server_tls()) as proxy:
            trusting = f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={CERTIFICATE}"
            async with transport_on(trusting) as transport:
                calls = [Note(number=f"{number}" + " " * 100_000) for number in range(20)]
                assert await asyncio.gather(*map(transport.gathered, calls)) == [*range(20)]
                proxy.answers_left = 3
                assert await transport.gathered(Note(number=20)) == 20
                assert proxy.connections == 2
            async with transport_on(f"rediss://127.0.0.1:{proxy.port}") as transport:
                with pytest.raises(QueueUnavailableError, match=r"certificate of .* is refused"):
                    await transport.gathered(Note(number=21))


@pytest.mark.parametrize("calls", [2_000, pytest.param(100_000, marks=pytest.mark.soak)])
async def test_calls_that_are_cancelled_at_random(redis: Redis, cutter: Cutter, calls: int) -> None:
    """Whoever waits gets its own answer, also over connections that are cut."""
    rng = random.Random(1)
    right = cancelled = cut = 0

    async def call(number: int) -> None:
        nonlocal right, cancelled, cut
        padding = " " * rng.choice([0, 0, 0, 3_000, 40_000])
        try:
            async with asyncio.timeout(rng.choice([None, 0, 0.02 * rng.random()])):
                carry = transport.gathered if number % 5 else transport.alone
                assert await carry(Note(number=f"{number}{padding}")) == number
                right += 1
        except TimeoutError:
            cancelled += 1
        except QueueUnavailableError:
            cut += 1

    async with transport_on(through(cutter)) as transport:
        for first in range(0, calls, 40):
            if first % 400 == 0:
                cutter.answers_left = rng.randrange(1_000)
            await asyncio.gather(*(call(number) for number in range(first, first + 40)))
        await redis.delete("k")
        assert await transport.gathered(Note(number=calls)) == calls
    assert right > calls // 4
    assert cancelled > calls // 20
    assert right + cancelled + cut == calls


class TestOtherLoopsAndProcesses:
    def test_a_second_event_loop(self, server_of: ServerOf) -> None:
        async def use(redis: Redis) -> int:
            try:
                return await transport.gathered(Note(number=1)) + await transport.alone(Note(number=1))
            finally:
                await redis.aclose()

        redis = connect(server_of(REAL[-1]).url)
        transport = LinkTransport(redis, deadline_ms=PATIENT_MS)
        assert asyncio.run(use(redis)) + asyncio.run(use(redis)) == 4

    def test_calls_whose_loop_ends_are_cancelled(self, redis_server: EmbeddedRedis) -> None:
        async def ask() -> asyncio.Future[int]:
            redis_server.pause()
            call = transport.gathered(Note(number=1))
            await asyncio.sleep(0.05)
            return call

        redis = connect(redis_server.url)
        transport = LinkTransport(redis, deadline_ms=PATIENT_MS)
        assert asyncio.run(ask()).cancelled()
        redis_server.resume()

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    async def test_a_fork(self, redis: Redis) -> None:
        """The child makes connections of its own, and the parent's stay as they are."""
        transport = LinkTransport(redis, deadline_ms=PATIENT_MS)
        under_way = [transport.gathered(Note(number=number)) for number in range(50)]
        assert await transport.alone(Note(number=50)) == 50
        child = os.fork()
        if child == 0:
            status = 1
            try:
                asyncio.run(_calls_of_a_child(transport))
                status = 0
            finally:
                os._exit(status)
        assert (await asyncio.to_thread(os.waitpid, child, 0))[1] == 0
        assert await asyncio.gather(*under_way) == [*range(50)]
        assert await transport.gathered(Note(number=51)) == 51
        assert {*range(52), 100, 101} == set(await noted(redis))


async def _calls_of_a_child(transport: LinkTransport) -> None:
    assert await transport.gathered(Note(number=100)) == 100
    assert await transport.alone(Note(number=101)) == 101
