"""Check of the simulator's prediction, which sends the same messages through the simulator and the running stack.

Compares the distributions of the time from a turn's last message to its reply, by the largest distance between the two
curves (the Kolmogorov-Smirnov statistic).
"""

from __future__ import annotations

import os
from pathlib import Path

from loadtests.schedule import Plan, ScheduleError, arrivals_of
from queue_core.recording.format import Arrival, Recording
from queue_core.recording.writer import dump
from reports.results.replay import ReplayResult
from reports.results.writing import write_whole
from sim.engine.settings import SettingsError, SimSettings
from sim.study import ReplayFailedError, Study, carry_out

DISTANCE_AIM = 0.05
RUNS = 5
"""Number of simulations with different seeds, which together make a smooth curve."""
LOOPBACK_REDIS = "lognormal:0.3ms:1ms"
"""Round trip to a Redis on the same machine."""


def recording_of(plan: Plan, path: Path) -> Recording:
    """Draw the messages, write them as a recording, and return it. Raises ScheduleError, OSError."""
    arrivals = []
    for number, arrival in enumerate(arrivals_of(plan)):
        at_ms = round(arrival.at_s * 1000)
        instance, _, phone = arrival.user.rpartition("/")
        arrivals.append(Arrival(at_ms, instance or "load", phone, f"m{number}", arrival.text, "text", at_ms))
    recording = Recording(path.name, tuple(arrivals))
    write_whole("".join(dump(recording)), path)
    return recording


def simulate(recording: Recording, ai: str, window_ms: str | None) -> list[float]:
    """Return the reply times of all turns in RUNS simulations, in ms. Raises ScheduleError for bad settings."""
    options = {"ai": ai, "redis-latency": LOOPBACK_REDIS}
    if window_ms:
        options["window"] = f"{window_ms}ms"
    study = Study([recording], ["queue"], SimSettings(), options, runs=RUNS)
    try:
        return reply_times(carry_out(study, jobs=os.cpu_count() or 1))
    except (SettingsError, ReplayFailedError) as error:
        raise ScheduleError(f"the simulation failed: {error}") from None


def reply_times(replay: ReplayResult) -> list[float]:
    """Return the times from each turn's last message to its reply, in ms, over all runs of a replay."""
    (recording,) = replay["recordings"]
    arrived = {(message["phone"], message["id"]): message["at_ms"] for message in recording["messages"]}
    return [
        float(
            batch["replied_at_ms"] - max(arrived[batch["phone"], message_id] for message_id in batch["ids"])
        )
        for run in replay["runs"]
        for batch in run["batches"]
        if batch["replied_at_ms"] is not None
    ]
