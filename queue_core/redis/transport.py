"""The seam between the queue and Redis: calls of scripts go in, their answers come out."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from queue_core.redis.scripts.loader import Call

Result = TypeVar("Result")


class Transport(Protocol):
    """Carrier of script calls. `ScriptRunner` is the one for a Redis; tests and simulations may bring their own.

    Every method raises QueueUnavailableError when the answer does not come; the call may have been done all the same.
    """

    def gathered(self, call: Call[Result]) -> Awaitable[Result]:
        """Run a call, perhaps together with others, in the order in which they were made."""
        ...

    async def alone(self, call: Call[Result]) -> Result:
        """Run a call at once, not in order with gathered ones."""
        ...

    async def load(self) -> None:
        """Check that the other end can run the scripts. Raises UnsupportedRedisError when it cannot."""
        ...
