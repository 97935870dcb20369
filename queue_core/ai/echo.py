"""Stand-in for an AI that repeats the user's messages, for trying things out."""

from __future__ import annotations

from queue_core.ai.base import Answer
from queue_core.message import Batch


class EchoBackend:
    """Stand-in for an AI that repeats the user's messages."""

    name = "echo"

    async def answer(self, batch: Batch) -> Answer:
        """Return the texts of the turn, one per line."""
        return Answer(batch.text)
