"""Rescue of stranded conversations, which have messages but no entry in the index, so that no worker looks at them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

import msgspec

from queue_core.keys import Kind
from queue_core.queue.access import Access
from queue_core.redis import scripts
from queue_core.redis.scripts.loader import text
from queue_core.redis.servers import scan, scan_part

RESCUE_S_MAX = 30
"""Longest time of a rescue; the next one does the rest."""
STEPS_MAX = 100
"""Limit on steps of SCAN on each server in one rescue or examination: 100,000 keys, 0.1 s of Redis's time."""

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
    """True when all keys were searched."""


class _Findings:
    """Conversations that a search has found so far."""

    def __init__(self) -> None:
        self.stranded: set[_Name] = set()
        self.elsewhere: set[_Name] = set()

    def unscheduled(self, *, is_complete: bool) -> Unscheduled:
        return Unscheduled(
            stranded=tuple(sorted(self.stranded)), elsewhere=len(self.elsewhere), is_complete=is_complete
        )


class Rescue:
    """Repair of damage that others cause, such as a manual change, or a failover that lost a write.

    Methods raise the errors of `MessageQueue` when Redis does not answer or refuses a command.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    async def run(self) -> Rescued:
        """Schedule conversations that are missing in the index, and delete locks and replies without messages.

        Searches a part of the keys, beginning where the last rescue ended. Safe beside workers and other rescues.
        """
        await self._mend()
        verdicts: Counter[str] = Counter()
        until = asyncio.get_running_loop().time() + RESCUE_S_MAX
        async with aclosing(
            self._next_names("rescue", until, "msg_queue", "processing_lock", "reply")
        ) as pages:
            async for kinds in pages:
                stranded = await self._stranded(self._inside(kinds["msg_queue"]))
                verdicts.update(
                    await self._verdicts({*stranded, *kinds["processing_lock"], *kinds["reply"]}, repair=True)
                )
        rescued = Rescued(stranded=verdicts["stranded"], locks=verdicts["orphan"])
        if rescued.stranded or rescued.locks:
            _log.warning("rescued conversations: %d, deleted locks: %d", rescued.stranded, rescued.locks)
        return rescued

    async def _mend(self) -> None:
        """Move damaged keys of the partitions aside; damaged keys of a conversation are found when it is claimed.

        Also reschedules conversations that are due much too late, since the clock was set back.
        """
        access, settings = self._access, self._access.settings
        calls = [
            access.transport.gathered(
                scripts.Mend(
                    partition=partition, rules=settings, now_ms=access.now(), lock_ttl_ms=settings.lock_ttl_ms
                )
            )
            for partition in access.keys.partitions
        ]
        if damaged := sum(await asyncio.gather(*calls)):
            _log.error("moved damaged keys aside: %d; see `damaged list`", damaged)

    async def unscheduled(self, until: float) -> Unscheduled:
        """Find conversations that are missing in the index; stop at the time `until` of the event loop's clock."""
        findings, is_complete = _Findings(), True
        async with aclosing(
            scan(self._access.redis, self._access.keys.pattern("msg_queue"), "list")
        ) as pages:
            async for page in pages:
                await self._look(self._by_kind(page)["msg_queue"], findings)
                if asyncio.get_running_loop().time() > until:
                    is_complete = False
                    break
        return findings.unscheduled(is_complete=is_complete)

    async def unscheduled_in_part(self, until: float) -> Unscheduled:
        """Find unscheduled conversations in the next part of the keys."""
        findings = _Findings()
        async with aclosing(self._next_names("examination", until, "msg_queue")) as pages:
            async for kinds in pages:
                await self._look(kinds["msg_queue"], findings)
        return findings.unscheduled(is_complete=False)

    async def _look(self, names: list[_Name], findings: _Findings) -> None:
        inside = self._inside(names)
        findings.elsewhere.update({*names} - {*inside})
        findings.stranded.update(await self._stranded(inside))

    def _inside(self, names: list[_Name]) -> list[_Name]:
        """Leave out names in partitions that this deployment does not have."""
        return [name for name in names if name[0] < len(self._access.keys.partitions)]

    async def _stranded(self, names: list[_Name]) -> list[_Name]:
        missing = await self._missing_in_index(names)
        # A conversation may have been finished after the list of keys was read, so a script looks at it again.
        verdicts = await self._verdicts(missing, repair=False)
        return [name for name, verdict in zip(missing, verdicts, strict=True) if verdict == "stranded"]

    async def _next_names(
        self, search: str, until: float, *kinds: Kind
    ) -> AsyncGenerator[dict[str, list[_Name]], None]:
        """Yield the conversations that have keys of some kinds, by kind, a page for each step of the SCAN.

        Begins where the last search of this name ended, which is noted in Redis.
        """
        access = self._access
        searches = access.keys.searches_key
        kept, kind = await access.read(("HGET", searches, search), ("TYPE", searches))
        if text(kind) not in ("hash", "none"):
            await access.read(("DEL", searches))
        cursors = _cursors_in(kept)
        async with aclosing(
            scan_part(access.redis, access.keys.pattern(*kinds), cursors, STEPS_MAX)
        ) as pages:
            async for page in pages:
                yield self._by_kind(page)
                if asyncio.get_running_loop().time() > until:
                    break
        if any(cursors.values()):
            await access.read(("HSET", searches, search, json.dumps(cursors)))
        elif kept:
            await access.read(("HDEL", searches, search))

    def _by_kind(self, page: list[str]) -> dict[str, list[_Name]]:
        keys = self._access.keys
        names: dict[str, list[_Name]] = defaultdict(list)
        for key in page:
            if name := keys.parse(key):
                names[keys.kind_of(key)].append(name)
        return names

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


def _cursors_in(kept: bytes | str | None) -> dict[str, int]:
    """Return the cursors of a search by server; {}, so that it begins anew, for a damaged value."""
    try:
        return msgspec.json.decode(kept or b"{}", type=dict[str, int])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
