"""Interface of an AI: it takes a turn, and returns raw text and the memory to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from queue_core.ai.memory import Memory
from queue_core.message import Batch


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of an AI to a turn."""

    text: str
    """Raw text, as `queue_core.ai.reply.extract` takes it."""
    memory: Memory | None = None
    """Memory to save once the answer is used; None leaves the memory as it is."""


class Backend(Protocol):
    """An AI that answers turns. One object serves a whole process."""

    name: str

    async def answer(self, batch: Batch) -> Answer:
        """Asks the AI about a turn. Saves no memory, since an answer may be dropped or asked for again.

        Raises RetryLaterError or GiveUpError; any other error is retried with the queue's own backoff.
        """
        ...
