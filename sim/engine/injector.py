"""The faults of one run: which strikes now, and how often each has struck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from reports.results.faults import FaultName, StruckFault
from sim.faults import FAULTS, Fault

REACH_MS = 2 * 3600 * 1000
"""Time after the last message up to which faults strike: a run does not wait for later ones."""


class Injector:
    """Faults of a run whose last message is sent at `last_sent_ms`.

    `stream` makes a random stream for a purpose, equal for all systems under test.
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        *,
        now_ms: Callable[[], float],
        stream: Callable[[str], Random],
        last_sent_ms: float = 0.0,
    ) -> None:
        self.faults = faults
        self._planned = [
            fault for fault in faults if fault.rate is None and fault.at_ms <= last_sent_ms + REACH_MS
        ]
        self.streams = {
            fault.name: stream(f"fault {fault.name}") for fault in faults if fault.rate is not None
        }
        self._now_ms = now_ms
        self._by_name: dict[FaultName, list[Fault]] = {}
        for fault in faults:
            self._by_name.setdefault(fault.name, []).append(fault)
        self._struck = [0] * len(faults)

    @property
    def last_end_ms(self) -> float:
        """Return the time at which the last planned fault is over."""
        return max((fault.at_ms + fault.lasts_ms for fault in self._planned), default=0.0)

    def has(self, *names: FaultName) -> bool:
        """Return True if the run may have one of these faults."""
        return any(name in self._by_name for name in names)

    def of(self, *names: FaultName) -> list[Fault]:
        """Return the planned faults of these names: those with a time, if it is not past REACH_MS."""
        return [fault for fault in self._planned if fault.name in names]

    def strikes(self, name: FaultName) -> bool:
        """Return True, and count it, if a fault strikes at this occasion. Takes a draw from the stream of its rate."""
        fault = self.drawn(name)
        if fault is not None:
            self.struck(fault)
        return fault is not None

    def drawn(self, name: FaultName) -> Fault | None:
        """Return the fault that strikes at this occasion, without counting it; None if none strikes."""
        for fault in self._by_name.get(name, ()):
            if fault.rate is None:  # a death at a time is carried out once, elsewhere: it never strikes here
                lasts_ms = fault.lasts_ms if FAULTS[fault.name].length == "duration" else 0.0
                strikes = fault.at_ms <= self._now_ms() < fault.at_ms + lasts_ms
            else:
                strikes = fault.rate > 0 and self.streams[name].random() < fault.rate
            if strikes:
                return fault
        return None

    def struck(self, fault: Fault) -> None:
        """Count a fault that struck."""
        number = next(number for number, each in enumerate(self.faults) if each is fault)  # two may be equal
        self._struck[number] += 1

    def results(self) -> list[StruckFault]:
        """Return the faults with their counts."""
        return [_result(fault, struck) for fault, struck in zip(self.faults, self._struck, strict=True)]


def _result(fault: Fault, struck: int) -> StruckFault:
    result = StruckFault(name=fault.name, struck=struck)
    if fault.rate is not None:
        result["rate"] = fault.rate
    else:
        result["start_ms"] = round(fault.at_ms)
        result["end_ms"] = round(fault.at_ms + fault.lasts_ms)
    return result
