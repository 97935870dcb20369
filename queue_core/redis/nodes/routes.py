"""Routes: the table of a deployment, read again when something shows that it has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from redis import exceptions

from queue_core.redis.nodes.sources import Source
from queue_core.redis.nodes.table import Table, slot_of
from queue_core.redis.nodes.urls import Address
from queue_core.waiting import cancel_all

LOOK_EVERY_S = 0.1
"""Shortest time between two readings of the table."""
SUSPECT_S = 5.0
"""Time for which a server that was silent is asked last."""


class Routes:
    """Current table of a deployment. One reading is under way at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.table: Table | None = None
        self.failure: Exception = exceptions.ConnectionError("the servers have not been asked yet")
        """Error of the last reading, while there is no table."""
        self.on_change: list[Callable[[Table], None]] = []
        """Functions to call after each reading."""
        self._suspects: dict[Address, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._looked_at = 0.0
        self._is_closed = False
        self._is_asking = False
        self._again = False
        """True if something changed while the servers were being asked."""

    @property
    def is_closed(self) -> bool:
        """Return True if the table is not read any more, in this event loop."""
        return self._is_closed and self._loop is asyncio.get_running_loop()

    @property
    def is_cluster(self) -> bool:
        """Return True if keys are spread over several primaries."""
        return self._source.slots > 1

    def slot_of(self, key: str | bytes) -> int:
        """Return the slot of a key."""
        return slot_of(key) if self.is_cluster else 0

    def owner_of(self, slot: int) -> Address | None:
        """Return the primary of a slot; None if it is not known."""
        return self.table.owners[slot] if self.table else None

    def primaries(self, table: Table) -> list[Address]:
        """Return all primaries by their addresses; those that were silent lately come last."""
        suspects = self._suspects_now()
        return sorted(table.primaries, key=lambda primary: (primary in suspects, primary))

    def moved(self, slot: int, owner: Address) -> None:
        """Note what MOVED told, and read the whole table."""
        if self.table and slot < len(self.table.owners):
            self.table.moved(slot, owner)
        self.look()

    def suspect(self, server: Address) -> None:
        """Read the table, since a server is silent or away."""
        self._suspects[server] = time.monotonic()
        self.look()

    def look(self) -> asyncio.Task[None]:
        """Read the table soon. Returns the reading that is under way; it raises nothing."""
        loop = asyncio.get_running_loop()
        if self.is_closed:
            return loop.create_task(asyncio.sleep(0))
        if loop is not self._loop:  # the first reading, or one after a fork or in a second asyncio.run
            self._loop, self._looking, self._is_closed = loop, None, False
            self._watching = loop.create_task(
                self._source.watch(self._take_announced), name="queue-routes-watch"
            )
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._look(), name="queue-routes")
        elif self._is_asking:
            self._again = True
        return self._looking

    async def known(self) -> Table:
        """Return the table; read it if it is not known. Raises redis-py's errors."""
        if self.table is None:
            await asyncio.shield(self.look())
        if self.table is None:
            raise self.failure
        return self.table

    async def close(self) -> None:
        """End what is under way. The table is not read any more."""
        loop, self._loop = self._loop, asyncio.get_running_loop()
        self._is_closed = True
        tasks = [task for task in (self._looking, self._watching) if task]
        if loop is self._loop:
            await cancel_all(tasks)

    def _take_announced(self, table: Table | None) -> None:
        """Take a table that the source announced, if it knows one, and read the table soon."""
        if table:
            self._take(table)
        self.look()

    def _take(self, table: Table) -> None:
        self.table = table
        for change in self.on_change:
            change(table)

    def _suspects_now(self) -> list[Address]:
        now_s = time.monotonic()
        return [server for server, since in self._suspects.items() if now_s - since < SUSPECT_S]

    async def _look(self) -> None:
        clock = time.monotonic
        await asyncio.sleep(max(0.0, self._looked_at + LOOK_EVERY_S - clock()))
        self._looked_at = clock()
        self._is_asking = True
        try:
            table = await self._source.find(self.table, self._suspects_now())
        except Exception as error:  # noqa: BLE001 - whatever a server answers, the table is read again later
            known = isinstance(error, exceptions.ConnectionError)
            self.failure = error if known else exceptions.ConnectionError(str(error) or type(error).__name__)
            return
        finally:
            self._is_asking = False
        self._take(table)
        if self._again:
            self._again = False
            asyncio.get_running_loop().call_soon(self.look)
