"""A ramp, step by step: which rates met the thresholds, and which was the highest."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loadtests._ledger import Sample, quantile
from loadtests._schedule import Step


def ramp_of(
    options: argparse.Namespace,
    steps: Sequence[Step],
    samples: Iterable[Sample],
    events: Iterable[Mapping[str, Any]],
    start_at: float,
) -> list[dict[str, Any]]:
    """Each step with its figures (p99 in ms) and whether it met the thresholds; rates are messages a minute."""
    intended = {sample.id: sample for sample in samples}
    lags: list[tuple[float, float]] = []
    answered: set[str] = set()
    for event in events:
        if (
            event["event"] == "ai"
            and event.get("attempt") == 1
            and event.get("due_at")
            and event["ids"][0] in intended
        ):
            at_s = intended[event["ids"][0]].intended_at - start_at
            lags.append((at_s, event["claimed_at"] - event["due_at"]))
        elif event["event"] == "sent":
            answered.update(event["ids"])
    return [_step(options, step, intended.values(), lags, answered, start_at) for step in steps]


def _step(
    options: argparse.Namespace,
    step: Step,
    samples: Iterable[Sample],
    lags: Iterable[tuple[float, float]],
    answered: set[str],
    start_at: float,
) -> dict[str, Any]:
    inside = [one for one in samples if step.from_s <= one.intended_at - start_at < step.to_s]
    known = [one.acknowledged_at - one.intended_at for one in inside if one.acknowledged_at is not None]
    acknowledgement = _p99([value * 1000 for value in known])
    generator = _p99([(one.sent_at - one.intended_at) * 1000 for one in inside])
    dispatch = _p99([lag for at_s, lag in lags if step.from_s <= at_s < step.to_s])
    reasons = []
    if generator is not None and generator > options.max_generator_lag_p99:
        reasons.append("the generator fell behind")
    if acknowledgement is not None and acknowledgement > options.max_ack_p99:
        reasons.append("acknowledgement")
    if dispatch is not None and dispatch > options.max_lag_p99:
        reasons.append("dispatch lag")
    if any(one.id not in answered for one in inside if one.acknowledged_at is not None):
        reasons.append("not all answered")
    return {
        "rate": round(step.rate),
        "from_s": step.from_s,
        "to_s": step.to_s,
        "sent": len(inside),
        "acknowledgement_p99": acknowledgement,
        "dispatch_lag_p99": dispatch,
        "generator_lag_p99": generator,
        "missed": reasons,
    }


def _p99(values: Sequence[float]) -> float | None:
    value = quantile(values, 0.99)
    return None if value is None else round(value, 1)


def highest(ramp: Iterable[Mapping[str, Any]]) -> int:
    """The rate of the last step before the first that missed anything; 0 for none."""
    rate = 0
    for step in ramp:
        if step["missed"]:
            break
        rate = step["rate"]
    return rate


def table(ramp: Iterable[Mapping[str, Any]]) -> list[str]:
    """For the terminal."""
    lines = [f"{'a minute':>10}{'sent':>8}{'ack p99':>10}{'lag p99':>10}{'generator':>11}"]
    for step in ramp:
        names = ("acknowledgement_p99", "dispatch_lag_p99", "generator_lag_p99")
        shown = "".join(
            f"{'-' if step[name] is None else step[name]:>{width}}"
            for name, width in zip(names, (10, 10, 11), strict=True)
        )
        lines.append(f"{step['rate']:>10}{step['sent']:>8}{shown}  {', '.join(step['missed']) or 'ok'}")
    return lines
