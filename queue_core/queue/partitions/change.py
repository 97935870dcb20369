"""One run of a change of the number of partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from queue_core.errors import PartitionsError, QueueError, QueueUnavailableError
from queue_core.keys import home_of
from queue_core.queue.access import Access, whole
from queue_core.queue.partitions.carrying import RECENT_KINDS, Carried, Carrying
from queue_core.queue.partitions.mover import LeasedError, Mover, PartitionKey
from queue_core.queue.partitions.noted import NotedPartitions, read_noted
from queue_core.queue.partitions.turns import LOOK_S, Turns
from queue_core.redis.runner import other_partitions
from queue_core.redis.scripts.loader import text
from queue_core.redis.scripts.partitions import ClosePartition, OpenPartition

RETRY_S = 1.0
"""Wait before another try while Redis is away."""
FAILURES_MAX = 60
"""Number of such waits after which a run ends; the next one continues."""


class PartitionsChange:
    """One run that changes the number of partitions of a queue. `note` is told of each phase, in words."""

    def __init__(self, access: Access, partitions: int, note: Callable[[str], None]) -> None:
        self._access = access
        self._new = partitions
        self._note = note
        self._copied: set[PartitionKey] = set()
        self.carried = Carried()
        self.is_closed = False
        """True while the partitions are closed, so that messages are refused until a run is complete."""

    async def run(self, *, wait_s: float) -> NotedPartitions:
        """Change the number, and return what was noted before. While Redis is away, try again for some time.

        Raises PartitionsError if another change is under way, or the conversations do not lie where they should;
        QueueError if turns have not ended within `wait_s`, so that nothing was changed. Another run must continue
        after QueueUnavailableError, if Redis stays away, and after QueueError while `is_closed`, if slots moved.
        """
        first: NotedPartitions | None = None
        failures = 0
        while True:
            try:
                noted = await read_noted(self._access)
                first = first or noted
                await self._run(noted, wait_s)
            except QueueUnavailableError as error:
                failures += 1
                if failures > FAILURES_MAX:
                    raise
                self._note(f"trying again: {error}")
                await asyncio.sleep(RETRY_S)
            else:
                return first

    async def _run(self, noted: NotedPartitions, wait_s: float) -> None:
        if noted.changing_to not in (None, self._new):
            assert noted.changing_to
            raise other_partitions(f"{noted.partitions}>{noted.changing_to}", self._new)
        mover = Mover(self._access, noted.partitions or self._access.settings.partitions, self._new)
        turns = Turns(mover, self._note)
        if noted.changing_to is None:
            if noted.partitions is None:
                await _verify(mover)
            if mover.before == mover.new:
                await turns.resume()  # an earlier run may have died before it could
                return
            await turns.hold(wait_s)
        self._note("closing the partitions: messages are refused until the change is complete")
        self.is_closed = True
        try:
            await _close(mover, is_opening=noted.is_opening)
        except PartitionsError:  # another run was faster
            self.is_closed = False
            await turns.resume()
            raise
        if not noted.is_opening:
            await self._carry(mover, turns)
            await _require_delivered(mover)
        self._note("opening the partitions")
        await _open(mover, turns)
        self.is_closed = False
        await turns.resume()

    async def _carry(self, mover: Mover, turns: Turns) -> None:
        """Carry everything, once no turn is under way. A worker that slept may renew a lease that had run out."""
        while True:
            await turns.wait(float("inf"))
            try:
                await Carrying(mover, self._note, self.carried, self._copied).run()
            except LeasedError:
                self._note("waiting for a turn to end: stop the workers, if one still runs")
                await asyncio.sleep(LOOK_S)
            else:
                return


class Partitions:
    """Number of partitions of a queue."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def noted(self) -> NotedPartitions:
        """Return the number that is noted in Redis. Raises QueueUnavailableError and PartitionsError."""
        return await read_noted(self._access)

    def change(self, partitions: int, note: Callable[[str], None] | None = None) -> PartitionsChange:
        """Return a run that changes the number; its `run` names its errors. `note` is told of each phase, in words."""
        return PartitionsChange(self._access, partitions, note or _say_nothing)


def _say_nothing(words: str) -> None:
    """Ignore the progress."""
    del words


async def _require_delivered(mover: Mover) -> None:
    """Raise QueueError, before any partition is opened, if bundles wait in one."""
    waiting = await mover.access.read(*(("HGET", f"{keys.base}carried", "waiting") for keys in mover.used))
    if any(whole(count, 0) for count in waiting):
        raise QueueError(
            "something is still to be carried, since slots moved meanwhile: type the command again"
        )


async def _verify(mover: Mover) -> None:
    """Raise PartitionsError if conversations lie in another partition than the number until now gives them."""
    astray: set[PartitionKey] = set()
    async for page in mover.scan():
        for number, rest in page:
            kind, _, conversation = rest.partition(":")
            if kind in RECENT_KINDS and home_of(conversation, mover.before) != number:
                astray.add((number, conversation))
    if astray:
        raise PartitionsError(
            f"conversations that do not lie where {mover.before} partitions put them: {len(astray)}. Nothing was "
            "changed: set QUEUE_PARTITIONS to the number that the processes have had, and type the command again. If "
            "they had another number until some days ago, wait until the keys of that time have expired"
        )


async def _close(mover: Mover, *, is_opening: bool) -> None:
    """Close all partitions. The first is closed before the others and opened after them, so that it guards them."""

    def call(number: int) -> ClosePartition:
        return ClosePartition(
            partition=mover.partitions[number],
            now_ms=mover.access.now(),
            before=str(mover.before),
            change=f"{mover.before}>{mover.new}",
            mover=mover.token,
        )

    opened = (str(mover.new),) if is_opening else ()
    for numbers in ((0,), range(1, len(mover.partitions))):
        for noted in await mover.in_each(numbers, call):
            if noted and noted not in opened:
                raise other_partitions(noted, mover.before)


async def _open(mover: Mover, turns: Turns) -> None:
    """Note the new number in all partitions, and let processes with that number work there."""
    _, held_ms = await turns.holds()
    since, layers, token = await _layouts(mover)

    def call(number: int) -> OpenPartition:
        sources = (ids for source, ids in enumerate(layers) if mover.may_get(number, source))
        return OpenPartition(
            partition=mover.partitions[number]._replace(partitions=str(mover.new)),
            now_ms=mover.access.now(),
            mover=mover.token,
            is_used=str(int(number < mover.new)),
            token=str(token),
            since=str(since),
            ids=_joined_layers(sources),
            held_ms=min(held_ms, default=""),
        )

    for numbers in (range(1, len(mover.partitions)), (0,)):
        for noted in await mover.in_each(numbers, call):
            if noted == "left":
                raise QueueError(
                    "something is still to be carried, since slots moved meanwhile: type the command again"
                )
            if noted == "none":
                raise PartitionsError(
                    "the note of this change is gone from Redis, and not by the queue's doing: find out what deletes "
                    "keys there, and type the command again"
                )
            if noted:
                raise other_partitions(noted, mover.new)


async def _layouts(mover: Mover) -> tuple[int, list[Any], int]:
    """Return the latest `since` of the old partitions, the layers of ids of each, and the greatest token."""
    read, sources = mover.access.read, mover.partitions[: mover.before]
    tokens = await read(*(("GET", keys.token) for keys in mover.used))
    layouts = await mover.access.read_hashes([keys.layout for keys in sources], "since", "ids")
    used = await read(*(("EXISTS", keys.active, keys.dead, keys.wake) for keys in sources))
    now_ms, since, layers = await mover.access.now_ms(), 0, []
    for layout, is_used in zip(layouts, used, strict=True):
        at, ids = layout or (None, None)
        # Without a time, only layout 1 was written until now.
        since = max(since, whole(at, 0) if at is not None else now_ms if is_used else 0)
        layers.append(ids)
    return since, layers, max(whole(token, 0) for token in tokens)


def _joined_layers(lists: Iterable[Any]) -> bytes:
    """Join lists of layers of ids (`seen.lua`), the newest last."""
    layers = {layer for ids in lists for layer in text(ids or b"").split(";") if layer}
    ordered = sorted(layers, key=lambda layer: [whole(part, 0) for part in layer.split(" ")])
    return "".join(f"{layer};" for layer in ordered).encode()
