"""Sizes from which on a change counts."""

from __future__ import annotations

from dataclasses import dataclass

from reports.compare.comparison import Level
from reports.words.language import gettext
from reports.words.numbers import duration, share


@dataclass(frozen=True, slots=True)
class Threshold:
    """A change counts when it is more than `relative` of what was before, and at least `absolute`."""

    relative: float
    absolute: float

    def level(self, before: float, difference: float) -> Level | None:
        """Return worse for more, better for less, None for too little to count: of all figures less is better."""
        size = abs(difference)
        if not size or size < self.absolute or size <= self.relative * abs(before):
            return None
        return "worse" if difference > 0 else "better"

    def words(self, unit: str) -> str:
        """Write the threshold for a table."""
        if not self.relative and not self.absolute:
            return gettext("any")
        least = duration(self.absolute) if unit == "ms" else f"{self.absolute:g}"
        return gettext("%(relative)s and %(absolute)s", relative=share(self.relative), absolute=least)


ANY = Threshold(0, 0)
EXACT_TIME = Threshold(0.05, 20)
"""For simulated times, in ms: they have no noise, but a round trip to Redis, 15 ms, is not a regression."""
EXACT_CALLS = Threshold(0.05, 1)
REPLY_TIME = Threshold(0.1, 5)
"""For measured reply times, in ms: mostly the window and the AI's time."""
LEDGER_COUNT = Threshold(0.5, 1)
"""For messages that went wrong in a load test: faults make them in clusters, and where a fault strikes is luck."""
SERVICE_TIME = Threshold(0.5, 10)
"""For measured times of the service itself, in ms: repeats on one machine vary by 20 to 30 %."""
