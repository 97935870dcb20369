"""Watch: a worker's knowledge of one partition, so that only one worker claims a conversation that becomes due.

All workers hear each ring (`doorbell.py`), and all know when the next conversation is due. At that moment the first
worker claims. The others check after it, in the order of their ranks and `STEP_S` apart, whether it has claimed. Such a
look is a small read, and its answer says what is due next. If nobody has claimed, since the first worker is dead or
slow or has no free slot, the worker that looks claims. So one worker that fails delays a turn by `STEP_S` at most, and
several that fail together delay it by `STEP_S * RANK_MAX`. No ring is lost when the worker that should answer it dies.

Redis keeps the names of the workers that watch a partition, in `looks` (claim.lua). A worker enters with a claim, and
leaves when it has no free slot. It is left out when another worker claims in its place; then it enters again. In each
`SLICE_MS` of Redis's time another worker is the first, so that all get equal work.

While nothing waits, a worker only waits for rings. While messages wait, it also looks every `LOOK_S_MAX`, in case a
clock was set or the machine slept.
"""

from __future__ import annotations

import asyncio
import math
from typing import NamedTuple

from queue_core.keys import encode_name
from queue_core.settings import QueueSettings

STEP_S = 0.025
RANK_MAX = 4
SLICE_MS = 100
LOOK_S_MAX = 60.0
WATCHERS_MAX = 8
"""Limit on workers that watch a partition; any others look last."""
GATHER_S = 0.002
"""Shortest time between a claim that leased turns and the next claim: under load, one claim leases several turns."""


class Entry(NamedTuple):
    """Change among the workers that watch a partition; their names are encoded."""

    name: str = ""
    """Worker that enters, and leaves if its claim fills all its slots; "" for none."""
    left_out: tuple[str, ...] = ()
    """Workers that are left out if the claim finds due conversations."""
    room: int = 0
    """Number of turns that the worker can still begin."""


def watch_of(processor_id: str, settings: QueueSettings) -> Watch:
    """Return the watch of a worker over a partition. With very short leases its steps are shorter, too."""
    return Watch(
        encode_name(processor_id),
        look_again_s=(settings.lock_ttl_ms - settings.grace_ms) / 1000,
        step_s=min(STEP_S, settings.lock_ttl_ms / 600_000),
    )


class Watch:
    """Watch of the worker `name` over one partition. `look_again_s` is the longest time from a ring to a look.

    Of several rings in a row the worker may hear only the last. So it looks again before any lease that was taken in
    the meantime can end, even if the last ring names a later time.
    """

    def __init__(self, name: str, *, look_again_s: float = LOOK_S_MAX, step_s: float = STEP_S) -> None:
        self._name = name
        self._step_s = step_s
        self._look_again_s = look_again_s
        self._wait: _Wait | None = None
        """Wait of the worker, while it waits."""
        self._watchers: tuple[str, ...] = ()
        self._is_ended = False
        self._due_s = -math.inf
        """Time of the event loop at which the next conversation is due, as far as the worker knows."""
        self._look_s = math.inf
        """Time of the next look, even if nothing is due by then."""
        self._not_before_s = -math.inf
        self._has_more = False
        """True if the last answer said that more conversations are due: then no worker waits for others."""
        self._server: tuple[int, float] | None = None
        """Redis's time, and the time of the event loop when it was read."""
        self.left_out: tuple[str, ...] = ()
        """Workers that should have claimed the due conversation, and in whose place this worker claims it."""

    # News from Redis.

    def ring(self, wait_ms: float = 0.0) -> None:
        """Note that a conversation is due after `wait_ms`."""
        now_s = asyncio.get_running_loop().time()
        self._due_s = min(self._due_s, now_s + wait_ms / 1000)
        self._look_s = min(self._look_s, now_s + self._look_again_s)
        if self._wait:
            self._wait.until(self._next_s())

    def begin(self) -> None:
        """Forget what is known, since the partition is being asked; rings from now on count beside its answer."""
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
        """Note that the partition did not answer: the worker asks again after `pause_s`."""
        self._look_s = min(self._look_s, asyncio.get_running_loop().time() + pause_s)

    def end(self) -> None:
        """End the wait, and any later one."""
        self._is_ended = True
        if self._wait:
            self._wait.end()

    # Questions of the worker.

    async def until_due(self) -> None:
        """Wait until it is this worker's turn to look, or until the end."""
        clock = asyncio.get_running_loop().time
        while not self._is_ended and (next_s := self._next_s()) > clock():
            self._wait = wait = _Wait()
            try:
                wait.until(next_s)
                await wait.ended
            finally:
                wait.end()
                self._wait = None

    def is_due(self) -> bool:
        """Return True if a conversation is due, as far as the worker knows."""
        return self._due_s <= asyncio.get_running_loop().time()

    def ahead(self) -> tuple[str, ...]:
        """Return the workers that come before this one in claiming the next due conversation, in order."""
        watchers = self._watchers
        if self._has_more or not watchers or not self._server:
            return ()
        now_ms, seen_s = self._server
        due_ms = now_ms + max(0.0, self._due_s - seen_s) * 1000 if self._due_s < math.inf else now_ms
        first = int(due_ms // SLICE_MS) % len(watchers)
        ranked = watchers[first:] + watchers[:first]
        return ranked[: ranked.index(self._name)] if self._name in ranked else ranked

    def entry_with(self, room: int) -> Entry:
        """Return the change that a claim of this worker, with `room` for that many turns, makes among the watchers."""
        is_wanted = self._name in self._watchers or len(self._watchers) < WATCHERS_MAX
        return Entry(self._name if is_wanted else "", self.left_out, room)

    @property
    def is_left_out(self) -> bool:
        """True if this worker does not watch, although it could."""
        return self._name not in self._watchers and len(self._watchers) < WATCHERS_MAX

    def _next_s(self) -> float:
        """Return the time of the event loop at which it is this worker's turn to look."""
        return max(self._not_before_s, min(self._due_s + self._delay_s(), self._look_s))

    def _delay_s(self) -> float:
        return min(len(self.ahead()), RANK_MAX) * self._step_s


class _Wait:
    """Wait until a time of the event loop, which may be changed while the worker waits."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def until(self, when_s: float) -> None:
        """Set the time of the end."""
        if when_s <= self._loop.time():
            self.end()
            return
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(when_s, self.end) if when_s < math.inf else None

    def end(self) -> None:
        """End the wait."""
        if self._timer:
            self._timer.cancel()
        if not self.ended.done():
            self.ended.set_result(None)
