"""Verdicts and expected outcomes in words, made from facts alone."""

from __future__ import annotations

import re

import pytest

from reports.results.replay import ExpectationResult, ReplayResult, SettingChange
from reports.words.expectations import expectation_name, expectation_words
from reports.words.language import speaking
from reports.words.systems import system_summary
from reports.words.verdicts import replay_verdict, sweep_verdict
from sim.systems import all_systems
from tests.reports import example, sweep_example
from tests.reports.example import HOSTILE, expectation

ARABIC = re.compile("[\u0621-\u064a]")


def _plain(words: object) -> str:
    return str(words).replace("\u00a0", " ")


def _of_queue(**more: object) -> ReplayResult:
    """Return the incident with a changed run of the queue and without expected outcomes."""
    result = example.incident(expectations=[])
    result["runs"][1].update(more)  # type: ignore[typeddict-item] # the keys are the caller's to get right
    return result


def test_the_queue_comes_first_then_the_others_then_the_outcomes_that_matched() -> None:
    result = example.incident(expectations=[expectation("queue"), expectation("buffer-v1")])
    verdict = replay_verdict(result)
    assert _plain(verdict.first) == (
        "The queue lost, duplicated and reordered none of 5 messages in 1 recording"
    )
    assert _plain(verdict.rest) == "buffer-v1 lost 2 of 5 (40.0 %); all 2 expected outcomes matched."
    assert str(verdict) == f"{verdict.first}; {verdict.rest}"


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ([True], "the expected outcome matched."),
        ([True, None], "the expected outcome matched; 1 expected outcome not checked under these settings."),
        ([None, None], "2 expected outcomes not checked under these settings."),
    ],
)
def test_expected_outcomes_are_counted(held: list[bool | None], words: str) -> None:
    result = example.incident(expectations=[expectation("queue", held=is_held) for is_held in held])
    assert _plain(replay_verdict(result)).endswith(f"; {words}")


def test_an_outcome_that_did_not_match_is_the_headline() -> None:
    expectations = [expectation("queue", held=held) for held in (False, True, True, None)]
    result = example.incident(expectations=expectations)
    assert _plain(replay_verdict(result)) == (
        "1 OF 3 EXPECTED OUTCOMES DID NOT MATCH; the queue lost, duplicated and reordered none of 5 messages in 1 "
        "recording; buffer-v1 lost 2 of 5 (40.0 %); 1 expected outcome not checked under these settings."
    )
    with speaking("ar"):
        assert _plain(replay_verdict(result).first).startswith("تنبيه")


def test_harm_done_by_the_queue_is_in_capital_letters() -> None:
    harmed = _of_queue(lost=["m1"], duplicated=["m2", "m3"], came_to_rest=False)
    assert _plain(replay_verdict(harmed).first) == (
        "THE QUEUE lost 1 and duplicated 2 and did not finish its work in 1 run of 5 messages in 1 recording"
    )


def test_systems_without_a_loss_are_named_together() -> None:
    result = _of_queue()
    clean = result["runs"][1]
    result["runs"] += [{**clean, "system": name} for name in ("list-v1", "list-v2", "list-v3")]
    verdict = _plain(replay_verdict(result).rest)
    assert verdict == "buffer-v1 lost 2 of 5 (40.0 %), list-v1, list-v2 and list-v3 lost none."
    result["runs"] = [clean, {**clean, "system": "list-v1"}]
    assert _plain(replay_verdict(result).rest) == "list-v1 lost none."


def test_an_arabic_list_of_systems_runs_from_right_to_left() -> None:
    """Each name is isolated by itself, so that the list around the names is set by its Arabic words."""
    result = _of_queue()
    clean = result["runs"][1]
    result["runs"] = [clean, {**clean, "system": "list-v1"}, {**clean, "system": "list-v2"}]
    with speaking("ar"):
        words = str(replay_verdict(result).rest)
    assert "\u2068list-v1\u2069 و\u2068list-v2\u2069" in words


def test_the_queue_with_each_profile_has_its_words_and_harm_comes_first() -> None:
    result = example.incident_with_profiles()
    assert _plain(replay_verdict(result)).startswith(
        "The queue lost, duplicated and reordered none of 5 messages in 1 recording; "
        "queue (quick) lost, duplicated and reordered none; buffer-v1 lost 2"
    )
    result["runs"][2]["lost"] = ["m1"]
    assert _plain(replay_verdict(result)).startswith(
        "THE QUEUE (quick) lost 1 of 5 messages in 1 recording; the queue lost, duplicated and reordered none"
    )


def test_the_queue_with_a_profile_is_described_by_it() -> None:
    assert system_summary("queue (quick)") == "The same queue with the rules of the profile quick."


def test_a_verdict_counts_repeated_runs() -> None:
    result = _of_queue()
    result["runs"] += [{**result["runs"][1], "run": 1}]
    assert _plain(replay_verdict(result).first).endswith("of 10 messages in 1 recording, 2 runs each")


def test_without_the_queue_the_others_come_first_and_without_runs_the_verdict_says_so() -> None:
    result = example.incident(expectations=[])
    result["runs"] = result["runs"][:1]
    assert _plain(replay_verdict(result)) == "buffer-v1 lost 2 of 5 (40.0 %)."
    result["runs"] = []
    assert _plain(replay_verdict(result)) == "Nothing was replayed."


def test_a_sweep_recommends_with_what_it_costs() -> None:
    verdict = sweep_verdict(sweep_example.nine())
    assert _plain(verdict.first) == (
        "A window of 8 s and 5 messages is recommended: the best compromise of waiting, AI calls and split turns"
    )
    assert _plain(verdict.rest) == (
        "95 % of the turns are answered within 15.6 s of their first message, by 655 AI calls for 1,000 messages, and "
        "in 56 of 655 turns the user wrote again before the reply."
    )
    lossy = sweep_example.sweep(
        [sweep_example.choice(8, 5, idle_s=2), sweep_example.choice(12, 5, lost=1)], 0
    )
    assert "5 messages, 2 s of silence is recommended" in _plain(sweep_verdict(lossy))
    assert _plain(sweep_verdict(lossy)).endswith("1 of 2 choices lost, duplicated or reordered something.")
    assert _plain(sweep_verdict(sweep_example.lossy()).first).startswith("With every choice")


def test_a_recommended_choice_without_a_limit_of_messages_names_none() -> None:
    for idle_s, words in ((0, "A window of 8 s is"), (2, "A window of 8 s, 2 s of silence is")):
        sweep = sweep_example.sweep([sweep_example.choice(8, 0, idle_s=idle_s)], 0)
        assert _plain(sweep_verdict(sweep)).startswith(words)


def test_a_sweep_of_few_turns_recommends_nothing() -> None:
    verdict = sweep_verdict(sweep_example.short())
    assert _plain(verdict) == (
        "Too little to recommend settings: 1 turn of several messages; at least 200 are needed: replay longer "
        "recordings, or more of them."
    )
    with speaking("ar"):
        assert ARABIC.search(str(sweep_verdict(sweep_example.short())))


def test_a_setting_read_from_a_file_is_not_called_a_fault() -> None:
    """Numbers in a result file are read as floats."""
    changes = [SettingChange(setting="window_ms", now=4_000.0, then=8_000.0)]
    words = expectation_words(expectation("queue", held=None, changes=changes))
    assert words == "lost: other settings were used: window_ms 4000 instead of 8000"


UNCHECKED = "lost: other settings were used: ai constant:1s instead of constant:7s, the fault ai-fails=0.5"
EXPECTATIONS: list[tuple[ExpectationResult, str, str]] = [
    (expectation("queue"), "lost", "lost: none, as expected"),
    (
        expectation("queue", outcome="reordered", held=False, actual=["m1", "m2"], run=3, seed=77),
        "out of order",
        "out of order: m1, m2, but expected: none (run 3, seed 77)",
    ),
    (
        expectation("queue", expected=[f"m{number}" for number in range(27)]),
        "lost",
        f"lost: {', '.join(f'm{number}' for number in range(20))} and 7 more, as expected",
    ),
    (
        expectation("queue", outcome="logged", line=2, fields={"event": "buffer.read", "messageCount": 3}),
        "log line 2",
        "log line 2: event buffer.read, messageCount 3, as expected",
    ),
    (
        expectation(
            "queue", outcome="logged", line=1, fields={"event": "buffer.read"}, held=False, run=0, seed=1
        ),
        "log line 1",
        "log line 1: expected, but never logged: event buffer.read (run 0, seed 1)",
    ),
    (
        expectation(
            "queue",
            held=None,
            changes=[
                {"setting": "ai", "now": "constant:1s", "then": "constant:7s"},
                {"setting": "fault", "now": "ai-fails=0.5", "then": ""},
            ],
        ),
        "lost",
        UNCHECKED,
    ),
]


@pytest.mark.parametrize(("result", "name", "words"), EXPECTATIONS, ids=lambda value: str(value)[:30])
def test_an_expected_outcome_has_a_name_and_a_sentence(
    result: ExpectationResult, name: str, words: str
) -> None:
    assert (expectation_name(result), _plain(expectation_words(result))) == (name, words)
    with speaking("ar"):
        assert ARABIC.search(expectation_name(result))
        assert ARABIC.search(expectation_words(result))


def test_hostile_ids_and_settings_stay_on_one_line() -> None:
    for evil in HOSTILE:
        change = {"setting": evil, "now": evil, "then": evil}
        for result in (
            expectation(evil, held=False, actual=[evil * 90], run=1, seed=1),
            expectation(evil, held=None, changes=[change]),
            expectation(evil, outcome="logged", line=1, fields={evil: evil * 90}),
        ):
            words = expectation_words(result)
            assert not re.search("[\x00-\x1f\u202a-\u202e\ud800-\udfff]", words)
            assert len(words) < 500


def test_every_system_of_the_simulator_is_described() -> None:
    for name in all_systems():
        assert system_summary(name)
        with speaking("ar"):
            assert ARABIC.search(system_summary(name))
    assert system_summary("of tomorrow") == ""
