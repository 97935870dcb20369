"""Intervals and sizes of effects, against scipy and against cases with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.analysis.statistics import (
    Mean,
    Quantile,
    bootstrap_difference,
    cliffs_delta,
    corrected_confidence,
    counts_differ,
    enough_to_tell,
    student_quantile,
    wilson,
)


def _drawn(seed: int, size: int, shift: float = 0.0) -> list[float]:
    return list(np.random.default_rng(seed).lognormal(1, 0.5, size) + shift)


@pytest.mark.parametrize("hits", [0, 1, 7, 50, 99, 100])
def test_wilson_is_scipys(hits: int) -> None:
    expected = stats.binomtest(hits, 100).proportion_ci(method="wilson")
    assert wilson(hits, 100) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_wilson_without_trials_is_from_0_to_1() -> None:
    assert wilson(0, 0) == (0, 1)


@given(
    st.integers(0, 300),
    st.integers(0, 300),
    st.integers(1, 10_000),
    st.integers(1, 10_000),
    st.sampled_from([0.9, 0.95, 0.99]),
)
def test_counts_differ_as_scipys_binomial_says(
    before: int, after: int, before_of: int, after_of: int, confidence: float
) -> None:
    differ = counts_differ(before, after, before_of=before_of, after_of=after_of, confidence=confidence)
    share = after_of / (before_of + after_of)
    number = before + after
    tail = min(stats.binom.cdf(after, number, share), stats.binom.sf(after - 1, number, share))
    if abs(2 * tail - (1 - confidence)) > 1e-9:
        assert differ == (2 * tail < 1 - confidence)


def test_counts_without_events_or_messages_do_not_differ() -> None:
    for counts in ((0, 0, 10, 10), (3, 4, 0, 10), (0, 9, 10, 0)):
        before, after, before_of, after_of = counts
        assert not counts_differ(before, after, before_of=before_of, after_of=after_of, confidence=0.95)


def test_counts_without_bound_are_compared_too() -> None:
    large = 10**15
    assert not counts_differ(large, large + 1, before_of=large, after_of=large, confidence=0.95)
    assert counts_differ(large, 2 * large, before_of=large, after_of=large, confidence=0.95)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=30), st.lists(st.integers(0, 9), min_size=1, max_size=30)
)
def test_cliffs_delta_is_the_mean_over_all_pairs(before: list[int], after: list[int]) -> None:
    pairs = [(old, new) for old in before for new in after]
    expected = sum((new > old) - (new < old) for old, new in pairs) / len(pairs)
    assert cliffs_delta(before, after) == pytest.approx(expected)


def test_cliffs_delta_follows_from_scipys_mann_whitney() -> None:
    before, after = _drawn(1, 200), _drawn(2, 150, 0.3)
    u = stats.mannwhitneyu(after, before).statistic
    assert cliffs_delta(before, after) == pytest.approx(2 * u / (200 * 150) - 1)


def test_the_interval_of_a_difference_of_means_is_scipys() -> None:
    before, after = _drawn(1, 80), _drawn(2, 120, 0.4)

    def difference(new: np.ndarray, old: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(new.mean(axis=axis) - old.mean(axis=axis))

    expected = stats.bootstrap(
        (after, before), difference, n_resamples=20_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    interval = bootstrap_difference(before, after, Mean(), confidence=0.95)
    assert interval.difference == pytest.approx(np.mean(after) - np.mean(before))
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=0.03)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_quantile_is_resampled_as_plain_resampling_does(share: float) -> None:
    samples = np.array(_drawn(5, 60))
    random = np.random.default_rng(1)
    quantile = Quantile(share)
    plain = np.array([quantile.of(random.choice(samples, len(samples))) for _ in range(8000)])
    short_cut = quantile.resampled(samples, np.random.default_rng(2), 8000)
    assert stats.ks_2samp(plain, short_cut).statistic < 0.03


def test_a_quantile_is_the_nearest_rank() -> None:
    samples = np.arange(1.0, 21.0)
    assert [Quantile(share).of(samples) for share in (0.05, 0.5, 0.95, 1.0)] == [1, 10, 19, 20]
    assert Quantile(0.99).of(np.array([3.0])) == 3


@pytest.mark.parametrize("statistic", [Mean(), Quantile(0.5)])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(statistic: Mean | Quantile) -> None:
    covered = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        interval = bootstrap_difference(
            list(random.normal(10, 2, 60)),
            list(random.normal(11, 2, 60)),
            statistic,
            confidence=0.9,
            seed=seed,
        )
        covered += interval.low <= 1 <= interval.high
    assert 0.84 <= covered / 200 <= 0.96


def test_few_samples_widen_the_interval_such_that_it_covers_the_truth() -> None:
    """Intervals of plain percentiles cover the truth in 92 % of these cases only, not in 99 %."""
    covered = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        before, after = list(random.normal(10, 2, 6)), list(random.normal(11, 1, 5))
        interval = bootstrap_difference(before, after, Mean(), confidence=0.99, seed=seed)
        covered += interval.low <= 1 <= interval.high
    assert covered / 400 >= 0.975


@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_of_few_normal_samples_is_about_students(paired: bool) -> None:
    random = np.random.default_rng(4)
    before, after = random.normal(10, 2, 12), random.normal(12, 1, 12)
    test = stats.ttest_rel(after, before) if paired else stats.ttest_ind(after, before, equal_var=False)
    expected = test.confidence_interval(0.99)
    interval = bootstrap_difference(list(before), list(after), Mean(), confidence=0.99, paired=paired)
    assert interval.high - interval.low == pytest.approx(expected.high - expected.low, rel=0.1)


@pytest.mark.parametrize("freedom", [1, 2.5, 11, 300])
@pytest.mark.parametrize("share", [0.6, 0.975, 0.99999])
def test_students_quantile_is_scipys(freedom: float, share: float) -> None:
    assert student_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-4)


def test_an_error_of_floating_point_is_not_a_difference() -> None:
    before, after = [0.1, 0.2, 0.3] * 4, [0.3, 0.1, 0.2] * 4
    interval = bootstrap_difference(before, after, Mean(), confidence=0.95)
    assert interval.difference == 0
    always_more = bootstrap_difference([0.1 + 0.2] * 9, [0.3] * 9, Mean(), confidence=0.95)
    assert not always_more.excludes_zero


def test_pairing_shows_a_difference_that_spread_hides() -> None:
    before = _drawn(1, 30)
    after = [value + 0.1 for value in before]
    paired = bootstrap_difference(before, after, Mean(), confidence=0.95, paired=True)
    assert paired.low == pytest.approx(0.1)
    assert paired.high == pytest.approx(0.1)
    assert not bootstrap_difference(before, after, Mean(), confidence=0.95).excludes_zero


def test_equal_sides_differ_by_nothing_and_equal_arguments_give_equal_intervals() -> None:
    same = bootstrap_difference([5.0] * 9, [5.0] * 4, Mean(), confidence=0.99)
    assert (same.difference, same.low, same.high) == (0, 0, 0)
    before, after = _drawn(1, 40), _drawn(2, 40)
    assert bootstrap_difference(before, after, Mean(), confidence=0.95) == bootstrap_difference(
        before, after, Mean(), confidence=0.95
    )


@pytest.mark.parametrize(
    ("before", "after", "paired"), [([], [1.0], False), ([1.0], [], False), ([1.0], [1.0, 2.0], True)]
)
def test_samples_that_cannot_be_compared_are_refused(
    before: list[float], after: list[float], paired: bool
) -> None:
    with pytest.raises(ValueError, match=r"no samples|equally many"):
        bootstrap_difference(before, after, Mean(), confidence=0.95, paired=paired)


def test_many_comparisons_ask_for_more_confidence_each() -> None:
    assert corrected_confidence(1) == pytest.approx(0.95)
    assert corrected_confidence(10) == pytest.approx(0.995)
    assert corrected_confidence(0) == pytest.approx(0.95)


def test_few_samples_cannot_show_anything() -> None:
    assert not enough_to_tell(5, 5, confidence=0.95, paired=True)
    assert enough_to_tell(6, 6, confidence=0.95, paired=True)
    assert not enough_to_tell(3, 3, confidence=0.95, paired=False)
    assert enough_to_tell(5, 5, confidence=0.95, paired=False)
    assert enough_to_tell(10**6, 10**6, confidence=1 - 1e-9, paired=False)


def test_large_samples_are_compared_within_bounds_of_memory() -> None:
    before, after = _drawn(1, 20_000), _drawn(2, 20_000, 0.5)
    interval = bootstrap_difference(before, after, Quantile(0.99), confidence=0.996)
    assert interval.low < interval.difference < interval.high
    assert not math.isnan(interval.low)
