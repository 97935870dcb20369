"""Hostile text made harmless."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from queue_core.text import quantity, visible, visible_json


def test_nothing_moves_a_cursor_or_turns_text_around() -> None:
    assert visible("ev:il{0}\n\x1b[2J\u202eeman \u0007*") == r"ev:il{0}\n\x1b[2J\u202eeman \x07*"
    assert (
        visible("\x7f\x9b\u2028\u2066\ue000\ud800\U000e0041") == r"\x7f\x9b\u2028\u2066\ue000\ud800\U000e0041"
    )


def test_words_and_emoji_stay_as_they_are() -> None:
    assert visible("سلام 👨‍👩‍👧 naïve\\") == "سلام 👨‍👩‍👧 naïve\\"


@given(st.text(st.characters()))
def test_any_text_is_one_line_and_json_keeps_its_meaning(text: str) -> None:
    assert visible(text).replace("\u200c", "").replace("\u200d", "").isprintable()
    line = visible_json(json.dumps(text, ensure_ascii=False))
    assert line.isprintable()
    assert json.loads(line) == text


def test_a_quantity_has_its_noun() -> None:
    assert [quantity(number, "message") for number in (0, 1, 1200)] == [
        "0 messages",
        "1 message",
        "1,200 messages",
    ]
