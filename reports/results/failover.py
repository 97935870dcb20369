"""The result file of `python -m loadtests failover`: what became of messages while Redis servers failed.

Times are integer milliseconds. `schema` is raised whenever a key changes its meaning or goes away.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

FAILOVER_SCHEMA_VERSION = 1

OTHERS_PAUSE_MS_MAX = 2_000
"""Limit on the pause in the sends of a server that no fault struck."""
RESUMED_MS_MAX = 1_000
"""Limit on `resumed_ms` of a row."""

ELECTIONS_OF_A_FAULT = 1
"""Number of elections after the death of a primary."""

STALLED_SHARE_MAX = 0.25
"""Share of the load's time for which the machine may stop senders and workers; beyond it times are not judged."""

FailoverCase: TypeAlias = Literal[
    "steady",
    "primary_killed",
    "slots_moved",
    "failovers",
    "primary_frozen",
    "all_down",
    "links_cut_and_killed",
    "newest_replica_away",
]
"""Fault of a row."""


class NodePause(TypedDict):
    """Longest time without a send in the partitions of one primary, and whether a fault struck it.

    Time for which the machine did not let the senders and workers run is left out.
    """

    node: int
    longest_ms: int
    is_struck: bool


class FailoverRow(TypedDict):
    """One run under one fault.

    `replicas` is the number of each primary's replicas, `wait_for_replicas` the setting of the queue, and
    `min_replicas` the servers' `min-replicas-to-write`.
    `acknowledged` counts messages that the queue took over. Each was answered `once`, `twice` or more, or it was
    `lost`; or it became one of the `dead` letters, or was still `waiting` at the end.
    `twice_after_lost_write` counts the messages of `twice` for which Redis lost a write that it had acknowledged, so
    that no worker could know of the first reply.
    `errors` counts the calls of the producer that failed with "unavailable", `other_errors` those with another error.
    `answered_directly` counts messages that the intake answered without the queue. `processors_died` counts workers.
    `elections` counts how often another server became the primary of the struck partitions. `resumed_ms` is the longest
    time from the moment at which these partitions had a primary again, with as many replicas as the queue and the
    servers wait for, to the first reply recorded and sent after that; None if no primary was replaced. `stalled_ms` is
    the time for which the machine did not let the senders and workers run, which counts in no pause and not in
    `resumed_ms`. Times are not judged if it is over STALLED_SHARE_MAX of the load's time.
    """

    case: FailoverCase
    deployment: Literal["cluster", "sentinel"]
    through_intake: bool
    replicas: int
    wait_for_replicas: int
    min_replicas: int
    acknowledged: int
    once: int
    twice: int
    twice_after_lost_write: int
    lost: int
    dead: int
    waiting: int
    answered_directly: int
    errors: int
    other_errors: int
    processors_died: int
    load_ms: int
    pauses: list[NodePause]
    elections: int
    resumed_ms: int | None
    stalled_ms: int


class FailoverResult(TypedDict):
    """The whole result. `ok` says that every row kept what it promises, see `broken_promises`."""

    schema: int
    kind: Literal["failover"]
    redis_version: str
    rate_per_s: int
    partitions: int
    rows: list[FailoverRow]
    ok: bool
    command: str


BrokenPromise: TypeAlias = Literal[
    "lost", "twice", "dead", "waiting", "other_errors", "died", "others_paused", "slow"
]


def promises_no_loss(row: FailoverRow) -> bool:
    """Return True if the queue waited for enough replicas to lose nothing.

    One replica is enough if a primary dies and nothing else fails, since the one with the newest data takes over. It
    is not if that replica is away too. After a failover by command the old primary lives on for a while, and a replica
    that was not chosen still confirms what it takes. If there were more elections than the fault makes, servers that
    were only slow were taken for dead, perhaps several at once.
    """
    is_alone = row["case"] not in ("failovers", "newest_replica_away")
    is_orderly = is_alone and row["elections"] <= ELECTIONS_OF_A_FAULT
    return row["wait_for_replicas"] >= (1 if is_orderly else row["replicas"])


def broken_promises(row: FailoverRow) -> list[BrokenPromise]:
    """Return the promises that a row broke."""
    others = [pause["longest_ms"] for pause in row["pauses"] if not pause["is_struck"]]
    is_timed = row["stalled_ms"] <= STALLED_SHARE_MAX * row["load_ms"]
    broken: dict[BrokenPromise, bool] = {
        "lost": promises_no_loss(row) and row["lost"] > 0,
        "twice": row["twice"] > row["twice_after_lost_write"],
        "dead": row["dead"] > 0,
        "waiting": row["waiting"] > 0,
        "other_errors": row["other_errors"] > 0,
        "died": row["processors_died"] > 0,
        "others_paused": is_timed and max(others, default=0) > OTHERS_PAUSE_MS_MAX,
        "slow": is_timed and (row["resumed_ms"] or 0) > RESUMED_MS_MAX,
    }
    return [promise for promise, is_broken in broken.items() if is_broken]
