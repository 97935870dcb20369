"""Service times and latencies: durations as people write them, and distributions to draw them from.

Every sample costs exactly one draw from its stream (inversion), so that two systems which draw from equal
streams meet equal luck for as long as they draw equally often.
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

DURATION_MS_MAX = 24 * 3600 * 1000
"""No single duration is longer than a day: more is a slip of the unit."""

_UNIT_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(us|ms|s|m)")
_NORMAL = NormalDist()
_Z95 = 1.6448536269514722
"""95th percentile of the standard normal distribution."""


class DistributionError(ValueError):
    """A duration or distribution that cannot be read; the message says what is expected."""


class Distribution(Protocol):
    """Something durations are drawn from."""

    def sample_ms(self, rng: random.Random) -> float:
        """One duration in milliseconds, rounded to whole microseconds."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same duration."""

    value_ms: float

    def sample_ms(self, rng: random.Random) -> float:
        """The value. One draw is taken and thrown away, so that streams stay aligned with other distributions."""
        rng.random()
        return round(self.value_ms, 3)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Lognormal by its median and its 95th percentile: `mu = ln(median)`, `sigma = ln(p95 / median) / 1.645`."""

    median_ms: float
    p95_ms: float

    def sample_ms(self, rng: random.Random) -> float:
        """A positive duration, at most DURATION_MS_MAX."""
        uniform = rng.random() or 0.5
        sigma = math.log(self.p95_ms / self.median_ms) / _Z95
        return round(min(self.median_ms * math.exp(sigma * _NORMAL.inv_cdf(uniform)), DURATION_MS_MAX), 3)


def parse_duration_ms(text: str) -> float:
    """Milliseconds of a duration such as `8s`, `250ms`, `1.5s`, `2m`, `80us`, or a bare `0`.

    Raises DistributionError.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not match:
        raise DistributionError(
            f"{text!r} is no duration: write a number with its unit, us, ms, s or m, as in 250ms or 8s"
        )
    value_ms = float(match[1]) * _UNIT_MS[match[2]]
    if value_ms > DURATION_MS_MAX:
        raise DistributionError(f"{text!r} is longer than a day")
    return value_ms


def parse(text: str) -> Distribution:
    """A distribution from `constant:TIME` or `lognormal:MEDIAN:P95`. Raises DistributionError."""
    name, _, rest = text.partition(":")
    parameters = rest.split(":") if rest else []
    if name == "constant" and len(parameters) == 1:
        return Constant(parse_duration_ms(parameters[0]))
    if name == "lognormal" and len(parameters) == 2:
        median_ms, p95_ms = (parse_duration_ms(parameter) for parameter in parameters)
        if median_ms <= 0:
            raise DistributionError(
                f"{text!r}: the median must be above 0; for no time at all write constant:0"
            )
        if p95_ms < median_ms:
            raise DistributionError(f"{text!r}: the 95th percentile (second) is below the median (first)")
        return LogNormal(median_ms, p95_ms)
    raise DistributionError(
        f"{text!r} is no distribution: write constant:TIME or lognormal:MEDIAN:P95, "
        "as in constant:6s or lognormal:4.5s:9s"
    )
