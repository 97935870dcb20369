"""The sentences that `sim` writes are told in the language of the page; all others stay as they are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sim
from reports.analysis.conversations import without_clock
from reports.results.replay import ReplayResult
from reports.words.language import speaking
from reports.words.prose import TEXT_LENGTH_MAX, translated_prose
from reports.words.prose_sentences import (
    CAUSES,
    DETAILS,
    KINDS,
    SUMMARIES,
    SWEEP_VERDICTS,
    TRIGGERS,
)
from sim.engine.settings import SimSettings
from sim.recording import load
from sim.study import Study, carry_out
from sim.synthetic.day import KIND_SHARES
from sim.systems import System, all_systems
from tests.reports.example import HOSTILE
from tests.sim.systems.races import RACES, play

LOGS = Path(__file__).parents[3] / "logs"
RECORDINGS = ("incident", "hostile-names", "twelve-in-a-second")
ARABIC = re.compile("[\u0621-\u064a]")
SWEEP = (
    "A window of 6 s and 5 messages is nearest to the best of everything: 95 % of the turns are answered within 16.6 s "
    "of their first message, by 1,621 AI calls for 2,559 messages, and in 31 of 1,400 turns the user wrote on before "
    "the reply."
)
VERDICTS = (
    (
        "The queue lost, duplicated and reordered none of 2,559 messages in 21 recordings; list-v1 lost 8 of 2,559 "
        "(0.31 %), buffer-v1 lost 243 of 2,559 (9.5 %); all 128 outcomes on record came out as recorded."
    ),
    "The queue lost, duplicated and reordered none of 1 messages in 1 recording, 20 runs each.",
    (
        "THE QUEUE lost 3 and duplicated 1 and reordered 2 and did not come to rest in 4 runs of 10 messages in "
        "2 recordings; 2 of 3 OUTCOMES ON RECORD DID NOT COME OUT; 5 on record not checked under these settings."
    ),
    "list-v2 lost 0 of 12 (0 %); the one outcome on record came out as recorded.",
    SWEEP,
    f"{SWEEP} 2 of 12 choices lost, duplicated or reordered something.",
    SWEEP.replace(" is nearest", ", 1.5 s of silence is nearest"),
    "Under none of these settings the queue was clean: see what each of them lost, duplicated or reordered.",
)
EXPECTATIONS = (
    "lost: none, as on record",
    "out of order: m1, m2, but on record: none",
    "dead-lettered: m1, m2 and 7 more, as on record",
    "log line 3: not checked, as the command line sets ai to 1s instead of 2s; the fault timer-dies to 0.5",
    "logged as on record: event buffer.read, messageCount 3",
    "on record, but never logged: event buffer.read (run 3, seed 77)",
)


@pytest.fixture(scope="module")
def result() -> ReplayResult:
    """Three recordings in which much is lost, on all systems."""
    recordings = load([LOGS / f"{name}.jsonl" for name in RECORDINGS])
    return carry_out(Study(recordings, list(all_systems()), SimSettings(), {}))


@pytest.mark.parametrize("system", all_systems().values(), ids=all_systems())
def test_what_each_system_is_is_told_in_arabic(system: type[System]) -> None:
    _assert_arabic(system.summary)


def test_every_cause_verdict_and_detail_of_a_replay_is_told_in_arabic(result: ReplayResult) -> None:
    causes = {cause for run in result["runs"] for cause in run["causes"].values()}
    assert len({without_clock(cause) for cause in causes}) >= 4
    for told in (*causes, *map(without_clock, causes), result["verdict"]):
        _assert_arabic(told)
    details = [one["detail"] for one in result["expectations"]]
    assert details
    for told in (*details, *{batch["trigger"] for run in result["runs"] for batch in run["batches"]}):
        _assert_arabic(told)


def test_every_cause_that_a_race_brings_about_is_told_in_arabic() -> None:
    causes = {
        cause for race in RACES for system in race.loses for cause in play(race, system)["causes"].values()
    }
    assert len({without_clock(cause) for cause in causes}) >= 10
    for cause in causes:
        _assert_arabic(cause)


@pytest.mark.parametrize("told", [*VERDICTS, *EXPECTATIONS, *KIND_SHARES, *TRIGGERS, *KINDS])
def test_verdicts_details_and_words_are_told_in_arabic(told: str) -> None:
    _assert_arabic(told)


def _assert_arabic(told: str) -> None:
    """That it is a translation, which holds every number and name of what is translated."""
    assert translated_prose(told) == told, "in English it is what was written"
    with speaking("ar"):
        translated = translated_prose(told)
    assert ARABIC.search(translated), told
    left = re.sub(
        r"webhook|Redis|buffer-v\d|list-v\d|\bHTTP|Locust|JSON|dead letters|p99|`processing`", "", translated
    )
    allowed = re.findall(
        r"[\w.-]*\d[\w.-]*|timer-dies|ai |event [\w.]+|\w+ \d+", told
    )  # names in it and their values
    strange = [
        word for word in re.findall(r"[A-Za-z][A-Za-z.-]+", left) if not any(word in one for one in allowed)
    ]
    assert strange == [], translated


def test_a_verdict_is_the_same_in_whole_and_in_parts() -> None:
    with speaking("ar"):
        told = translated_prose(VERDICTS[0])
        assert told == "؛ ".join(map(translated_prose, VERDICTS[0].split("; ")))
        assert "من 2,559 رسالة في 21 تسجيلًا" in told.replace("\u00a0", " ")


@pytest.mark.parametrize(
    "unknown",
    ["", "its webhook", "lost", "x; y", "a lost b", *HOSTILE, "(" * 1999, "a: b, as on record " * 300],
)
def test_what_is_not_known_stays_as_it_is(unknown: str) -> None:
    if unknown == "lost":
        unknown = "lost in space"
    with speaking("ar"):
        assert translated_prose(unknown) == unknown


@pytest.mark.parametrize(
    "unit", ["lost 1 of 2 (3 %), ", "a: b, as on record ", "x lost ", " to y instead of z", "; "]
)
def test_a_strangers_long_text_is_no_work(unit: str) -> None:
    evil = (unit * TEXT_LENGTH_MAX)[: TEXT_LENGTH_MAX - 1] + "!"
    with speaking("ar"):
        assert evil[-20:] in translated_prose(evil)


def test_names_and_numbers_stay_what_they_are() -> None:
    told = "overwritten by a concurrent write at 8012 ms: the webhook of <b>m1</b>, lost had read the buffer before"
    with speaking("ar"):
        translated = translated_prose(f"{told} this message was in it")
    assert "<b>m1</b>, lost" in translated
    assert "8,012" in translated


def test_nothing_is_translated_that_nobody_writes_any_more() -> None:
    """Every piece of a sentence between its values stands somewhere in the code that writes results."""
    written = " ".join(text for path in sim.__path__ for text in _texts(Path(path)))
    for message in (*SUMMARIES, *CAUSES, *DETAILS, *SWEEP_VERDICTS):
        for piece in re.split(
            r"%\(\w+\)s|: | and | died |(?<=messages) |(?<=silence) |[.,] ", message.replace("%%", "%")
        ):
            assert piece in written, message


def _texts(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*.py")):
        for one in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                yield one.value
