"""Time of Redis as this process expects it, by which a script notices that Redis's clock was set forward."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class ServerTime:
    """Last time that each partition's server reported, with the moment of the request.

    `monotonic` (seconds) replaces the event loop's clock in simulations and tests.
    """

    def __init__(self, monotonic: Callable[[], float] | None = None) -> None:
        self._monotonic = monotonic
        self._seen: dict[int, tuple[int, float]] = {}

    def now_s(self) -> float:
        """Return this process's time in seconds, from an arbitrary start."""
        return self._monotonic() if self._monotonic else asyncio.get_running_loop().time()

    def note(self, partition: int, now_ms: int, asked_s: float) -> None:
        """Note an answer of a partition's server: its time, and the process's time when it was asked."""
        self._seen[partition] = now_ms, asked_s

    def expected_ms(self, partition: int) -> int:
        """Return the time that the server's clock shows if it ran as fast as this process's clock; 0 if unknown.

        Requests that take equally long cancel out. A slower one makes the clock look as if it had been set forward,
        which only makes messages expire later.
        """
        if partition not in self._seen:
            return 0
        now_ms, asked_s = self._seen[partition]
        return now_ms + int((self.now_s() - asked_s) * 1000)
