"""Dead letters, which are messages that the queue gave up on: read, requeue and delete them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import msgspec

from queue_core.errors import DeadLetterNotFoundError, QueueUnavailableError
from queue_core.keys import Partition, decode_conversation
from queue_core.message import DeadLetter, QueueMessage, decode, encode, well_formed
from queue_core.queue.access import Access, whole
from queue_core.queue.aliases import HOPS_MAX
from queue_core.redis import scripts
from queue_core.redis.scripts.loader import text

REASON_CHARACTERS_MAX = 500
_PAGE = 200
SHARE_AFTER_MOVE = 0.9
"""Share of the room for dead letters that is still in use after the oldest were moved out."""
_DEAD_ID = re.compile(r"[0-9]{1,4}/[0-9]{1,19}-[0-9]{1,19}")


class DeadLetters:
    """Dead letters of all partitions. An id such as `0/1700000000000-0` names a partition and a stream entry.

    Methods raise the errors of `MessageQueue` when Redis does not answer or refuses a command.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    async def iterate(self) -> AsyncGenerator[DeadLetter, None]:
        """Yield the dead letters that exist when the iteration begins, oldest first within a partition."""
        numbers, partitions = self._access.keys.numbers, self._access.keys.partitions
        newest = await self._access.read(
            *(("XREVRANGE", partition.dead, "+", "-", "COUNT", 1) for partition in partitions)
        )
        for number, partition, entries in zip(numbers, partitions, newest, strict=True):
            first, last = "-", text(entries[0][0]) if entries else ""
            while last:
                page = await self._entries(partition, first, last, _PAGE)
                for entry_id, fields in page:
                    yield _dead_letter(number, text(entry_id), fields)
                if len(page) < _PAGE:
                    break
                first = f"({text(page[-1][0])}"

    async def get(self, dead_letter_id: str) -> DeadLetter:
        """Return one dead letter. Raises DeadLetterNotFoundError."""
        number, partition, entry_id = self._split(dead_letter_id)
        for stored_id, fields in await self._entries(partition, entry_id, entry_id, 1):
            return _dead_letter(number, text(stored_id), fields)
        raise _not_found(dead_letter_id)

    async def keep(self, message: QueueMessage, reason: str) -> None:
        """Add a message that was never in the queue, since it could not be read.

        Raises InvalidMessageError, and QueueUnavailableError if there is no room for it.
        """
        access = self._access
        call = scripts.Keep(
            place=access.keys.of(message.instance_name, message.user_phone),
            now_ms=access.now(),
            message=encode(message, access.settings.max_message_bytes),
            reason=well_formed(reason[:REASON_CHARACTERS_MAX]),
            dead_letters_max=access.settings.dead_letters_in_partition_max,
        )
        if not await access.transport.gathered(call):
            raise QueueUnavailableError(
                "there is no room for another dead letter: drop some, or raise dead_letters_max"
            )

    async def requeue(self, dead_letter_id: str) -> None:
        """Put a dead letter at the end of its conversation. Raises DeadLetterNotFoundError.

        If the user's name leads to another conversation by now (`Aliases`), the message goes to that one, unless it
        lies in another partition.
        """
        number, partition, entry_id = self._split(dead_letter_id)
        keys, to, is_requeued = self._access.keys, "", False
        for hop in range(HOPS_MAX):
            answer = await self._requeue(partition, entry_id, to, follows=hop < HOPS_MAX - 1)
            if isinstance(answer, bool):
                is_requeued = answer
                break
            if keys.of(*decode_conversation(answer)).partition != number:
                is_requeued = bool(await self._requeue(partition, entry_id, to, follows=False))
                break
            to = answer
        if not is_requeued:
            raise _not_found(dead_letter_id)

    async def _requeue(self, partition: Partition, entry_id: str, to: str, *, follows: bool) -> bool | str:
        access = self._access
        call = scripts.Requeue(
            partition=partition,
            rules=access.settings,
            now_ms=access.now(),
            dead_id=entry_id,
            to=to,
            follows=int(follows),
        )
        return await access.transport.gathered(call)

    async def drop(self, dead_letter_id: str) -> None:
        """Delete a dead letter for good. Raises DeadLetterNotFoundError."""
        _, partition, entry_id = self._split(dead_letter_id)
        (deleted,) = await self._access.read(("XDEL", partition.dead, entry_id))
        if not deleted:
            raise _not_found(dead_letter_id)

    async def expire(self, older_than_ms: int) -> int:
        """Delete the dead letters that are older than `older_than_ms`, oldest first. Returns their number."""
        limit_ms = await self._access.now_ms() - older_than_ms
        deleted = 0
        for partition in self._access.keys.partitions:
            is_done = False
            while not is_done:
                page = await self._entries(partition, "-", "+", _PAGE)
                ids = [entry_id for entry_id, fields in page if _dead_at_ms(entry_id, fields) < limit_ms]
                if ids:
                    (count,) = await self._access.read(("XDEL", partition.dead, *ids))
                    deleted += count
                is_done = len(ids) < _PAGE
        return deleted

    async def move_out(self, write: Callable[[list[dict[str, str]]], Awaitable[None]]) -> int:
        """Take the oldest dead letters out of partitions that have no room left, until a tenth of the room is free.

        Calls `write` with the id and the fields of each, then deletes them: when `write` returns, they must be safely
        stored. If the process stops in between, they are written again later. Returns their number. Raises the errors
        of `write`.
        """
        room = self._access.settings.dead_letters_in_partition_max
        moved = 0
        for number, partition in enumerate(self._access.keys.partitions):
            (length,) = await self._access.read(("XLEN", partition.dead))
            left = length - int(room * SHARE_AFTER_MOVE) if length >= room else 0
            while left > 0:
                page = await self._entries(partition, "-", "+", min(left, _PAGE))
                if not page:
                    break
                await write(
                    [{"id": f"{number}/{text(entry_id)}", **_texts(fields)} for entry_id, fields in page]
                )
                (count,) = await self._access.read(
                    ("XDEL", partition.dead, *(entry_id for entry_id, _ in page))
                )
                moved += count
                left -= len(page)
        return moved

    async def _entries(self, partition: Partition, first: str, last: str, limit: int) -> Any:
        (entries,) = await self._access.read(("XRANGE", partition.dead, first, last, "COUNT", limit))
        return entries

    def _split(self, dead_letter_id: str) -> tuple[int, Partition, str]:
        number, _, entry_id = dead_letter_id.partition("/")
        partitions = self._access.keys.partitions
        if not _DEAD_ID.fullmatch(dead_letter_id) or int(number) >= len(partitions):
            raise _not_found(dead_letter_id)
        return int(number), partitions[int(number)], entry_id


def _not_found(dead_letter_id: str) -> DeadLetterNotFoundError:
    return DeadLetterNotFoundError(
        f"no dead letter has the id {dead_letter_id!r}: it was requeued or dropped, or never existed. "
        "`dead list` shows the ids, which look like 0/1700000000000-0"
    )


def _dead_at_ms(entry_id: Any, raw_fields: dict[Any, Any]) -> int:
    """Return when a message became a dead letter; for a damaged entry, when the entry was written."""
    at = next((text(value) for name, value in raw_fields.items() if text(name) == "at"), "")
    return whole(at, int(text(entry_id).partition("-")[0]))


def _texts(raw_fields: dict[Any, Any]) -> dict[str, str]:
    return {text(name): text(value) for name, value in raw_fields.items()}


def _dead_letter(partition: int, entry_id: str, raw_fields: dict[Any, Any]) -> DeadLetter:
    """Read an entry of the stream. Fields that are missing, since something else wrote the entry, stay empty."""
    fields = _texts(raw_fields)
    instance, phone = decode_conversation(fields.get("conversation", ""))
    attempts = whole(fields.get("attempts"), 0)
    message = decode(fields.get("message", ""))
    if message:
        message = msgspec.structs.replace(message, status="failed", retry_count=max(attempts - 1, 0))
    return DeadLetter(
        id=f"{partition}/{entry_id}",
        instance_name=instance,
        user_phone=phone,
        reason=fields.get("reason", ""),
        dead_at_ms=_dead_at_ms(entry_id, raw_fields),
        attempts=attempts,
        message=message,
        raw=fields.get("message", ""),
        reply=fields.get("reply"),
    )
