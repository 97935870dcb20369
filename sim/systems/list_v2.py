"""The repair of the Redis list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from sim.systems._list import ListSystem
from sim.witness.lists import Entry, decode


class ListV2(ListSystem):
    """The list whose mark-as-processing reads the list again and pushes all of it back; up to 10 messages a batch."""

    name: ClassVar[str] = "list-v2"
    order: ClassVar[int] = 40
    batch_max: ClassVar[int | None] = 10

    async def entries_to_keep(self, key: str, batch: Sequence[Entry]) -> Sequence[Entry]:
        """Return everything that is in the list now, the batch's messages with their new status."""
        taken = {entry.entry_id for entry in batch}
        entries = decode(await self.redis.call("LRANGE", key, 0, -1))
        return [self.processing(entry) if entry.entry_id in taken else entry for entry in entries]
