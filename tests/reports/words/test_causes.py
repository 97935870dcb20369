"""Sentences for causes of loss: every code has one that names its messages, in every language."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from reports.results.causes import VALUES, Cause, CauseCode
from reports.words.causes import SENTENCES, cause_words, unnumbered_cause_words
from reports.words.language import LANGUAGES, speaking
from tests.reports.example import HOSTILE
from tests.sim.systems.races import RACES, play

CODES: tuple[CauseCode, ...] = get_args(CauseCode)
NUMBERS = {"m1": 1, "m2": 2, "m3": 3, "m4": 4, "m5": 5}
EXAMPLES = {
    "answering": ["m1", "m2", "m3"],
    "writers": ["m3"],
    "step": "mark_processing",
    "call": 1,
    "calls": 1,
    "ttl_s": 15,
    "limit": 10,
}


def _cause(code: CauseCode) -> Cause:
    return {"code": code, "at_ms": 9, **{name: EXAMPLES[name] for name in VALUES[code]}}  # type: ignore[typeddict-item] # of EXAMPLES


def test_every_code_has_its_values_and_its_sentence() -> None:
    assert set(CODES) == VALUES.keys() == SENTENCES.keys()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", CODES)
def test_a_sentence_names_the_lost_messages_and_is_whole(code: CauseCode, language: str) -> None:
    with speaking(language):
        specific = cause_words(_cause(code), "buffer-v1", [4, 5], NUMBERS)
        general = unnumbered_cause_words(_cause(code), "buffer-v1", 12)
    for words in (specific, general):
        assert words.endswith(".")
        assert "None" not in words
        assert "%" not in words
    assert re.search(r"4\D{1,7}5", specific)
    assert not re.search(r"\b[45]\b", general)
    if language == "en":
        assert re.search(r"[Mm]essages 4 and 5", specific)
        assert re.search(r"[Tt]hese messages", general)
        assert re.search(r"[Mm]essage 4\b", cause_words(_cause(code), "buffer-v1", [4], NUMBERS))
        assert re.search(r"[Tt]his message\b", unnumbered_cause_words(_cause(code), "buffer-v1", 1))


def test_the_cause_of_the_incident_reads_like_a_persons_account() -> None:
    assert cause_words(_cause("marked_unread"), "buffer-v1", [4, 5], NUMBERS) == (
        "Messages 4 and 5 arrived while the AI was answering 1\u20133. buffer-v1 then marked the whole buffer as done, "
        "and nobody read it again."
    )
    with speaking("ar"):
        arabic = cause_words(_cause("marked_unread"), "buffer-v1", [4, 5], NUMBERS)
    assert arabic.startswith("وصلت الرسالتان ")


def test_messages_that_overwrote_another_are_named() -> None:
    cause = Cause(code="overwritten_by_webhook", writers=["m3", "m5"])
    assert cause_words(cause, "buffer-v1", [2], NUMBERS).startswith(
        "The webhook of messages 3 and 5 had read the buffer before message 2 came into it."
    )


def test_causes_number_later_timers_and_repeated_calls() -> None:
    timer, calls = Cause(code="timer_died", call=3), Cause(code="calls_failed", calls=4)
    assert "the timer for try 3 died" in cause_words(timer, "buffer-v2", [1], NUMBERS)
    assert "failed 4 times, and buffer-v2 gave up" in cause_words(calls, "buffer-v2", [1], NUMBERS)


def test_unknown_ids_are_skipped_and_names_are_cleaned() -> None:
    for evil in HOSTILE:
        for code in CODES:
            cause = Cause(code=code, answering=[evil], writers=[evil])
            words = cause_words(cause, evil * 50, [1], NUMBERS)
            assert len(words) < 500
            assert not re.search("[\x00-\x1f\u202a-\u202e\ud800-\udfff]", words)


def test_a_list_of_numbers_has_an_end() -> None:
    words = cause_words(Cause(code="ai_failed"), "queue", list(range(1, 900, 2)), {})
    assert "23, …" in words


def test_every_cause_that_a_race_brings_about_has_its_values() -> None:
    causes = [
        cause for race in RACES for system in race.loses for cause in play(race, system)["causes"].values()
    ]
    assert len({cause["code"] for cause in causes}) >= 9
    for cause in causes:
        assert cause.keys() - {"code", "at_ms"} == VALUES[cause["code"]]
