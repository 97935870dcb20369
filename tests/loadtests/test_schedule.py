"""Schedules: equal options give equal arrivals, and each scenario has its shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.scenarios import SCENARIOS
from loadtests.schedule import RAMP_FACTOR, Plan, ScheduleError, arrivals_of, steps_of


def recording(folder: Path, *lines: str) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "recorded"])
def test_the_same_seed_gives_the_same_arrivals_in_order_of_time(scenario: str) -> None:
    plan = Plan(scenario=scenario, rate=600, duration_s=20, seed=3)  # type: ignore[arg-type]
    arrivals = arrivals_of(plan)
    assert arrivals == arrivals_of(plan)
    assert arrivals != arrivals_of(Plan(scenario=scenario, rate=600, duration_s=20, seed=4))  # type: ignore[arg-type]
    assert [arrival.at_s for arrival in arrivals] == sorted(arrival.at_s for arrival in arrivals)
    assert all(0 <= arrival.at_s < 20 for arrival in arrivals)
    assert len({(arrival.at_s, arrival.user) for arrival in arrivals}) == len(arrivals)


@pytest.mark.parametrize("scenario", ["steady", "bursts"])
def test_the_rate_is_kept(scenario: str) -> None:
    """Within five standard deviations of a Poisson process."""
    count = len(arrivals_of(Plan(scenario=scenario, rate=3000, duration_s=60)))  # type: ignore[arg-type]
    assert abs(count - 3000) < 5 * 3000**0.5


def test_users_of_bursts_write_more_than_once() -> None:
    arrivals = arrivals_of(Plan(scenario="bursts", rate=3000, duration_s=60))
    users = {arrival.user for arrival in arrivals}
    assert 0.3 < len(users) / len(arrivals) < 0.85


def test_a_storm_is_100_messages_in_10_seconds_or_everybody_at_once() -> None:
    arrivals = arrivals_of(Plan(scenario="storm"))
    assert (len(arrivals), len({arrival.user for arrival in arrivals})) == (100, 8)
    assert 5 < arrivals[-1].at_s <= 10
    at_once = arrivals_of(Plan(scenario="storm", users=1000))
    assert (len(at_once), len({arrival.user for arrival in at_once})) == (1000, 1000)
    assert at_once[-1].at_s <= 1


def test_a_ramp_grows() -> None:
    plan = Plan(scenario="ramp", rate=600, duration_s=80)
    steps = steps_of(plan)
    assert [round(step.rate / 600, 3) for step in steps[:3]] == [1, RAMP_FACTOR, round(RAMP_FACTOR**2, 3)]
    arrivals = arrivals_of(plan)
    counts = [sum(step.from_s <= arrival.at_s < step.to_s for arrival in arrivals) for step in steps]
    assert counts[-1] > 5 * counts[0]


def test_a_recording_is_sent_as_it_was_or_faster(tmp_path: Path) -> None:
    """A second delivery comes from the provider, not from the user, and is left out."""
    path = recording(
        tmp_path,
        '{"event":"recording","version":1}',
        "",
        '{"event":"message","at":5000,"instance":"bot","phone":"a","id":"m1","text":"hello"}',
        '{"event":"message","at":7000,"instance":"bot","phone":"a","id":"m1","text":"hello"}',
        '{"event":"note","at":7000}',
        '{"event":"message","at":9000,"instance":"bot","phone":"b","id":"m1"}',
    )
    arrivals = arrivals_of(Plan(scenario="recorded", recording=path, speed=2))
    sent = [(arrival.at_s, arrival.user, arrival.text) for arrival in arrivals]
    assert sent == [(0, "bot/a", "hello"), (2, "bot/b", "[text]")]


def test_a_broken_recording_is_reported_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ScheduleError, match=r"mine\.jsonl:1: "):
        arrivals_of(Plan(scenario="recorded", recording=recording(tmp_path, "not json")))


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan(scenario="recorded"), "--recording"),
        (Plan(scenario="recorded", recording=Path("nowhere.jsonl")), "nowhere.jsonl: does not exist"),
        (Plan(scenario="recorded", recording=Path("x"), speed=0), "speed"),
        (Plan(scenario="steady", rate=0), "rate"),
        (Plan(scenario="bursts", rate=0), "messages"),
        (
            Plan(scenario="steady", rate=60, duration_s=1e9),
            "would have 1,000,000,000 messages; it takes 1,000,000",
        ),
        (Plan(scenario="ramp", rate=1_000_000), "messages; it takes 1,000,000 at most"),
        (Plan(scenario="storm", users=1_000_001), "would have 1,000,001 messages"),
        (Plan(scenario="steady", rate=1, duration_s=0.001), "no message"),
    ],
)
def test_a_plan_that_cannot_be_drawn_is_refused(plan: Plan, words: str) -> None:
    with pytest.raises(ScheduleError, match=words):
        arrivals_of(plan)
