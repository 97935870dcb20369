"""An AI as the rest of the code sees it: a turn goes in, raw text comes out."""

from __future__ import annotations

from typing import Protocol

from queue_core.message import Batch


class Backend(Protocol):
    """An AI that answers turns. One object serves a whole process."""

    name: str

    async def answer(self, batch: Batch) -> str:
        """Asks the AI about a turn and returns its raw answer, as `queue_core.ai.reply.extract` takes it.

        Raises RetryLaterError or GiveUpError; any other error is retried with the queue's own backoff.
        """
        ...
