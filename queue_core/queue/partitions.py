"""Change of the number of partitions while messages wait.

All partitions that any number can name are closed: the scripts then refuse every process. What lies in another partition
by the new number is carried there. Then the number is noted in all partitions, and processes with that number go on,
while the scripts refuse those with another. A process of an older release, which does not heed the note, is refused
since the note comes with a newer layout.

A change that was interrupted is continued by the next run, from where it stopped. Each step may be repeated, and each
checks in Redis that the partition is closed by this run, so a run that was paused can do no harm. What is taken out of a
partition lies in its outbox until it has arrived, and it arrives once (`redis/scripts/parcels.lua`).

| data | how they are carried | why repeating is harmless |
|---|---|---|
| keys of a conversation: `msg_queue`, `processing_lock` (its lease has ended), `reply`, `completed`, `queue_stats`, `changes`, `change_notes`, `memory`, `alias`, `names`, `behind`, `undelivered`, `sent_again`; its times in `active_queues` and `backend_waiting` | parcel | a parcel arrives once |
| `seen` keys of layout 1, entries of `dead_letters` and of `damaged` with the key, reports on replies | parcel | a parcel arrives once |
| `ids`, fingerprints of message ids; `sent`, those of ids of replies: neither tells its conversation | copied to every partition that gets conversations from here; they expire | the same fields are written again |
| `backend`, `outages`: what is away | copied likewise | the same fields are written again |
| `token` | the greatest of all partitions | the greatest stays |
| `layout`: `since`, `ids` | the latest `since`; the `ids` of all partitions whose conversations come here | computed again |
| `hold` | set in the new partitions, too | it is set already |
| `looks`, `wake` | begun anew: waits count from the change, as after a hold | begun anew again |
| `backend_trials`, `outage_news`, `last_claim` | not carried: leases have ended, and outages are found again | |
| `moments`, `slowdown` | stay: they always lie in partition 0 | |
"""  # noqa: E501 - a table

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from math import gcd
from typing import Any, NamedTuple, TypeVar

import msgspec

from queue_core.errors import PartitionsError, QueueError, QueueUnavailableError
from queue_core.keys import PARTITIONS_MAX, KeySpace, Partition, home_of
from queue_core.queue.access import Access, whole
from queue_core.redis.runner import other_partitions
from queue_core.redis.scripts.loader import Call, text
from queue_core.redis.scripts.partitions import (
    Clear,
    ClosePartition,
    Export,
    HandOver,
    OpenPartition,
    Pack,
    UnpackParcels,
    packed,
)
from queue_core.redis.servers import scan_part

CONVERSATION_KINDS = (
    *("completed", "undelivered", "msg_queue", "processing_lock", "reply", "queue_stats", "changes", "change_notes"),
    *("memory", "alias", "names", "behind", "sent_again"),
)
"""Kinds of keys of a conversation, in the order in which they are carried.

Lists come first, since a long one takes several parcels. The end of the queue is in one parcel with lock and reply,
because monitors delete locks and replies without a queue.
"""
COPIED_KINDS = frozenset({"ids", "sent", "backend", "outages"})
LEFT_KINDS = COPIED_KINDS | {
    *("active_queues", "wake", "token", "looks", "hold", "outage_news", "backend_waiting", "backend_trials"),
    *("last_claim", "reports", "reports_due", "dead_letters", "damaged"),
}
"""Kinds of keys that are deleted in a partition that the new number does not have."""
LOOK_S = 0.5
"""Wait between two looks at the leases."""
AGAIN_S = 1.0
"""Wait before another try while Redis is away."""
FAILURES_MAX = 60
"""Number of such waits after which a run ends; the next one continues."""
_ITEMS = 50
_PAGE = 200
_COPIES = 50
_STEPS_MAX = 2**62

Result = TypeVar("Result")
_Named = tuple[int, str]
"""Number of a partition, and an encoded conversation."""


class Noted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Number of partitions that is noted in Redis."""

    partitions: int | None
    """Number that all processes must have; None before the first change, when none is noted."""
    changing_to: int | None = None
    """New number while the conversations are carried; `partitions` is the number before then."""
    is_opening: bool = False
    """True if all is carried, and some partitions have been opened."""


class Carried(msgspec.Struct, kw_only=True, rename="camel"):
    """Counts of what a run carried."""

    conversations: int = 0
    dead_letters: int = 0
    damaged: int = 0
    reports: int = 0
    copies: int = 0
    """Keys of ids and of what is away, copied to other partitions."""


class _Item(NamedTuple):
    target: int
    kind: str
    name: bytes | str


class PartitionsChange:
    """One run that changes the number of partitions of a queue. `note` is told of each phase, in words."""

    def __init__(
        self, access: Access, partitions: int, note: Callable[[str], None] = lambda words: None
    ) -> None:
        self._access = access
        self._new = partitions
        self._before = access.settings.partitions
        self._note = note
        self._mover = secrets.token_hex(8)
        prefix = access.settings.prefix
        self._everywhere = KeySpace(prefix, PARTITIONS_MAX)
        self._keys = KeySpace(prefix, partitions)
        self._copied: set[_Named] = set()
        self.carried = Carried()

    async def run(self, *, wait_s: float) -> Noted:
        """Change the number, and return what was noted before. While Redis is away, try again for some time.

        Raises PartitionsError if another change is under way, or the conversations do not lie where they should;
        QueueError if turns in work have not ended within `wait_s`, so that nothing was changed;
        QueueUnavailableError if Redis stays away, and another run must continue.
        """
        first: Noted | None = None
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
                await asyncio.sleep(AGAIN_S)
            else:
                return first

    async def _run(self, noted: Noted, wait_s: float) -> None:
        if noted.changing_to not in (None, self._new):
            assert noted.changing_to
            raise other_partitions(f"{noted.partitions}>{noted.changing_to}", self._new)
        if noted.partitions is not None:
            self._before = noted.partitions
        if noted.changing_to is None:
            if noted.partitions is None:
                await self._verify()
            if self._before == self._new:
                await self._resume()  # an earlier run may have died before it could
                return
            await self._hold(wait_s)
        await self._close(is_opening=noted.is_opening)
        if not noted.is_opening:
            await self._wait_for_leases(float("inf"))
            await self._carry()
        await self._open()

    # Steps before the partitions are closed.

    async def _verify(self) -> None:
        """Raise PartitionsError if conversations with messages lie where the number until now does not have them."""
        astray: set[_Named] = set()
        async for page in self._scan():
            for number, rest in page:
                kind, _, conversation = rest.partition(":")
                if kind == "msg_queue" and home_of(conversation, self._before) != number:
                    astray.add((number, conversation))
        if astray:
            raise PartitionsError(
                f"conversations that do not lie where {self._before} partitions have them: {len(astray)}. Nothing was "
                "changed: set QUEUE_PARTITIONS to the number that the processes have had, and type the command again"
            )

    async def _hold(self, wait_s: float) -> None:
        """Hold the queue, and wait until no turn is in work. Ends the hold again if that takes too long."""
        now_ms = await self._access.now_ms()
        _, is_others = await self._holds()
        if not is_others:
            values = ("since", now_ms, "partitions", self._new)
            shared = self._everywhere.partitions[: self._before]
            await self._access.read(*(("HSET", keys.hold, *values) for keys in shared))
        try:
            await self._wait_for_leases(wait_s)
        except (QueueError, asyncio.CancelledError):
            await asyncio.shield(self._resume())
            raise

    async def _holds(self) -> tuple[list[Partition], list[str]]:
        """Return the partitions that this change holds, and the times, Unix ms, from which others hold the queue."""
        shared = self._partitions()
        holds = await self._access.read_hashes([keys.hold for keys in shared], "since", "partitions")
        own = [keys for keys, hold in zip(shared, holds, strict=True) if hold and hold[1] is not None]
        others = [text(hold[0]) for hold in holds if hold and hold[0] is not None and hold[1] is None]
        return own, others

    async def _resume(self) -> None:
        """End the hold of this change, if there is one."""
        now_ms = await self._access.now_ms()
        own, _ = await self._holds()
        for keys in own:
            await self._access.read(
                ("HSET", keys.looks, "counts_from", now_ms, "held_until", now_ms),
                ("DEL", keys.hold),
                ("XADD", keys.wake, "MAXLEN", 1, "*", "at", now_ms),
            )

    async def _wait_for_leases(self, wait_s: float) -> None:
        """Wait until every lease has ended, or has run out although its holder could have renewed it meanwhile."""
        clock, settings = asyncio.get_running_loop().time, self._access.settings
        until = clock() + wait_s
        looked = calm_since = clock()
        leased = await self._leased()
        while True:
            leased, held = await self._still_leased(leased)
            now = clock()
            if now - looked > settings.lock_ttl_ms / 4000:  # Redis may have been away meanwhile
                calm_since = now
            looked = now
            if not leased or not held and now - calm_since >= settings.grace_ms / 1000:
                return
            if now > until:
                raise QueueError(
                    f"turns that are still in work: {held or len(leased)}. Nothing was changed, and workers take turns "
                    "again: try again later, or with a longer --timeout"
                )
            self._note(f"waiting for turns in work: {len(leased)}")
            await asyncio.sleep(LOOK_S)

    async def _leased(self) -> list[str]:
        """Return the locks of all conversations in the indexes; further leases do not begin while the queue is held."""
        locks: list[str] = []
        for keys in self._partitions():
            first, page = 0, [b""] * _PAGE
            while len(page) == _PAGE:
                (page,) = await self._access.read(("ZRANGE", keys.active, first, first + _PAGE - 1))
                names = [f"{keys.base}processing_lock:{text(name)}" for name in page]
                held = await self._access.read(*(("HEXISTS", name, "token") for name in names))
                locks += [name for name, is_held in zip(names, held, strict=True) if is_held]
                first += _PAGE
        return locks

    async def _still_leased(self, locks: list[str]) -> tuple[list[str], int]:
        """Return those of the locks that have a lease, and how many of the leases have not run out."""
        now_ms = await self._access.now_ms()
        leases = await self._access.read(*(("HMGET", lock, "token", "expiresAt") for lock in locks))
        left = [(lock, expires) for lock, (token, expires) in zip(locks, leases, strict=True) if token]
        return [lock for lock, _ in left], sum(whole(expires, 0) > now_ms for _, expires in left)

    # Steps while they are closed.

    async def _close(self, *, is_opening: bool) -> None:
        """Close all partitions. The first is closed before the others and opened after them, so that it guards them."""
        self._note("closing the partitions: messages are refused until the change is complete")

        def call(keys: Partition) -> ClosePartition:
            return ClosePartition(
                partition=keys,
                now_ms=self._access.now(),
                before=str(self._before),
                change=f"{self._before}>{self._new}",
                mover=self._mover,
            )

        opened = (str(self._new),) if is_opening else ()
        for shared in (self._everywhere.partitions[:1], self._everywhere.partitions[1:]):
            for noted in await self._in_all(shared, call):
                if noted and noted not in opened:
                    raise other_partitions(noted, self._before)

    async def _carry(self) -> None:
        """Carry everything that does not lie where the new number has it, until nothing is left."""
        parcels = 1
        while parcels:
            parcels = 0
            async for page in self._scan():
                parcels += await self._carry_page(page)
        async for page in self._scan():
            await self._clear(page)

    async def _carry_page(self, page: Iterable[_Named]) -> int:
        """Carry what some keys hold. Returns the number of parcels."""
        items: dict[int, dict[_Item, None]] = defaultdict(dict)
        copies: dict[int, list[str]] = defaultdict(list)
        parcels = 0
        for number, rest in page:
            kind, _, name = rest.partition(":")
            if kind in CONVERSATION_KINDS:
                self._add(items, number, name, _Item(self._home(name), "conversation", name))
            elif kind == "seen":
                conversation = name.rpartition(":")[0]
                self._add(items, number, conversation, _Item(self._home(conversation), "key", rest))
            elif kind in COPIED_KINDS and number < self._before and (number, rest) not in self._copied:
                copies[number].append(rest)
            elif kind == "outbox":
                parcels += await self._deliver(number, int(name))
            elif rest in ("dead_letters", "damaged"):
                async for entries in self._entries(number, "dead" if rest == "dead_letters" else rest):
                    parcels += await self._pack(number, entries)
            elif rest == "reports_due":
                parcels += await self._pack(number, await self._reports(number))
        parcels += sum(
            await asyncio.gather(*(self._pack(number, list(mine)) for number, mine in items.items()))
        )
        for number, names in copies.items():
            await self._copy(number, names)
        return parcels

    def _home(self, conversation: str) -> int:
        return home_of(conversation, self._new)

    def _add(self, items: dict[int, dict[_Item, None]], number: int, conversation: str, item: _Item) -> None:
        """Add an item, unless it stays; also what an earlier number of partitions has left behind stays."""
        if item.target != number and home_of(conversation, self._before) == number:
            items[number][item] = None

    async def _entries(self, number: int, kind: str) -> AsyncGenerator[list[_Item], None]:
        """Yield the entries of a stream that do not stay. Those that name no conversation stay where they can."""
        keys, first = self._everywhere.partitions[number], "-"
        stream = keys.dead if kind == "dead" else keys.damaged
        while True:
            (page,) = await self._access.read(("XRANGE", stream, first, "+", "COUNT", _ITEMS))
            items = []
            for entry_id, fields in page:
                conversation = next((text(fields[name]) for name in fields if text(name) == "conversation"), "")
                target = self._home(conversation) if conversation else number % self._new
                items.append(_Item(target, kind, text(entry_id)))
            yield [item for item in items if item.target != number]
            if len(page) < _ITEMS:
                break
            first = f"({text(page[-1][0])}"

    async def _reports(self, number: int) -> list[_Item]:
        """Return the reports on replies that do not stay."""
        keys = self._everywhere.partitions[number]
        (fields,) = await self._access.read(("ZRANGE", keys.reports_due, 0, -1))
        items = []
        for first in range(0, len(fields), _PAGE):
            some = fields[first : first + _PAGE]
            (reports,) = await self._access.read(("HMGET", keys.reports, *some))
            for field, report in zip(some, reports, strict=True):
                try:
                    name = msgspec.json.decode(report or b"", type=_ReplyName)
                except msgspec.MsgspecError:
                    continue
                target = self._keys.sent_id(name.instance_name, name.reply_id).partition
                items.append(_Item(self._keys.partitions.index(target), "report", field))
        return [item for item in items if item.target != number]

    async def _pack(self, number: int, items: Sequence[_Item]) -> int:
        """Take items out of a partition, and deliver their parcels. Returns the number of parcels."""
        left, parcels = list(items), 0
        while left:
            some = left[:_ITEMS]
            finished, count = await self._call(
                Pack(
                    partition=self._everywhere.partitions[number],
                    now_ms=self._access.now(),
                    mover=self._mover,
                    kinds=packed(CONVERSATION_KINDS),
                    items=packed(word for item in some for word in (str(item.target), item.kind, item.name)),
                )
            )
            for target in sorted({item.target for item in some}):
                await self._deliver(number, target)
            self._count(some[:finished])
            left, parcels = left[finished:], parcels + count
        return parcels

    def _count(self, items: Iterable[_Item]) -> None:
        names = {"conversation": "conversations", "dead": "dead_letters", "damaged": "damaged", "report": "reports"}
        for item in items:
            if name := names.get(item.kind):
                setattr(self.carried, name, getattr(self.carried, name) + 1)
        self._note(f"carried conversations: {self.carried.conversations:,}")

    async def _deliver(self, number: int, target: int) -> int:
        """Carry out all parcels from one partition in another. Returns 1 if there were any, else 0."""
        arrived = 0
        while True:
            parcels = await self._call(
                HandOver(
                    partition=self._everywhere.partitions[number],
                    mover=self._mover,
                    target=str(target),
                    arrived=arrived,
                )
            )
            if not parcels:
                return int(arrived > 0)
            arrived = await self._call(
                UnpackParcels(
                    partition=self._everywhere.partitions[target],
                    now_ms=self._access.now(),
                    mover=self._mover,
                    source=str(number),
                    parcels=parcels,
                )
            )

    async def _copy(self, number: int, names: Sequence[str]) -> None:
        """Copy keys to every partition that gets conversations from this one."""
        for first in range(0, len(names), _COPIES):
            some = names[first : first + _COPIES]
            exported = await self._call(
                Export(
                    partition=self._everywhere.partitions[number],
                    now_ms=self._access.now(),
                    mover=self._mover,
                    names=packed(some),
                )
            )
            targets = [target for target in range(self._new) if self._may_get(target, number) and target != number]
            for target in targets:
                await self._call(
                    UnpackParcels(
                        partition=self._everywhere.partitions[target],
                        now_ms=self._access.now(),
                        mover=self._mover,
                        source=str(number),
                        parcels=exported,
                    )
                )
            self._copied |= {(number, name) for name in some}
            self.carried.copies += len(some) * len(targets)

    def _may_get(self, target: int, number: int) -> bool:
        """Return True if a conversation of partition `number` may lie in `target` by the new number."""
        return (target - number) % gcd(self._before, self._new) == 0

    async def _clear(self, page: Iterable[_Named]) -> None:
        """Delete what is left in partitions that the new number does not have."""
        names: dict[int, list[str]] = defaultdict(list)
        for number, rest in page:
            if number >= self._new and rest.partition(":")[0] in LEFT_KINDS:
                names[number].append(rest)
        for number, left in names.items():
            keys = self._everywhere.partitions[number]
            await self._call(Clear(partition=keys, mover=self._mover, names=packed(left)))

    async def _open(self) -> None:
        self._note("opening the partitions")
        _, held_ms = await self._holds()
        since, layers, token = await self._layouts()

        def call(keys: Partition) -> OpenPartition:
            number = self._number_of(keys)
            sources = (ids for source, ids in enumerate(layers) if self._may_get(number, source))
            return OpenPartition(
                partition=keys._replace(partitions=str(self._new)),
                now_ms=self._access.now(),
                mover=self._mover,
                is_used=str(int(number < self._new)),
                token=str(token),
                since=str(since),
                ids=_joined_layers(sources),
                held_ms=min(held_ms, default=""),
            )

        for shared in (self._everywhere.partitions[1:], self._everywhere.partitions[:1]):
            for noted in await self._in_all(shared, call):
                if noted:
                    raise other_partitions(noted, self._new)
        await self._resume()

    async def _layouts(self) -> tuple[int, list[Any], int]:
        """Return the latest `since` of the partitions until now, the layers of ids of each, and the last token."""
        read, sources = self._access.read, self._everywhere.partitions[: self._before]
        tokens = await read(*(("GET", keys.token) for keys in self._partitions()))
        layouts = await self._access.read_hashes([keys.layout for keys in sources], "since", "ids")
        used = await read(*(("EXISTS", keys.active, keys.dead, keys.wake) for keys in sources))
        now_ms, since, layers = await self._access.now_ms(), 0, []
        for layout, is_used in zip(layouts, used, strict=True):
            at, ids = layout or (None, None)
            # Without a time, only layout 1 was written until now.
            since = max(since, whole(at, 0) if at is not None else now_ms if is_used else 0)
            layers.append(ids)
        return since, layers, max(whole(token, 0) for token in tokens)

    # Ways to reach Redis.

    def _partitions(self) -> tuple[Partition, ...]:
        """Return the partitions that the number before or the new one has."""
        return self._everywhere.partitions[: max(self._before, self._new)]

    def _number_of(self, keys: Partition) -> int:
        parts = self._everywhere.split(keys.active)
        assert parts
        return parts[0]

    async def _scan(self) -> AsyncGenerator[list[_Named], None]:
        """Yield all keys of all partitions, as number and rest of the name, a page at a time."""
        pages = scan_part(self._access.redis, self._everywhere.pattern_of_all, {}, _STEPS_MAX)
        async with aclosing(pages):
            async for page in pages:
                yield [parts for key in page if (parts := self._everywhere.split(key))]

    async def _in_all(
        self, shared: Sequence[Partition], call: Callable[[Partition], Call[Result]]
    ) -> list[Result]:
        """Run a call in some partitions."""
        answers: list[Result] = []
        for first in range(0, len(shared), _PAGE):
            some = shared[first : first + _PAGE]
            answers += await asyncio.gather(*(self._call(call(keys)) for keys in some))
        return answers

    async def _call(self, call: Call[Result]) -> Result:
        answer: Awaitable[Result] = self._access.transport.gathered(call)
        try:
            return await answer
        except QueueUnavailableError:
            raise
        except QueueError as error:
            if "MOVER" in str(error):
                raise PartitionsError(
                    "another run of this command took over the change, or has completed it: see "
                    "`python -m queue_core partitions`"
                ) from error
            raise


class _ReplyName(msgspec.Struct, frozen=True, rename="camel"):
    """Names of the reply that a report is about."""

    instance_name: str
    reply_id: str


async def read_noted(access: Access) -> Noted:
    """Return the number of partitions that is noted. Raises PartitionsError where the notes contradict each other."""
    keys = [partition.layout for partition in KeySpace(access.settings.prefix, PARTITIONS_MAX).partitions]
    hashes = await access.read_hashes(keys, "partitions")
    notes = {text(values[0]) for values in hashes if values and values[0] is not None}
    changes, numbers = {note for note in notes if ">" in note}, {note for note in notes if ">" not in note}
    if len(changes) == 1:
        before, _, new = changes.pop().partition(">")
        if numbers <= {before, new}:
            return Noted(partitions=int(before), changing_to=int(new), is_opening=new in numbers)
    elif len(numbers) <= 1 and not changes:
        return Noted(partitions=int(numbers.pop()) if numbers else None)
    raise PartitionsError(
        f"the notes of the number of partitions contradict each other ({', '.join(sorted(notes))}): something other than "
        "the queue has changed them"
    )


def _joined_layers(lists: Iterable[Any]) -> bytes:
    """Join lists of layers of ids (`seen.lua`), the newest last."""
    layers = {layer for ids in lists for layer in text(ids or b"").split(";") if layer}
    ordered = sorted(layers, key=lambda layer: [whole(part, 0) for part in layer.split(" ")])
    return "".join(f"{layer};" for layer in ordered).encode()
