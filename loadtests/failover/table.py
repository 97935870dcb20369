"""The table: runs its cases one after the other on servers that are started once, or both deployments side by side."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import NamedTuple

from loadtests.failover.cases import CASES
from loadtests.failover.history import NAME as HISTORY_NAME
from loadtests.failover.running import Load, Run
from loadtests.replicated_redis.cluster import ClusterServers
from loadtests.replicated_redis.sentinel import SentinelServers
from loadtests.replicated_redis.servers import ReplicatedServers, ServersError
from queue_core.redis_server.binaries import choose_redis_server
from reports.results.failover import FAILOVER_SCHEMA_VERSION, FailoverResult, FailoverRow, broken_promises

SERVERS: dict[str, type[ClusterServers | SentinelServers]] = {
    "cluster": ClusterServers,
    "sentinel": SentinelServers,
}


class RunId(NamedTuple):
    """Name of a run: the number of the repetition, and the number of the case in the table, both from 1."""

    repetition: int
    case: int


class Logs(NamedTuple):
    """Folder for the servers' logs and the history of runs that broke a promise, or of all runs."""

    folder: Path
    of_all_runs: bool

    def keep(
        self, run_id: RunId, row: FailoverRow, servers: ReplicatedServers, history: Sequence[str]
    ) -> None:
        """Keep the logs of a run, if they are wanted."""
        if self.of_all_runs or broken_promises(row):
            folder = self.folder / f"{run_id.repetition}.{run_id.case}"
            servers.keep_logs(folder)
            (folder / HISTORY_NAME).write_text("\n".join([*history, ""]))


Rows = dict[RunId, FailoverRow]
Done = Callable[[RunId, FailoverRow], None]


def run_cases(run_ids: Sequence[RunId], load: Load, done: Done, *, logs: Logs, is_side_by_side: bool) -> None:
    """Run cases; `done` gets each row as soon as it is finished. Raises ServersError, EmbeddedRedisError.

    Side by side each deployment has a process of its own.
    """
    if not is_side_by_side:
        for run_id, row in _run(run_ids, load, logs):
            done(run_id, row)
        return
    lanes = [[run_id for run_id in run_ids if CASES[run_id.case - 1].deployment == kind] for kind in SERVERS]
    context = multiprocessing.get_context("spawn")
    rows: SimpleQueue[tuple[RunId, FailoverRow] | Exception | None] = context.SimpleQueue()
    processes = [
        context.Process(target=_run_lane, args=(lane, load, logs, rows), daemon=True) for lane in lanes
    ]
    for process in processes:
        process.start()
    failure: Exception | None = None
    try:
        for _ in processes:
            while message := rows.get():
                if isinstance(message, Exception):
                    failure = failure or message
                else:
                    done(*message)
        for process in processes:
            process.join()  # it may still be handing over its last row
    finally:
        for process in processes:
            process.terminate()  # has an effect only if this process was interrupted
            process.join()
    if failure:
        raise failure


def servers_of(deployment: str) -> ReplicatedServers:
    """Make the servers of a deployment; those that come back after a crash have their data."""
    has_proxies = deployment == "sentinel"  # only there are links cut
    return SERVERS[deployment](proxied=has_proxies, append_only=True)


def result_of(rows: Rows, load: Load, command: str) -> FailoverResult:
    """Put rows together."""
    ordered = [rows[run_id] for run_id in sorted(rows)]
    return FailoverResult(
        schema=FAILOVER_SCHEMA_VERSION,
        kind="failover",
        redis_version=choose_redis_server().version,
        rate_per_s=load.rate_per_s,
        partitions=load.partitions,
        rows=ordered,
        ok=not any(broken_promises(row) for row in ordered),
        command=command,
    )


def _run_lane(
    run_ids: Sequence[RunId],
    load: Load,
    logs: Logs,
    rows: SimpleQueue[tuple[RunId, FailoverRow] | Exception | None],
) -> None:
    """Run cases in a process of their own; None in `rows` is the end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers too
    try:
        for run_id, row in _run(run_ids, load, logs):
            rows.put((run_id, row))
    except Exception as error:  # noqa: BLE001 - the process that prints the rows says what went wrong
        rows.put(ServersError(str(error) or repr(error)))
    finally:
        rows.put(None)


def _run(run_ids: Sequence[RunId], load: Load, logs: Logs) -> Iterator[tuple[RunId, FailoverRow]]:
    logging.getLogger("queue_core").setLevel(logging.CRITICAL)  # workers complain of each fault
    with ExitStack() as stack:
        started: dict[str, ReplicatedServers] = {}
        for run_id in run_ids:
            case = CASES[run_id.case - 1]
            if case.deployment not in started:
                started[case.deployment] = stack.enter_context(servers_of(case.deployment))
            run = Run(case, started[case.deployment], load)
            row = asyncio.run(run.carry_out())
            logs.keep(run_id, row, started[case.deployment], run.history)
            yield run_id, row
