"""Carrying of everything that belongs in another partition under the new number of partitions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from queue_core.keys import KeySpace, home_of
from queue_core.queue.partitions.mover import COMMANDS_AT_ONCE_MAX, Mover, PartitionKey
from queue_core.redis.scripts.loader import text
from queue_core.redis.scripts.partitions import Clear, Export, HandOver, Pack, UnpackBundles, packed
from queue_core.text import quantity

CONVERSATION_KINDS = (
    *(
        "completed",
        "undelivered",
        "msg_queue",
        "processing_lock",
        "reply",
        "queue_stats",
        "changes",
        "change_notes",
    ),
    *("memory", "alias", "names", "behind", "sent_again"),
)
"""Kinds of keys of a conversation, in the order in which they are carried.

Lists come first, since a long one takes several bundles. The end of the queue is in one bundle with lock and reply,
because monitors delete locks and replies without messages.
"""
RECENT_KINDS = frozenset({"msg_queue", "processing_lock", "reply", "completed", "queue_stats"})
"""Kinds of keys of conversations that were active lately: they are kept for hours, unlike those of other kinds."""
COPIED_KINDS = frozenset({"ids", "sent", "backend", "outages"})
DELETED_KINDS = COPIED_KINDS | {
    *("active_queues", "wake", "token", "looks", "hold", "outage_news", "backend_waiting", "backend_trials"),
    *("last_claim", "reports", "reports_due", "dead_letters", "damaged"),
}
"""Kinds of keys that are deleted in a partition that the new number does not have."""
_ITEMS = 50
_COPIES = 50
_INDEX_PAGE = 1_000


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


class _ReplyName(msgspec.Struct, frozen=True, rename="camel"):
    """Names of the reply that a report is about."""

    instance_name: str
    reply_id: str


class Carrying:
    """Carrier of one run. `copied` has the keys that earlier tries of the run have copied."""

    def __init__(
        self, mover: Mover, note: Callable[[str], None], carried: Carried, copied: set[PartitionKey]
    ) -> None:
        self._mover = mover
        self._access = mover.access
        self._note = note
        self._carried = carried
        self._copied = copied
        self._keys = KeySpace(mover.access.settings.prefix, mover.new)

    async def run(self) -> None:
        """Carry everything that belongs in another partition under the new number, until nothing is left."""
        bundles = 1
        while bundles:
            bundles = 0
            for number in range(len(self._mover.used)):
                bundles += await self._carry_page(
                    (number, rest) for rest in ("dead_letters", "damaged", "reports_due")
                )
                bundles += await self._carry_page(await self._index_of(number))
            async for page in self._mover.scan():
                bundles += await self._carry_page(page)
        async for page in self._mover.scan():
            await self._clear(page)

    async def _carry_page(self, page: Iterable[PartitionKey]) -> int:
        """Carry what some keys hold. Returns the number of bundles."""
        items: dict[int, dict[_Item, None]] = defaultdict(dict)
        copies: dict[int, list[str]] = defaultdict(list)
        bundles = 0
        for number, rest in page:
            kind, _, name = rest.partition(":")
            if kind in CONVERSATION_KINDS:
                self._add(items, number, name, _Item(self._mover.home(name), "conversation", name))
            elif kind == "seen":
                conversation = name.rpartition(":")[0]
                self._add(items, number, conversation, _Item(self._mover.home(conversation), "key", rest))
            elif kind in COPIED_KINDS and number < self._mover.before and (number, rest) not in self._copied:
                copies[number].append(rest)
            elif kind == "outbox":
                bundles += await self._deliver(number, int(name))
            elif rest in ("dead_letters", "damaged"):
                async for entries in self._entries(number, "dead" if rest == "dead_letters" else rest):
                    bundles += await self._pack(number, entries)
            elif rest == "reports_due":
                bundles += await self._pack(number, await self._reports(number))
        bundles += sum(
            await asyncio.gather(*(self._pack(number, list(chosen)) for number, chosen in items.items()))
        )
        for number, names in copies.items():
            await self._copy(number, names)
        return bundles

    async def _index_of(self, number: int) -> list[PartitionKey]:
        """Return the queues of the conversations in an index.

        They are found by their keys too, except where slots move from one node to another meanwhile.
        """
        keys, names, page = self._mover.partitions[number], list[PartitionKey](), [b""]
        while page:
            (page,) = await self._access.read(
                ("ZRANGE", keys.active, len(names), len(names) + _INDEX_PAGE - 1)
            )
            names += [(number, f"msg_queue:{text(name)}") for name in page]
        return names

    def _add(self, items: dict[int, dict[_Item, None]], number: int, conversation: str, item: _Item) -> None:
        """Add an item, unless it stays where it is, as what an earlier number of partitions left behind does."""
        if item.target != number and home_of(conversation, self._mover.before) == number:
            items[number][item] = None

    async def _entries(self, number: int, kind: str) -> AsyncGenerator[list[_Item], None]:
        """Yield the entries of a stream that do not stay. Those that name no conversation stay where they can."""
        keys, first = self._mover.partitions[number], "-"
        stream = keys.dead if kind == "dead" else keys.damaged
        while True:
            (page,) = await self._access.read(("XRANGE", stream, first, "+", "COUNT", _ITEMS))
            items = []
            for entry_id, fields in page:
                conversation = next(
                    (text(fields[name]) for name in fields if text(name) == "conversation"), ""
                )
                target = self._mover.home(conversation) if conversation else number % self._mover.new
                items.append(_Item(target, kind, text(entry_id)))
            yield [item for item in items if item.target != number]
            if len(page) < _ITEMS:
                break
            first = f"({text(page[-1][0])}"

    async def _reports(self, number: int) -> list[_Item]:
        """Return the reports on replies that do not stay."""
        keys = self._mover.partitions[number]
        (fields,) = await self._access.read(("ZRANGE", keys.reports_due, 0, -1))
        items = []
        for first in range(0, len(fields), COMMANDS_AT_ONCE_MAX):
            some = fields[first : first + COMMANDS_AT_ONCE_MAX]
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
        """Take items out of a partition, and deliver their bundles. Returns the number of bundles."""
        left, bundles = list(items), 0
        while left:
            some = left[:_ITEMS]
            finished, count = await self._mover.run(
                Pack(
                    partition=self._mover.partitions[number],
                    absent=self._mover.partitions[number].absent,
                    now_ms=self._access.now(),
                    mover=self._mover.token,
                    kinds=packed(CONVERSATION_KINDS),
                    items=packed(word for item in some for word in (str(item.target), item.kind, item.name)),
                )
            )
            for target in sorted({item.target for item in some}):
                await self._deliver(number, target)
            self._count(some[:finished])
            left, bundles = left[finished:], bundles + count
        return bundles

    def _count(self, items: Iterable[_Item]) -> None:
        names = {
            "conversation": "conversations",
            "dead": "dead_letters",
            "damaged": "damaged",
            "report": "reports",
        }
        for item in items:
            if name := names.get(item.kind):
                setattr(self._carried, name, getattr(self._carried, name) + 1)
        if self._carried.conversations:
            self._note(f"carried so far: {quantity(self._carried.conversations, 'conversation')}")

    async def _deliver(self, number: int, target: int) -> int:
        """Unpack all bundles from one partition in another. Returns 1 if there were any, else 0."""
        arrived = 0
        while True:
            bundles = await self._mover.run(
                HandOver(
                    partition=self._mover.partitions[number],
                    absent=self._mover.partitions[number].absent,
                    mover=self._mover.token,
                    target=str(target),
                    arrived=arrived,
                )
            )
            if not bundles:
                return int(arrived > 0)
            arrived = await self._unpack(target, number, bundles)

    async def _unpack(self, target: int, source: int, bundles: bytes) -> int:
        """Unpack bundles from one partition in another. Returns the number of the last one."""
        return await self._mover.run(
            UnpackBundles(
                partition=self._mover.partitions[target],
                absent=self._mover.partitions[target].absent,
                now_ms=self._access.now(),
                mover=self._mover.token,
                source=str(source),
                bundles=bundles,
            )
        )

    async def _copy(self, number: int, names: Sequence[str]) -> None:
        """Copy keys to every partition that gets conversations from this one."""
        for first in range(0, len(names), _COPIES):
            some = names[first : first + _COPIES]
            exported = await self._mover.run(
                Export(
                    partition=self._mover.partitions[number],
                    absent=self._mover.partitions[number].absent,
                    now_ms=self._access.now(),
                    mover=self._mover.token,
                    names=packed(some),
                )
            )
            targets = [
                target
                for target in range(self._mover.new)
                if self._mover.may_get(target, number) and target != number
            ]
            for target in targets:
                await self._unpack(target, number, exported)
            self._copied |= {(number, name) for name in some}
            self._carried.copies += len(some) * len(targets)

    async def _clear(self, page: Iterable[PartitionKey]) -> None:
        """Delete what is left in partitions that the new number does not have."""
        names: dict[int, list[str]] = defaultdict(list)
        for number, rest in page:
            if number >= self._mover.new and rest.partition(":")[0] in DELETED_KINDS:
                names[number].append(rest)
        for number, left in names.items():
            keys = self._mover.partitions[number]
            await self._mover.run(
                Clear(partition=keys, absent=keys.absent, mover=self._mover.token, names=packed(left))
            )
