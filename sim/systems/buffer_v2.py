"""The buffer with the lock and the grace window that were to repair it."""

from __future__ import annotations

from typing import ClassVar

from queue_core.legacy.buffer import BUFFER_V2, BufferRules
from sim.systems._buffer import BufferSystem


class BufferV2(BufferSystem):
    """A lock that is given up on after a few tries, a grace window around 8 s, retried calls, longer TTLs."""

    name: ClassVar[str] = "buffer-v2"
    order: ClassVar[int] = 20
    rules: ClassVar[BufferRules] = BUFFER_V2
