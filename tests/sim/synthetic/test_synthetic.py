"""Synthetic recordings follow the measured and the assumed figures."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from statistics import NormalDist

import pytest

from queue_core.recording.format import Arrival, Recording
from queue_core.recording.reader import load
from queue_core.recording.writer import dump
from sim.synthetic.day import (
    HOUR_WEIGHTS,
    KIND_SHARES,
    TURN_GAP_MS_MAX,
    TURN_LENGTH_MAX,
    SyntheticSettings,
    gap_ms,
    synthesize,
    turn_length,
)

ARABIC = re.compile("[\u0600-\u06ff]")
TURNS = 40_000

MEASURED_LENGTH_PERCENT = (58.7, 22.9, 9.2, 4.0, 2.1, 1.1, 0.6, 0.4, 0.3, 0.7)
"""Turns of 1, 2, ... 9 and of 10 or more messages, over 14 real chats."""
MEASURED_CONTINUATION = (0.41, 0.45, 0.50, 0.56, 0.60, 0.65)
"""P(one more message after k), k = 1..6, over the same chats; a table of two digits."""
MEASURED_GAP_QUANTILES_S = {0.05: 1, 0.10: 2, 0.25: 3, 0.50: 7, 0.75: 16, 0.90: 41}
"""Measured in whole seconds."""


def sampling_error(share: float, count: int) -> float:
    """Return four standard deviations of a share that was counted in a sample."""
    return 4 * math.sqrt(share * (1 - share) / count)


@pytest.fixture(scope="module")
def lengths() -> list[int]:
    """Return enough turn lengths for a comparison with the figures."""
    rng = Random(11)
    return [turn_length(rng) for _ in range(TURNS)]


@pytest.fixture(scope="module")
def gaps() -> list[int]:
    """Return enough gaps for a comparison with the figures, in ascending order."""
    rng = Random(12)
    return sorted(gap_ms(rng) for _ in range(TURNS))


@pytest.fixture(scope="module")
def day() -> Recording:
    """Return a long recording."""
    return synthesize(SyntheticSettings(messages=20_000, hours=48, seed=3, redeliveries=0.05))


def _turns(recording: Recording) -> dict[str, list[list[Arrival]]]:
    """Return each user's turns, made of first deliveries; a silence of more than TURN_GAP_MS_MAX ends a turn."""
    turns: dict[str, list[list[Arrival]]] = defaultdict(list)
    seen: set[str] = set()
    for arrival in recording.arrivals:
        if arrival.id in seen:
            continue
        seen.add(arrival.id)
        of_user = turns[arrival.phone]
        if of_user and arrival.at_ms - of_user[-1][-1].at_ms <= TURN_GAP_MS_MAX:
            of_user[-1].append(arrival)
        else:
            of_user.append([arrival])
    return turns


def test_turn_lengths_follow_the_table(lengths: list[int]) -> None:
    """Each share within its sampling error and the rounding of the table."""
    counts = Counter(min(length, 10) for length in lengths)
    for length, percent in enumerate(MEASURED_LENGTH_PERCENT, start=1):
        share = percent / 100
        assert counts[length] / TURNS == pytest.approx(share, abs=sampling_error(share, TURNS) + 0.0005)


def test_the_longer_a_turn_the_likelier_it_goes_on(lengths: list[int]) -> None:
    """The probability rises, so the lengths are not geometric."""
    for k, measured in enumerate(MEASURED_CONTINUATION, start=1):
        reached = sum(length >= k for length in lengths)
        went_on = sum(length > k for length in lengths) / reached
        assert went_on == pytest.approx(measured, abs=sampling_error(measured, reached) + 0.0075)


def test_turn_lengths_have_a_long_tail(lengths: list[int]) -> None:
    """A geometric tail from 10 on would end near 40 in a sample of this size."""
    assert 50 < max(lengths) <= TURN_LENGTH_MAX
    assert min(lengths) == 1


def test_gaps_follow_the_measured_quantiles(gaps: list[int]) -> None:
    """The fit is exact to a tenth and a second up to the 90th percentile. Above, its tail is too light."""
    for quantile, measured_s in MEASURED_GAP_QUANTILES_S.items():
        drawn_s = gaps[int(quantile * TURNS)] / 1000
        assert abs(drawn_s - measured_s) <= 1 + 0.1 * measured_s
    assert gaps[0] >= 1
    assert gaps[-1] <= TURN_GAP_MS_MAX


def test_gaps_are_log_normal(gaps: list[int]) -> None:
    """ln(gap + 0.5 s) is normal as fitted, cut off at 0 and 300 s: Kolmogorov and Smirnov's test agrees."""
    fit = NormalDist(2.118, 1.207)
    low, high = fit.cdf(math.log(0.5)), fit.cdf(math.log(300.5))
    furthest = max(
        abs((fit.cdf(math.log(gap / 1000 + 0.5)) - low) / (high - low) - rank / TURNS)
        for rank, gap in enumerate(gaps)
    )
    assert furthest < 1.63 / math.sqrt(TURNS)


@pytest.mark.parametrize(("span_s", "measured"), [(8, 0.284), (15, 0.206)])
def test_turns_span_as_long_as_measured(span_s: int, measured: float) -> None:
    """Lengths and gaps are drawn independently, and still the spans come out as measured, within 1 %."""
    rng = Random(13)
    spans = [sum(gap_ms(rng) for _ in range(turn_length(rng) - 1)) for _ in range(TURNS)]
    longer = sum(span > span_s * 1000 for span in spans) / TURNS
    assert longer == pytest.approx(measured, abs=sampling_error(measured, TURNS) + 0.01)


def test_the_day_has_the_messages_asked_for(day: Recording) -> None:
    """Each message is delivered once or more, in the order of time, and turns begin within the hours."""
    assert len({arrival.id for arrival in day.arrivals}) == 20_000
    assert [arrival.at_ms for arrival in day.arrivals] == sorted(arrival.at_ms for arrival in day.arrivals)
    begins = [turn[0].at_ms for turns in _turns(day).values() for turn in turns]
    assert min(begins) >= 0
    assert max(begins) < 48 * 3_600_000


def test_turns_in_the_day_keep_their_lengths(day: Recording) -> None:
    """A user's turns are more than the longest gap apart, so that `_turns` finds the turns that were drawn."""
    lengths = [len(turn) for turns in _turns(day).values() for turn in turns]
    count = len(lengths)
    several = sum(length > 1 for length in lengths) / count
    assert several == pytest.approx(0.413, abs=sampling_error(0.413, count) + 0.0005)
    assert max(lengths) <= TURN_LENGTH_MAX


def test_users_come_back(day: Recording) -> None:
    """Some write once, some all day."""
    turns = sorted(len(of_user) for of_user in _turns(day).values())
    assert turns[0] == 1
    assert turns[-1] >= 20
    assert sum(length > 1 for length in turns) > len(turns) / 4


def test_turns_begin_at_the_assumed_hours(day: Recording) -> None:
    """The turns of an hour are in proportion to its weight."""
    begins = [turn[0].at_ms for turns in _turns(day).values() for turn in turns]
    by_hour = Counter(begin // 3_600_000 % 24 for begin in begins)
    for hour, weight in enumerate(HOUR_WEIGHTS):
        share = weight / sum(HOUR_WEIGHTS)
        assert by_hour[hour] / len(begins) == pytest.approx(share, abs=sampling_error(share, len(begins)))


def test_kinds_and_redeliveries_have_the_assumed_shares(day: Recording) -> None:
    """Redeliveries come 5 s, then 10 s later, with the message's own timestamp and content."""
    first: dict[str, Arrival] = {}
    again: Counter[int] = Counter()
    for arrival in day.arrivals:
        original = first.setdefault(arrival.id, arrival)
        assert (arrival.text, arrival.kind, arrival.phone) == (original.text, original.kind, original.phone)
        assert arrival.timestamp_ms == original.at_ms
        again[arrival.at_ms - original.at_ms] += 1
    assert set(again) == {0, 5_000, 15_000}
    assert again[5_000] / 20_000 == pytest.approx(0.05, abs=sampling_error(0.05, 20_000))
    kinds = Counter(arrival.kind for arrival in first.values())
    for kind, share in KIND_SHARES.items():
        assert kinds[kind] / 20_000 == pytest.approx(share, abs=sampling_error(share, 20_000))
    assert all(arrival.text for arrival in first.values() if arrival.kind == "text")


def _language(arrival: Arrival) -> str:
    return "ar" if ARABIC.search(arrival.text) else "en"


def test_texts_are_in_the_language_asked_for() -> None:
    """Arabic, English, or each user in one of them."""
    texts = {
        language: [
            arrival
            for arrival in synthesize(SyntheticSettings(messages=600, language=language)).arrivals
            if re.search("[a-z\u0600-\u06ff]{4}", arrival.text)
        ]
        for language in ("ar", "en", "mixed")
    }
    assert not any(ARABIC.search(arrival.text) for arrival in texts["en"])
    assert sum(_language(arrival) == "ar" for arrival in texts["ar"]) > 0.95 * len(texts["ar"])
    by_user: dict[str, Counter[str]] = defaultdict(Counter)
    for arrival in texts["mixed"]:
        by_user[arrival.phone][_language(arrival)] += 1
    assert {max(languages, key=lambda language: languages[language]) for languages in by_user.values()} == {
        "ar",
        "en",
    }


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others() -> None:
    """The generator is a function of its arguments."""
    first, again, other = (
        list(dump(synthesize(SyntheticSettings(messages=300, seed=seed)))) for seed in (5, 5, 6)
    )
    assert first == again
    assert first[1:] != other[1:]


@pytest.mark.parametrize(
    "settings",
    [
        SyntheticSettings(messages=1),
        SyntheticSettings(messages=200, hours=0.001, redeliveries=0.0),
        SyntheticSettings(
            messages=50, hours=1 / 3, redeliveries=1.0, instance="b o't:{", language="en", seed=-1
        ),
    ],
)
def test_extremes_make_recordings_that_can_be_read(settings: SyntheticSettings, tmp_path: Path) -> None:
    """One message, all within seconds, everything delivered three times."""
    recording = synthesize(settings, name="x.jsonl")
    path = tmp_path / "x.jsonl"
    path.write_text("".join(dump(recording)), encoding="utf-8")
    assert load([path]) == [recording]
    deliveries = 3 if settings.redeliveries == 1.0 else 1
    assert len(recording.arrivals) == settings.messages * deliveries
