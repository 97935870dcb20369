"""Cleaning of untrusted text for display."""

from __future__ import annotations

import pytest

from reports.text import Phones, cut, is_right_to_left, one_line, printable, with_units


def test_characters_that_a_page_cannot_hold_are_made_visible() -> None:
    shown = printable("a\x00b\x1b\x7f\x85\ud800\uffff\r\nc\td")
    assert shown == "a␀b␛␡\ufffd\ufffd\ufffd\nc\td"
    shown.encode()


def test_characters_that_disguise_a_text_are_made_visible_and_arabic_stays() -> None:
    assert printable("\u202egnp.exe") == "[U+202E]gnp.exe"
    for kept in ("مرحبا\u200f 5", "\u2068عبد\u2069", "می\u200cخو", "👨\u200d👩\u200d👧"):
        assert printable(kept) == kept


def test_a_label_is_one_line_that_cannot_change_the_direction_of_other_text() -> None:
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


def test_the_first_letter_with_a_direction_decides() -> None:
    assert is_right_to_left("⭐ 5 أهلا hello")
    assert not is_right_to_left("⭐ 5 hello أهلا")
    assert not is_right_to_left("123 …")


def test_a_phone_number_is_shown_by_its_last_four_digits_wherever_it_stands() -> None:
    hidden = Phones(["966500001234", "9665", "user-1", "", "96650000123456"])
    assert hidden.hide("bot/966500001234/m1 and 96650000123456") == "bot/…1234/m1 and …3456"
    assert hidden.hide("user-1 has 9665") == "user-1 has 9665"
    assert Phones([]).hide("nothing") == "nothing"


def test_no_break_spaces_stay_and_other_white_space_becomes_single() -> None:
    assert with_units(" 5\u00a0s \n\t later\u00a0\u00a0now\u2069 ") == "5\u00a0s later now"
