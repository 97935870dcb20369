"""Transport to several nodes: each call ends at the primary of its slot, or fails in time and in the queue's terms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, cast

import pytest

from queue_core import QueueSettings, QueueUnavailableError, connect
from queue_core.redis.nodes import asking
from queue_core.redis.nodes import transport as nodes_transport
from queue_core.redis.nodes.table import SLOTS, slot_of
from queue_core.redis.nodes.transport import NodesTransport
from queue_core.redis.nodes.urls import Address
from queue_core.redis.scripts.loader import Call, LuaScript
from queue_core.redis.transports import transport_for
from tests.queue_core.redis.nodes.played import PlayedCluster, PlayedNode

PATIENT_MS = 20_000
LOW, HIGH = "{b}k", "{a}k"
"""Keys of the lower and the upper half of the slots."""


class Script:
    name, source, sha = "note", "return ARGV[1]", "0" * 40


class Note(Call[int], frozen=True, kw_only=True):
    """Call that returns its number."""

    script: ClassVar[LuaScript] = cast("LuaScript", Script())
    number: int
    key: str = LOW

    @staticmethod
    def read(raw: bytes) -> int:
        return int(raw)

    def command(self) -> tuple[Any, ...]:
        return (self.script.sha, 1, self.key, self.number)


@asynccontextmanager
async def transport_on(url: str, deadline_ms: int = PATIENT_MS) -> AsyncIterator[NodesTransport]:
    async with connect(url) as client:
        transport = transport_for(client, QueueSettings(redis_deadline_ms=deadline_ms))
        assert isinstance(transport, NodesTransport)
        yield transport


@pytest.fixture
def one_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the first node that is asked for the table all the time that it needs, and let calls wait for it."""
    monkeypatch.setattr(nodes_transport, "HELD_S", PATIENT_MS / 1000)
    monkeypatch.setattr(asking, "NEXT_AFTER_S", PATIENT_MS / 1000)
    monkeypatch.setattr(asking, "ANSWER_S_MAX", PATIENT_MS / 1000)


@pytest.fixture
async def cluster() -> AsyncIterator[PlayedCluster]:
    async with PlayedCluster() as played:
        yield played


def redirection(kind: str, node: PlayedNode, key: str = LOW) -> bytes:
    return f"-{kind} {slot_of(key)} 127.0.0.1:{node.port}\r\n".encode()


def test_the_slot_of_a_key_is_that_of_its_hash_tag() -> None:
    # The example of https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ and its rules on braces.
    assert slot_of("123456789") == 0x31C3
    assert slot_of("wa:{123456789}:x") == slot_of(b"{123456789}") == 0x31C3
    assert slot_of("{}x") != slot_of("{}y")
    assert slot_of(LOW) < SLOTS // 2 <= slot_of(HIGH)


@pytest.mark.usefixtures("one_is_asked")
async def test_calls_go_to_the_primaries_of_their_slots(cluster: PlayedCluster) -> None:
    async with transport_on(cluster.url) as transport:
        calls = [transport.gathered(Note(number=n, key=(LOW, HIGH)[n % 2])) for n in range(6)]
        assert await asyncio.gather(*calls) == [*range(6)]
        assert await transport.alone(Note(number=6)) == 6
    assert [node.numbers for node in cluster.nodes] == [[b"0", b"2", b"4", b"6"], [b"1", b"3", b"5"]]
    assert sum(node.table_requests for node in cluster.nodes) == 1


async def test_moved_is_followed_and_remembered(cluster: PlayedCluster) -> None:
    first, second = cluster.nodes
    async with transport_on(cluster.url) as transport:
        await transport.gathered(Note(number=0))
        cluster.owners = [second, second]
        first.refusals.append(redirection("MOVED", second))
        assert [await transport.gathered(Note(number=n)) for n in (1, 2)] == [1, 2]
    assert (first.numbers, second.numbers) == ([b"0", b"1"], [b"1", b"2"])


async def test_ask_is_followed_once(cluster: PlayedCluster) -> None:
    first, second = cluster.nodes
    first.refusals.append(redirection("ASK", second))
    async with transport_on(cluster.url) as transport:
        assert [await transport.gathered(Note(number=n)) for n in (1, 2)] == [1, 2]
    assert (first.numbers, second.numbers) == ([b"1", b"2"], [b"ASKING", b"1"])


@pytest.mark.parametrize(
    "refusal",
    [
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "CLUSTERDOWN The cluster is down",
        "READONLY You can't write against a read only replica.",
        "NOREPLICAS Not enough good replicas to write.",
        "LOADING Redis is loading the dataset in memory",
        "ERR Script attempted to access a non local key in a cluster node script: 00, on @user_script:1.",
    ],
)
async def test_a_temporary_refusal_is_not_seen(cluster: PlayedCluster, refusal: str) -> None:
    cluster.nodes[0].refusals += [f"-{refusal}\r\n".encode()] * 2
    async with transport_on(cluster.url) as transport:
        assert await transport.gathered(Note(number=1)) == 1
    assert cluster.nodes[0].numbers == [b"1"] * 3


async def test_a_call_does_not_overtake_one_that_is_under_way_to_the_former_primary(
    cluster: PlayedCluster,
) -> None:
    first, second = cluster.nodes
    async with transport_on(cluster.url) as transport:
        await transport.gathered(Note(number=0))
        first.is_silent = True
        earlier = transport.gathered(Note(number=1))
        while not transport._newest[slot_of(LOW)].writes:  # noqa: ASYNC110 - the other end goes on by itself
            await asyncio.sleep(0)
        transport._routes.moved(slot_of(LOW), Address("127.0.0.1", second.port))
        later = transport.gathered(Note(number=2))
        cluster.owners = [second, second]
        assert [await earlier, await later] == [1, 2]
    assert second.numbers == [b"1", b"2"]


async def test_redirected_calls_stay_behind_held_ones(cluster: PlayedCluster) -> None:
    first, second = cluster.nodes
    async with transport_on(cluster.url) as transport:
        await transport.gathered(Note(number=0))
        first.refusals += [b"-TRYAGAIN x\r\n", redirection("ASK", second)]
        calls = [transport.gathered(Note(number=n)) for n in (1, 2)]
        assert await asyncio.gather(*calls) == [1, 2]
    assert (first.numbers, second.numbers) == ([b"0", b"1", b"2", b"1", b"2"], [])


async def test_held_calls_keep_their_order(cluster: PlayedCluster) -> None:
    first = cluster.nodes[0]
    async with transport_on(cluster.url) as transport:
        await transport.gathered(Note(number=0))
        first.refusals += [b"-TRYAGAIN x\r\n"] * 2
        calls = [transport.gathered(Note(number=n)) for n in (1, 2)]
        while len(transport._held) < 2:  # noqa: ASYNC110 - the other end goes on by itself
            await asyncio.sleep(0)
        calls.append(transport.gathered(Note(number=3)))
        assert await asyncio.gather(*calls) == [1, 2, 3]
    assert first.numbers[-3:] == [b"1", b"2", b"3"]


async def test_calls_that_two_nodes_redirect_to_each_other_end(cluster: PlayedCluster) -> None:
    first, second = cluster.nodes
    first.refusals += [redirection("MOVED", second)] * 1_000
    second.refusals += [redirection("MOVED", first)] * 1_000
    async with transport_on(cluster.url, deadline_ms=400) as transport:
        with pytest.raises(QueueUnavailableError):
            await transport.gathered(Note(number=1))
    assert len(first.numbers) + len(second.numbers) < 50


async def test_a_silent_node_delays_its_own_calls_only(cluster: PlayedCluster) -> None:
    async with transport_on(cluster.url, deadline_ms=400) as transport:
        await transport.gathered(Note(number=0))
        cluster.nodes[0].is_silent = True
        stuck = transport.gathered(Note(number=1))
        for number in range(2, 10):
            assert await transport.gathered(Note(number=number, key=HIGH)) == number
        assert not stuck.done()
        with pytest.raises(QueueUnavailableError, match="in time"):
            await stuck


async def test_calls_of_a_silent_node_go_to_its_successor(cluster: PlayedCluster) -> None:
    first, second = cluster.nodes
    async with transport_on(cluster.url) as transport:
        await transport.gathered(Note(number=0))
        first.is_silent = True
        stuck = transport.gathered(Note(number=1))
        while second.table_requests < 2:  # noqa: ASYNC110 - the silence is noticed then, and the table has not changed
            await asyncio.sleep(0.01)
        cluster.owners = [second, second]
        async with asyncio.timeout(2):
            assert await stuck == 1


async def test_calls_of_a_dead_node_go_to_its_successor(cluster: PlayedCluster) -> None:
    first, second = cluster.nodes
    async with transport_on(cluster.url) as transport:
        await transport.gathered(Note(number=0))
        await first.die()
        cluster.owners = [second, second]
        assert await transport.gathered(Note(number=1)) == 1


async def test_all_nodes_are_lost_and_come_back(cluster: PlayedCluster) -> None:
    async with transport_on(cluster.url, deadline_ms=300) as transport:
        await transport.gathered(Note(number=0))
        for node in cluster.nodes:
            await node.die()
        with pytest.raises(QueueUnavailableError, match=r"no connection|in time"):
            await transport.gathered(Note(number=1))
        for node in cluster.nodes:
            await node.rise()
        assert await transport.gathered(Note(number=2)) == 2


async def test_a_start_without_nodes_then_with_the_last_seed_only(cluster: PlayedCluster) -> None:
    url = cluster.url
    for node in cluster.nodes:
        await node.die()
    async with transport_on(url, deadline_ms=300) as transport:
        with pytest.raises(QueueUnavailableError, match="refused"):
            await transport.gathered(Note(number=1))
        with pytest.raises(QueueUnavailableError):
            await transport.load()
        await cluster.nodes[1].rise()
        cluster.owners = [cluster.nodes[1]] * 2
        assert await transport.gathered(Note(number=2)) == 2


async def test_a_table_that_cannot_be_read_is_unavailable(
    cluster: PlayedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer in (b"*1\r\n+x\r\n", b"*0\r\n", b"*1\r\n*3\r\n:0\r\n:99999\r\n*2\r\n+h\r\n:1\r\n"):
        monkeypatch.setattr(cluster, "slots", lambda answer=answer: answer)
        async with transport_on(cluster.url, deadline_ms=100) as transport:
            with pytest.raises(QueueUnavailableError):
                await transport.gathered(Note(number=1))


async def test_an_error_of_the_script_itself_is_raised_at_once(cluster: PlayedCluster) -> None:
    cluster.nodes[0].refusals += [b"-WRONGTYPE x\r\n"]
    async with transport_on(cluster.url) as transport:
        with pytest.raises(Exception, match="refused a script"):
            await transport.gathered(Note(number=1))
    assert cluster.nodes[0].numbers == [b"1"]


@pytest.mark.usefixtures("one_is_asked")
async def test_a_second_event_loop(cluster: PlayedCluster) -> None:
    url = cluster.url

    def in_two_loops() -> list[int]:
        client = connect(url)
        transport = transport_for(client, QueueSettings(redis_deadline_ms=PATIENT_MS))

        async def call(number: int) -> int:
            try:
                return await transport.gathered(Note(number=number))
            finally:
                await client.aclose()

        return [asyncio.run(call(number)) for number in (1, 2)]

    assert await asyncio.to_thread(in_two_loops) == [1, 2]
    assert sum(node.table_requests for node in cluster.nodes) == 1
