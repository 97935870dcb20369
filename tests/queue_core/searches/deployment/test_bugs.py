"""The search itself: it finds each planted bug within a limited number of examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.queue_core.searches.deployment import bugs
from tests.queue_core.searches.deployment.plan import (
    NONE,
    WORKERS,
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
    plans,
    queue_settings,
)
from tests.queue_core.searches.deployment.promises import PromiseBrokenError, check
from tests.queue_core.searches.deployment.run import run

EXAMPLES_MAX = 200
"""Limit of examples for each bug."""

few = st.lists(
    st.builds(Message, at_ms=st.sampled_from([0, 500, 3_000]), conversation=st.sampled_from(["a", "b"])),
    min_size=1,
    max_size=3,
).map(tuple)
calm = {
    "messages": few,
    "answers": NONE,
    "sends": NONE,
    "outages": NONE,
    "lost_calls": NONE,
    "refusals": NONE,
    "process_faults": NONE,
    "backend_outages": NONE,
}
slow = st.just((Answer(20_000), Answer(20_000)))


def just_one(item: type, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return a strategy for a tuple of one fault or message."""
    return st.builds(item, **fields).map(lambda it: (it,))


away = just_one(
    Outage,
    kind=st.sampled_from(["refuses", "silent", "hangs", "restarts"]),
    at_ms=st.integers(0, 20).map(lambda half: half * 500),
    for_ms=st.sampled_from([5_000, 9_000, 12_000, 16_000, 20_000]),
)
long_outage = {
    "outages": just_one(
        Outage,
        kind=st.sampled_from(["refuses", "silent", "restarts"]),
        at_ms=st.integers(2, 12).map(lambda half: half * 500),
        for_ms=st.sampled_from([11_000, 12_000, 13_000, 14_000]),
    ),
    "answers": slow,
    "settings": queue_settings(lock_ttl_ms=st.just(9_000), renewals=st.just(2)),
}
some_worker = st.sampled_from(WORKERS)
worker = st.just("worker")


@dataclass(frozen=True)
class Case:
    """Strategies for plans that show a bug, and a pattern of the sentence that reports it."""

    complaint: str
    narrowed: dict[str, st.SearchStrategy[Any]] = field(default_factory=dict)


CASES: dict[str, Case] = {
    "takeover_without_grace": Case("asked again", long_outage),
    "record_reply_tried_once": Case(
        "asked again",
        {
            "lost_calls": just_one(
                LostCall,
                process=worker,
                script=st.just("record_reply"),
                nth=st.just(1),
                kind=st.sampled_from(["reset before", "request lost"]),
            )
        },
    ),
    "lost_lease_does_not_cancel": Case(
        "two leases",
        {
            "answers": slow,
            "outages": just_one(
                Outage,
                kind=st.sampled_from(["refuses", "silent"]),
                at_ms=st.sampled_from([1_500, 3_500, 8_500]),
                for_ms=st.sampled_from([10_000, 12_000]),
                process=some_worker,
            ),
            "settings": queue_settings(lock_ttl_ms=st.just(9_000)),
        },
    ),
    "refused_complete_is_a_failure": Case(
        "sent twice|dead letter without an excuse",
        {"refusals": just_one(Refusal, script=st.just("complete"), nth=st.sampled_from([1, 2]))},
    ),
    "direct_path_does_not_ask_again": Case(
        "answered directly, though",
        {
            "outages": away,
            "answers": slow,
            "messages": just_one(Message, at_ms=st.sampled_from([0, 1_000, 5_000])),
            "settings": queue_settings(direct_after_ms=st.sampled_from([0, 1_000])),
        },
    ),
    "parts_are_not_noted": Case(
        "sent twice",
        {
            "parts": st.sampled_from([2, 3]),
            "sends": st.just((Send(100), Send(100, "refused"))),
            "settings": queue_settings(unsure_sends=st.just("resend")),
        },
    ),
    "withdraw_before_the_send": Case(
        "neither sent nor a dead letter",
        {
            "sends": st.just((Send(100, "refused"),)),
            "answers": st.just((Answer(0),)),
            "lost_calls": just_one(
                LostCall,
                process=st.just("web-1"),
                script=st.just("enqueue"),
                nth=st.just(1),
                kind=st.sampled_from(["reset before", "request lost"]),
                times=st.sampled_from([2, 3]),
            ),
            "settings": queue_settings(direct_after_ms=st.just(0)),
        },
    ),
    "failed_renewals_are_not_repeated": Case("asked again", long_outage),
    "reply_is_not_recorded": Case("without a confirmation"),
    "frozen_processes_trust_old_answers": Case(
        "on a confirmation of",
        {
            "process_faults": just_one(
                ProcessFault,
                process=worker,
                kind=st.just("freezes"),
                moment=st.just("recorded"),
                for_ms=st.sampled_from([9_000, 25_000]),
            )
        },
    ),
    "unanswered_claims_are_forgotten": Case(
        "not begun until",
        {
            "lost_calls": just_one(
                LostCall,
                process=worker,
                script=st.just("claim"),
                nth=st.sampled_from([2, 3]),
                kind=st.sampled_from(["reset after", "answer lost"]),
            )
        },
    ),
    "superseded_turns_are_sent": Case(
        "without a confirmation",
        {
            "messages": st.just((Message(0), Message(1_500))),
            "settings": queue_settings(supersede_ms=st.sampled_from([10_000, 45_000])),
        },
    ),
    "outages_use_attempts": Case(
        "counts as failed without a reason",
        {
            "backend_outages": just_one(
                BackendOutage,
                kind=st.sampled_from(["ai", "channel"]),
                at_ms=st.just(0),
                for_ms=st.sampled_from([5_000, 40_000]),
            )
        },
    ),
    "late_claims_lease": Case(
        "not begun until",
        {
            "messages": st.just(tuple(Message(at_ms) for at_ms in (0, 1_000, 2_000, 4_000))),
            "lost_calls": just_one(
                LostCall,
                process=worker,
                script=st.just("claim"),
                nth=st.sampled_from([1, 2, 3]),
                kind=st.just("late"),
            ),
            "settings": queue_settings(window_ms=st.just(1_000), deadline_ms=st.just(500)),
        },
    ),
    "steps_back_are_not_noticed": Case(
        "not at rest",
        {"clock_steps": just_one(ClockStep, at_ms=st.sampled_from([500, 4_500]), by_ms=st.just(-600_000))},
    ),
    "steps_back_since_a_claim_of_long_ago_are_not_noticed": Case(
        "waited",
        {
            "messages": st.just((Message(12_000),)),
            "clock_steps": just_one(ClockStep, at_ms=st.just(12_500), by_ms=st.just(-20_000)),
        },
    ),
    "steps_forward_are_not_noticed": Case(
        "expired",
        {"clock_steps": just_one(ClockStep, at_ms=st.sampled_from([500, 4_500]), by_ms=st.just(7_200_000))},
    ),
    "leases_end_by_a_clock_that_was_set_back": Case(
        "held for a dead worker",
        {
            "process_faults": just_one(
                ProcessFault, process=worker, kind=st.just("dies"), moment=st.just("asked")
            ),
            "clock_steps": just_one(
                ClockStep, at_ms=st.sampled_from([2_000, 4_500, 9_000]), by_ms=st.just(-600_000)
            ),
        },
    ),
    "claims_do_not_look_from_the_middle_on": Case(
        "held for a dead worker",
        {
            "process_faults": just_one(
                ProcessFault, process=worker, kind=st.just("dies"), moment=st.just("asked")
            )
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    getattr(bugs, name)(monkeypatch)
    case = CASES[name]

    @hypothesis_settings(
        max_examples=EXAMPLES_MAX,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(plans(**(calm | case.narrowed)))
    def search(plan: Plan) -> None:
        check(run(plan))

    with pytest.raises(PromiseBrokenError, match=case.complaint):
        search()


def test_every_bug_is_looked_for() -> None:
    planted = {name for name, bug in vars(bugs).items() if callable(bug) and bug.__module__ == bugs.__name__}
    assert planted == set(CASES)
