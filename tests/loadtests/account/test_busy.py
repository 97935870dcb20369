"""Loads that missed thresholds while other programs used the machine: when that is the reason, and when it is not."""

from __future__ import annotations

import pytest

from loadtests.account.busy import busy_machine
from loadtests.account.ledger import Sample, latency_of
from loadtests.account.thresholds import at_most, times_at_most
from loadtests.options import Limits
from loadtests.sink.event import Event
from loadtests.stack.usage import UsageSample
from reports.results.load import BusyMachine, Threshold

START_AT = 1_000.0
LIMITS = Limits()


def second(t_s: float, *, idle: float, others: float) -> UsageSample:
    return UsageSample(
        t_s=t_s, length_s=1.0, idle=idle, others=others, cpu={}, memory_bytes={}, redis_bytes=None
    )


def turn(due_s: float, claimed_s: float) -> Event:
    """Return a question to the AI; times count from the start of the load."""
    due, claimed = (1000 * (START_AT + at_s) for at_s in (due_s, claimed_s))
    return Event(
        n=1, event="ai", at=claimed, turn=1, ids=["m"], trigger="window", due_at=due, claimed_at=claimed
    )


def acknowledged(intended_s: float, acknowledged_s: float) -> Sample:
    at = START_AT + intended_s
    return Sample("m", 1, at, at, START_AT + acknowledged_s)


def judged(
    samples: list[Sample], events: list[Event], usage: list[UsageSample], *more: Threshold
) -> BusyMachine | None:
    thresholds = [*more, *times_at_most(LIMITS, latency_of(samples, events))]
    return busy_machine(thresholds, LIMITS, samples, events, usage, start_at=START_AT, run_s=4.0)


QUIET = second(1.0, idle=0.4, others=0.3)
BUSY = second(2.0, idle=0.02, others=0.6)
SLOW_BY_ITSELF = second(2.0, idle=0.0, others=0.05)


@pytest.mark.parametrize(
    ("samples", "events"),
    [
        ([acknowledged(1.1, 1.9)], [turn(1.0, 1.01)]),
        ([acknowledged(1.1, 1.11)], [turn(1.2, 1.8)]),
        ([acknowledged(1.1, 1.11)], [turn(0.9, 2.1)]),
    ],
)
def test_times_that_are_too_long_only_because_of_busy_seconds_are_not_judged(
    samples: list[Sample], events: list[Event]
) -> None:
    assert judged(samples, events, [QUIET, BUSY]) == {"busy_s": 1.0, "others": 0.6}


@pytest.mark.parametrize(
    ("usage", "claimed_s"),
    [
        ([], 1.8),
        ([second(2.0, idle=0.3, others=0.6)], 1.8),
        ([SLOW_BY_ITSELF], 1.8),
        ([BUSY], 3.0),
    ],
)
def test_a_slow_queue_is_not_excused_where_cpu_time_was_free_or_used_by_itself(
    usage: list[UsageSample], claimed_s: float
) -> None:
    assert judged([acknowledged(1.1, 1.11)], [turn(1.2, claimed_s)], usage) is None


def test_what_other_programs_did_before_and_after_the_run_does_not_count() -> None:
    usage = [second(each, idle=0.0, others=0.6) for each in (0.5, 1.5, 2.5, 3.5, 4.5)]
    judgement = judged([acknowledged(1.1, 1.9)], [turn(1.0, 1.01)], usage)
    assert judgement == {"busy_s": 4.0, "others": 0.6}


@pytest.mark.parametrize(
    "missed",
    [at_most("lost", 0, 1), at_most("duplicates", 0, 1), at_most("redis_memory", 10, 11, "MB")],
)
def test_a_busy_machine_excuses_nothing_but_times(missed: Threshold) -> None:
    assert judged([acknowledged(1.1, 1.11)], [turn(1.2, 1.8)], [BUSY], missed) is None


def test_where_every_threshold_is_met_the_use_of_the_machine_does_not_matter() -> None:
    assert judged([acknowledged(1.1, 1.11)], [turn(1.2, 1.21)], [BUSY]) is None
