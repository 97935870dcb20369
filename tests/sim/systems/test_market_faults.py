"""The table in docs/which-system.md: what each fault makes of the systems of the market. UPDATE_DOCS=1 writes it.

The other systems are in `test_fault_outcomes.py`, with the recording that is replayed.
"""

from __future__ import annotations

import os

import pytest

from reports.words.numbers import EN_DASH
from sim.systems import all_systems
from tests.docs.documents import ROOT, made_table
from tests.sim.systems.test_fault_outcomes import replayed

PAGE = ROOT / "docs" / "which-system.md"
MARKET = [name for name, system in all_systems().items() if system.is_market]
COLUMNS = ["queue", *MARKET]
SHOWN = {
    "ai-fails@30s:30s": "the AI fails for 30 s",
    "channel-fails@30s:30s": "the send API refuses for 30 s",
    "process-restarts@34s": "the bot restarts while messages wait",
    "process-restarts@41s": "the bot restarts while the AI works",
    "redis-away@35s:10s": "Redis is away for 10 s",
    "redis-loses-writes@33s:2s": "Redis loses the writes of 2 s",
    "answers-lost=0.1": "every tenth answer of Redis gets lost",
    "acknowledgements-lost=0.3": "the provider delivers every third message again",
}
OTHERS = (
    "redis-hangs@35s:20s",
    "late-copies=0.3",
    "connection-resets=0.1",
    "redis-full@31s:10s",
    "scripts-abort=0.3",
    "clock-forward@35s:1h",
    "worker-cut-off@41s:30s",
    "web-freezes@31s:20s",
    "ai-slow=0.3",
)
"""Faults that are not on the page."""


def outcome(system: str, fault: str) -> str:
    """Return what a fault makes of a system; each loss must have a cause."""
    run = replayed(system, fault)
    assert run["came_to_rest"], (system, fault)
    assert "vanished" not in {cause["code"] for cause in run["causes"].values()}, (system, run["causes"])
    outcomes = {"lost": run["lost"], "twice": run["duplicated"], "dead": run["dead_lettered"]}
    return ", ".join(word for word, messages in outcomes.items() if messages) or EN_DASH


def row(fault: str) -> str:
    """Make the row of a fault."""
    return f"| {SHOWN[fault]} (`{fault}`) | {' | '.join(outcome(name, fault) for name in COLUMNS)} |\n"


def test_what_a_fault_makes_of_the_systems_stands_on_the_page() -> None:
    made = f"| | {' | '.join(f'`{name}`' for name in COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}\n"
    made += "".join(map(row, SHOWN))
    table = made_table(
        PAGE, "tests/sim/systems/test_market_faults.py", made, write="UPDATE_DOCS" in os.environ
    )
    assert table == made, "run this test with UPDATE_DOCS=1, and look at the difference"


@pytest.mark.soak
@pytest.mark.parametrize("fault", OTHERS)
def test_under_every_other_fault_each_system_comes_to_rest_and_explains_its_losses(fault: str) -> None:
    for system in MARKET:
        outcome(system, fault)
