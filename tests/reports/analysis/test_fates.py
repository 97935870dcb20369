"""Fates in words: lists of numbers in every language."""

from __future__ import annotations

import pytest

from reports.analysis.fates import short_list
from reports.words.language import LANGUAGES, speaking


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_list_that_is_too_long_is_cut_between_two_numbers(code: str) -> None:
    with speaking(code):
        words = short_list(range(1, 200, 2))
    assert len(words) <= 60 + len(", …")
    assert words.startswith("1")
    assert words.endswith("…")


def test_a_cut_list_has_the_separator_of_the_language() -> None:
    with speaking("ar"):
        assert short_list(range(1, 200, 2)).endswith("، …")
