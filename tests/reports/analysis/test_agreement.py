"""The verdict on a simulated run: the noise of the live runs, the allowed distance, and the counts."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest

from reports.analysis.agreement import judged_trial, mean_gap_ms
from reports.results.validation import Trial, TrialRun


def run(times: list[float], **facts: Any) -> TrialRun:
    counts: dict[str, Any] = {
        "sent": 0,
        "answered": 0,
        "lost": 0,
        "dead": 0,
        "waiting": 0,
        "twice": 0,
        "delays_ms": None,
        "problems": [],
    }
    return cast("TrialRun", {**counts, **facts, "reply_ms": sorted(times)})


def judge(first: TrialRun, second: TrialRun, simulated: TrialRun) -> Trial:
    return judged_trial("steady", [], 1000, [first, second], simulated)


def ramp(count: int = 1000, *, later: float = 0) -> list[float]:
    """Return times that are one unit apart; two ramps have the distance `later` / count."""
    return [float(at + later) for at in range(count)]


@pytest.mark.parametrize(
    ("live_later", "simulated_later", "count", "allowed", "verdict"),
    [
        (0, 10, 1000, 0.01, "within"),
        (0, 11, 1000, 0.01, "curves_differ"),
        (30, 15, 1000, 0.04, "within"),
        (30, 55, 1000, 0.04, "within"),  # the two together are 15 later
        (30, 56, 1000, 0.04, "curves_differ"),
        (30, -26, 1000, 0.04, "curves_differ"),
        (0, 1, 20, 0.05, "within"),  # a reply of 20 weighs more than the aim
        (0, 2, 20, 0.05, "curves_differ"),
    ],
)
def test_the_simulated_curve_may_be_farther_away_than_the_live_ones_by_the_aim(
    live_later: float, simulated_later: float, count: int, allowed: float, verdict: str
) -> None:
    trial = judge(
        run(ramp(count)), run(ramp(count, later=live_later)), run(ramp(count, later=simulated_later))
    )
    assert trial["floor"] == pytest.approx(live_later / count)
    assert trial["allowed"] == pytest.approx(allowed)
    assert trial["verdict"] == verdict


@pytest.mark.parametrize(
    ("predicted", "measured", "agree"),
    [
        (0, (0, 0), True),
        (1, (0, 0), True),
        (5, (0, 0), False),
        (0, (5, 7), False),
        (30, (25, 41), True),
        (50, (25, 41), True),
        (70, (25, 41), False),
    ],
)
def test_a_count_may_differ_by_as_much_as_chance_explains(
    predicted: int, measured: tuple[int, int], agree: bool
) -> None:
    for name in ("lost", "twice", "dead"):
        first, second = (run(ramp(), **{name: number}) for number in measured)
        trial = judge(first, second, run(ramp(), **{name: predicted}))
        assert (trial["counts_differ"], trial["verdict"]) == (
            ([], "within") if agree else ([name], "counts_differ")
        )


def test_a_run_that_was_not_the_planned_one_or_without_a_reply_proves_nothing() -> None:
    late = judge(run(ramp(), problems=["generator_late"]), run(ramp()), run(ramp()))
    assert late["verdict"] == "invalid"
    silent = judge(run([]), run(ramp()), run(ramp()))
    assert (silent["verdict"], silent["distances"]) == ("invalid", [])
    assert [each["problems"] for each in silent["live"]] == [["no_reply"], []]


def test_the_mean_distance_equals_that_of_pairs_by_rank() -> None:
    chance = random.Random(5)
    for _ in range(20):
        first, second = (sorted(chance.uniform(0, 50) for _ in range(30)) for _ in range(2))
        pairs = zip(first, second, strict=True)
        assert mean_gap_ms(first, second) == pytest.approx(sum(abs(a - b) for a, b in pairs) / 30, abs=0.001)
    assert mean_gap_ms([1.0], [4.0, 6.0]) == 4.0
