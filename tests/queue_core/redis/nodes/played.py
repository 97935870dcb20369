"""Cluster that a test plays: each node answers calls as the test says, and CLUSTER SLOTS from one table."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Self

from tests.queue_core.redis.servers import Played

SLOTS = 16_384


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def echo(_: int, command: tuple[bytes, ...]) -> bytes:
    return bulk(command[-1])


class PlayedNode(Played):
    """Node that echoes, after it has given the answers that stand in `refusals`. `is_silent` keeps calls unanswered."""

    def __init__(self, cluster: PlayedCluster) -> None:
        super().__init__(echo)
        self._cluster = cluster
        self.refusals: deque[bytes] = deque()
        self.is_silent = False
        self.table_requests = 0

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def numbers(self) -> list[bytes]:
        """Arguments of the calls that were echoed or refused, and ASKING, in their order."""
        return [command[-1] for command in self.commands if command[0] != b"SCRIPT"]

    async def die(self) -> None:
        """Take no more connections, and break those that are open."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def rise(self) -> None:
        """Take connections again, at the same address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def __aenter__(self) -> Self:
        node = await super().__aenter__()
        self._port = self.port
        return node

    def _answered(self, number: int, command: tuple[Any, ...]) -> bytes | None:
        if self.is_silent:
            return b""
        if command[:2] == (b"CLUSTER", b"SLOTS"):
            self.table_requests += 1
            return self._cluster.slots()
        if command[0] == b"COMMAND":  # redis-py's client of a cluster asks for the list of commands
            return b"*0\r\n"
        if command[0] == b"ASKING":
            self.commands.append(command)
        if command[0] == b"EVALSHA" and self.refusals:
            self.commands.append(command)
            return self.refusals.popleft()
        return super()._answered(number, command)


class PlayedCluster:
    """Two nodes. `owners` says which of them has the lower and the upper half of the slots."""

    def __init__(self) -> None:
        self.nodes = (PlayedNode(self), PlayedNode(self))
        self.owners = list(self.nodes)

    @property
    def url(self) -> str:
        addresses = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{addresses}?protocol=2"

    async def __aenter__(self) -> Self:
        for node in self.nodes:
            await node.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes:
            await node.__aexit__()

    def slots(self) -> bytes:
        """Return the answer to CLUSTER SLOTS."""
        half = SLOTS // 2
        ranges = [
            b"*3\r\n:%d\r\n:%d\r\n*2\r\n%b:%d\r\n"
            % (first, first + half - 1, bulk(b"127.0.0.1"), owner._port)
            for first, owner in zip((0, half), self.owners, strict=True)
        ]
        return b"*2\r\n" + b"".join(ranges)
