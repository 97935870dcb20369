"""The provider of a replay: it delivers again what was not acknowledged."""

from __future__ import annotations

from typing import ClassVar

import pytest

from queue_core.recording.format import Arrival
from reports.results.replay import Refusal, Run
from sim.engine.settings import SimSettings
from sim.engine.system import WebhookFailedError
from sim.faults import parse_faults
from sim.replay import DELIVERIES_MAX, replay
from sim.systems import all_systems
from tests.sim.engine.test_outcome import Scripted, arrival, recording


class Refusing(Scripted):
    """A system that refuses the first deliveries."""

    refusals: ClassVar[int]
    reason: ClassVar[Refusal] = "unavailable"

    async def webhook(self, arrival: Arrival) -> None:
        self.arrived += 1
        if self.arrived <= self.refusals:
            raise WebhookFailedError(self.reason)


def delivered(refusals: int, reason: Refusal = "unavailable") -> Run:
    system = type("Refuses", (Refusing,), {"refusals": refusals, "reason": reason, "waiting": ["m"]})
    return replay(recording(arrival(1000, "m")), system, SimSettings())


def moments(run: Run, code: str) -> list[int]:
    return [step["at_ms"] for step in run["ledger"][0]["story"] if step["code"] == code]


def test_a_refused_message_is_delivered_again_after_waits_that_double() -> None:
    run = delivered(3)
    assert moments(run, "refused") == [1000, 6000, 16_000]
    assert moments(run, "sent") + moments(run, "sent_again") == [1000, 6000, 16_000, 36_000]
    assert moments(run, "acknowledged") == [36_000]
    assert run["sent"] == 1


@pytest.mark.parametrize(
    ("refusals", "reason", "deliveries"), [(99, "unavailable", DELIVERIES_MAX), (1, "invalid", 1)]
)
def test_the_provider_gives_up_in_the_end_and_at_once_if_the_message_is_invalid(
    refusals: int, reason: Refusal, deliveries: int
) -> None:
    run = delivered(refusals, reason)
    assert len(moments(run, "refused")) == deliveries
    assert (moments(run, "acknowledged"), run["came_to_rest"]) == ([], True)


@pytest.mark.parametrize(
    ("fault", "struck"),
    [
        ("process-restarts@2h", 1),
        ("redis-away@2h:1h", 1),
        ("process-restarts@2h:30m", 1),
        ("process-restarts@4h", 0),
        ("redis-away@400d:1h", 0),
    ],
)
def test_a_fault_long_after_the_last_message_does_not_keep_a_run_from_coming_to_rest(
    fault: str, struck: int
) -> None:
    settings = SimSettings(faults=parse_faults([fault], "sim"))
    run = replay(recording(arrival(1000, "m")), all_systems()["queue"], settings)
    assert run["came_to_rest"]
    assert [each["struck"] for each in run["faults"]] == [struck]
