"""Durations as people write them, and how long the played AI takes: a function of the turn, not of the order."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from statistics import NormalDist

DURATION_S_MAX = 24 * 3600.0
"""No duration is longer than a day: more is a slip of the unit."""
SERVICE_TIME_S_MAX = 600.0
"""A drawn service time is cut off here: no AI client waits longer."""

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)")
_NUMBER = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,6})?")
_NORMAL = NormalDist()
_Z95 = 1.6448536269514722
"""95th percentile of the standard normal distribution."""

ServiceTime = Callable[[float], float]
"""Seconds for a uniform number, above 0 and below 1."""


class SpecError(ValueError):
    """A duration or distribution that cannot be read; the message says what is expected."""


def parse_duration_s(text: str) -> float:
    """Seconds of a duration such as `8s`, `250ms`, `2m`, `1h`, or a bare `0`. Raises SpecError."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not match:
        raise SpecError(
            f"{text!r} is no duration: write a number and its unit, ms, s, m or h, as in 250ms or 8s"
        )
    value_s = float(match[1]) * _UNIT_S[match[2]]
    if value_s > DURATION_S_MAX:
        raise SpecError(f"{text!r} is longer than a day")
    return value_s


def parse_service_time(text: str) -> ServiceTime:
    """`constant:TIME`, `exponential:MEAN`, `lognormal:MEDIAN:SIGMA` or, as `sim` has it, `lognormal:MEDIAN:P95`.

    SIGMA is a bare number, the standard deviation of the logarithm; P95 has a unit. Raises SpecError.
    """
    name, _, rest = text.partition(":")
    parameters = rest.split(":") if rest else []
    if name == "constant" and len(parameters) == 1:
        constant_s = parse_duration_s(parameters[0])
        return lambda _: min(constant_s, SERVICE_TIME_S_MAX)
    if name == "exponential" and len(parameters) == 1:
        mean_s = parse_duration_s(parameters[0])
        return lambda uniform: min(-mean_s * math.log1p(-uniform), SERVICE_TIME_S_MAX)
    if name == "lognormal" and len(parameters) == 2:
        return _lognormal(text, *parameters)
    raise SpecError(
        f"{text!r} is no service time: write constant:50ms, exponential:1s, lognormal:2s:0.4 (median and sigma) "
        "or lognormal:2s:4s (median and 95th percentile)"
    )


def _lognormal(text: str, median: str, spread: str) -> ServiceTime:
    median_s = parse_duration_s(median)
    if median_s <= 0:
        raise SpecError(f"{text!r}: the median must be above 0; for no time at all write constant:0")
    if _NUMBER.fullmatch(spread):
        sigma = float(spread)
    else:
        p95_s = parse_duration_s(spread)
        if p95_s < median_s:
            raise SpecError(f"{text!r}: the 95th percentile (second) is below the median (first)")
        sigma = math.log(p95_s / median_s) / _Z95
    # The exponent is bounded before exp, which would overflow with a large sigma.
    exponent_max = math.log(SERVICE_TIME_S_MAX / median_s)
    return lambda uniform: median_s * math.exp(min(sigma * _NORMAL.inv_cdf(uniform), exponent_max))


def uniform_of(*names: object) -> float:
    """A number above 0 and below 1 that is always the same for the same names."""
    digest = hashlib.blake2b(repr(names).encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return ((int.from_bytes(digest) >> 11) + 0.5) / 2**53
