"""Steps of a ramp, each with its thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loadtests.account.ledger import Sample, lag_ms_of
from loadtests.account.thresholds import at_most, p99_at_most
from loadtests.options import Limits
from loadtests.schedule import Step
from loadtests.sink.event import Event
from reports.results.load import RampStep


def ramp_of(
    limits: Limits,
    steps: Sequence[Step],
    samples: Iterable[Sample],
    events: Iterable[Event],
    start_at: float,
) -> list[RampStep]:
    """Return each step with its thresholds. A turn belongs to the step in which its first message was due."""
    intended = {sample.id: sample for sample in samples}
    lags: list[tuple[float, float]] = []
    answered: set[str] = set()
    for event in events:
        lag_ms = lag_ms_of(event)
        if lag_ms is not None and event.ids[0] in intended:
            lags.append((intended[event.ids[0]].intended_at - start_at, lag_ms))
        elif event.event == "sent":
            answered.update(event.ids)
    return [_step(limits, step, intended.values(), lags, answered, start_at) for step in steps]


def _step(
    limits: Limits,
    step: Step,
    samples: Iterable[Sample],
    lags: Iterable[tuple[float, float]],
    answered: set[str],
    start_at: float,
) -> RampStep:
    inside = [sample for sample in samples if step.from_s <= sample.intended_at - start_at < step.to_s]
    acknowledged = [sample for sample in inside if sample.acknowledged_at is not None]
    acknowledgement = [
        1000 * ((sample.acknowledged_at or 0.0) - sample.intended_at) for sample in acknowledged
    ]
    generator = [1000 * (sample.sent_at - sample.intended_at) for sample in inside]
    dispatch = [lag_ms for at_s, lag_ms in lags if step.from_s <= at_s < step.to_s]
    return RampStep(
        rate=round(step.rate),
        from_s=step.from_s,
        to_s=step.to_s,
        sent=len(inside),
        thresholds=[
            p99_at_most("acknowledgement", limits.max_ack_p99, acknowledgement),
            p99_at_most("dispatch_lag", limits.max_lag_p99, dispatch),
            p99_at_most("generator_lag", limits.max_generator_lag_p99, generator),
            at_most("unanswered", 0, sum(sample.id not in answered for sample in acknowledged)),
        ],
    )
