"""Rescue of conversations that no worker would look at."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Literal

import msgspec

from queue_core.keys import Kind
from queue_core.queue.access import Access
from queue_core.redis import scripts
from queue_core.redis.servers import scan

RESCUE_MS_MAX = 30_000
"""A rescue that takes longer leaves the rest to the next one."""

_log = logging.getLogger(__name__)
_Name = tuple[int, str]
"""Number of the partition, encoded conversation."""


class Rescued(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts of what a rescue repaired."""

    stranded: int
    """Conversations whose messages no worker would ever have looked at; they are due now."""
    locks: int
    """Locks and replies that were deleted because they had no messages."""


class Unscheduled(msgspec.Struct, frozen=True, kw_only=True):
    """Conversations with messages that no worker will look at."""

    stranded: tuple[_Name, ...]
    """Conversations that are missing in the index of their partition."""
    elsewhere: int
    """Number of conversations in partitions that this deployment does not have."""
    is_complete: bool
    """True when there was time to look at all keys."""


class Rescue:
    """Repair of damage from outside, such as a manual change or a failover that lost a write; the queue causes none."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def run(self) -> Rescued:
        """Schedule conversations that fell out of the index, and delete locks and replies without messages.

        Looks at all keys, a page at a time, for half a minute at most. Safe beside workers and other rescues.
        """
        until = asyncio.get_running_loop().time() + RESCUE_MS_MAX / 1000
        await self._mend()
        unscheduled = await self.unscheduled(until)
        verdicts = Counter(await self._verdicts(unscheduled.stranded, repair=True))
        for kind in ("processing_lock", "reply"):
            async with aclosing(self._names(kind, "hash")) as pages:
                async for page in pages:
                    verdicts.update(await self._verdicts(page, repair=True))
                    if asyncio.get_running_loop().time() > until:
                        break
        rescued = Rescued(stranded=verdicts["stranded"], locks=verdicts["orphan"])
        if rescued.stranded or rescued.locks:
            _log.warning("rescued %d conversations, deleted %d locks", rescued.stranded, rescued.locks)
        return rescued

    async def _mend(self) -> None:
        """Move damaged keys of the partitions aside; those of a conversation are found when it is looked at."""
        access = self._access
        calls = [
            access.transport.gathered(scripts.Mend(partition=partition, now_ms=access.now()))
            for partition in access.keys.partitions
        ]
        if damaged := sum(await asyncio.gather(*calls)):
            _log.error("%d keys were damaged and moved aside: see `damaged list`", damaged)

    async def unscheduled(self, until: float) -> Unscheduled:
        """Find conversations that are missing in the index; stop at the time `until` of the event loop's clock."""
        stranded: set[_Name] = set()
        elsewhere: set[_Name] = set()
        is_complete = True
        async with aclosing(self._names("msg_queue", "list")) as pages:
            async for page in pages:
                inside = [name for name in page if name[0] < len(self._access.keys.partitions)]
                elsewhere.update(name for name in page if name[0] >= len(self._access.keys.partitions))
                missing = await self._missing_in_index(inside)
                # Between the two reads a conversation may have been finished; a script reads both at one moment.
                verdicts = await self._verdicts(missing, repair=False)
                stranded.update(
                    name for name, verdict in zip(missing, verdicts, strict=True) if verdict == "stranded"
                )
                if asyncio.get_running_loop().time() > until:
                    is_complete = False
                    break
        return Unscheduled(
            stranded=tuple(sorted(stranded)), elsewhere=len(elsewhere), is_complete=is_complete
        )

    async def _names(
        self, kind: Kind, redis_type: Literal["list", "hash"]
    ) -> AsyncGenerator[list[_Name], None]:
        """Yield all conversations that have a key of a kind, a page for each step of the SCAN."""
        keys = self._access.keys
        async with aclosing(scan(self._access.redis, keys.pattern(kind), redis_type)) as pages:
            async for page in pages:
                yield [name for key in page if (name := keys.parse(key))]

    async def _missing_in_index(self, names: list[_Name]) -> list[_Name]:
        by_partition: dict[int, list[str]] = defaultdict(list)
        for number, conversation in names:
            by_partition[number].append(conversation)
        partitions = self._access.keys.partitions
        answers = await self._access.read(
            *(("ZMSCORE", partitions[number].active, *members) for number, members in by_partition.items())
        )
        return [
            (number, conversation)
            for (number, conversations), scores in zip(by_partition.items(), answers, strict=True)
            for conversation, score in zip(conversations, scores, strict=True)
            if score is None
        ]

    async def _verdicts(self, names: Iterable[_Name], *, repair: bool) -> list[str]:
        access, calls = self._access, []
        for number, conversation in names:
            if number < len(access.keys.partitions):
                place = access.keys.in_partition(number, conversation)
                call = scripts.Rescue(place=place, now_ms=access.now(), repair=int(repair))
                calls.append(access.transport.gathered(call))
        return await asyncio.gather(*calls)
