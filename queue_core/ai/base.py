"""What an AI is to the rest: a turn in, raw text out."""

from __future__ import annotations

from typing import Protocol

from queue_core.message import Batch


class Backend(Protocol):
    """Answers turns. One object serves a whole process."""

    name: str

    async def answer(self, batch: Batch) -> str:
        """The AI's raw answer to a turn, as `queue_core.ai.reply.extract` takes it.

        Raises RetryLaterError or GiveUpError; any other error is retried with the queue's own backoff.
        """
        ...
