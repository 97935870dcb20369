"""Interface between the queue and Redis: takes calls of scripts, returns their answers."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from queue_core.redis.scripts.loader import Call

Result = TypeVar("Result")


class Transport(Protocol):
    """Carrier of script calls. `transports.py` chooses one for a client; tests and simulations may have others.

    Every method raises QueueUnavailableError when no answer comes; the call may have been carried out nevertheless.
    """

    def gathered(self, call: Call[Result]) -> Awaitable[Result]:
        """Run a call, perhaps together with others, in the order in which the calls were made."""
        ...

    async def alone(self, call: Call[Result]) -> Result:
        """Run a call at once; it may overtake gathered calls."""
        ...

    async def load(self) -> None:
        """Check that the other end can run the scripts. Raises UnsupportedRedisError when it cannot."""
        ...
