"""Times of turns over all runs of a recording on a system: how often each occurred, however many runs there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reports.analysis.conversations import arrivals_ms, waits_ms
from reports.analysis.quantile import rank
from reports.results.replay import PooledTimes, ReplayResult, Run


@dataclass(frozen=True, slots=True)
class Waits:
    """Numbers of turns by time in ms: from the first and last message to the reply, and the dispatch lag."""

    first: Counter[int] = field(default_factory=Counter)
    last: Counter[int] = field(default_factory=Counter)
    lag: Counter[int] = field(default_factory=Counter)

    def add(self, run: Run, arrivals: Mapping[tuple[str, str, str], int]) -> None:
        """Count the turns of a run; `arrivals` are those of its recording."""
        for batch in run["batches"]:
            if batch["due_at_ms"] is not None:
                self.lag[batch["claimed_at_ms"] - batch["due_at_ms"]] += 1
            if waits := waits_ms(batch, arrivals):
                self.first[waits[0]] += 1
                self.last[waits[1]] += 1

    def update(self, other: Waits) -> None:
        """Count the turns of other runs, too."""
        self.first.update(other.first)
        self.last.update(other.last)
        self.lag.update(other.lag)

    def pooled(self, recording: str, system: str) -> PooledTimes:
        """Return the numbers in the form of the result file."""
        return PooledTimes(
            recording=recording,
            system=system,
            first_ms=sorted(self.first.items()),
            last_ms=sorted(self.last.items()),
            lag_ms=sorted(self.lag.items()),
        )


def waits_of(result: ReplayResult) -> dict[tuple[str, str], Waits]:
    """Return the times by recording and system, over all runs."""
    by_key = {
        (pooled["recording"], pooled["system"]): Waits(
            Counter(dict(pooled["first_ms"])),
            Counter(dict(pooled["last_ms"])),
            Counter(dict(pooled["lag_ms"])),
        )
        for pooled in result.get("times", ())
    }
    pooled_before = set(by_key)
    arrivals = {info["name"]: arrivals_ms(info) for info in result["recordings"]}
    for run in result["runs"]:
        key = run["recording"], run["system"]
        if key not in pooled_before:
            by_key.setdefault(key, Waits()).add(run, arrivals[run["recording"]])
    return by_key


def together(parts: Iterable[Waits]) -> Waits:
    """Return the times of several recordings."""
    whole = Waits()
    for part in parts:
        whole.update(part)
    return whole


def counted_quantile(counts: Mapping[int, int], share: float) -> int | None:
    """Return the nearest-rank quantile of values that are counted; None if there are none."""
    left = rank(share, sum(counts.values()))
    for value, count in sorted(counts.items()):
        left -= count
        if left <= 0:
            return value
    return None
