"""Sources of the table of primaries: how they end, and what they read during a failover."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis import exceptions

from queue_core.redis.nodes.sources import SentinelSource
from queue_core.redis.nodes.urls import Address
from queue_core.waiting import cancel_all


class Deaf:
    """Connection that turns a cancellation into an error of its own, as redis-py sometimes does up to Python 3.11."""

    def __init__(self) -> None:
        self.is_connecting = asyncio.Event()

    async def connect(self) -> None:
        self.is_connecting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise exceptions.ConnectionError from None

    async def disconnect(self, nowait: bool = False) -> None:
        """Do nothing."""


async def test_the_watch_of_sentinels_ends_even_if_a_cancellation_is_swallowed() -> None:
    connection: Any = Deaf()
    source = SentinelSource("main", [Address("h", 1)], lambda _: connection, lambda _: connection)
    watch = asyncio.create_task(source.watch(lambda _: None))
    await connection.is_connecting.wait()
    async with asyncio.timeout(5):
        await cancel_all([watch])


PRIMARY, REPLICA, RETURNED = (Address("h", port) for port in (1, 2, 3))
"""Primary that a sentinel takes for dead, its replica, and an old primary that has just started again."""


class Answering:
    """Connection to a sentinel or to a server, with an answer for each command."""

    _writer = None

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers
        self._command = ""

    async def connect(self) -> None:
        """Do nothing."""

    async def disconnect(self, nowait: bool = False) -> None:
        """Do nothing."""

    async def send_command(self, *command: str) -> None:
        self._command = " ".join(command)

    async def read_response(self) -> Any:
        return self._answers[self._command]


def _state(server: Address, **fields: str) -> list[str]:
    return [word for pair in {"ip": server.host, "port": str(server.port), **fields}.items() for word in pair]


@pytest.mark.parametrize(
    ("flags", "role", "named"),
    [
        ("slave", "slave", None),
        ("slave,promoted", "slave", None),
        ("slave,promoted", "master", REPLICA),
    ],
    ids=["none chosen yet", "chosen", "promoted"],
)
async def test_during_a_failover_only_the_replica_that_was_chosen_counts(
    flags: str, role: str, named: Address | None
) -> None:
    sentinel: Any = Answering(
        {
            "SENTINEL MASTER main": _state(
                PRIMARY, **{"config-epoch": "1"}, flags="master,failover_in_progress"
            ),
            "SENTINEL REPLICAS main": [_state(RETURNED, flags="slave"), _state(REPLICA, flags=flags)],
            "SENTINEL GET-MASTER-ADDR-BY-NAME main": [*map(str, PRIMARY)],
        }
    )
    roles = {RETURNED: "master", REPLICA: role}

    def server(address: Address) -> Any:
        return Answering({"ROLE": [roles[address]]})

    source = SentinelSource("main", [Address("s", 1)], lambda _: sentinel, server)
    assert (await source.find(None, [])).owners == [named]
