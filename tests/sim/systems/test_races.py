"""Every race against every system: the old systems lose exactly the expected messages, the queue none."""

from __future__ import annotations

import pytest

from tests.sim.systems.races import QUEUE, RACES, Race, play, said

OLD = [pytest.param(race, system, id=f"{system}: {race.name}") for race in RACES for system in race.loses]
SLOW_USERS = Race(
    name="five users whose AI calls take 6 s each",
    arrivals=tuple(
        arrival for number in range(5) for arrival in said((500, f"m{number}"), phone=str(number))
    ),
    loses={},
    ai=("6s",),
    latency="5ms",
)


@pytest.mark.parametrize(("race", "system"), OLD)
def test_the_old_system_loses_exactly_this_and_says_why(race: Race, system: str) -> None:
    run = play(race, system)
    expected = race.loses[system]
    assert sorted(run["lost"]) == sorted(expected)
    for message_id, cause in expected.items():
        assert run["causes"][message_id]["code"] == cause
    assert run["reordered"] == list(race.reorders.get(system, ()))
    assert run["answered"] == run["sent"] - len(expected)
    assert run["came_to_rest"]
    assert run["pending"] == []


@pytest.mark.parametrize("race", [pytest.param(race, id=race.name) for race in RACES])
def test_the_queue_answers_everything_once_and_in_order(race: Race) -> None:
    run = play(race, QUEUE)
    assert run["answered"] == run["sent"] == len(race.arrivals)
    for trouble in (run["lost"], run["duplicated"], run["reordered"], run["dead_lettered"], run["pending"]):
        assert trouble == []
    assert run["came_to_rest"]


@pytest.mark.parametrize("step_ms", [50, pytest.param(10, marks=pytest.mark.soak)])
def test_the_queue_answers_both_messages_whenever_the_second_comes(step_ms: int) -> None:
    """The second message comes at many times, in small steps around dispatch and completion."""
    close = [at_ms for start in (7_800, 14_900) for at_ms in range(start, start + 800, step_ms)]
    for at_ms in sorted({*close, *range(0, 24_000, 20 * step_ms)}):
        run = play(Race(name=f"second at {at_ms}", arrivals=said((0, "m1"), (at_ms, "m2")), loses={}), QUEUE)
        assert run["answered"] == 2, f"second message at {at_ms} ms"
        assert run["duplicated"] == run["reordered"] == [], f"second message at {at_ms} ms"


@pytest.mark.parametrize("system", ["list-v1", "list-v2"])
def test_slow_answers_to_others_delay_a_user_of_the_lists(system: str) -> None:
    """A pass answers one user at a time; passes start every 3 s, and the last user is 9 s late."""
    run = play(SLOW_USERS, system)
    assert run["lost"] == []
    lag_ms_max = run["dispatch_lag_ms"]["max"]
    assert lag_ms_max is not None
    assert 9_000 < lag_ms_max < 10_000


def test_slow_answers_to_others_do_not_delay_a_user_of_the_queue() -> None:
    lag_ms_max = play(SLOW_USERS, QUEUE)["dispatch_lag_ms"]["max"]
    assert lag_ms_max is not None
    assert lag_ms_max < 50
