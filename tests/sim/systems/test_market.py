"""The systems of the market: each race with its outcome, beside the queue; and their settings."""

from __future__ import annotations

import pytest

from sim.systems import all_systems, chosen_systems
from tests.sim.systems.market_races import CASES, Case
from tests.sim.systems.races import QUEUE, play


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{case.system}: {case.race.name}") for case in CASES]
)
def test_the_system_has_exactly_this_outcome_and_says_why(case: Case) -> None:
    race = case.race
    run = play(race, case.system)
    lost = {message_id: cause["code"] for message_id, cause in run["causes"].items()}
    assert lost == race.loses[case.system]
    assert sorted(run["duplicated"]) == sorted(race.doubles)
    assert run["reordered"] == list(race.reorders[case.system])
    assert run["dead_lettered"] == list(race.dead)
    assert run["answered"] == run["sent"] - len(lost) - len(race.dead)
    assert run["pending"] == []
    assert run["came_to_rest"]
    assert all((batch["due_at_ms"] or 0) <= batch["claimed_at_ms"] for batch in run["batches"])


def test_the_queue_answers_everything_once_in_each_of_these_races() -> None:
    for case in CASES:
        run = play(case.race, QUEUE)
        assert run["answered"] == run["sent"], case
        for trouble in (run["lost"], run["duplicated"], run["reordered"], run["dead_lettered"]):
            assert trouble == [], case


def test_every_system_of_the_market_has_races_here() -> None:
    market = {name for name, system in all_systems().items() if system.is_market}
    assert {case.system for case in CASES} == market


def test_groups_stand_for_systems_and_the_default_leaves_the_market_out() -> None:
    market = [name for name, system in all_systems().items() if system.is_market]
    assert chosen_systems([]) == ["buffer-v1", "buffer-v2", "list-v1", "list-v2", "queue"]
    assert chosen_systems(["market"]) == ["queue", *market]
    assert chosen_systems(["all"]) == [*chosen_systems([]), *market]
    assert chosen_systems(["n8n-wait", "list-v1"]) == ["list-v1", "n8n-wait"]
