"""Hold: workers take no turns until somebody resumes. Messages are stored meanwhile, and none of them expires.

A Redis that was restored from a backup holds turns that were answered after the backup was made. Hold it before workers
start, look at the inventory, and drop what is too old when you resume.
"""

from __future__ import annotations

import asyncio

import msgspec

from queue_core.errors import DeadLettersFullError
from queue_core.keys import Place
from queue_core.queue.access import Access, whole
from queue_core.redis import scripts
from queue_core.redis.scripts.answers import InventoryAnswer
from queue_core.redis.scripts.loader import text

_PAGE = 50
_DROP_LIMIT = 50
"""Limit on messages of one conversation that become dead letters in one step of Redis."""


class Inventory(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts of the messages that workers would answer, without turns under way. Times in Unix ms."""

    now_ms: int
    conversations: int = 0
    messages: int = 0
    older: int = 0
    """Messages older than the age given to `Holding.inventory`."""
    oldest_ms: int | None = None
    newest_ms: int | None = None
    unsure_replies: int = 0
    """Recorded replies that may have been sent; `unsure_sends` says what becomes of them."""


class Holding:
    """Hold of a queue. Redis keeps it, so it applies to all workers. Methods raise QueueUnavailableError."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def hold(self) -> int:
        """Hold the queue. Turns under way go on. Returns the same as `since_ms`."""
        now_ms = await self._access.now_ms()
        partitions = self._access.keys.partitions
        missing = [
            partition
            for partition, since_ms in zip(partitions, await self._since_ms(), strict=True)
            if since_ms is None
        ]
        await self._access.read(
            *(("HSETNX", partition.hold, "since", now_ms) for partition in missing),
            # The command `partitions` ends only a hold with this field, so delete it.
            *(("HDEL", partition.hold, "partitions") for partition in partitions),
        )
        since_ms = await self.since_ms()
        return now_ms if since_ms is None else since_ms

    async def since_ms(self) -> int | None:
        """Return the time from which the queue is held, Unix ms; None if it is not held, 0 if the time is unknown."""
        return min((since for since in await self._since_ms() if since is not None), default=None)

    async def _since_ms(self) -> list[int | None]:
        """Return since when each partition is held; 0, an unknown time, for a partition whose key is damaged."""
        keys = [partition.hold for partition in self._access.keys.partitions]
        answers = await self._access.read(
            *(("EXISTS", key) for key in keys), *(("HMGET", key, "since") for key in keys)
        )
        exist, values = answers[: len(keys)], answers[len(keys) :]
        return [whole(value, 0) if exists else None for exists, (value,) in zip(exist, values, strict=True)]

    async def resume(self) -> None:
        """Let workers take turns again. The time of the hold does not count towards the expiry of messages."""
        now_ms = await self._access.now_ms()
        for partition in self._access.keys.partitions:
            await self._access.read(
                ("HSET", partition.looks, "counts_from", now_ms, "held_until", now_ms),
                ("DEL", partition.hold),
                ("XADD", partition.wake, "MAXLEN", 1, "*", "at", now_ms),
            )

    async def inventory(self, *, older_than_ms: int = 0) -> Inventory:
        """Count the messages that workers would answer, and those of them older than `older_than_ms`."""
        access = self._access
        now_ms = await access.now_ms()
        total = Inventory(now_ms=now_ms)
        for partition in access.keys.partitions:
            (size,) = await access.read(("ZCARD", partition.active))
            for first in range(0, size, _PAGE):
                call = scripts.Inventory(
                    partition=partition,
                    now_ms=access.now(),
                    first=first,
                    last=first + _PAGE - 1,
                    before_ms=now_ms - older_than_ms,
                )
                total = _sum(total, await access.transport.alone(call))
        return total

    async def drop_older(self, older_than_ms: int, reason: str) -> int:
        """Make dead letters of waiting messages older than `older_than_ms`. Returns their number.

        Leaves turns alone that a worker is answering; hold the queue first, so that no worker takes more turns. Raises
        DeadLettersFullError when there is no room for more; the other messages still wait then.
        """
        access = self._access
        before_ms = await access.now_ms() - older_than_ms
        dropped = 0
        for number, partition in enumerate(access.keys.partitions):
            cursor: int | None = None
            while cursor != 0:
                (answer,) = await access.read(("ZSCAN", partition.active, cursor or 0, "COUNT", _PAGE))
                cursor = int(answer[0])
                places = [access.keys.in_partition(number, text(member)) for member, _ in answer[1]]
                dropped += sum(
                    await asyncio.gather(*(self._drop(place, before_ms, reason) for place in places))
                )
        return dropped

    async def _drop(self, place: Place, before_ms: int, reason: str) -> int:
        access, dropped = self._access, 0
        while True:
            call = scripts.DropOld(
                place=place,
                rules=access.settings,
                now_ms=access.now(),
                before_ms=before_ms,
                limit=_DROP_LIMIT,
                reason=reason,
                completed_ttl_ms=access.settings.completed_ttl_s * 1000,
                dead_letters_max=access.settings.dead_letters_in_partition_max,
            )
            count = await access.transport.gathered(call)
            if count < 0:
                raise DeadLettersFullError(
                    f"no more than {access.settings.dead_letters_max:,} dead letters can be kept: requeue or drop "
                    "some (see `dead list`), or raise dead_letters_max; messages that are not dropped yet still wait"
                )
            if not count:
                return dropped
            dropped += count


def _sum(total: Inventory, page: InventoryAnswer) -> Inventory:
    ages = [(total.oldest_ms, page.oldest_ms), (total.newest_ms, page.newest_ms)]
    oldest, newest = ([age for age in pair if age is not None] for pair in ages)
    return Inventory(
        now_ms=total.now_ms,
        conversations=total.conversations + page.conversations,
        messages=total.messages + page.messages,
        older=total.older + page.older,
        oldest_ms=min(oldest, default=None),
        newest_ms=max(newest, default=None),
        unsure_replies=total.unsure_replies + page.unsure_replies,
    )
