"""The page of a load test: what it says, that it is inert, small, and the same for the same result."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reports.load import render_load_report
from reports.schema_load import LoadResult, RampStep
from tests.reports.load_example import chaos, empty, hostile, invalid

ALL = (chaos, empty, hostile, invalid)


@pytest.mark.parametrize("example", ALL)
def test_the_page_is_one_file_without_script_or_network_and_small(example: Callable[[], LoadResult]) -> None:
    page = render_load_report(example())
    assert page == render_load_report(example())
    assert len(page.encode()) < 500_000
    for forbidden in ("<script", "<img", "<link", "http://", "@import", "onerror=alert(1)>"):
        assert forbidden not in page.replace("http://www.w3.org", "").lower(), forbidden


def test_it_says_what_was_missed_and_who_was_lost() -> None:
    page = render_load_report(chaos())
    assert "10,000 acknowledged = 9,998 answered + 0 dead-lettered + 0 waiting + 2 lost" in page
    assert page.count("✗ missed") == 2
    for told in ("m-4711", "pause-redis", "--seed 7", "It closes"):
        assert told in page


def test_a_ledger_that_does_not_close_is_told() -> None:
    result = chaos()
    result["ledger"]["answered"] -= 5
    page = render_load_report(result).replace("\u00a0", " ").replace("\u202f", " ")
    assert "It does not close: 5 messages too few" in page


def test_an_invalid_run_proves_nothing() -> None:
    assert "This run is invalid" in render_load_report(invalid())
    assert "This run is invalid" not in render_load_report(chaos())


def test_nothing_sent_is_a_page_too() -> None:
    page = render_load_report(empty())
    assert "Nothing was sent." in page
    assert "There is no timeline." in page


def test_a_ramp_is_a_table() -> None:
    def step(rate: int, missed: list[str]) -> RampStep:
        return RampStep(
            rate=rate,
            from_s=0,
            to_s=10,
            sent=rate // 6,
            acknowledgement_p99=12.5,
            dispatch_lag_p99=None,
            generator_lag_p99=1.0,
            missed=missed,
        )

    result = chaos()
    result["ramp"] = [step(6_000, []), step(9_000, ["dispatch lag", "<b>"])]
    page = render_load_report(result)
    assert "9,000" in page
    assert "dispatch lag, &lt;b&gt;" in page


def test_a_prediction_is_drawn_over_what_was_measured() -> None:
    result = chaos()
    result["predicted_ms"] = [one + 40 for one in result["latency_ms"]["reply"]]
    page = render_load_report(result)
    assert "The largest distance is 0." in page
    assert page.count("The simulator's prediction") + page.count("The simulator&#39;s prediction") == 1
    assert len(page.encode()) < 500_000
