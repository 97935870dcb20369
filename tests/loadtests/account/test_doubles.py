"""Messages that were sent more than once: which of them the death of a worker explains."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.account.doubles import (
    NOTING_AFTER_OUTAGE_S,
    NOTING_S,
    Deaths,
    deaths_of,
    doubles_of,
)
from loadtests.sink.event import Event
from loadtests.stack.chaos import InjectedFault

START_AT = 1_000.0


def send(at_s: float, caller: str, *, answered_s: float | None = None, **more: Any) -> Event:
    """Return a send of message m1, in seconds from the start; it takes a second unless `answered_s` is given."""
    answered_at = 1000 * (START_AT + (at_s + 1 if answered_s is None else answered_s))
    event: dict[str, Any] = {
        "n": 1,
        "event": "sent",
        "turn": 1,
        "ids": ["m1"],
        "answered_at": answered_at,
        **more,
    }
    return Event(at=1000 * (START_AT + at_s), caller=caller, **event)


def is_explained(
    *sends: Event, died_s: dict[str, float], outages: tuple[tuple[float, float], ...] = ()
) -> bool:
    """Return True if a death explains that m1 was sent so often."""
    deaths = Deaths(
        {caller: START_AT + moment for caller, moment in died_s.items()},
        tuple((START_AT + start, START_AT + end) for start, end in outages),
    )
    (double,) = doubles_of(sends, {"m1"}, deaths, START_AT)
    return double["worker_died"]


AGAIN = send(30, "worker-2.1")


@pytest.mark.parametrize(
    ("died_s", "explained"),
    [
        (9.99, True),  # the request was on its way when its sender died
        (10.0, True),
        (10.5, True),
        (11.0, True),
        (11 + NOTING_S, True),
        (11.01 + NOTING_S, False),
        (60.0, False),
    ],
)
def test_a_death_explains_a_second_send_until_the_first_one_must_have_been_noted(
    died_s: float, *, explained: bool
) -> None:
    """The first send takes from second 10 to second 11."""
    assert is_explained(send(10, "worker-1.1"), AGAIN, died_s={"worker-1.1": died_s}) is explained


def test_the_death_of_another_worker_or_of_another_life_explains_nothing() -> None:
    for other in ("worker-2.1", "worker-1.2", "web.1", ""):
        assert not is_explained(send(10, "worker-1.1"), AGAIN, died_s={other: 10.5})
    assert not is_explained(send(10, ""), AGAIN, died_s={"worker-1.1": 10.5})


def test_a_caller_that_hung_up_and_lives_explains_nothing() -> None:
    """A worker that lost its lease cancels its send: that does not excuse a second one."""
    assert not is_explained(send(10, "worker-1.1", is_caller_gone=True), AGAIN, died_s={})


def test_each_send_but_the_last_needs_a_death_of_its_own() -> None:
    sends = (send(10, "worker-1.1"), send(30, "worker-2.1"), send(50, "worker-1.2"))
    assert not is_explained(*sends, died_s={"worker-1.1": 10.5})
    assert is_explained(*sends, died_s={"worker-1.1": 10.5, "worker-2.1": 30.5})
    assert is_explained(*reversed(sends), died_s={"worker-1.1": 10.5, "worker-2.1": 30.5})
    assert not is_explained(*sends, died_s={"worker-2.1": 30.5, "worker-1.2": 50.5})


@pytest.mark.parametrize(
    ("outages", "died_s", "explained"),
    [
        (((10.5, 30.0),), 25.0, True),
        (((11.5, 30.0),), 30.0 + NOTING_AFTER_OUTAGE_S, True),
        (((11.5, 30.0),), 30.1 + NOTING_AFTER_OUTAGE_S, False),
        (((11.5, 12.0), (13.0, 13.5)), 13.5 + NOTING_AFTER_OUTAGE_S, True),
        (((5.0, 9.0),), 13.0, False),
        (((12.5, 30.0),), 20.0, False),
    ],
)
def test_while_redis_is_away_a_send_cannot_be_noted(
    outages: tuple[tuple[float, float], ...], died_s: float, *, explained: bool
) -> None:
    """The first send is answered in second 11, and noted until second 12 if Redis is there."""
    sends = send(10, "worker-1.1"), send(60, "worker-2.1")
    assert is_explained(*sends, died_s={"worker-1.1": died_s}, outages=outages) is explained


def test_deaths_and_outages_are_those_of_the_faults() -> None:
    faults = [
        InjectedFault("redis-away", 40.0),
        InjectedFault("worker-dies", 10.0, 12.0, killed="worker-1.1", killed_s=10.2),
        InjectedFault("redis-hangs", 20.0, 25.0),
        InjectedFault("ai-fails", 26.0, 30.0),
        InjectedFault("worker-dies", 50.0),
    ]
    assert deaths_of(faults, START_AT, until=1_055.0) == Deaths(
        {"worker-1.1": 1_010.2}, ((1_020.0, 1_025.0), (1_040.0, 1_055.0))
    )


def test_messages_of_others_and_those_sent_once_are_not_doubles() -> None:
    events = [
        send(10, "worker-1.1"),
        send(11, "worker-1.1", ids=["another's"]),
        send(12, "", ids=["another's"]),
    ]
    assert doubles_of(events, {"m1"}, Deaths(), START_AT) == []


def test_a_double_has_its_sends_in_their_order() -> None:
    deaths = Deaths({"worker-1.1": START_AT + 10.5})
    sends = [send(30, "worker-2.1"), send(10, "worker-1.1", answered_s=11.25, is_caller_gone=True)]
    assert doubles_of(sends, {"m1"}, deaths, START_AT)[0]["sends"] == [
        {
            "at_s": 10.0,
            "answered_s": 11.25,
            "caller": "worker-1.1",
            "is_caller_gone": True,
            "died_s": 10.5,
        },
        {"at_s": 30.0, "answered_s": 31.0, "caller": "worker-2.1", "is_caller_gone": False, "died_s": None},
    ]
