"""The buffer in which the incident happened."""

from __future__ import annotations

from typing import ClassVar

from sim.systems._buffer import BufferSystem
from sim.systems._buffer_witness import Buffer


class BufferV1(BufferSystem):
    """No lock; a failed call of the timer is only logged; buffers live 15 s."""

    name: ClassVar[str] = "buffer-v1"
    summary: ClassVar[str] = (
        "One buffer per conversation, no lock, an in-process timer; the incident happened in it."
    )
    order: ClassVar[int] = 10
    buffer_ttl_s: ClassVar[int] = 15
    processed_ttl_s: ClassVar[int] = 30

    async def read_for_add(self, key: str) -> Buffer | None:
        """The buffer as it is; another webhook may be reading it too."""
        return await self.read(key)
