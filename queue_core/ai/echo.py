"""An AI that answers a turn with the turn itself: for trying things out."""

from __future__ import annotations

from queue_core.ai.base import Answer
from queue_core.message import Batch


class EchoBackend:
    """An AI that repeats what the user wrote."""

    name = "echo"

    async def answer(self, batch: Batch) -> Answer:
        """Returns the texts of the turn, one per line."""
        return Answer(batch.text)
