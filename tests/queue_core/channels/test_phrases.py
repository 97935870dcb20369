"""Words for what is not text: every phrase in both languages."""

from __future__ import annotations

import re

import pytest

from queue_core.channels.phrases import PHRASES, phrases_in


@pytest.mark.parametrize("code", PHRASES)
def test_every_phrase_is_in_both_languages(code: str) -> None:
    english, arabic = PHRASES[code]
    assert english.isascii()
    assert re.search("[\u0600-\u06ff]", arabic)
    assert re.findall(r"%\(\w+\)d", english) == re.findall(r"%\(\w+\)d", arabic)


def test_a_placeholder_has_its_words_in_brackets() -> None:
    english, arabic = phrases_in("en"), phrases_in("ar")
    assert english.bracketed("document", "a.pdf") == "[document: a.pdf]"
    assert english.bracketed("voice", extra=english.counted("seconds", 7)) == "[voice message, 7 s]"
    assert arabic.bracketed("document", "a.pdf") == "[مستند: a.pdf]"
    assert arabic.listed(["1", "", "2"]) == "1، 2"
