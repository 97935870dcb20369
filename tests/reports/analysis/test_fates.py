"""Fates in words: lists of numbers in every language."""

from __future__ import annotations

import pytest

from reports.analysis.conversations import conversations
from reports.analysis.fates import short_list, span_label, span_title
from reports.words.language import LANGUAGES, speaking
from tests.reports import example


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


def test_a_batch_whose_answer_was_dropped_says_so() -> None:
    result = example.incident_with_profiles()
    (conversation,) = conversations(result["recordings"][0], result["runs"])
    dropped, answered = conversation.lane("queue (quick)").spans
    assert span_label(dropped) == "window: 1\u20135, answer dropped"
    assert span_label(answered) == "window: 1\u20135"
    assert _plain(span_title(dropped)).endswith("dropped at 15.0 s because a newer message joined the turn")


def _plain(words: str) -> str:
    return words.replace("\u00a0", " ")
