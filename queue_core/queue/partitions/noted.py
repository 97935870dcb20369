"""Number of partitions that is noted in Redis."""

from __future__ import annotations

import msgspec

from queue_core.errors import PartitionsError
from queue_core.keys import KeySpace
from queue_core.queue.access import Access
from queue_core.redis.scripts.loader import text
from queue_core.settings import PARTITIONS_MAX


class NotedPartitions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Number of partitions that is noted in Redis."""

    partitions: int | None
    """Number that all processes must have; None before the first change, when none is noted."""
    changing_to: int | None = None
    """New number while the conversations are carried; `partitions` is then the old number."""
    is_opening: bool = False
    """True if all is carried, and some partitions have been opened."""


def all_keys(prefix: str) -> KeySpace:
    """Return the keys of all partitions that can exist."""
    return KeySpace(prefix, PARTITIONS_MAX)


async def read_noted(access: Access) -> NotedPartitions:
    """Return the number of partitions that is noted. Raises PartitionsError where the notes contradict each other."""
    keys = [partition.layout for partition in all_keys(access.settings.prefix).partitions]
    hashes = await access.read_hashes(keys, "partitions")
    notes = {text(values[0]) for values in hashes if values and values[0] is not None}
    changes, numbers = {note for note in notes if ">" in note}, {note for note in notes if ">" not in note}
    if len(changes) == 1:
        before, _, new = changes.pop().partition(">")
        if numbers <= {before, new}:
            return NotedPartitions(partitions=int(before), changing_to=int(new), is_opening=new in numbers)
    elif len(numbers) <= 1 and not changes:
        return NotedPartitions(partitions=int(numbers.pop()) if numbers else None)
    raise PartitionsError(
        f"the notes of the number of partitions contradict each other ({', '.join(sorted(notes))}): something other "
        "than the queue has changed them"
    )
