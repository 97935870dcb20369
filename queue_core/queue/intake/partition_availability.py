"""Availability of one partition, as one process sees it: when Redis was away, and what was stored there before."""

from __future__ import annotations

from collections import OrderedDict

Conversation = tuple[str, str]
"""Instance and phone."""


class PartitionAvailability:
    """Times at which Redis took messages of a partition, and times at which it was away. Seconds of the event loop."""

    def __init__(self) -> None:
        self._stored_at: OrderedDict[Conversation, float] = OrderedDict()
        """Times at which the last message of each conversation was stored, on the clock of `_reachable_s`.

        A conversation leaves once its messages must have been answered.
        """
        self._away_since: float | None = None
        self._away_s = 0.0
        """Length of all earlier outages together."""

    def failed(self, now_s: float) -> None:
        """Note that Redis did not answer."""
        self._away_since = now_s if self._away_since is None else self._away_since

    def answered(self, now_s: float) -> None:
        """Note that Redis answered."""
        self._away_s, self._away_since = self._away_s + self.away_s(now_s), None

    def away_s(self, now_s: float) -> float:
        """Return for how long Redis has been away; 0 if it answered last."""
        return now_s - self._away_since if self._away_since is not None else 0.0

    def stored(self, conversation: Conversation, now_s: float, *, waits_s: float) -> None:
        """Note that a message of a conversation was stored; it waits for `waits_s` at most, if all goes well."""
        self._stored_at[conversation] = self._reachable_s(now_s)
        self._stored_at.move_to_end(conversation)
        self._forget_answered(now_s, waits_s)

    def has_waiting(self, conversation: Conversation, now_s: float, *, waits_s: float) -> bool:
        """Return True if a message that this process stored may still wait."""
        self._forget_answered(now_s, waits_s)
        return conversation in self._stored_at

    def _forget_answered(self, now_s: float, waits_s: float) -> None:
        earliest = self._reachable_s(now_s) - waits_s
        while self._stored_at and next(iter(self._stored_at.values())) < earliest:
            self._stored_at.popitem(last=False)

    def _reachable_s(self, now_s: float) -> float:
        """Return the time without outages: a clock that stands still while no worker can answer."""
        return now_s - self._away_s - self.away_s(now_s)
