"""Whole deployments on simulated time: whatever fails, the customer gets each answer once, in order, and soon."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings

from tests.queue_core.searches.deployment.plan import Plan, clock_steps, plans
from tests.queue_core.searches.deployment.promises import check
from tests.queue_core.searches.deployment.run import run

EXAMPLES = 100
PHASES = (Phase.generate, Phase.shrink)
EXPECTED_EVENTS = {
    *(
        "acknowledges",
        "asked",
        "claimed",
        "completed",
        "delivered",
        "enqueued",
        "failed",
        "handed back",
        "noted",
    ),
    *("recorded", "refuses", "sends", "superseded", "taken", "withdrawn"),
    *("dies", "freezes", "stops", "refused", "silent", "hangs", "restarts"),
    *("ai away", "channel away", "waits"),
    *("request lost", "answer lost", "reset before", "reset after", "twice", "late"),
}
"""Events that must happen in the fixed set of runs: a fault that never strikes finds nothing."""


@pytest.mark.timeout(900)  # hypothesis shrinks a plan that breaks a promise for some minutes
def test_no_fault_breaks_a_promise() -> None:
    reached: Counter[str] = Counter()

    @hypothesis_settings(max_examples=EXAMPLES, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
    @given(plans())
    def search(plan: Plan) -> None:
        result = run(plan)
        reached.update(result.trace.events)
        check(result)

    search()
    assert set(reached) >= EXPECTED_EVENTS, f"never seen: {sorted(EXPECTED_EVENTS - set(reached))}"


@pytest.mark.timeout(900)
def test_no_step_of_the_clock_of_redis_breaks_a_promise() -> None:
    @hypothesis_settings(max_examples=EXAMPLES, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
    @given(plans(clock_steps=clock_steps))
    def search(plan: Plan) -> None:
        check(run(plan))

    search()


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@hypothesis_settings(max_examples=10_000, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(plans())
def test_a_long_search_finds_no_fault_that_breaks_one(plan: Plan) -> None:
    check(run(plan))
