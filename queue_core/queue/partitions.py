"""Number of partitions of a deployment, and its change while messages wait. docs/operate.md says how to change it.

Each partition notes the number that the deployment uses, in its layout, and scripts refuse processes that reckon with
another number. Such a process adopts the number and calls again, so a process with a wrong setting breaks nothing.
During a change both numbers are noted, and conversations move one by one; `places.py` says when. A change may end once
nothing lies at former places, and the ids that were noted there need not be known any more.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from queue_core.errors import QueueError
from queue_core.keys import decode_conversation
from queue_core.queue.access import Access, whole
from queue_core.queue.layout import BESIDE_MS, Layouts
from queue_core.queue.places import carried_keys, current
from queue_core.redis import scripts
from queue_core.redis.scripts.loader import text
from queue_core.redis.servers import scan
from queue_core.text import quantity

_log = logging.getLogger(__name__)


class Noted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Number of partitions, as Redis notes it."""

    number: int
    """Number that the deployment uses."""
    own: int
    """Number in the settings of this process."""
    former: int = 0
    """Number of partitions that conversations leave; 0 if no change is under way."""
    until_ms: int = 0
    """Unix ms from which a change may end, if no more ids are noted at former places."""
    is_whole: bool = True
    """False if a command that begins or ends a change was interrupted: then repeat it."""


class Leaving(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """State of a change at the end of a search through all keys."""

    conversations: int
    """Conversations that still have messages at their former places."""
    moved: int
    """Conversations that moved in this search."""
    dead_letters: int
    """Dead letters in partitions that the deployment will not have."""
    damaged: int
    """Damaged keys in such partitions."""
    until_ms: int
    now_ms: int
    is_ended: bool
    """True if the change has ended."""


class Partitions:
    """Partitions of a deployment. Methods raise QueueUnavailableError when Redis does not answer."""

    def __init__(self, access: Access, layouts: Layouts) -> None:
        self._access = access
        self._layouts = layouts
        self._has_warned = False

    async def learn(self) -> None:
        """Reckon with the numbers that Redis notes; log a warning, once, if the settings have another one."""
        noted = await self.noted()
        if noted.own != noted.number and not self._has_warned:
            self._has_warned = True
            _log.warning("%s", words_of_mismatch(noted))

    async def noted(self) -> Noted:
        """Return the number of partitions that the deployment uses, after reckoning with it."""
        access = self._access
        keys = [partition.layout for partition in access.keys.partitions]
        rows = [row or [None, None] for row in await access.read_hashes(keys, "partitions", "left")]
        numbers = Counter(text(row[0]) for row in rows if row[0] is not None)
        if numbers:
            access.keys.adopt(max(numbers, key=lambda words: (" " in words, numbers[words])))
        if len(access.keys.partitions) > len(keys):
            return await self.noted()
        number, _, former = access.keys.numbers.partition(" ")
        left_ms = max((whole(row[1], 0) for row in rows), default=0)
        return Noted(
            number=int(number),
            own=access.settings.partitions,
            former=int(former or 0),
            until_ms=left_ms + self._remembered_ms if former else 0,
            is_whole=len(numbers) < 2,
        )

    @property
    def _remembered_ms(self) -> int:
        """Time for which ids of messages and replies are needed at former places."""
        settings = self._access.settings
        return 1000 * max(settings.dedupe_ttl_s, settings.sent_ttl_s)

    async def begin(self, *, needs_workers: bool = True) -> Noted:
        """Begin the change to the number in the settings; repeating it is harmless. Raises QueueError."""
        noted = await self.noted()
        number, former = noted.own, noted.former or noted.number
        if number == noted.number and not noted.former:
            raise QueueError(
                f"the deployment has {quantity(number, 'partition')} already: set QUEUE_PARTITIONS to the new "
                "number in all processes, and restart them one by one, before the change begins"
            )
        if noted.former and number != noted.number:
            raise QueueError(
                f"the change from {noted.former} to {noted.number} partitions is not over: end it first, with "
                "`partitions end`, and set QUEUE_PARTITIONS to "
                f"{noted.number} until then"
            )
        if not noted.former or not noted.is_whole:
            await self._refuse_early(number, needs_workers=needs_workers)
            await self._note(f"{number} {former}", list(range(former, number)))
            await self._note(f"{number} {former}", list(range(former)))
        return await self.noted()

    async def _refuse_early(self, number: int, *, needs_workers: bool) -> None:
        """Raise QueueError if a change may not begin yet."""
        access = self._access
        now_ms = await access.now_ms()
        partitions = access.keys.partitions[:number]
        layouts = await self._layouts.read()
        if any(layout.since_ms and now_ms < layout.since_ms + BESIDE_MS for layout in layouts):
            raise QueueError(
                "an upgrade is under way, and older processes do not know of the change: begin a day after the upgrade"
            )
        if any(await access.read(*(("EXISTS", partition.hold) for partition in access.keys.partitions))):
            raise QueueError("the queue is held: end the hold with `resume` first")
        if not needs_workers:
            return
        for index, partition in enumerate(partitions):
            looked = await access.transport.alone(scripts.Look(partition=partition, now_ms=access.now()))
            if not looked.watchers:
                raise QueueError(
                    f"no worker watches partition {index}, so its messages would wait: set QUEUE_PARTITIONS={number} "
                    "in all processes, restart them one by one, and begin then"
                )

    async def _note(self, numbers: str, indexes: Sequence[int]) -> None:
        """Note numbers in some partitions, and that ids were noted at former places until now."""
        now_ms, partitions = await self._access.now_ms(), self._access.keys.partitions
        if indexes:
            await self._access.read(
                *(
                    ("HSET", partitions[index].layout, "partitions", numbers, "left", now_ms)
                    for index in indexes
                )
            )

    async def end(self) -> Leaving:
        """Move all conversations that can move, and end the change if nothing is left at former places.

        Searches through all keys. Raises QueueError if no change is under way.
        """
        noted = await self.noted()
        if not noted.former:
            raise QueueError(
                f"no change is under way: the deployment has {quantity(noted.number, 'partition')}"
            )
        if not noted.is_whole:
            await self.begin(needs_workers=False)
        staying, moved = await self._search()
        dead_letters, damaged = await self._left_over(noted.number)
        now_ms = await self._access.now_ms()
        until_ms = (await self.noted()).until_ms
        is_ended = not (staying or dead_letters or damaged) and now_ms >= until_ms
        if is_ended:
            layouts = [partition.layout for partition in self._access.keys.partitions]
            await self._access.read(*(("HSET", key, "partitions", noted.number) for key in layouts))
            await self._access.read(*(("HDEL", key, "left") for key in layouts))
            await self.noted()
        return Leaving(
            conversations=staying,
            moved=moved,
            dead_letters=dead_letters,
            damaged=damaged,
            until_ms=until_ms,
            now_ms=now_ms,
            is_ended=is_ended,
        )

    async def _search(self) -> tuple[int, int]:
        """Move what can move. Returns how many conversations stay at former places, and how many moved."""
        access, keys = self._access, self._access.keys
        staying: set[str] = set()
        moved: set[str] = set()
        async for page in scan(access.redis, keys.pattern_of_conversations):
            for key in page:
                name = keys.parse(key)
                place = keys.of(*decode_conversation(name[1])) if name else None
                former = keys.former(place) if place else None
                if not (name and place and former) or name[0] != former.partition:
                    continue
                if key not in (former.queue, former.lock, *carried_keys(former)):
                    continue
                spot = await current(access, place)
                (staying if spot == former else moved).add(spot.conversation)
        return len(staying), len(moved - staying)

    async def _left_over(self, number: int) -> tuple[int, int]:
        """Count dead letters and damaged keys in partitions that the deployment will not have."""
        rest = self._access.keys.partitions[number:]
        answers: list[Any] = await self._access.read(
            *(("XLEN", partition.dead) for partition in rest),
            *(("XLEN", partition.damaged) for partition in rest),
        )
        return sum(answers[: len(rest)]), sum(answers[len(rest) :])


def words_of_mismatch(noted: Noted) -> str:
    """Say that the settings of a process have another number of partitions than the deployment."""
    change = (
        f"this process is set to {quantity(noted.own, 'partition')}, but the deployment has {noted.number} and uses "
        f"those: set QUEUE_PARTITIONS={noted.number}"
    )
    return (
        f"{change}, or change the deployment to {noted.own} as docs/operate.md says"
        if not noted.former
        else change
    )
