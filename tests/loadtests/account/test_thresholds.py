"""Thresholds: values that miss them, and equal p99s on console and page."""

from __future__ import annotations

import pytest

from loadtests.account.thresholds import at_most, highest_rate, p99_at_most, thresholds_of, thresholds_of_ramp
from loadtests.options import Limits
from reports.analysis.times import time_cells
from reports.pages.load.view import load_page_of
from reports.results.load import RampStep
from reports.words.load import measured_of, threshold_name
from tests.reports.load_example import empty


@pytest.mark.parametrize("slow", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 99, 100, 101])
def test_a_threshold_and_the_table_of_the_page_show_the_same(size: int, slow: int) -> None:
    times_ms = [5.0 + n / 1000 for n in range(size)][: max(size - slow, 0)] + [900.0] * min(slow, size)
    result = empty()
    result["latency_ms"]["acknowledgement"] = times_ms
    result["thresholds"] = thresholds_of(Limits(), result["ledger"], result["latency_ms"], [])
    page = load_page_of(result)
    (row,) = [row for row in page.thresholds if row.name.startswith("acknowledgement")]
    table = page.latencies[0].cells
    assert list(table) == time_cells(times_ms), "the console's"
    if size < 100:
        assert (row.name, f"{row.actual} (max)") == ("acknowledgement max", table[4])
        assert row.actual == table[5]
    else:
        assert (row.name, row.actual) == ("acknowledgement p99", table[4])
        assert row.actual == ("900\u00a0ms" if slow == 2 else "5.1\u00a0ms")


def test_a_threshold_without_samples_is_not_missed_and_says_so() -> None:
    threshold = p99_at_most("dispatch_lag", 250, [])
    assert threshold == {"code": "dispatch_lag_p99", "limit": 250, "measured": None, "unit": "ms", "ok": True}
    assert measured_of(threshold) == "nothing measured"


def test_each_threshold_is_missed_by_a_value_beyond_its_limit() -> None:
    result = empty()
    result["ledger"].update(
        {
            "sent": 10,
            "answered": 9,
            "lost": 1,
            "dead": 1,
            "duplicates": 1,
            "out_of_order": 1,
            "failed_requests": 1,
        }
    )
    result["latency_ms"].update({"acknowledgement": [251.0] * 100, "dispatch_lag": [251.0] * 100})
    second = {"t_s": 0, "sent": 0, "acknowledged": 0, "replied": 0, "failed": 0, "depth": None, "cpu": None}
    timeline = [{**second, "redis_bytes": amount} for amount in (None, 50_000_001, 1)]
    thresholds = thresholds_of(Limits(), result["ledger"], result["latency_ms"], timeline)  # type: ignore[arg-type]
    assert not [threshold["code"] for threshold in thresholds if threshold["ok"]]
    loose = Limits(1, 1, 1, 1, 251.0, 251.0, 51.0)
    thresholds = thresholds_of(loose, result["ledger"], result["latency_ms"], timeline)  # type: ignore[arg-type]
    assert [threshold["code"] for threshold in thresholds if not threshold["ok"]] == ["dead", "answered"]


def step(rate: int, *, ok: bool) -> RampStep:
    return RampStep(
        rate=rate, from_s=0, to_s=1, sent=1, thresholds=[at_most("unanswered", 0, 0 if ok else 1)]
    )


@pytest.mark.parametrize(
    ("steps", "rate"),
    [([True, True], 200), ([True, False], 100), ([False, True], 0), ([True, False, True], 100), ([], 0)],
)
def test_the_highest_rate_is_that_of_the_step_before_the_first_miss(steps: list[bool], rate: int) -> None:
    ramp = [step(100 * number, ok=ok) for number, ok in enumerate(steps, 1)]
    assert highest_rate(ramp) == rate
    thresholds = thresholds_of_ramp(Limits(), empty()["ledger"], 100, ramp)
    assert (thresholds[0]["measured"], thresholds[0]["ok"]) == (rate, rate > 0)
    assert "p99" not in " ".join(threshold_name(threshold["code"]) for threshold in thresholds)
