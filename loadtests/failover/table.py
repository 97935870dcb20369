"""The table: every case, one after the other, on servers that each deployment starts once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from loadtests.failover.cases import Case
from loadtests.failover.running import Load, Run
from loadtests.redis_groups.cluster import ClusterServers
from loadtests.redis_groups.group import Group
from loadtests.redis_groups.sentinel import SentinelServers
from queue_core.redis_server.binaries import choose_redis_server
from reports.results.failover import FAILOVER_SCHEMA_VERSION, FailoverResult, FailoverRow, faults_of

GROUPS: dict[str, type[ClusterServers | SentinelServers]] = {
    "cluster": ClusterServers,
    "sentinel": SentinelServers,
}


def run_table(
    cases: Iterable[Case], load: Load, *, command: str, done: Callable[[FailoverRow], None]
) -> FailoverResult:
    """Run cases and return the result; `done` gets each row. Raises GroupError, EmbeddedRedisError."""
    rows = []
    with ExitStack() as stack:
        groups: dict[str, Group] = {}
        for case in cases:
            if case.deployment not in groups:
                servers = GROUPS[case.deployment](
                    proxied=case.deployment == "sentinel",  # only there are links cut
                    append_only=True,
                )
                groups[case.deployment] = stack.enter_context(servers)
            row = asyncio.run(Run(case, groups[case.deployment], load).carry_out())
            rows.append(row)
            done(row)
    return FailoverResult(
        schema=FAILOVER_SCHEMA_VERSION,
        kind="failover",
        redis_version=choose_redis_server().version,
        rate_per_s=load.rate_per_s,
        partitions=load.partitions,
        rows=rows,
        ok=not any(faults_of(row) for row in rows),
        command=command,
    )
