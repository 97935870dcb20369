"""Connections that are closed while a command uses them, as when a primary is replaced."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from redis import exceptions
from redis.asyncio import Connection

from queue_core.redis.nodes.client import NodesClient
from queue_core.redis.nodes.routes import Routes
from queue_core.redis.nodes.sources import ClusterSource
from queue_core.redis.nodes.urls import Address
from queue_core.redis.pool import Pool, close_at_once
from tests.queue_core.redis.nodes.played import PlayedCluster

OPTIONS: dict[str, Any] = {"socket_timeout": 5.0, "protocol": 2}


class Cut(Connection):
    """Connection that is closed right before a command with `word` is written."""

    word = b"SETINFO"

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        command = list(command)
        if self.word in b"".join(command):
            await close_at_once(self)
        await super()._send_packed_command(command)


class CutLater(Cut):
    word = b"GET"


async def test_a_connection_that_is_closed_while_it_is_opened() -> None:
    async with PlayedCluster() as cluster:
        pool = Pool(connection_class=Cut, host="127.0.0.1", port=cluster.nodes[0].port, **OPTIONS)
        with pytest.raises(exceptions.ConnectionError, match="closed under the command"):
            await pool.get_connection()
        await pool.aclose()


async def test_a_connection_that_is_closed_while_a_command_is_sent() -> None:
    async with PlayedCluster() as cluster:
        seeds = [Address("127.0.0.1", cluster.nodes[0].port)]
        source = ClusterSource(seeds, lambda node: Connection(host=node.host, port=node.port, **OPTIONS))
        client = NodesClient(Routes(source), CutLater, dict(OPTIONS))
        with pytest.raises(exceptions.ConnectionError, match="closed under the command"):
            await client.execute_command("GET", "key")
        await client.aclose()
