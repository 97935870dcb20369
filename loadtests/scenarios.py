"""Scenarios: their names, and the messages of each."""

from __future__ import annotations

from typing import Literal

Scenario = Literal["steady", "bursts", "recorded", "storm", "ramp", "soak"]

SCENARIOS: dict[Scenario, str] = {
    "steady": "single messages at random moments, each from a new user",
    "bursts": "messages as people write them, several in a row",
    "recorded": "the messages of a recording; needs --recording",
    "storm": "100 messages of 8 users in 10 s, or one message each of --storm-users users within 1 s",
    "ramp": "single messages in 8 steps, the first at --rate, each 1.5 times as fast as the step before",
    "soak": "bursts, meant for a --duration of hours",
}
UNTIMED: tuple[Scenario, ...] = ("recorded", "storm")
"""Scenarios for which --rate and --duration have no effect."""
