"""Layout of the data in Redis: which releases wrote it, and which may still work on it."""

from __future__ import annotations

from typing import Any

import msgspec

from queue_core.keys import LAYOUT_KNOWN
from queue_core.queue.access import Access, whole
from queue_core.redis.runner import newer_layout, other_partitions
from queue_core.redis.scripts.loader import text

PREVIOUS_RELEASE_MS = 24 * 3_600_000
"""Time for which processes of the previous layout may work beside this one, and a downgrade loses nothing."""


class Layout(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Layout of a partition; `queue_core/keys.py` describes the hash in Redis that holds it."""

    version: int
    """Newest layout that was written to the partition; 1 if no release that numbers its layout used it yet."""
    since_ms: int | None
    """Unix ms since which it is used; 0 if no older process had used the partition before, None for layout 1."""
    oldest: int
    """Oldest layout whose processes may still work on the partition."""
    partitions: str = ""
    """Number of partitions that is noted, "16>32" while conversations are carried; "" if none is noted."""


class Layouts:
    """Layouts of all partitions."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def read(self) -> list[Layout]:
        """Return the layout of each partition. Raises QueueUnavailableError."""
        keys = [partition.layout for partition in self._access.keys.partitions]
        answers = await self._access.read_hashes(keys, "version", "since", "oldest", "partitions")
        # The next message moves a damaged layout aside and writes it again.
        return [_layout(*(values or [None] * 4)) for values in answers]

    async def check(self) -> None:
        """Raise NewerLayoutError if this release is too old, PartitionsError if its number of partitions is wrong."""
        layouts = await self.read()
        needed = max(layout.oldest for layout in layouts)
        if needed > LAYOUT_KNOWN:
            raise newer_layout(needed)
        partitions = self._access.settings.partitions
        for layout in layouts:
            if layout.partitions not in ("", str(partitions)):
                raise other_partitions(layout.partitions, partitions)


def _layout(version: Any, since: Any, oldest: Any, partitions: Any) -> Layout:
    return Layout(
        version=whole(version, 1),
        since_ms=None if since is None else whole(since, 0),
        oldest=whole(oldest, 1),
        partitions="" if partitions is None else text(partitions),
    )
