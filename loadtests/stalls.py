"""Time in which the machine did not let programs run, which no server is to blame for."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from typing import NamedTuple

TICK_S = 0.01
STALL_S_MIN = 0.03
"""Shortest delay of a tick that counts as a stall."""


class _Stall(NamedTuple):
    began_s: float
    ended_s: float
    before_s: float
    """Length of all earlier stalls together."""


class Stalls:
    """Stalls during a run. All times are of one clock; `watch` notes stalls of the event loop by `time.monotonic`."""

    def __init__(self) -> None:
        self._stalls: list[_Stall] = []
        self.total_s = 0.0

    async def watch(self) -> None:
        """Note stalls until cancelled."""
        while True:
            due_s = time.monotonic() + TICK_S
            await asyncio.sleep(TICK_S)
            self.note(due_s, time.monotonic())

    def note(self, due_s: float, came_s: float) -> None:
        """Note when a tick was due, and when it came; a short delay is not a stall."""
        if came_s - due_s >= STALL_S_MIN:
            self.add(due_s, came_s)

    def add(self, began_s: float, ended_s: float) -> None:
        """Add a stall that began at the end of the last one, or later."""
        self._stalls.append(_Stall(began_s, ended_s, self.total_s))
        self.total_s += ended_s - began_s

    def lengths(self) -> list[tuple[float, float]]:
        """Return the beginning and the length of each stall."""
        return [(stall.began_s, stall.ended_s - stall.began_s) for stall in self._stalls]

    def running_s(self, moment_s: float) -> float:
        """Return a moment on a clock that stands still during stalls; differences of such moments are running time."""
        number = bisect_right(self._stalls, moment_s, key=lambda stall: stall.began_s)
        if not number:
            return moment_s
        last = self._stalls[number - 1]
        return moment_s - last.before_s - (min(moment_s, last.ended_s) - last.began_s)
