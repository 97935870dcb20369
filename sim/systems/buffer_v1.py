"""The buffer of the incident in README.md."""

from __future__ import annotations

from typing import ClassVar

from queue_core.legacy.buffer import BUFFER_V1, BufferRules
from sim.systems._buffer import BufferSystem


class BufferV1(BufferSystem):
    """The buffer without a lock: a failed call of the timer is only logged, and buffers live 15 s."""

    name: ClassVar[str] = "buffer-v1"
    order: ClassVar[int] = 10
    rules: ClassVar[BufferRules] = BUFFER_V1
