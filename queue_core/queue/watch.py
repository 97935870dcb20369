"""Watch: knowledge of one worker about a partition, by which one worker claims what is due, and not all of them.

All workers hear each ring (`doorbell.py`), and all know when something is next due. Then one of them claims. The others
look `STEP_S` later, each in its rank, whether that was done. A look is a small read, and says what is due next. If it
was not done, since the worker is dead or slow, or has no free slot, the one that looks claims. So a worker that fails
delays what is due by `STEP_S` at most, and all that fail together by `STEP_S * RANK_MAX`. A ring that a worker does not
live to answer is lost for nobody.

Redis keeps the workers that watch a partition, in `looks` (claim.lua). A worker enters at a claim, leaves when it has
no free slot, and is left out when another one claims in its place; then it enters again. With each `SLICE_MS` of
Redis's time another worker is the first, so that all get work alike.

While nothing waits, a worker waits for rings only. While something waits, it looks every `LOOK_S_MAX` nevertheless, in
case a clock was set or the machine slept.
"""

from __future__ import annotations

import asyncio
import math
from typing import NamedTuple

from queue_core.keys import encode_name
from queue_core.settings import QueueSettings
from queue_core.waiting import wait_for_event

STEP_S = 0.025
RANK_MAX = 4
SLICE_MS = 100
LOOK_S_MAX = 60.0
WATCHERS_MAX = 8
"""Limit on workers that watch a partition; the others look after them."""
GATHER_S = 0.002
"""Shortest time from a claim that leased something to the next: under load, claims lease what came in that time."""


class Entry(NamedTuple):
    """Change among the workers that watch a partition; their names are encoded."""

    name: str = ""
    """Worker that enters, and leaves if its claim leases as much as it has room for; "" for none."""
    left_out: tuple[str, ...] = ()
    """Workers that leave if the claim finds something that is due."""
    room: int = 0


def watch_of(processor_id: str, settings: QueueSettings) -> Watch:
    """Return the watch of a worker over a partition. With very short leases its steps are shorter, too."""
    return Watch(
        encode_name(processor_id),
        look_again_s=(settings.lock_ttl_ms - settings.grace_ms) / 1000,
        step_s=min(STEP_S, settings.lock_ttl_ms / 600_000),
    )


class Watch:
    """Watch of the worker `name` over one partition. `look_again_s` is the time from a ring to a look.

    Of several rings in a row only the last may be heard. So the worker looks before leases that were taken since then
    can end, whatever the last one says.
    """

    def __init__(self, name: str, *, look_again_s: float = LOOK_S_MAX, step_s: float = STEP_S) -> None:
        self._name = name
        self._step_s = step_s
        self._look_again_s = look_again_s
        self._changed = asyncio.Event()
        self._watchers: tuple[str, ...] = ()
        self._is_ended = False
        self._due_s = -math.inf
        """Time of the event loop from which on something is due, as far as is known."""
        self._look_s = math.inf
        """Time of the next look, whatever is due."""
        self._not_before_s = -math.inf
        self._has_more = False
        """True if the last answer said that more is due at once: then nobody waits for others."""
        self._server: tuple[int, float] | None = None
        """Redis's time, and that of the event loop when it was read."""
        self.left_out: tuple[str, ...] = ()
        """Workers that did not claim what is due, and in whose place this one does."""

    # What comes to be known.

    def ring(self, wait_ms: float = 0.0) -> None:
        """Note that something is due after `wait_ms`."""
        now_s = asyncio.get_running_loop().time()
        self._due_s = min(self._due_s, now_s + wait_ms / 1000)
        self._look_s = min(self._look_s, now_s + self._look_again_s)
        self._changed.set()

    def begin(self) -> None:
        """Note that the partition is asked now: its answer replaces what is known, but not rings from now on."""
        self._due_s = self._look_s = math.inf
        self._has_more = False
        self.left_out = ()

    def note(
        self, now_ms: int, next_due_ms: int | None, watchers: tuple[str, ...], *, has_leased: bool = False
    ) -> None:
        """Note the answer of a claim or a look."""
        now_s = asyncio.get_running_loop().time()
        self._watchers, self._server = watchers, (now_ms, now_s)
        self._has_more = next_due_ms is not None and next_due_ms <= now_ms
        self._not_before_s = now_s + GATHER_S if has_leased and not self._has_more else -math.inf
        if next_due_ms is not None:
            self._due_s = min(self._due_s, now_s + (next_due_ms - now_ms) / 1000)
            self._look_s = min(self._look_s, now_s + LOOK_S_MAX)

    def fail(self, pause_s: float) -> None:
        """Note that the partition did not answer, and is to be asked again."""
        self._look_s = min(self._look_s, asyncio.get_running_loop().time() + pause_s)

    def end(self) -> None:
        """End the wait, now and from now on."""
        self._is_ended = True
        self._changed.set()

    # What is to be done.

    async def until_due(self) -> None:
        """Wait until it is this worker's turn to look, or until the end."""
        clock = asyncio.get_running_loop().time
        while not self._is_ended:
            self._changed.clear()
            wait_s = max(self._not_before_s, min(self._due_s + self._delay_s(), self._look_s)) - clock()
            if wait_s <= 0:
                return
            await wait_for_event(self._changed, wait_s)

    def is_due(self) -> bool:
        """Return True if something is due, as far as is known."""
        return self._due_s <= asyncio.get_running_loop().time()

    def ahead(self) -> tuple[str, ...]:
        """Return the workers that claim before this one what is due next, in order."""
        watchers = self._watchers
        if self._has_more or not watchers or not self._server:
            return ()
        now_ms, seen_s = self._server
        due_ms = now_ms + max(0.0, self._due_s - seen_s) * 1000 if self._due_s < math.inf else now_ms
        first = int(due_ms // SLICE_MS) % len(watchers)
        ranked = watchers[first:] + watchers[:first]
        return ranked[: ranked.index(self._name)] if self._name in ranked else ranked

    def entry_with(self, room: int) -> Entry:
        """Return what a claim of this worker, with `room` for so many turns, changes among the workers that watch."""
        is_wanted = self._name in self._watchers or len(self._watchers) < WATCHERS_MAX
        return Entry(self._name if is_wanted else "", self.left_out, room)

    @property
    def is_left_out(self) -> bool:
        """True if this worker does not watch, and is to enter."""
        return self._name not in self._watchers and len(self._watchers) < WATCHERS_MAX

    def _delay_s(self) -> float:
        return min(len(self.ahead()), RANK_MAX) * self._step_s
