"""Turns under way: the queue is held until they have ended, before conversations are carried."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from queue_core.errors import QueueError
from queue_core.keys import Partition
from queue_core.queue.access import whole
from queue_core.queue.partitions.mover import COMMANDS_AT_ONCE_MAX, Mover
from queue_core.redis.scripts.loader import text

LOOK_S = 0.5
"""Wait between two looks at the leases."""


class Turns:
    """Turns under way while the number of partitions is changed."""

    def __init__(self, mover: Mover, note: Callable[[str], None]) -> None:
        self._mover = mover
        self._access = mover.access
        self._note = note

    async def hold(self, wait_s: float) -> None:
        """Hold the queue, and wait until no turn is under way. Ends the hold again if that takes too long."""
        now_ms = await self._access.now_ms()
        _, others = await self.holds()
        shared = self._mover.partitions[: self._mover.before]
        if others:
            await self._complete_hold(shared, min(others))
        else:
            values = ("since", now_ms, "partitions", self._mover.new)
            await self._access.read(*(("HSET", keys.hold, *values) for keys in shared))
        try:
            await self.wait(wait_s)
        except (QueueError, asyncio.CancelledError):
            await asyncio.shield(self.resume())
            raise

    async def _complete_hold(self, shared: Sequence[Partition], since: str) -> None:
        """Extend an operator's hold to partitions that were away when it began."""
        holds = await self._access.read_hashes([keys.hold for keys in shared], "since")
        free = [keys.hold for keys, hold in zip(shared, holds, strict=True) if hold == [None]]
        await self._access.read(*(("HSETNX", hold, "since", since) for hold in free))

    async def holds(self) -> tuple[list[Partition], list[str]]:
        """Return the partitions that this change holds, and the times, Unix ms, from which others hold the queue."""
        shared = self._mover.used
        holds = await self._access.read_hashes([keys.hold for keys in shared], "since", "partitions")
        held = [keys for keys, hold in zip(shared, holds, strict=True) if hold and hold[1] is not None]
        others = [text(hold[0]) for hold in holds if hold and hold[0] is not None and hold[1] is None]
        return held, others

    async def resume(self) -> None:
        """End the hold of this change, if there is one."""
        now_ms = await self._access.now_ms()
        held, _ = await self.holds()
        for keys in held:
            await self._access.read(
                ("HSET", keys.looks, "counts_from", now_ms, "held_until", now_ms),
                ("DEL", keys.hold),
                ("XADD", keys.wake, "MAXLEN", 1, "*", "at", now_ms),
            )

    async def wait(self, wait_s: float) -> None:
        """Wait until every lease has ended, or has run out although its holder could have renewed it meanwhile."""
        clock, settings = asyncio.get_running_loop().time, self._access.settings
        until = clock() + wait_s
        looked = calm_since = clock()
        leased = await self._leased()
        while True:
            leased, held = await self._still_leased(leased)
            now = clock()
            if now - looked > max(
                settings.lock_ttl_ms / 4000, 2 * LOOK_S
            ):  # Redis may have been away meanwhile
                calm_since = now
            looked = now
            if not leased or (not held and now - calm_since >= settings.grace_ms / 1000):
                return
            if now > until:
                raise QueueError(
                    f"turns that are under way: {held or len(leased)}. Nothing was changed, and this command "
                    "no longer holds the queue: try again later, or with a longer --timeout"
                )
            self._note(f"waiting for turns to end: {len(leased)}")
            await asyncio.sleep(LOOK_S)

    async def _leased(self) -> list[str]:
        """Return the locks of all conversations in the indexes; further leases do not begin while the queue is held."""
        locks: list[str] = []
        for keys in self._mover.used:
            first, page = 0, [b""] * COMMANDS_AT_ONCE_MAX
            while len(page) == COMMANDS_AT_ONCE_MAX:
                (page,) = await self._access.read(
                    ("ZRANGE", keys.active, first, first + COMMANDS_AT_ONCE_MAX - 1)
                )
                names = [f"{keys.base}processing_lock:{text(name)}" for name in page]
                held = await self._access.read(*(("HEXISTS", name, "token") for name in names))
                locks += [name for name, is_held in zip(names, held, strict=True) if is_held]
                first += COMMANDS_AT_ONCE_MAX
        return locks

    async def _still_leased(self, locks: list[str]) -> tuple[list[str], int]:
        """Return those of the locks that have a lease, and how many of the leases have not run out."""
        now_ms = await self._access.now_ms()
        leases = await self._access.read(*(("HMGET", lock, "token", "expiresAt") for lock in locks))
        left = [(lock, expires) for lock, (token, expires) in zip(locks, leases, strict=True) if token]
        return [lock for lock, _ in left], sum(whole(expires, 0) > now_ms for _, expires in left)
