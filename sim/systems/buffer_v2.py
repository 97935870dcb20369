"""The attempt to repair the buffer: a lock, and a wait before writes near the due time."""

from __future__ import annotations

from typing import ClassVar

from queue_core.legacy.buffer import BUFFER_V2, BufferRules
from sim.systems._buffer import BufferSystem


class BufferV2(BufferSystem):
    """The buffer with a lock (ignored after a few tries), a wait before writes around 8 s, retries, and longer TTLs."""

    name: ClassVar[str] = "buffer-v2"
    order: ClassVar[int] = 20
    rules: ClassVar[BufferRules] = BUFFER_V2
