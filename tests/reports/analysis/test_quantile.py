"""The nearest-rank quantile, and when it is the largest value."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from reports.analysis.quantile import is_maximum, quantile, rank
from reports.analysis.times import time_cells


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = list(range(1, 21))
    assert [quantile(values, share) for share in (0.0, 0.05, 0.5, 0.95, 0.951, 1)] == [1, 1, 10, 19, 20, 20]


@pytest.mark.parametrize("percent", [1, 7, 50, 57, 90, 95, 99, 100])
def test_the_rank_is_exact_though_shares_are_floating_point(percent: int) -> None:
    for size in range(1, 1001):
        assert rank(percent / 100, size) == math.ceil(Fraction(percent, 100) * size)


@pytest.mark.parametrize(("size", "is_so"), [(0, False), (1, True), (99, True), (100, False), (101, False)])
def test_p99_of_fewer_than_100_values_is_their_maximum(size: int, is_so: bool) -> None:
    assert is_maximum(0.99, size) is is_so


def test_a_table_says_where_p99_is_the_maximum() -> None:
    assert time_cells([5.0] * 98 + [900.0])[4:] == ["900\u00a0ms (max)", "900\u00a0ms"]
    assert time_cells([5.0] * 99 + [900.0])[4:] == ["5\u00a0ms", "900\u00a0ms"]
