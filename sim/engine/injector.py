"""The faults of one run: which strikes now, and how often each has struck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from reports.results.faults import FaultName, StruckFault
from sim.faults import Fault


class Injector:
    """Faults of a run. `stream` makes a random stream for a purpose, equal for all systems under test."""

    def __init__(
        self, faults: Sequence[Fault], *, now_ms: Callable[[], float], stream: Callable[[str], Random]
    ) -> None:
        self.faults = faults
        self.streams = {
            fault.name: stream(f"fault {fault.name}") for fault in faults if fault.rate is not None
        }
        self._now_ms = now_ms
        self._by_name: dict[FaultName, list[int]] = {}
        for number, fault in enumerate(faults):
            self._by_name.setdefault(fault.name, []).append(number)
        self._struck = [0] * len(faults)
        self.times_ms: dict[FaultName, list[float]] = {}
        """Times at which each fault struck."""

    def has(self, *names: FaultName) -> bool:
        """Return True if the run may have one of these faults."""
        return any(name in self._by_name for name in names)

    def of(self, *names: FaultName) -> list[Fault]:
        """Return the faults of these names that have a time."""
        return [fault for fault in self.faults if fault.name in names and fault.rate is None]

    def strikes(self, name: FaultName) -> bool:
        """Return True, and count it, if a fault strikes at this occasion. Takes a draw from the stream of its rate."""
        for number in self._by_name.get(name, ()):
            fault = self.faults[number]
            if fault.rate is None:
                strikes = fault.at_ms <= self._now_ms() < fault.at_ms + fault.lasts_ms
            else:
                strikes = self.streams[name].random() < fault.rate if fault.rate > 0 else False
            if strikes:
                self._count(number)
                return True
        return False

    def struck(self, fault: Fault, times: int = 1) -> None:
        """Count a fault that struck at its time."""
        self._count(self.faults.index(fault), times)

    def last_ms(self, *names: FaultName) -> float | None:
        """Return the last time at which one of these faults struck; None if none did."""
        return max((at_ms for name in names for at_ms in self.times_ms.get(name, ())), default=None)

    def results(self) -> list[StruckFault]:
        """Return the faults with their counts."""
        return [_result(fault, struck) for fault, struck in zip(self.faults, self._struck, strict=True)]

    def _count(self, number: int, times: int = 1) -> None:
        self._struck[number] += times
        self.times_ms.setdefault(self.faults[number].name, []).append(self._now_ms())


def _result(fault: Fault, struck: int) -> StruckFault:
    result = StruckFault(name=fault.name, struck=struck)
    if fault.rate is not None:
        result["rate"] = fault.rate
    else:
        result["start_ms"] = round(fault.at_ms)
        result["end_ms"] = round(fault.at_ms + fault.lasts_ms)
    return result
