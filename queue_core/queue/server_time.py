"""Time of Redis as this process expects it, by which a script notices that Redis's clock was set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

STEP_MS = 1_000
"""Difference of two clocks that counts as setting one of them; lib.lua has the same."""


class ServerTime:
    """Newest time of each partition's server, with the moments of the request and of the answer.

    `monotonic` (seconds) replaces the event loop's clock in simulations and tests.
    """

    def __init__(self, monotonic: Callable[[], float] | None = None) -> None:
        self._monotonic = monotonic
        self._seen: dict[int, tuple[int, float, float]] = {}

    def now_s(self) -> float:
        """Return this process's time in seconds, from an arbitrary start."""
        return self._monotonic() if self._monotonic else asyncio.get_running_loop().time()

    def note(self, partition: int, now_ms: int, asked_s: float, *, of_claim: bool = False) -> bool:
        """Note an answer that has just come: the server's time, and the process's time when it was asked.

        Return False if the server's clock was set since the last answer. Then only the answer of a claim is noted,
        since only claims tell Redis of the step.
        """
        earliest_ms, latest_ms = self.bounds_ms(partition, asked_s)
        is_steady = not latest_ms or earliest_ms - STEP_MS <= now_ms <= latest_ms + STEP_MS
        if is_steady or of_claim:
            self._seen[partition] = now_ms, asked_s, self.now_s()
        return is_steady

    def bounds_ms(self, partition: int, asked_s: float | None = None) -> tuple[int, int]:
        """Return the earliest and the latest time that the server's clock showed since `asked_s`; (0, 0) if unknown.

        If `asked_s` is None, they are the bounds of this moment. They hold if the server's clock ran as fast as this
        process's clock since the last answer.
        """
        if partition not in self._seen:
            return 0, 0
        then_ms, then_asked_s, then_answered_s = self._seen[partition]
        now_s = self.now_s()
        since_s = (now_s if asked_s is None else asked_s) - then_answered_s
        return then_ms + int(since_s * 1000), then_ms + int((now_s - then_asked_s) * 1000)
