"""Spreading of events whose time is known only to the second or minute, by a seeded draw in the order of the file."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from queue_core.recording.format import Precision, RecordedEvent

UNIT_MS: dict[Precision, int] = {"ms": 1, "s": 1_000, "min": 60_000}
GROUPS_MAX = 4_096
"""Limit on groups that wait for more events of their second; the oldest is ended first."""


class _Group(NamedTuple):
    unit_ms: int
    start_ms: int
    events: list[RecordedEvent]


class Spreader:
    """Spreader of events within their second or minute.

    Events of one conversation in one second get uniformly drawn moments in the order in which they come. A group waits
    until an event of its conversation has another second.
    """

    def __init__(self, seed: int) -> None:
        self._seed = str(seed).encode()
        self._groups: OrderedDict[tuple[str, str], _Group] = OrderedDict()

    @property
    def waits(self) -> bool:
        """True if events wait, which later events of their conversations must not overtake."""
        return bool(self._groups)

    def add(self, event: RecordedEvent, precision: Precision) -> list[RecordedEvent]:
        """Take an event, and return those that are ready."""
        conversation = (event.instance, event.phone)
        unit_ms = UNIT_MS[precision]
        start_ms = event.at - event.at % unit_ms
        ready: list[RecordedEvent] = []
        group = self._groups.get(conversation)
        if group is not None and (group.start_ms != start_ms or group.unit_ms != unit_ms):
            ready = self._end(conversation)
            group = None
        if unit_ms == 1:
            ready.append(event)
            return ready
        if group is None:
            group = self._groups[conversation] = _Group(unit_ms, start_ms, [])
            if len(self._groups) > GROUPS_MAX:
                ready += self._end(next(iter(self._groups)))
        group.events.append(event)
        return ready

    def rest(self) -> Iterator[RecordedEvent]:
        """Yield all events that still wait."""
        for conversation in list(self._groups):
            yield from self._end(conversation)

    def _end(self, conversation: tuple[str, str]) -> list[RecordedEvent]:
        group = self._groups.pop(conversation)
        moments = [self._draw(conversation, group, number) for number in range(len(group.events))]
        moments.sort()
        return [
            replace(event, at=group.start_ms + moment_ms)
            for event, moment_ms in zip(group.events, moments, strict=True)
        ]

    def _draw(self, conversation: tuple[str, str], group: _Group, number: int) -> int:
        """Draw a moment from the seed, the conversation and the second, independently of the rest of the file."""
        about = f"{conversation}{group.start_ms}/{number}".encode("utf-8", "replace")
        drawn = hashlib.blake2b(about, digest_size=8, key=self._seed[:64]).digest()
        return int.from_bytes(drawn, "big") * group.unit_ms >> 64
