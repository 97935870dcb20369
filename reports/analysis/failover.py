"""Runs under failovers that were repeated, as one row for each case and its settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from reports.results.failover import FailoverRow, NodePause


class RepeatedCase(NamedTuple):
    """Runs of one case with the same settings."""

    runs: Sequence[FailoverRow]

    @property
    def row(self) -> FailoverRow:
        """Return the sums of all counts, and the maxima of times and elections."""
        first = self.runs[0]
        resumed = [row["resumed_ms"] for row in self.runs if row["resumed_ms"] is not None]
        return {
            **first,
            "acknowledged": sum(row["acknowledged"] for row in self.runs),
            "once": sum(row["once"] for row in self.runs),
            "twice": sum(row["twice"] for row in self.runs),
            "twice_after_lost_write": sum(row["twice_after_lost_write"] for row in self.runs),
            "lost": sum(row["lost"] for row in self.runs),
            "dead": sum(row["dead"] for row in self.runs),
            "waiting": sum(row["waiting"] for row in self.runs),
            "answered_directly": sum(row["answered_directly"] for row in self.runs),
            "errors": sum(row["errors"] for row in self.runs),
            "other_errors": sum(row["other_errors"] for row in self.runs),
            "processors_died": sum(row["processors_died"] for row in self.runs),
            "load_ms": max(row["load_ms"] for row in self.runs),
            "pauses": _longest([pause for row in self.runs for pause in row["pauses"]]),
            "elections": max(row["elections"] for row in self.runs),
            "resumed_ms": max(resumed, default=None),
            "stalled_ms": max(row["stalled_ms"] for row in self.runs),
        }


def repeated(rows: Iterable[FailoverRow]) -> list[RepeatedCase]:
    """Put the runs of each case together, in the order in which the cases came."""
    groups: dict[tuple[object, ...], list[FailoverRow]] = {}
    for row in rows:
        settings = (row["deployment"], row["through_intake"], row["wait_for_replicas"], row["min_replicas"])
        groups.setdefault((row["case"], *settings), []).append(row)
    return [RepeatedCase(runs) for runs in groups.values()]


def _longest(pauses: Sequence[NodePause]) -> list[NodePause]:
    """Return each node's longest pauses, struck and not: the fault may strike another node in each run."""
    longest: dict[tuple[int, bool], int] = {}
    for pause in pauses:
        key = pause["node"], pause["is_struck"]
        longest[key] = max(longest.get(key, 0), pause["longest_ms"])
    return [
        NodePause(node=node, longest_ms=longest_ms, is_struck=is_struck)
        for (node, is_struck), longest_ms in sorted(longest.items())
    ]
