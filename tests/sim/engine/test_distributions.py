"""Distributions: reading them and drawing from them."""

from __future__ import annotations

import math
import random

import pytest

from queue_core.durations import DAY_MS
from sim.engine.distributions import Constant, DistributionError, Exponential, LogNormal, parse_distribution


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *(
            (text, "is not a distribution: write constant:6s")
            for text in ("", "6s", "constant", "constant:", "x:1s")
        ),
        *(
            (text, "is not a distribution")
            for text in ("constant:1s:2s", "lognormal:1s", "exponential:1s:1s")
        ),
        ("constant:5", "'constant:5': 5 has no unit: write 5ms"),
        ("lognormal:-2s:0.4", "-2s is negative"),
        ("exponential:99h", "99h is too long"),
        ("lognormal:0:1s", "the median must be above 0"),
        ("lognormal:2s:1s", "the 95th percentile (second) is below the median (first)"),
        ("lognormal:2s:-0.4", "-0.4 is negative"),
        ("lognormal:2s:1000", "1000 has no unit"),
    ],
)
def test_a_text_that_is_not_a_distribution_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(DistributionError) as caught:
        parse_distribution(text)
    assert words in str(caught.value)


def test_a_constant_takes_a_random_number_as_the_others_do() -> None:
    rng, other = random.Random(1), random.Random(1)
    assert parse_distribution("constant:6s") == Constant(6_000)
    assert parse_distribution("constant:6s").sample_ms(rng) == 6_000
    other.random()
    assert rng.random() == other.random()


def test_a_lognormal_has_the_median_and_the_95th_percentile_it_was_given() -> None:
    distribution = parse_distribution("lognormal:4.5s:9s")
    rng = random.Random(5)
    samples = sorted(distribution.sample_ms(rng) for _ in range(40_000))
    assert samples[20_000] == pytest.approx(4_500, rel=0.02)
    assert samples[38_000] == pytest.approx(9_000, rel=0.02)


def test_a_bare_number_is_the_sigma_of_a_lognormal() -> None:
    distribution = parse_distribution("lognormal:2s:0.4")
    assert distribution == LogNormal(2_000, 0.4)
    assert distribution.quantile_ms(0.5) == pytest.approx(2_000)
    assert distribution.quantile_ms(0.95) == pytest.approx(2_000 * math.exp(0.4 * 1.6448536))


def test_an_exponential_has_the_mean_it_was_given() -> None:
    distribution = parse_distribution("exponential:1s")
    assert distribution == Exponential(1_000)
    shares = [(number + 0.5) / 10_000 for number in range(10_000)]
    assert sum(map(distribution.quantile_ms, shares)) / 10_000 == pytest.approx(1_000, rel=0.01)


def test_a_lognormal_without_spread_is_its_median() -> None:
    assert parse_distribution("lognormal:2s:2s").sample_ms(random.Random(1)) == 2_000


@pytest.mark.parametrize("text", ["constant:24h", "exponential:24h", "lognormal:24h:0.4", "lognormal:1s:999"])
def test_no_duration_is_longer_than_a_day(text: str) -> None:
    assert parse_distribution(text).quantile_ms(0.999_999) == pytest.approx(DAY_MS)
