"""Calls that wait for an answer, and groups of them that go to Redis together, in one EVALSHA."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis import exceptions

from queue_core.errors import QueueError
from queue_core.keys import Place
from queue_core.redis.runner import explain
from queue_core.redis.scripts.gathered import GatheredScript
from queue_core.redis.scripts.loader import Call, LuaScript

Script = LuaScript | GatheredScript

CALLS_MAX = 16
"""Limit on the calls of a group. Redis serves nobody else while it runs a script: here, about half a millisecond."""


class PendingCall:
    """Call under way, and the future of its caller."""

    __slots__ = ("base", "call", "conversation", "future", "goes_alone", "is_asking", "since_s", "writes")

    def __init__(self, call: Call[Any], future: asyncio.Future[Any], since_s: float) -> None:
        self.call = call
        self.future = future
        place: Place | None = getattr(call, "place", None)
        self.base: str = place.base if place else ""
        """Start of the keys of its partition; "" if it is not on one conversation."""
        self.conversation: str = place.conversation if place else ""
        self.since_s = since_s
        self.writes = 0
        self.is_asking = False
        """True if ASKING must go before it: its slot is being moved to this server."""
        self.goes_alone = False
        """True after an error that came instead of the answers of its group."""

    @property
    def is_given_up(self) -> bool:
        """True after an error. A call is made even if its caller was cancelled."""
        return self.future.done() and not self.future.cancelled()

    def explain(self, error: Exception) -> QueueError:
        """Turn an error of redis-py into one of the queue's."""
        return explain(error, is_single=True)

    def fail(self, error: Exception) -> None:
        """Give the caller, if it still waits, the error, as one of the queue's."""
        if self.future.done():
            return
        if isinstance(error, exceptions.RedisError | OSError):
            explained = self.explain(error)
            explained.__cause__ = error
            self.future.set_exception(explained)
        else:
            self.future.set_exception(error)


class CallBuffer:
    """Calls that wait to be written, in their order."""

    __slots__ = ("_counts", "calls")

    def __init__(self) -> None:
        self.calls: list[PendingCall] = []
        self._counts: dict[str, int] = {}
        """Numbers of the calls of each partition."""

    def add(self, pending: PendingCall) -> bool:
        """Add a call. Returns True if the calls of its partition may fill a group now.

        Such a group should leave at once, so that the server works while further calls are made.
        """
        self.calls.append(pending)
        count = self._counts[pending.base] = self._counts.get(pending.base, 0) + 1
        return count == CALLS_MAX

    def take(self) -> list[PendingCall]:
        """Return the calls, which do not wait any more."""
        calls, self.calls = self.calls, []
        self._counts.clear()
        return calls


class CallGroup:
    """Calls that go to Redis in one EVALSHA: one by its own script, several by its gathered form."""

    __slots__ = ("_shared", "calls", "number")

    def __init__(self, pending: PendingCall, number: int = 0, shared: tuple[Any, ...] = ()) -> None:
        self.calls = [pending]
        self.number = number
        """Number of groups before it in the write."""
        self._shared = shared

    @property
    def script(self) -> Script:
        """Script that carries the calls out."""
        call = self.calls[0].call
        return call.script if len(self.calls) == 1 else self._gathered

    @property
    def is_asking(self) -> bool:
        """True if ASKING must go before it."""
        return self.calls[0].is_asking

    @property
    def _gathered(self) -> GatheredScript:
        gathered = self.calls[0].call.gathered
        assert gathered
        return gathered

    def takes(self, pending: PendingCall, shared: tuple[Any, ...]) -> bool:
        """Take one more call. Returns False if there is no room, or its shared inputs differ from the group's."""
        if len(self.calls) == CALLS_MAX or shared != self._shared:
            return False
        self.calls.append(pending)
        return True

    def command(self) -> tuple[Any, ...]:
        """Return the arguments of EVALSHA."""
        if len(self.calls) == 1:
            return self.calls[0].call.command()
        return self._gathered.command([pending.call for pending in self.calls])

    def answers(self, answer: Any) -> list[tuple[PendingCall, Any]] | None:
        """Return the calls with their answers; None if the server refused all together. Raises InvalidResponse."""
        if len(self.calls) == 1:
            return [(self.calls[0], answer)]
        if isinstance(answer, Exception):
            return None
        if not isinstance(answer, list) or len(answer) != len(self.calls):
            raise exceptions.InvalidResponse(f"{len(self.calls)} answers were expected")
        return list(zip(self.calls, answer, strict=True))


def groups_of(calls: Sequence[PendingCall]) -> list[CallGroup]:
    """Put calls into groups. Those on one conversation stay in their order, whatever their scripts.

    A call goes into the last group of its script and its partition. So it overtakes the calls that were made since
    then; it gets another group if one of these is on its conversation, or may be on any conversation.
    """
    if len(calls) == 1:
        return [CallGroup(calls[0])]
    groups: list[CallGroup] = []
    latest: dict[tuple[GatheredScript, str], CallGroup] = {}
    last_of: dict[str, int] = {}
    """Number of the last group that has a call on a conversation."""
    for pending in calls:
        call = pending.call
        gathered = None if pending.goes_alone or pending.is_asking else call.gathered
        conversation = pending.conversation
        if not conversation:
            latest.clear()
        shared = gathered.shared_of(call) if gathered else ("",)
        group = latest.get((gathered, shared[0])) if gathered else None
        if group is None or last_of.get(conversation, 0) > group.number or not group.takes(pending, shared):
            group = CallGroup(pending, len(groups), shared)
            groups.append(group)
            if gathered:
                latest[gathered, shared[0]] = group
        last_of[conversation] = group.number
    return groups
