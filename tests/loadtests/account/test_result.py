"""Samples of latencies in the result."""

from __future__ import annotations

from loadtests.account.result import thinned


def test_thinning_keeps_the_extremes() -> None:
    values = thinned([float(value) for value in range(100_000)])
    assert (len(values), values[0], values[-1]) == (20_000, 0.0, 99_999.0)


def test_a_negative_time_becomes_0() -> None:
    assert thinned([3.0, -0.2, 1.0]) == [0.0, 1.0, 3.0]
