"""Damaged keys: keys that something other than the queue changed. The queue cannot use them and moves them aside."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from queue_core.errors import DamagedKeyNotFoundError, QueueError
from queue_core.keys import Partition, Place, decode_conversation
from queue_core.queue.access import Access, whole
from queue_core.redis import scripts
from queue_core.redis.scripts.loader import text

CONTENTS_MAX = 100
"""Limit on the values of a damaged key that are shown to people."""
_PAGE = 200
_RESTORED_MAX = 500
"""Limit on messages that one step puts back into the queue."""
_TRIES = re.compile(r"[0-9,]+")
_ID = re.compile(r"[0-9]{1,4}/[0-9]{1,19}-[0-9]{1,19}")
_EXPECTED: dict[str, tuple[str, str]] = {
    "queue": ("list", "messages"),
    "completed": ("list", "archive"),
    "lock": ("hash", "lease and attempts"),
    "reply": ("hash", "recorded reply"),
    "stats": ("hash", "statistics"),
    "changes": ("hash", "edits and deletions of messages"),
    "change_notes": ("hash", "notes of edits and deletions"),
    "alias": ("string", "the user's other name"),
    "names": ("hash", "names of the user"),
    "behind": ("hash", "conversations that come first"),
    "undelivered": ("list", "replies that did not reach the user"),
    "last_claim": ("hash", "last claim of a worker"),
    "looks": ("hash", "times of the last claims"),
    "hold": ("hash", "hold"),
    "layout": ("hash", "version of the data"),
    "active": ("zset", "index of conversations"),
    "wake": ("stream", "doorbell"),
    "dead": ("stream", "dead letters"),
    "token": ("string", "fencing token"),
    "damaged": ("stream", "list of damaged keys"),
    "outages": ("zset", "AIs and channels that are away"),
    "outage_news": ("hash", "news of AIs and channels"),
    "backend": ("hash", "state of an AI or a channel"),
    "backend_waiting": ("zset", "conversations that wait for an AI or a channel"),
    "backend_trials": ("zset", "turns that try an AI or a channel"),
    "reports": ("hash", "reports on replies"),
    "reports_due": ("zset", "times of reports on replies"),
}
"""Redis type of each key of the queue, and its content in words. `redis/scripts/damage.lua` has the same types."""
_OF_PARTITION = (
    "active",
    "wake",
    "token",
    "dead",
    "looks",
    "hold",
    "layout",
    "damaged",
    "outages",
    "reports",
    "reports_due",
)
_OF_CONVERSATION = (
    *("queue", "completed", "lock", "reply", "stats", "changes", "change_notes"),
    *("alias", "names", "behind", "undelivered"),
)
_COUNTS = {
    "lock": ("token", "lockedAt", "expiresAt", "dueAt", "latest", "waitMs", "setbacks", "failedAt", "size"),
    "reply": ("size", "parts", "recordedAt", "sentAt"),
}
"""Fields whose values are numbers."""
_READS: dict[str, tuple[Any, ...]] = {
    "string": ("GETRANGE", 0, 10_000),
    "list": ("LRANGE", 0, CONTENTS_MAX - 1),
    "hash": ("HGETALL",),
    "zset": ("ZRANGE", 0, CONTENTS_MAX - 1, "WITHSCORES"),
    "set": ("SRANDMEMBER", CONTENTS_MAX),
    "stream": ("XRANGE", "-", "+", "COUNT", CONTENTS_MAX),
}
TYPES_WITH_MESSAGES = frozenset(_READS)
"""Redis types of which `repair` takes messages; a type of a Redis module is not among them."""


class DamagedKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A key that was moved aside."""

    id: str
    """Id for `repair` and `drop`, such as "0/1700000000000-0": partition, and entry in its stream."""
    key: str
    """Name of the key before it was moved aside."""
    kept_as: str
    """Name of the key now."""
    holds: str
    """Content of the key in words, such as "messages"."""
    type: str
    """Redis type of the value, such as "string"."""
    instance_name: str | None
    """None for a key of a whole partition."""
    user_phone: str | None
    found_at_ms: int
    error: str
    """Error of the script that could not use the key."""


class Damage:
    """Damaged keys of all partitions.

    Methods raise the errors of `MessageQueue` when Redis does not answer or refuses a command.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    async def iterate(self) -> AsyncGenerator[DamagedKey, None]:
        """Yield the damaged keys, oldest first within a partition."""
        for number, partition in enumerate(self._access.keys.partitions):
            first, page = "-", [None] * _PAGE
            while len(page) == _PAGE:
                page = await self._entries(partition, first, "+", _PAGE)
                for entry_id, fields in page:
                    yield _damaged_key(number, partition, text(entry_id), fields)
                first = f"({text(page[-1][0])}" if page else "-"

    async def not_moved(self, conversation: tuple[str, str] | None = None) -> list[str]:
        """Return, in words, what damaged keys hold that no script has moved aside yet; reads show them as missing.

        Looks at the keys of all partitions, or at those of the conversation with this instance and phone.
        """
        place = self._access.keys.of(*conversation) if conversation else None
        groups: list[tuple[Partition | Place, tuple[str, ...]]] = (
            [(place, _OF_CONVERSATION)]
            if place
            else [(partition, _OF_PARTITION) for partition in self._access.keys.partitions]
        )
        keys = [(name, getattr(group, name)) for group, names in groups for name in names]
        types = await self._access.read(*(("TYPE", key) for _, key in keys))
        wrong = [
            name
            for (name, _), kind in zip(keys, types, strict=True)
            if text(kind) not in ("none", _EXPECTED[name][0])
        ]
        odd = await (self._with_odd_values(place) if place else self._odd_holds())
        return [_EXPECTED[name][1] for name in dict.fromkeys([*wrong, *odd])]

    async def _with_odd_values(self, place: Place) -> list[str]:
        """Return the names of the hashes of a conversation that have values which no script writes."""
        *counts, (tries,) = await self._access.read(
            *(("HMGET", getattr(place, name), *fields) for name, fields in _COUNTS.items()),
            ("HMGET", place.lock, "tries"),
        )
        odd = [
            name
            for name, values in zip(_COUNTS, counts, strict=True)
            if any(value is not None and whole(value, -1) < 0 for value in values)
        ]
        has_odd_tries = tries is not None and not _TRIES.fullmatch(text(tries))
        return [*odd, *(("lock",) if has_odd_tries else ())]

    async def _odd_holds(self) -> list[str]:
        """Return ["hold"] if a partition is held since a time that no script writes."""
        keys = [partition.hold for partition in self._access.keys.partitions]
        holds = await self._access.read(*(("HGETALL", key) for key in keys))
        since = [{text(name): value for name, value in hold.items()}.get("since") for hold in holds if hold]
        return ["hold"] if any(whole(value, -1) < 0 for value in since) else []

    async def get(self, damaged_id: str) -> DamagedKey:
        """Return one damaged key. Raises DamagedKeyNotFoundError."""
        number, partition, entry_id = self._split(damaged_id)
        for _, fields in await self._entries(partition, entry_id, entry_id, 1):
            return _damaged_key(number, partition, entry_id, fields)
        raise _not_found(damaged_id)

    async def contents(self, damaged: DamagedKey) -> list[str]:
        """Return what the key holds, as texts, at most CONTENTS_MAX values."""
        name, *options = _READS.get(damaged.type, ("TYPE",))
        (answer,) = await self._access.read((name, damaged.kept_as, *options))
        return _texts(answer)[:CONTENTS_MAX]

    async def repair(self, damaged_id: str) -> int:
        """Put the messages of a damaged key at the end of their conversation; return their number.

        Raises DamagedKeyNotFoundError, and QueueError for a key without messages.
        """
        _, partition, entry_id = self._split(damaged_id)
        access, restored, left = self._access, 0, 1
        while left:
            call = scripts.Restore(
                partition=partition,
                rules=access.settings,
                now_ms=access.now(),
                damaged_id=entry_id,
                limit=_RESTORED_MAX,
            )
            count, left = await access.transport.alone(call)
            if count == -1:
                raise _not_found(damaged_id)
            if count == -2:
                raise QueueError(
                    f"{damaged_id} has no messages to put back into the queue: look at it with "
                    f"`damaged show {damaged_id}`, then delete it with `damaged drop {damaged_id}`"
                )
            restored += count
        return restored

    async def drop(self, damaged_id: str) -> None:
        """Delete a damaged key for good. Raises DamagedKeyNotFoundError."""
        _, partition, entry_id = self._split(damaged_id)
        _, deleted = await self._access.read(
            ("DEL", partition.damaged_of(entry_id)), ("XDEL", partition.damaged, entry_id)
        )
        if not deleted:
            raise _not_found(damaged_id)

    async def _entries(self, partition: Partition, first: str, last: str, limit: int) -> Any:
        (entries,) = await self._access.read(("XRANGE", partition.damaged, first, last, "COUNT", limit))
        return entries

    def _split(self, damaged_id: str) -> tuple[int, Partition, str]:
        number, _, entry_id = damaged_id.partition("/")
        partitions = self._access.keys.partitions
        if not _ID.fullmatch(damaged_id) or int(number) >= len(partitions):
            raise _not_found(damaged_id)
        return int(number), partitions[int(number)], entry_id


def _not_found(damaged_id: str) -> DamagedKeyNotFoundError:
    return DamagedKeyNotFoundError(
        f"no damaged key has the id {damaged_id!r}: it was repaired or dropped, or never existed. "
        "`damaged list` shows the ids, which look like 0/1700000000000-0"
    )


def _damaged_key(number: int, partition: Partition, entry_id: str, raw_fields: dict[Any, Any]) -> DamagedKey:
    fields = {text(name): text(value) for name, value in raw_fields.items()}
    conversation = fields.get("conversation", "")
    instance, phone = decode_conversation(conversation) if conversation else (None, None)
    return DamagedKey(
        id=f"{number}/{entry_id}",
        key=fields.get("key", ""),
        kept_as=partition.damaged_of(entry_id),
        holds=_EXPECTED.get(fields.get("name", ""), ("", "something unknown"))[1],
        type=fields.get("type", ""),
        instance_name=instance,
        user_phone=phone,
        found_at_ms=whole(fields.get("at"), 0),
        error=fields.get("error", ""),
    )


def _texts(answer: Any) -> list[str]:
    """Return an answer of Redis as texts, pairs as "name = value"."""
    if isinstance(answer, dict):
        return [f"{text(name)} = {text(value)}" for name, value in answer.items()]
    if isinstance(answer, list | tuple):
        return [
            " = ".join(_texts(item)) if isinstance(item, list | tuple | dict) else text(item)
            for item in answer
        ]
    return [] if answer is None else [text(answer)]
