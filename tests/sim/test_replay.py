"""The provider of a replay: it delivers again what was not acknowledged."""

from __future__ import annotations

from typing import ClassVar

import pytest

from queue_core.recording.format import Arrival
from reports.results.replay import Refusal, Run
from sim.engine.settings import SimSettings
from sim.engine.system import WebhookFailedError
from sim.replay import DELIVERIES_MAX, replay
from tests.sim.engine.test_outcome import Scripted, arrival, recording


class Refusing(Scripted):
    """A system that refuses the first deliveries."""

    refusals: ClassVar[int]
    reason: ClassVar[Refusal] = "unavailable"

    async def webhook(self, arrival: Arrival) -> None:
        self.expected += 1
        if self.expected <= self.refusals:
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
def test_it_gives_up_in_the_end_and_at_once_what_can_never_be_a_message(
    refusals: int, reason: Refusal, deliveries: int
) -> None:
    run = delivered(refusals, reason)
    assert len(moments(run, "refused")) == deliveries
    assert (moments(run, "acknowledged"), run["came_to_rest"]) == ([], True)
