"""Results of runs under failovers, made up: one that kept its promises, one that broke them, one of hostile text."""

from __future__ import annotations

from reports.results.failover import (
    FAILOVER_SCHEMA_VERSION,
    FailoverCase,
    FailoverResult,
    FailoverRow,
    broken_promises,
)
from tests.reports.example import HOSTILE


def row(
    case: FailoverCase, *, waits_for: int = 1, lost: int = 0, twice: int = 0, twice_after_lost_write: int = 0
) -> FailoverRow:
    """Make a run; of three primaries the first was struck."""
    return FailoverRow(
        case=case,
        deployment="cluster",
        through_intake=case == "primary_killed",
        replicas=1,
        wait_for_replicas=waits_for,
        min_replicas=0,
        acknowledged=4_000,
        once=4_000 - lost - twice,
        twice=twice,
        twice_after_lost_write=twice_after_lost_write,
        lost=lost,
        dead=0,
        waiting=0,
        answered_directly=0,
        errors=258,
        other_errors=0,
        processors_died=0,
        load_ms=20_000,
        resumed_ms=None if case == "steady" else 420,
        elections=int(case != "steady"),
        stalled_ms=30,
        pauses=[
            {"node": number, "longest_ms": 4_100 if number == 1 else 300, "is_struck": number == 1}
            for number in (1, 2, 3)
        ],
    )


def result(*rows: FailoverRow, command: str = "python -m loadtests failover") -> FailoverResult:
    """Put runs together."""
    return FailoverResult(
        schema=FAILOVER_SCHEMA_VERSION,
        kind="failover",
        redis_version="8.2.3",
        rate_per_s=200,
        partitions=12,
        rows=list(rows),
        ok=not any(broken_promises(each) for each in rows),
        command=command,
    )


def kept() -> FailoverResult:
    """Return runs that kept what they promise; one that does not wait for replicas lost messages."""
    lossy = row("links_cut_and_killed", waits_for=0, lost=94, twice=95, twice_after_lost_write=95)
    return result(row("steady"), row("primary_killed"), lossy)


def broken() -> FailoverResult:
    """Return two runs: one lost messages although it waited, one answered a message twice though Redis lost nothing."""
    return result(row("failovers", lost=3), row("primary_frozen", twice=2, twice_after_lost_write=1))


def hostile() -> FailoverResult:
    """Return a result whose texts are an attack."""
    made = result(
        row("all_down"), row("steady"), command=f"{HOSTILE[1]} {HOSTILE[0]} {HOSTILE[2]} {HOSTILE[4]}"
    )
    return {**made, "redis_version": HOSTILE[0]}
