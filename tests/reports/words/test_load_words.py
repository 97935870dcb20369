"""Words of a load test: the verdict, thresholds, settings, in English and Arabic."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from reports.results.faults import FaultName
from reports.results.load import MissedFault, Threshold, ThresholdCode
from reports.words.faults import fault_name
from reports.words.language import speaking
from reports.words.load import (
    limit_of,
    measured_of,
    outcome_of,
    setting_name,
    setting_value,
    threshold_name,
    verdict,
)
from tests.reports.load_example import busy, chaos, invalid, lag

ARABIC = re.compile("[\u0621-\u064a]")


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def test_the_verdict_counts_and_names_what_was_missed() -> None:
    head = "10,000 messages acknowledged, 9,998 answered, 2 lost, 1 answered twice, none out of order. "
    result = chaos()
    result["ledger"]["worker_died"] = 0
    assert plain(verdict(result)).startswith(f"{head}Missed: answered 99.98 %, lost messages 2.")
    result["thresholds"] = []
    assert verdict(result) == f"{head}Every threshold is met."


@pytest.mark.parametrize(
    ("died", "words"), [(1, "1 message was sent twice."), (2_345, "2,345 messages were sent twice.")]
)
def test_messages_that_were_sent_twice_because_a_worker_died_are_counted_apart(died: int, words: str) -> None:
    result = chaos()
    result["ledger"]["worker_died"] = died
    assert "1 answered twice" in verdict(result)
    assert plain(verdict(result)).endswith(f" Because a worker died while sending, {words}")


def test_a_threshold_that_could_not_be_measured_is_not_said_to_be_met() -> None:
    result = chaos()
    unmeasured = [threshold for threshold in result["thresholds"] if threshold["measured"] is None]
    assert (
        plain(verdict(result))
        .partition("Missed: ")[2]
        .partition(". ")[2]
        .startswith(
            "Targets are those of a load without faults unless you set others. "
            "1 threshold could not be measured: dispatch lag p99."
        )
    )
    result["thresholds"] = unmeasured
    result["ledger"]["worker_died"] = 0
    assert plain(verdict(result)).endswith(
        " Every threshold that could be measured is met. 1 threshold could not be measured: dispatch lag p99."
    )


def test_a_run_whose_faults_did_not_happen_says_which_and_why() -> None:
    result = invalid()
    result["generator_lag"] = lag(3.0, ok=True)
    late = MissedFault(code="worker-dies", at_s=200.0, error=None)
    failed = MissedFault(code="ai-fails", at_s=20.0, error="no\x1b answer " + "x" * 500)
    result["missed_faults"] = [late]
    words = plain(verdict(result))
    assert words.startswith(
        "Invalid: 1 fault of the plan did not happen, since the run ended before: worker killed at 3 min 20 s."
    )
    assert "generator" not in words
    result["missed_faults"] = [*[late] * 7, failed]
    words = plain(verdict(result))
    assert "7 faults of the plan did not happen" in words
    assert "and 2 more." in words
    assert "1 fault of the plan could not be carried out: AI failing at 20.0 s (no\u241b answer xxx" in words
    assert len(words) < 1000
    result["generator_lag"] = lag(812.0, ok=False)
    assert "the generator was 812 ms behind" in plain(verdict(result))


def test_a_run_on_a_busy_machine_says_so_instead_of_blaming_the_queue_and_counts_the_messages() -> None:
    assert plain(verdict(busy())) == (
        "Invalid: for 41.0 s of 1 min 09 s other programs used 58.0 % of the machine's CPU time and left almost none, "
        "so these times say nothing about the system: dispatch lag p99 912 ms. Run it again while nothing else runs. "
        "10,000 messages acknowledged, 10,000 answered, none lost, none answered twice, none out of order."
    )


@pytest.mark.parametrize(
    ("unsent", "words"), [(1, "1 message of the schedule was not sent"), (4_914, "4,914 messages")]
)
def test_the_verdict_on_a_run_that_was_ended_early_counts_the_rest(unsent: int, words: str) -> None:
    for result in (chaos(), invalid()):
        assert "ended early" not in verdict(result)
        result["unsent"] = unsent
        assert f" The load was ended early: {words}" in plain(verdict(result))


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        (
            lag(812.0, ok=False),
            "Invalid: the generator was 812 ms behind its schedule (p99), so these figures",
        ),
        ({**lag(3.0, ok=False), "code": "generator_lag_max"}, "was 3 ms behind its schedule (max)"),
        (lag(3.0, ok=True), "Invalid: the generator stopped before the end of the load"),
        (lag(None, ok=True), "Invalid: nothing was sent."),
    ],
)
def test_an_invalid_run_says_why(threshold: Threshold, words: str) -> None:
    result = invalid()
    result["generator_lag"] = threshold
    assert words in plain(verdict(result))


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        (Threshold(code="lost", limit=0, measured=1234, unit="", ok=False), "0, 1,234, ✗ missed"),
        (
            Threshold(code="answered", limit=100, measured=99.9999, unit="%", ok=False),
            "100 %, 99.99 %, ✗ missed",
        ),
        (
            Threshold(code="highest_rate", limit=600, measured=9, unit="/min", ok=False),
            "600 /min, 9 /min, ✗ missed",
        ),
        (
            Threshold(code="redis_memory", limit=50, measured=None, unit="MB", ok=True),
            "50 MB, nothing measured, \u2013",
        ),
        (lag(2.25, ok=True), "200 ms, 2.2 ms, ✓ met"),
    ],
)
def test_figures_have_their_units(threshold: Threshold, words: str) -> None:
    texts = (limit_of(threshold), measured_of(threshold), outcome_of(threshold))
    assert plain(", ".join(texts)) == words


@pytest.mark.parametrize(
    ("code", "value", "name", "words"),
    [
        ("drain_s", 60.0, "longest drain", "1 min 00 s"),
        ("rate_per_min", 10_200.0, "rate", "10,200 /min"),
        ("ai_error_share", 0.25, "AI errors", "25.0 %"),
        ("workers", 2, "workers", "2"),
        ("system", "legacy", "system", "legacy buffer"),
        ("QUEUE_WINDOW_MS", "400", "QUEUE_WINDOW_MS", "400"),
    ],
)
def test_settings_have_names_and_units(code: str, value: str | float, name: str, words: str) -> None:
    assert (setting_name(code), plain(setting_value(code, value))) == (name, words)


def test_everything_has_its_words_in_arabic() -> None:
    with speaking("ar"):
        names = [
            *map(threshold_name, get_args(ThresholdCode)),
            *map(fault_name, get_args(FaultName)),
            verdict(chaos()),
            verdict(invalid()),
        ]
    assert [name for name in names if not ARABIC.search(name)] == []
