"""The Redis list as first deployed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from sim.systems._list import ListSystem
from sim.witness.lists import Entry


class ListV1(ListSystem):
    """The list whose mark-as-processing pushes back only the messages that were read."""

    name: ClassVar[str] = "list-v1"
    order: ClassVar[int] = 30

    async def entries_to_keep(self, key: str, batch: Sequence[Entry]) -> Sequence[Entry]:
        """Return only the batch, although the list may have got more messages."""
        return [self.processing(entry) for entry in batch]
