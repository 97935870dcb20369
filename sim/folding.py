"""Folding of runs: of a recording that is replayed many times, one run is kept whole, which pages draw.

It is the first in which a system lost something, or else the first of all. Of the others a result keeps the counts, the
losses and the times of their turns, so that its size does not depend on how many messages all runs have together.
"""

from __future__ import annotations

import sys
from typing import Any

from reports.analysis.conversations import arrivals_ms, mean_first_ms
from reports.analysis.figures import turns_of
from reports.analysis.waits import Waits
from reports.results.replay import FoldedRun, LedgerEntry, PooledTimes, RecordingInfo, Run


class Fold:
    """Runs of one recording on one system. `keep` takes each run as it ends, and returns what is kept of it.

    Until all runs have ended, the first is kept whole.
    """

    def __init__(self, info: RecordingInfo, system: str, *, keeps_log: bool) -> None:
        self._info = info
        self._system = system
        self._keeps_log = keeps_log
        self._arrivals = arrivals_ms(info)
        self._waits = Waits()

    def keep(self, run: Run) -> Run:
        """Count the run's times; return the run if it is the first, else its folded form."""
        self._waits.add(run, self._arrivals)
        return run if run["run"] == 0 else self.folded(run)

    def folded(self, run: Run) -> Run:
        """Return the folded form of a run."""
        return folded(run, self._info, keeps_log=self._keeps_log)

    def times(self) -> PooledTimes:
        """Return the times of all runs so far."""
        return self._waits.pooled(self._info["name"], self._system)


def folded(run: Run, info: RecordingInfo, *, keeps_log: bool) -> Run:
    """Return a run without its turns, and without messages that were not lost."""
    lost = [entry for entry in run["ledger"] if entry["fate"] == "lost"]
    kept: Run = with_texts_once(
        {
            **run,
            "batches": [],
            "log": run["log"] if keeps_log else [],
            "ledger": [_without_story(entry) for entry in lost],
            "folded": FoldedRun(turns=turns_of(run), mean_first_ms=mean_first_ms(run, info)),
        }
    )
    return kept


def with_texts_once(value: Any) -> Any:
    """Return a copy whose texts are in memory once: each run from another process brings its own names and ids."""
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, dict):
        return {with_texts_once(key): with_texts_once(part) for key, part in value.items()}
    return list(map(with_texts_once, value)) if isinstance(value, list) else value


def _without_story(entry: LedgerEntry) -> LedgerEntry:
    return {**entry, "story": []}
