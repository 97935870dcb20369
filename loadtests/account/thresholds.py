"""Thresholds, each with the limit that an option sets and the measured value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from loadtests.options import Limits
from reports.analysis.quantile import is_maximum, quantile
from reports.results.load import LoadLatency, LoadLedger, RampStep, Second, Threshold, ThresholdCode, Unit

Lag = Literal["acknowledgement", "dispatch_lag", "generator_lag"]

_P99: dict[Lag, tuple[ThresholdCode, ThresholdCode]] = {
    "acknowledgement": ("acknowledgement_p99", "acknowledgement_max"),
    "dispatch_lag": ("dispatch_lag_p99", "dispatch_lag_max"),
    "generator_lag": ("generator_lag_p99", "generator_lag_max"),
}
"""Codes of each p99, and of the maximum, which replaces it when there are few samples."""


def at_most(code: ThresholdCode, limit: float, measured: float | None, unit: Unit = "") -> Threshold:
    """Make a threshold that is met by None and values up to the limit."""
    ok = measured is None or measured <= limit
    return Threshold(code=code, limit=limit, measured=measured, unit=unit, ok=ok)


def at_least(code: ThresholdCode, limit: float, measured: float, unit: Unit) -> Threshold:
    """Make a threshold that is met by values from the limit upwards."""
    return Threshold(code=code, limit=limit, measured=measured, unit=unit, ok=measured >= limit)


def p99_at_most(lag: Lag, limit: float, samples_ms: Sequence[float]) -> Threshold:
    """Make the threshold of a p99, or of the maximum when there are too few samples for a p99."""
    p99, maximum = _P99[lag]
    code = maximum if is_maximum(0.99, len(samples_ms)) else p99
    measured = quantile(sorted(samples_ms), 0.99) if samples_ms else None
    return at_most(code, limit, measured, "ms")


def thresholds_of(
    limits: Limits, counts: LoadLedger, latency: LoadLatency, timeline: Sequence[Second]
) -> list[Threshold]:
    """Return all thresholds of a load with a fixed rate."""
    redis_bytes = [second["redis_bytes"] for second in timeline if second["redis_bytes"] is not None]
    answered = 100 * counts["answered"] / counts["sent"] if counts["sent"] else 0.0
    return [
        *counts_at_most(limits, counts),
        *times_at_most(limits, latency),
        at_least("answered", 100, answered, "%"),
        at_most("redis_memory", limits.max_redis_mb, max(redis_bytes) / 1e6 if redis_bytes else None, "MB"),
    ]


def times_at_most(limits: Limits, latency: LoadLatency) -> list[Threshold]:
    """Return the thresholds of the times of the system."""
    return [
        p99_at_most("acknowledgement", limits.max_ack_p99, latency["acknowledgement"]),
        p99_at_most("dispatch_lag", limits.max_lag_p99, latency["dispatch_lag"]),
    ]


def counts_at_most(limits: Limits, counts: LoadLedger) -> list[Threshold]:
    """Return the thresholds of the ledger."""
    return [
        at_most("lost", limits.max_lost, counts["lost"]),
        at_most("dead", 0, counts["dead"]),
        at_most("duplicates", limits.max_duplicates, counts["duplicates"]),
        at_most("out_of_order", limits.max_out_of_order, counts["out_of_order"]),
        at_most("failed_requests", limits.max_failed, counts["failed_requests"]),
    ]


def thresholds_of_ramp(
    limits: Limits, counts: LoadLedger, first_rate: float, ramp: Sequence[RampStep]
) -> list[Threshold]:
    """Return the thresholds of a ramp. It must meet those of its first step, whose rate is `first_rate`."""
    rate = at_least("highest_rate", round(first_rate), highest_rate(ramp), "/min")
    return [rate, *counts_at_most(limits, counts)]


def highest_rate(ramp: Sequence[RampStep]) -> int:
    """Return the rate of the last step before the first miss; 0 if the first step missed a threshold."""
    rate = 0
    for step in ramp:
        if not all(threshold["ok"] for threshold in step["thresholds"]):
            break
        rate = step["rate"]
    return rate
