"""Time of Redis as this process expects it, by which a script notices that Redis's clock was set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class ServerTime:
    """Last time that each partition's server reported, with the moments of the request and of its answer.

    `monotonic` (seconds) replaces the event loop's clock in simulations and tests.
    """

    def __init__(self, monotonic: Callable[[], float] | None = None) -> None:
        self._monotonic = monotonic
        self._seen: dict[int, tuple[int, float, float]] = {}

    def now_s(self) -> float:
        """Return this process's time in seconds, from an arbitrary start."""
        return self._monotonic() if self._monotonic else asyncio.get_running_loop().time()

    def note(self, partition: int, now_ms: int, asked_s: float) -> None:
        """Note an answer that has just come: the server's time, and the process's time when it was asked."""
        self._seen[partition] = now_ms, asked_s, self.now_s()

    def bounds_ms(self, partition: int) -> tuple[int, int]:
        """Return the earliest and the latest time that the server's clock shows now; (0, 0) if unknown.

        They hold if the server's clock ran as fast as this process's clock since the last answer. A slow request makes
        the clock look as if it had been set forward, which only makes messages expire later.
        """
        if partition not in self._seen:
            return 0, 0
        now_ms, asked_s, answered_s = self._seen[partition]
        now_s = self.now_s()
        return now_ms + int((now_s - answered_s) * 1000), now_ms + int((now_s - asked_s) * 1000)
