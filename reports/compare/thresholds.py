"""Thresholds: the smallest changes that count."""

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
        """Return worse for a rise, better for a fall, None for too small a change; of all figures less is better."""
        size = abs(difference)
        if not size or size < self.absolute or size <= self.relative * abs(before):
            return None
        return "worse" if difference > 0 else "better"

    def words(self, unit: str) -> str:
        """Write the threshold for a table."""
        if not self.relative and not self.absolute:
            return gettext("any")
        if not self.absolute:
            return share(self.relative)
        least = duration(self.absolute) if unit == "ms" else f"{self.absolute:g}"
        return gettext("%(relative)s and %(absolute)s", relative=share(self.relative), absolute=least)


ANY = Threshold(0, 0)
"""Threshold that every change exceeds."""
EXACT_TIME = Threshold(0.05, 20)
"""Threshold of simulated times, in ms: they have no noise, but a round trip to Redis, 15 ms, is not a regression."""
CALLS = Threshold(0.05, 0)
"""Threshold of AI calls, of one run or in the mean of many: a call saved in some runs of a short recording counts."""
REPLY_TIME = Threshold(0.1, 5)
"""Threshold of measured reply times, in ms, which are mostly the window and the AI's time."""
SURROUNDINGS = Threshold(0.1, 5)
"""Threshold of what a load test is given: messages sent, and times of the AI and the generator in ms."""
LEDGER_COUNT = Threshold(0.5, 1)
"""Threshold of messages that went wrong in a load test; faults cause them in clusters, whose size is luck."""
SERVICE_TIME = Threshold(0.5, 10)
"""Threshold of measured times of the service itself, in ms: repeats on one machine vary by 20 to 30 %."""
