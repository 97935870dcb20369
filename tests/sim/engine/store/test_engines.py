"""Shipped recordings on both engines: equal turns, losses and times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from queue_core.recording.reader import load
from sim.engine.settings import SimSettings
from sim.replay import replay
from sim.systems import all_systems, chosen_systems

LOGS = Path(__file__).resolve().parents[4] / "logs"
LONG = "synthetic-day.jsonl"
"""A recording that takes fakeredis a minute; the others have all that happens in it."""
NAMES = sorted(path.name for path in LOGS.glob("*.jsonl") if path.name != LONG)
CONNECTING_MS = {"queue": 10}
"""Time for which the queue's web process and a worker open connections: a round trip each, which the store does not
have. The other systems reach Redis over HTTP."""


def outcome_of(name: str, system: str, engine: str) -> dict[str, Any]:
    (recording,) = load([LOGS / name])
    settings = SimSettings(engine=engine, redis_latency="constant:2ms")
    run = replay(recording, all_systems()[system], settings)
    return {
        key: run[key]
        for key in (
            "sent",
            "answered",
            "lost",
            "duplicated",
            "reordered",
            "dead_lettered",
            "causes",
            "ai_calls",
        )
    } | {
        "turns": sorted(sorted(batch["ids"]) for batch in run["batches"]),
        "answered at": {
            (entry["instance"], entry["phone"], entry["id"]): entry["answered_at_ms"]
            for entry in run["ledger"]
        },
    }


@pytest.mark.parametrize("system", chosen_systems([]))
@pytest.mark.parametrize("name", NAMES)
def test_both_engines_give_the_same_turns_losses_and_times(name: str, system: str) -> None:
    fast, fake = (outcome_of(name, system, engine) for engine in ("fast", "fakeredis"))
    fast_times, fake_times = fast.pop("answered at"), fake.pop("answered at")
    assert fast == fake
    assert fast_times.keys() == fake_times.keys()
    for message, fast_ms in fast_times.items():
        fake_ms = fake_times[message]
        assert fast_ms == fake_ms or abs(fast_ms - fake_ms) <= CONNECTING_MS.get(system, 0), (
            message,
            fast_ms,
            fake_ms,
        )
