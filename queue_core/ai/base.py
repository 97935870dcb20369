"""Interface of an AI, which gets a turn and returns a raw text and the memory to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from queue_core.ai.memory import Memory
from queue_core.message import Batch


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of an AI to a turn."""

    text: str
    """Raw text, from which `queue_core.ai.reply.extract` takes the reply."""
    memory: Memory | None = None
    """Memory to save when the answer is used; None leaves the memory as it is."""


class Backend(Protocol):
    """AI that answers turns. One object serves a whole process."""

    name: str

    async def answer(self, batch: Batch) -> Answer:
        """Ask the AI to answer a turn. Saves no memory, since the answer may be dropped or asked for again.

        Raises RetryLaterError or GiveUpError; after any other error the turn is retried with the queue's backoff.
        """
        ...
