"""Place of a conversation while the number of partitions changes.

A conversation stays at its former place as long as messages wait or are being answered there, and lies at its new place
afterwards. So messages never wait at both, and its order holds. Once it has left, nothing comes to the former place
again: a script there stores nothing for processes that know of the change (`has_left` in `arrivals.lua`), and refuses
those that do not (`read_layout` in `lib.lua`). What else is kept of the conversation, such as the AI's memory, is
carried to the new place before anything is stored there. Without a change nothing of this costs a command.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from queue_core.errors import OtherPartitionsError, QueueUnavailableError
from queue_core.keys import Place
from queue_core.queue.access import Access, whole
from queue_core.redis import scripts
from queue_core.redis.scripts.loader import text

ADOPTIONS_MAX = 8
"""Limit on changes of the numbers of partitions during one step."""
Result = TypeVar("Result")

_READS: dict[str, tuple[str, tuple[int, ...]]] = {
    "memory": ("GET", ()),
    "alias": ("GET", ()),
    "names": ("HGETALL", ()),
    "behind": ("HGETALL", ()),
    "change_notes": ("HGETALL", ()),
    "undelivered": ("LRANGE", (0, -1)),
    "completed": ("LRANGE", (0, -1)),
}
"""Keys that are carried, by their names in `Place`, with the command that reads them and its arguments."""


async def current(access: Access, place: Place) -> Place:
    """Return where a conversation lies now, given its new place, to which it moves here if it can.

    Raises QueueUnavailableError when Redis does not answer.
    """
    former = access.keys.former(place)
    if former is None:
        return place
    waiting, leased, *kept = await access.read(
        *(("EXISTS", key) for key in (former.queue, former.lock, *(getattr(former, name) for name in _READS)))
    )
    if waiting or leased:
        return former
    if any(kept):
        await _carry(access, former, place)
    return place


async def adopting(access: Access, step: Callable[[], Awaitable[Result]]) -> Result:
    """Run a step; again, if the deployment has other numbers of partitions than this process reckoned with."""
    adoptions = 0
    while True:
        try:
            return await step()
        except OtherPartitionsError as other:
            adoptions += 1
            if adoptions > ADOPTIONS_MAX:
                raise
            await adopt(access, other)


async def adopt(access: Access, other: OtherPartitionsError) -> None:
    """Reckon with the numbers of partitions that the deployment has; note those of this process if it has none yet.

    Raises QueueUnavailableError when Redis does not answer.
    """
    if other.numbers != "?":
        access.keys.adopt(other.numbers)
        return
    async with access.noting:  # calls that wait here are repeated in their order
        first = access.keys.partitions[0].layout
        _, noted = await access.read(
            ("HSETNX", first, "partitions", access.keys.numbers), ("HGET", first, "partitions")
        )
        access.keys.adopt(text(noted))
        layouts = [partition.layout for partition in access.keys.partitions]
        with suppress(
            QueueUnavailableError
        ):  # where a server is away, the number is noted with the first message
            await access.read(*(("HSETNX", key, "partitions", access.keys.numbers) for key in layouts))


def carried_keys(place: Place) -> list[str]:
    """Return the keys that are carried when a conversation leaves this place."""
    return [getattr(place, name) for name in _READS]


async def _carry(access: Access, former: Place, place: Place) -> None:
    keys = carried_keys(former)
    answers = await access.read(
        *(
            (command, key, *arguments)
            for key, (command, arguments) in zip(keys, _READS.values(), strict=True)
        ),
        *(("PTTL", key) for key in keys),
    )
    kept = b""
    for name, value, ttl_ms in zip(_READS, answers[: len(keys)], answers[len(keys) :], strict=True):
        if values := _flat(value):
            kept += b"".join(map(_netstring, [name, max(0, whole(ttl_ms, 0)), len(values), *values]))
    await access.transport.alone(scripts.Carry(place=place, now_ms=access.now(), kept=kept))
    await access.read(*(("UNLINK", key) for key in keys))


def _flat(value: Any) -> list[Any]:
    """Return the values of a key as its writing command takes them."""
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _netstring(value: bytes | str | int) -> bytes:
    raw = value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")
    return b"%d:%s" % (len(raw), raw)
