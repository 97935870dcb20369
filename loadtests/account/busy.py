"""Seconds in which other programs left the stack no CPU time, for which the queue is not to blame.

A stack that uses the whole machine by itself, or that waits while there is CPU time, is slow by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import msgspec

from loadtests.account.ledger import Sample, latency_of
from loadtests.account.thresholds import times_at_most
from loadtests.options import Limits
from loadtests.sink.event import Event
from loadtests.stack.usage import UsageSample
from loadtests.stalls import Stalls
from reports.results.load import BusyMachine, LoadLatency, Threshold

IDLE_SHARE_MAX = 0.1
"""Share of the CPU time that is left over at most while the machine counts as busy."""
OTHERS_SHARE_MIN = 0.25
"""Share of the CPU time that other programs use at least while the machine counts as busy."""


def busy_machine(
    thresholds: Sequence[Threshold],
    limits: Limits,
    samples: Iterable[Sample],
    events: Iterable[Event],
    usage: Iterable[UsageSample],
    *,
    start_at: float,
    run_s: float,
) -> BusyMachine | None:
    """Return how busy the machine was if that alone explains why a load missed thresholds.

    It explains only times, and only those that are short enough without the busy seconds. The load
    began at `start_at`, and lasted `run_s` with its drain.
    """
    missed = [threshold for threshold in thresholds if not threshold["ok"]]
    if not missed or any(threshold["unit"] != "ms" for threshold in missed):
        return None
    stalls, others_s = Stalls(), 0.0
    for each in usage:
        began_s, ended_s = max(0.0, each.t_s - each.length_s), min(run_s, each.t_s)
        if began_s < ended_s and each.idle <= IDLE_SHARE_MAX and each.others >= OTHERS_SHARE_MIN:
            stalls.add(start_at + began_s, start_at + ended_s)
            others_s += each.others * (ended_s - began_s)
    if not stalls.total_s:
        return None
    if not all(threshold["ok"] for threshold in times_at_most(limits, _without(stalls, samples, events))):
        return None
    return BusyMachine(busy_s=round(stalls.total_s, 3), others=round(others_s / stalls.total_s, 4))


def _without(stalls: Stalls, samples: Iterable[Sample], events: Iterable[Event]) -> LoadLatency:
    """Return the latencies on a clock that stands still during stalls."""
    running_s = stalls.running_s
    return latency_of(
        [
            dataclasses.replace(
                sample,
                intended_at=running_s(sample.intended_at),
                acknowledged_at=None if sample.acknowledged_at is None else running_s(sample.acknowledged_at),
            )
            for sample in samples
        ],
        [
            msgspec.structs.replace(
                event,
                due_at=1000 * running_s(event.due_at / 1000),
                claimed_at=1000 * running_s(event.claimed_at / 1000),
            )
            for event in events
        ],
    )
