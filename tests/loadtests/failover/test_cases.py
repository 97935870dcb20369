"""Short versions of all runs: what `make failover` promises holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from loadtests.failover.cases import CASES, Case
from loadtests.failover.running import Load, Run
from loadtests.failover.table import servers_of
from loadtests.replicated_redis.servers import ReplicatedServers
from reports.results.failover import broken_promises

SHORT = Load(rate_per_s=60, time_factor=0.15)
QUICK = ("cluster-failovers-1-0", "sentinel-links_cut_and_killed-1-0")
"""Cases that `make test` runs: failovers by command, and a failover to a replica that lagged."""


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[[str], ReplicatedServers]]:
    """Return a function that starts a deployment once, as `make failover` does: its servers keep their data."""
    with ExitStack() as stack:
        yield cache(lambda deployment: stack.enter_context(servers_of(deployment)))


def _name(case: Case) -> str:
    through = "-intake" if case.through_intake else ""
    return f"{case.deployment}-{case.name}{through}-{case.wait_for_replicas}-{case.min_replicas}"


def _marked(case: Case) -> object:
    marks = () if _name(case) in QUICK else (pytest.mark.soak,)
    return pytest.param(case, marks=marks, id=_name(case))


@pytest.mark.parametrize("case", [_marked(case) for case in CASES])
async def test_a_case_keeps_its_promises(case: Case, started: Callable[[str], ReplicatedServers]) -> None:
    run = Run(case, started(case.deployment), SHORT)
    row = await run.carry_out()
    assert row["acknowledged"] > 50
    needs_quiet_machine = ("others_paused", "slow")
    assert [promise for promise in broken_promises(row) if promise not in needs_quiet_machine] == [], (
        "\n".join([str(row), *run.history])
    )
