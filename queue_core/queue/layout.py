"""Layout of the data in Redis: which releases wrote it, and which may still work on it."""

from __future__ import annotations

from typing import Any

import msgspec

from queue_core.keys import LAYOUT_VERSION
from queue_core.queue.access import Access, whole
from queue_core.redis.runner import newer_layout

BESIDE_MS = 24 * 3_600_000
"""Time for which processes of the layout before may work beside this one, and the way back to them costs nothing."""


class Layout(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Layout of a partition; `queue_core/keys.py` describes the hash."""

    version: int
    """The newest layout that was written there; 1 if no process of a release with numbers has stored a message yet."""
    since_ms: int | None
    """Time of the first message in it, Unix ms; 0 if the partition was empty then, None for layout 1."""
    oldest: int
    """The oldest layout whose processes may still work there."""


class Layouts:
    """Layouts of all partitions."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def read(self) -> list[Layout]:
        """Return the layout of each partition. Raises QueueUnavailableError."""
        keys = [partition.layout for partition in self._access.keys.partitions]
        answers = await self._access.read_hashes(keys, "version", "since", "oldest")
        # A damaged one is moved aside by the next message, which notes the layout anew.
        return [_layout(*(values or (None, None, None))) for values in answers]

    async def check(self) -> None:
        """Raise NewerLayoutError where only newer processes may work."""
        needed = max(layout.oldest for layout in await self.read())
        if needed > LAYOUT_VERSION:
            raise newer_layout(needed)


def _layout(version: Any, since: Any, oldest: Any) -> Layout:
    return Layout(
        version=whole(version, 1),
        since_ms=None if since is None else whole(since, 0),
        oldest=whole(oldest, 1),
    )
