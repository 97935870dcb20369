"""Numbers and times for people."""

from __future__ import annotations

import pytest

from reports.text import NO_BREAK
from reports.words import numbers
from reports.words.language import speaking
from reports.words.numbers import duration, in_two_parts, moment, number_list, round_duration, share, signed


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (None, numbers.EN_DASH),
        (0, "0 ms"),
        (3.44, "3.4 ms"),
        (12.0, "12 ms"),
        (99.96, "100 ms"),
        (850, "850 ms"),
        (999, "999 ms"),
        (1000, "1.0 s"),
        (12_149, "12.1 s"),
        (59_949, "59.9 s"),
        (59_950, "1 min 00 s"),
        (125_000, "2 min 05 s"),
        (3_599_600, "1 h 00 min"),
        (7_500_000, "2 h 05 min"),
        (-1500, f"{numbers.MINUS}1.5 s"),
    ],
)
def test_a_duration_is_written_for_people(ms: float | None, words: str) -> None:
    assert duration(ms).replace(NO_BREAK, " ") == words


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0.1, "0.1 ms"),
        (2.0, "2 ms"),
        (0.30000000000000004, "0.3 ms"),
        (500, "500 ms"),
        (2000, "2 s"),
        (2500, "2.5 s"),
        (59_000, "59 s"),
        (60_000, "1 min"),
        (90_000, "1 min 30 s"),
        (3_600_000, "1 h"),
        (5_400_000, "1 h 30 min"),
        (86_400_000, "24 h"),
    ],
)
def test_an_axis_is_labelled_without_what_is_zero(ms: float, words: str) -> None:
    assert round_duration(ms).replace(NO_BREAK, " ") == words


def test_times_are_in_the_language_of_the_page_with_equal_digits() -> None:
    with speaking("ar"):
        assert duration(12_149).replace(NO_BREAK, " ") == "12.1 ث"
        assert duration(7_500_000).replace(NO_BREAK, " ") == "2 س 05 د"
        assert moment(8000).replace(NO_BREAK, " ") == "8 ث"
        assert duration(-1500).replace(NO_BREAK, " ") == f"\u2068{numbers.MINUS}1.5\u2069 ث"
        assert duration(None) == numbers.EN_DASH


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "0 s"),
        (500, "500 ms"),
        (8000, "8 s"),
        (10_976, "11.0 s"),
        (70_000, "1 min 10 s"),
        (-120_000, f"{numbers.MINUS}2 min"),
        (54_800_000, "15:13:20"),
    ],
)
def test_a_moment_of_a_long_day_has_seconds(ms: int, words: str) -> None:
    assert moment(ms).replace(NO_BREAK, " ") == words


@pytest.mark.parametrize(
    ("part", "words"), [(0, "0 %"), (1, "100 %"), (0.4, "40.0 %"), (1e-6, "0.01 %"), (0.999999, "99.99 %")]
)
def test_only_0_is_written_as_0_percent_and_only_1_as_100_percent(part: float, words: str) -> None:
    assert share(part).replace(NO_BREAK, " ") == words


def test_neighbouring_numbers_become_ranges() -> None:
    assert number_list([3, 1, 2, 2, 7, 9, 10]) == f"1{numbers.EN_DASH}3, 7, 9, 10"
    assert number_list([]) == ""
    assert number_list([4, 5, 9, 10, 11], last=" and ") == f"4, 5 and 9{numbers.EN_DASH}11"
    assert number_list([4], last=" and ") == "4"
    assert number_list([1, 3, 5, 7], last=" and ", parts_max=2) == "1, 3, …"


def test_a_sign_is_on_the_left_of_its_number_in_every_language() -> None:
    assert signed("+", "30 %") == "+30 %"
    with speaking("ar"):
        assert signed("+", "30 %") == "\u200e+30 %"


def test_a_long_duration_may_break_between_its_parts_only() -> None:
    assert in_two_parts(duration(139_000)) == "2\u00a0min 19\u00a0s"
    assert in_two_parts(duration(7_500_000)) == "2\u00a0h 05\u00a0min"
    assert in_two_parts(duration(12_100)) == "12.1\u00a0s"
