"""Distributions of service times and latencies, in the form in which users type them.

    constant:TIME              always TIME
    exponential:MEAN           exponential
    lognormal:MEDIAN:SIGMA     lognormal; SIGMA, a bare number, is the standard deviation of the logarithm
    lognormal:MEDIAN:P95       lognormal; P95, a duration, is the 95th percentile

Times are durations (`queue_core.durations`). Every sample takes exactly one draw from its stream (inversion), so
two systems with equal streams get equal values as long as they draw equally often.
"""

from __future__ import annotations

import math
import random
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from statistics import NormalDist

from queue_core.durations import DAY_MS, DurationError, parse_duration_ms

_SIGMA = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,6})?")
_INVERSE = NormalDist().inv_cdf
_Z95 = 1.6448536269514722
"""95th percentile of the standard normal distribution."""


class DistributionError(ValueError):
    """Raised for a distribution that cannot be read; the message says what is expected."""


class Distribution(ABC):
    """A distribution of durations."""

    @abstractmethod
    def quantile_ms(self, share: float) -> float:
        """Return the quantile of a share above 0 and below 1, limited to the range from 0 to DAY_MS."""

    def sample_ms(self, rng: random.Random) -> float:
        """Draw one duration in milliseconds, rounded to whole microseconds."""
        return round(self.quantile_ms(rng.random() or 0.5), 3)


@dataclass(frozen=True, slots=True)
class Constant(Distribution):
    """A duration that is always the same. A sample takes a draw without using it, so that streams stay aligned."""

    value_ms: float

    def quantile_ms(self, share: float) -> float:
        """Return the value."""
        return self.value_ms


@dataclass(frozen=True, slots=True)
class Exponential(Distribution):
    """An exponential distribution, given by its mean."""

    mean_ms: float

    def quantile_ms(self, share: float) -> float:
        """Compute `-mean * ln(1 - share)`."""
        return min(-self.mean_ms * math.log1p(-share), DAY_MS)


@dataclass(frozen=True, slots=True)
class LogNormal(Distribution):
    """A lognormal distribution, given by its median and the standard deviation of its logarithm."""

    median_ms: float
    sigma: float
    _exponent_max: float = field(init=False, repr=False)
    """Limit on the exponent, since exp would overflow with a large sigma."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_exponent_max", math.log(DAY_MS / self.median_ms))

    def quantile_ms(self, share: float) -> float:
        """Compute `median * exp(sigma * z)`, z being the standard normal's quantile."""
        exponent = self.sigma * _INVERSE(share)
        if exponent >= self._exponent_max:
            return DAY_MS
        return self.median_ms * math.exp(exponent)


def parse_distribution(text: str) -> Distribution:
    """Read a distribution; the module's docstring has the grammar. Raises DistributionError."""
    name, _, rest = text.partition(":")
    parameters = rest.split(":") if rest else []
    try:
        if name == "constant" and len(parameters) == 1:
            return Constant(parse_duration_ms(parameters[0]))
        if name == "exponential" and len(parameters) == 1:
            return Exponential(parse_duration_ms(parameters[0]))
        if name == "lognormal" and len(parameters) == 2:
            return _lognormal(*parameters)
    except (DurationError, DistributionError) as error:
        raise DistributionError(f"{text!r}: {error}") from None
    raise DistributionError(
        f"{text!r} is not a distribution: write constant:6s, exponential:1s, lognormal:4.5s:9s (median and 95th "
        "percentile) or lognormal:2s:0.4 (median and sigma)"
    )


def _lognormal(median: str, spread: str) -> LogNormal:
    median_ms = parse_duration_ms(median)
    if median_ms <= 0:
        raise DistributionError("the median must be above 0; to take no time, write constant:0")
    if _SIGMA.fullmatch(spread):
        return LogNormal(median_ms, float(spread))
    p95_ms = parse_duration_ms(spread)
    if p95_ms < median_ms:
        raise DistributionError("the 95th percentile (second) is below the median (first)")
    return LogNormal(median_ms, math.log(p95_ms / median_ms) / _Z95)
