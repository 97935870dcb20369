"""Interface of an AI, which gets a turn and returns a raw text and the memory to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from queue_core.ai.memory import Memory
from queue_core.message import Batch

UNAVAILABLE_WAITS_S = (2.0, 15.0, 60.0)
"""Waits before the first, second, … retry while the AI is unreachable or overloaded; the settings may change them."""


def retry_after_ms(attempt: int, waits_s: Sequence[float], asked_s: float | None = None) -> int:
    """Return the wait after a failed attempt: that of `waits_s`, or the one that the AI asks for, if that is longer."""
    wait_s = waits_s[min(max(attempt, 1), len(waits_s)) - 1]
    return int(max(wait_s, asked_s or 0) * 1000)


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
