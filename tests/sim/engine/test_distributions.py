"""Durations and distributions as people write them."""

from __future__ import annotations

import random

import pytest

from sim.engine.distributions import Constant, DistributionError, LogNormal, parse, parse_duration_ms


@pytest.mark.parametrize(
    ("text", "value_ms"),
    [("8s", 8_000), ("250ms", 250), ("1.5s", 1_500), ("2m", 120_000), ("80us", 0.08), ("0", 0)],
)
def test_durations(text: str, value_ms: float) -> None:
    assert parse_duration_ms(text) == value_ms


@pytest.mark.parametrize("text", ["", "8", "s", "-1s", "1h", "1e3s", "nan", "8 s", "٨s", "25000m", "1.s"])
def test_durations_that_cannot_be_read(text: str) -> None:
    with pytest.raises(DistributionError, match=r"duration|longer than a day"):
        parse_duration_ms(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "6s",
        "constant",
        "constant:",
        "constant:1s:2s",
        "lognormal:1s",
        "lognormal:0:1s",
        "lognormal:2s:1s",
        "x:1s",
    ],
)
def test_distributions_that_cannot_be_read(text: str) -> None:
    with pytest.raises(DistributionError):
        parse(text)


def test_a_constant_is_constant_and_costs_a_draw() -> None:
    rng, other = random.Random(1), random.Random(1)
    assert parse("constant:6s") == Constant(6_000)
    assert parse("constant:6s").sample_ms(rng) == 6_000
    other.random()
    assert rng.random() == other.random()


def test_a_lognormal_has_the_median_and_the_95th_percentile_it_was_given() -> None:
    distribution = parse("lognormal:4.5s:9s")
    assert distribution == LogNormal(4_500, 9_000)
    rng = random.Random(5)
    samples = sorted(distribution.sample_ms(rng) for _ in range(40_000))
    assert samples[20_000] == pytest.approx(4_500, rel=0.02)
    assert samples[38_000] == pytest.approx(9_000, rel=0.02)


def test_a_lognormal_without_spread_is_its_median() -> None:
    assert parse("lognormal:2s:2s").sample_ms(random.Random(1)) == 2_000
