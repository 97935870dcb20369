"""Plans that broke a promise once, each as small as it could be made."""

from __future__ import annotations

import pytest

from queue_core import QueueSettings
from tests.queue_core.searches.deployment.plan import (
    Answer,
    BackendOutage,
    ClockStep,
    LostCall,
    Message,
    Outage,
    Plan,
    ProcessFault,
    Refusal,
    Send,
)
from tests.queue_core.searches.deployment.promises import check
from tests.queue_core.searches.deployment.run import run

SETTINGS = QueueSettings(window_ms=1_000, max_messages=0)
ONE = (Message(0),)


def plan_with_unknown_storing(*answers: Answer) -> Plan:
    """Return a plan: a web process does not hear that it stored a message, and is then cut off for ten seconds."""
    return Plan(
        QueueSettings(window_ms=3_000, max_messages=0, direct_after_ms=0),
        ONE,
        answers=answers,
        lost_calls=(LostCall("web-1", "enqueue", 1, "answer lost"),),
        outages=(Outage("refuses", 500, 9_500, "web-1"),),
    )


PLANS = {
    "the note of a part is refused": Plan(
        SETTINGS, ONE, parts=2, refusals=(Refusal("record_sent", 1, times=2),)
    ),
    "a note of the first part comes late, after that of the second": Plan(
        SETTINGS,
        ONE,
        sends=(Send(100), Send(100), Send(1_000, "refused")),
        parts=3,
        lost_calls=(LostCall("worker", "record_sent", 1, "late", times=2),),
    ),
    "Redis's clock is set back, and a worker looks before the turn is due": Plan(
        QueueSettings(window_ms=8_000, max_messages=0, lock_renew_ms=7_500),
        ONE,
        clock_steps=(ClockStep(500, -600_000),),
    ),
    "a claim's answer is read after its lease": Plan(
        SETTINGS,
        ONE,
        answers=(Answer(20_000),),
        process_faults=(ProcessFault("worker", "freezes", "claimed", for_ms=25_000),),
    ),
    "a claim's answer is lost, and Redis is away for almost a lease": Plan(
        SETTINGS,
        ONE,
        outages=(Outage("refuses", 1_100, 14_000),),
        lost_calls=(LostCall("worker-1", "claim", 4, "answer lost"),),
    ),
    "a copy of a claim comes after a step of the clock that let Redis forget the claim": Plan(
        SETTINGS,
        ONE,
        backend_outages=(BackendOutage("ai", 0, 5_000),),
        lost_calls=(LostCall("worker", "claim", 1, "late"),),
        clock_steps=(ClockStep(3_500, 7_200_000),),
    ),
    "a worker dies at its start, and the other one in its first claim": Plan(
        SETTINGS,
        ONE,
        process_faults=(
            ProcessFault("worker", "dies", "start", for_ms=14_900),
            ProcessFault("worker", "dies", "claimed", for_ms=14_900),
        ),
    ),
    "a worker answers what the direct path answered": plan_with_unknown_storing(
        Answer(1_000), Answer(20_000)
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_that_broke_a_promise_breaks_none_now(name: str) -> None:
    check(run(PLANS[name]))


def test_a_message_that_was_answered_directly_is_not_a_dead_letter() -> None:
    check(run(plan_with_unknown_storing(Answer(1_000), Answer(20_000, "gives up"))))


def test_parts_on_the_direct_path_go_on_where_they_were_refused() -> None:
    plan = Plan(
        SETTINGS,
        ONE,
        parts=2,
        sends=(Send(100), Send(100, "refused")),
        outages=(Outage("refuses", 0, 20_000),),
        process_faults=(ProcessFault("web-2", "dies", "start", for_ms=40_000),),
    )
    check(run(plan))
