"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_core.durations import (
    DAY_MS,
    DurationError,
    format_duration_ms,
    parse_duration_ms,
    with_negative_values,
)


@pytest.mark.parametrize(
    ("text", "value_ms"),
    [
        ("8s", 8_000),
        ("250ms", 250),
        ("1.5s", 1_500),
        ("2m", 120_000),
        ("1.5h", 5_400_000),
        ("1d", 86_400_000),
        ("80us", 0.08),
        ("0", 0),
        ("0.0s", 0),
        (" 2S ", 2_000),
    ],
)
def test_a_duration_is_read_in_milliseconds(text: str, value_ms: float) -> None:
    assert parse_duration_ms(text) == value_ms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *(
            (text, "is not a duration")
            for text in ("", "s", "ten", "8 s", "1.s", ".5s", "1e3s", "1w", "1h30m")
        ),
        *((text, "is not a duration") for text in ("nan", "inf", "٨s", "--3s", "9" * 400 + "s", "\x1b[31m")),
        ("8", "8 has no unit: write 8ms, 8s, 8m or 8h"),
        ("1.5", "1.5 has no unit: write 1.5ms, 1.5s, 1.5m or 1.5h"),
        ("-3s", "-3s is negative: a duration is 0 or more"),
        ("-3", "-3 is negative"),
        ("25h", "25h is too long: at most 24h"),
        ("99999m", "99999m is too long"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_duration_ms(text)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_caller_sets_the_limits() -> None:
    assert parse_duration_ms("30d", at_most_ms=30 * DAY_MS) == 30 * DAY_MS
    with pytest.raises(DurationError, match="5m is too long: at most 1m"):
        parse_duration_ms("5m", at_most_ms=60_000)
    with pytest.raises(DurationError, match="0 is too short: it must be more than 0"):
        parse_duration_ms("0", is_above_0=True)
    with pytest.raises(DurationError, match="-1s is negative: a duration is more than 0"):
        parse_duration_ms("-1s", is_above_0=True)


@pytest.mark.parametrize(
    ("value_ms", "text"),
    [
        (0, "0"),
        (0.08, "80us"),
        (250, "250ms"),
        (1_500.0, "1.5s"),
        (90_000, "90s"),
        (120_000, "2m"),
        (DAY_MS, "24h"),
    ],
)
def test_durations_are_written_as_one_would_type_them(value_ms: float, text: str) -> None:
    assert format_duration_ms(value_ms) == text


@given(st.integers(0, 86_400_000_000))
def test_what_is_written_is_read_again(value_us: int) -> None:
    assert parse_duration_ms(format_duration_ms(value_us / 1000)) == value_us / 1000


def test_a_negative_value_stays_with_its_option() -> None:
    arguments = ["replay", "--idle", "-3s", "--seed=1", "-3", "-o", "-1", "--quiet", "--json", "-"]
    joined = ["replay", "--idle=-3s", "--seed=1", "-3", "-o", "-1", "--quiet", "--json", "-"]
    assert with_negative_values(arguments) == joined
