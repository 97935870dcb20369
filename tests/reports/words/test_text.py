"""Words and numbers for people, and strangers' text made fit to be shown."""

from __future__ import annotations

import pytest

from reports.words import text
from reports.words.language import speaking
from reports.words.text import (
    Phones,
    cut,
    duration,
    is_right_to_left,
    moment,
    number_list,
    one_line,
    printable,
    round_duration,
    share,
    signed,
    with_units,
)


@pytest.mark.parametrize(
    ("ms", "told"),
    [
        (None, text.EN_DASH),
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
        (-1500, f"{text.MINUS}1.5 s"),
    ],
)
def test_a_duration_is_told_for_people(ms: float | None, told: str) -> None:
    assert duration(ms).replace(text.NARROW, " ") == told


@pytest.mark.parametrize(
    ("ms", "told"),
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
def test_an_axis_is_labelled_without_what_is_zero(ms: float, told: str) -> None:
    assert round_duration(ms).replace(text.NARROW, " ") == told


def test_times_are_told_in_the_language_of_the_page_with_the_same_digits() -> None:
    with speaking("ar"):
        assert duration(12_149).replace(text.NARROW, " ") == "12.1 ث"
        assert duration(7_500_000).replace(text.NARROW, " ") == "2 س 05 د"
        assert moment(8000).replace(text.NARROW, " ") == "8 ث"
        assert duration(-1500).replace(text.NARROW, " ") == f"\u2068{text.MINUS}1.5\u2069 ث"
        assert duration(None) == text.EN_DASH


@pytest.mark.parametrize(
    ("ms", "told"),
    [
        (0, "0 s"),
        (500, "500 ms"),
        (8000, "8 s"),
        (10_976, "11.0 s"),
        (70_000, "1 min 10 s"),
        (54_800_000, "15:13:20"),
    ],
)
def test_a_moment_of_a_long_day_is_told_to_the_second(ms: int, told: str) -> None:
    assert moment(ms).replace(text.NARROW, " ") == told


@pytest.mark.parametrize(
    ("part", "told"), [(0, "0 %"), (1, "100 %"), (0.4, "40.0 %"), (0.000001, "0.01 %"), (0.999999, "99.99 %")]
)
def test_some_never_reads_as_none_nor_less_than_all_as_all(part: float, told: str) -> None:
    assert share(part).replace(text.NARROW, " ") == told


def test_what_a_page_cannot_hold_is_made_visible() -> None:
    shown = printable("a\x00b\x1b\x7f\x85\ud800\uffff\r\nc\td")
    assert shown == "a␀b␛␡\ufffd\ufffd\ufffd\nc\td"
    shown.encode()


def test_what_makes_a_text_read_as_another_is_made_visible_and_arabic_is_left_alone() -> None:
    assert printable("\u202egnp.exe") == "[U+202E]gnp.exe"
    for kept in ("مرحبا\u200f 5", "\u2068عبد\u2069", "می\u200cخو", "👨\u200d👩\u200d👧"):
        assert printable(kept) == kept


def test_a_label_is_one_line_that_cannot_turn_what_follows() -> None:
    assert one_line(" a\n\tb \u2067c") == "a b c"


@pytest.mark.parametrize(
    ("whole", "limit", "shown"),
    [
        ("short", 5, "short"),
        ("longer than", 7, "longer…"),
        ("abc👨\u200d👩\u200d👧", 6, "abc…"),
        ("abe\u0301\u0301d", 5, "ab…"),
        ("ab👍🏽c", 4, "ab…"),
        ("\u0301" * 9, 4, "…"),
    ],
)
def test_a_cut_never_parts_what_belongs_together(whole: str, limit: int, shown: str) -> None:
    assert cut(whole, limit) == shown


def test_numbers_are_drawn_together() -> None:
    assert number_list([3, 1, 2, 2, 7, 9, 10]) == f"1{text.EN_DASH}3, 7, 9, 10"
    assert number_list([]) == ""


def test_the_first_letter_with_a_direction_decides() -> None:
    assert is_right_to_left("⭐ 5 أهلا hello")
    assert not is_right_to_left("⭐ 5 hello أهلا")
    assert not is_right_to_left("123 …")


def test_a_phone_number_is_shown_by_its_last_four_digits_wherever_it_stands() -> None:
    hidden = Phones(["966500001234", "9665", "user-1", "", "96650000123456"])
    assert hidden.hide("bot/966500001234/m1 and 96650000123456") == "bot/…1234/m1 and …3456"
    assert hidden.hide("user-1 has 9665") == "user-1 has 9665"
    assert Phones([]).hide("nothing") == "nothing"


def test_on_a_page_a_number_stays_with_its_unit_and_all_other_space_is_one() -> None:
    assert with_units(" 5\u00a0s \n\t later\u00a0\u00a0now\u2069 ") == "5\u00a0s later now"


def test_a_sign_is_on_the_left_of_its_number_in_every_language() -> None:
    assert signed("+", "30 %") == "+30 %"
    with speaking("ar"):
        assert signed("+", "30 %") == "\u200e+30 %"
