"""The ledger: its counts add up, and it finds planted faults."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.account.doubles import Deaths
from loadtests.account.ledger import Ledger, Sample, answered_ids, batches_of, latency_of, ledger_of
from loadtests.sink.event import Event


def sample(message_id: str, at: float = 0.0, conversation: int = 1, **changes: Any) -> Sample:
    values = {"intended_at": at, "sent_at": at, "acknowledged_at": at + 0.01, "status": 200, **changes}
    return Sample(message_id, conversation, **values)


def reply(at: float, *ids: str) -> Event:
    return Event(n=1, event="sent", at=at, turn=1, ids=list(ids))


def figures(ledger: Ledger) -> dict[str, Any]:
    return {name: value for name, value in ledger.counts.items() if value}


SAMPLES = [sample("m1", 1), sample("m2", 2), sample("m3", 3)]


@pytest.mark.parametrize(
    ("replies", "dead", "waiting", "expected"),
    [
        ([reply(9, "m1", "m2", "m3")], 0, 0, {"sent": 3, "answered": 3}),
        ([reply(9, "m1", "m3")], 0, 0, {"sent": 3, "answered": 2, "lost": 1}),
        ([reply(9, "m1")], 1, 1, {"sent": 3, "answered": 1, "dead": 1, "waiting": 1}),
        ([reply(9, "m1")], 9, 9, {"sent": 3, "answered": 1, "dead": 2}),
        (
            [reply(9, "m1", "m2"), reply(10, "m2", "m3")],
            0,
            0,
            {"sent": 3, "answered": 3, "duplicates": 1},
        ),
        ([reply(9, "m3"), reply(10, "m1", "m2")], 0, 0, {"sent": 3, "answered": 3, "out_of_order": 1}),
        ([reply(9, "m1", "m2", "m3"), reply(9, "somebody else's")], 0, 0, {"sent": 3, "answered": 3}),
    ],
)
def test_three_messages_have_the_expected_fates_and_the_counts_add_up(
    replies: list[Event], dead: int, waiting: int, expected: dict[str, int]
) -> None:
    ledger = ledger_of(SAMPLES, replies, dead=dead, waiting=waiting, deaths=Deaths())
    counts = ledger.counts
    if "out_of_order" in expected:
        assert counts["out_of_order"] >= 1
        return
    assert figures(ledger) == expected
    assert counts["sent"] == counts["answered"] + counts["dead"] + counts["waiting"] + counts["lost"]


def test_a_message_that_was_sent_twice_because_a_worker_died_is_not_a_duplicate() -> None:
    def send(at: float, caller: str, *ids: str) -> Event:
        return Event(n=1, event="sent", at=at, turn=1, ids=list(ids), answered_at=at + 1_000, caller=caller)

    sends = [send(9_000, "worker-1.1", "m1", "m2"), send(30_000, "worker-2.1", "m1", "m2")]
    sends += [send(40_000, "worker-2.1", "m3"), send(42_000, "worker-2.1", "m3")]
    deaths = Deaths({"worker-1.1": 9.5})
    ledger = ledger_of(SAMPLES, sends, dead=0, waiting=0, deaths=deaths, start_at=5.0)
    assert figures(ledger) == {"sent": 3, "answered": 3, "duplicates": 1, "worker_died": 2}
    assert [(double["id"], double["worker_died"]) for double in ledger.doubles] == [
        ("m3", False),
        ("m1", True),
        ("m2", True),
    ]
    assert [double["sends"][0]["at_s"] for double in ledger.doubles] == [35.0, 4.0, 4.0]


def test_messages_that_overlapped_on_their_way_have_no_order() -> None:
    """m2 was sent before m1 was acknowledged."""
    samples = [sample("m1", 1, acknowledged_at=5.0), sample("m2", 2)]
    ledger = ledger_of(samples, [reply(9, "m2"), reply(10, "m1")], dead=0, waiting=0, deaths=Deaths())
    assert ledger.counts["out_of_order"] == 0


def test_users_have_no_order_among_each_other() -> None:
    samples = [sample("m1", 1, conversation=1), sample("m2", 2, conversation=2)]
    ledger = ledger_of(samples, [reply(9, "m2"), reply(10, "m1")], dead=0, waiting=0, deaths=Deaths())
    assert ledger.counts["out_of_order"] == 0


def test_a_message_without_acknowledgement_is_unsure_and_not_lost() -> None:
    samples = [sample("m1"), sample("m2", acknowledged_at=None, status=503, failures=6)]
    ledger = ledger_of(samples, [reply(9, "m1")], dead=0, waiting=0, deaths=Deaths())
    assert figures(ledger) == {"sent": 1, "answered": 1, "unsure": 1, "failed_requests": 6}


def event(number: int, kind: str, at: float, turn: int, ids: list[str], **more: Any) -> Event:
    return Event(n=number, event=kind, at=at, turn=turn, ids=ids, **more)


EVENTS = [
    event(1, "ai", 9_010.0, 1, ["m1", "m2"], trigger="window", due_at=9_000, claimed_at=9_004, attempt=1),
    event(2, "ai-error", 9_500.0, 2, ["m3"], trigger="size", attempt=1),
    event(3, "sent", 10_000.0, 1, ["m1", "m2"]),
    event(4, "ai", 11_000.0, 3, ["m3"], trigger="retry", due_at=10_000, claimed_at=10_900, attempt=2),
    event(5, "sent", 12_000.0, 3, ["m3"]),
]


def test_times_count_from_the_intended_moment() -> None:
    samples = [
        sample("m1", 1, sent_at=1.5, acknowledged_at=1.6),
        sample("m2", 2, acknowledged_at=2.25),
        sample("m3", 3, acknowledged_at=None),
    ]
    latency = latency_of(samples, EVENTS)
    assert latency["acknowledgement"] == pytest.approx([600, 250])
    assert latency["generator_lag"] == pytest.approx([500, 0, 0])
    assert latency["dispatch_lag"] == [4], "of first attempts only"
    assert latency["reply"] == pytest.approx([8_000, 9_000])
    assert latency["reply_from_first"] == pytest.approx([9_000, 9_000])
    assert latency["ai"] == [996, 1_100]


def test_replies_are_counted_by_message() -> None:
    assert answered_ids(EVENTS) == {"m1": 1, "m2": 1, "m3": 1}


def test_turns_count_once_as_they_were_when_the_ai_was_asked_first() -> None:
    assert batches_of(EVENTS) == {
        "count": 2,
        "by_trigger": {"size": 1, "window": 1},
        "sizes": {"1": 1, "2": 1},
    }
