"""Calls under way, and the parcels in which they travel: some go to Redis together, in one EVALSHA."""

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
"""Limit on the calls of a parcel. Redis serves nobody else while it runs a script: here, about half a millisecond."""


class Trip:
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
        """True after an error that came instead of the answers of its parcel."""

    @property
    def is_given_up(self) -> bool:
        """True after an error. A caller that was cancelled still wants the call to be made."""
        return self.future.done() and not self.future.cancelled()

    def explain(self, error: Exception) -> QueueError:
        """Turn an error of redis-py into one of the queue's."""
        return explain(error)

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


class Waiting:
    """Calls that wait to be written, in their order."""

    __slots__ = ("_counts", "trips")

    def __init__(self) -> None:
        self.trips: list[Trip] = []
        self._counts: dict[str, int] = {}
        """Numbers of the calls of each partition."""

    def add(self, trip: Trip) -> bool:
        """Add a call. Returns True if the calls of its partition may fill a parcel now.

        Such a parcel should leave at once, so that the server works while further calls are made.
        """
        self.trips.append(trip)
        count = self._counts[trip.base] = self._counts.get(trip.base, 0) + 1
        return count == CALLS_MAX

    def take(self) -> list[Trip]:
        """Return the calls, which do not wait any more."""
        trips, self.trips = self.trips, []
        self._counts.clear()
        return trips


class Parcel:
    """Calls that go to Redis in one EVALSHA: one by its own script, several by its gathered form."""

    __slots__ = ("_kinship", "number", "trips")

    def __init__(self, trip: Trip, number: int = 0, kinship: tuple[Any, ...] = ()) -> None:
        self.trips = [trip]
        self.number = number
        """Number of parcels before it in the write."""
        self._kinship = kinship

    @property
    def script(self) -> Script:
        """Script that carries the calls out."""
        call = self.trips[0].call
        return call.script if len(self.trips) == 1 else self._gathered

    @property
    def is_asking(self) -> bool:
        """True if ASKING must go before it."""
        return self.trips[0].is_asking

    @property
    def _gathered(self) -> GatheredScript:
        gathered = self.trips[0].call.gathered
        assert gathered
        return gathered

    def takes(self, trip: Trip, kinship: tuple[Any, ...]) -> bool:
        """Take one more call, if there is room and it shares with the others what calls of a parcel must share."""
        if len(self.trips) == CALLS_MAX or kinship != self._kinship:
            return False
        self.trips.append(trip)
        return True

    def command(self) -> tuple[Any, ...]:
        """Return the arguments of EVALSHA."""
        if len(self.trips) == 1:
            return self.trips[0].call.command()
        return self._gathered.command([trip.call for trip in self.trips])

    def answers(self, answer: Any) -> list[tuple[Trip, Any]] | None:
        """Return the calls with their answers; None if the server refused all together. Raises InvalidResponse."""
        if len(self.trips) == 1:
            return [(self.trips[0], answer)]
        if isinstance(answer, Exception):
            return None
        if not isinstance(answer, list) or len(answer) != len(self.trips):
            raise exceptions.InvalidResponse(f"{len(self.trips)} answers were expected")
        return list(zip(self.trips, answer, strict=True))


def parcels_of(trips: Sequence[Trip]) -> list[Parcel]:
    """Put calls into parcels. Those on one conversation stay in their order, whatever their scripts.

    A call goes into the last parcel of its script and its partition. So it overtakes the calls that were made since
    then; it gets another parcel if one of these is on its conversation, or may be on any conversation.
    """
    if len(trips) == 1:
        return [Parcel(trips[0])]
    parcels: list[Parcel] = []
    latest: dict[tuple[GatheredScript, str], Parcel] = {}
    last_of: dict[str, int] = {}
    """Number of the last parcel that has a call on a conversation."""
    for trip in trips:
        call = trip.call
        gathered = None if trip.goes_alone or trip.is_asking else call.gathered
        conversation = trip.conversation
        if not conversation:
            latest.clear()
        kinship = gathered.kinship(call) if gathered else ("",)
        parcel = latest.get((gathered, kinship[0])) if gathered else None
        if parcel is None or last_of.get(conversation, 0) > parcel.number or not parcel.takes(trip, kinship):
            parcel = Parcel(trip, len(parcels), kinship)
            parcels.append(parcel)
            if gathered:
                latest[gathered, kinship[0]] = parcel
        last_of[conversation] = parcel.number
    return parcels
