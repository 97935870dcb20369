"""Speed of the simulator beside its aims: messages replayed on the queue in a second of CPU, and idle time.

    python tests/bench/engines.py [ROUNDS] [RECORDING]

The engines take turns, so that a busy machine slows both. A recording that is given takes the place of the synthetic
ones. fakeredis replays a part only, because it is slow.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from queue_core.recording.format import Arrival, Recording
from queue_core.recording.reader import load
from sim.engine.settings import ENGINES, SimSettings
from sim.replay import replay
from sim.synthetic.day import SyntheticSettings, synthesize
from sim.systems import all_systems

PART = 1_000
"""Number of messages that fakeredis replays."""
DAY_MS = 86_400_000
AIMS = {"dense: 10,000 in 1 h": 3_000, "a day: 10,000 in 24 h": 2_500}
"""Messages a second of CPU, on a machine that does nothing else."""
IDLE_S_MAX = 0.1
"""Aim for two messages a day apart."""


def main(rounds: str = "3", path: str = "") -> None:
    """Replay in turns, and print the medians."""
    console = Console()
    recordings = {path: load([Path(path)])[0]} if path else synthetic()
    for name, recording in recordings.items():
        speeds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
        for _ in range(int(rounds)):
            for engine, measured in speeds.items():
                part = recording if engine == "fast" else first(recording, PART)
                measured.append(len(part.arrivals) / seconds_of(part, engine))
        aim = f"  (aim: {AIMS[name]:,})" if name in AIMS else ""
        for engine, measured in speeds.items():
            end = aim if engine == "fast" else ""
            console.print(
                f"{name}, {engine:<9} {statistics.median(measured):8,.0f} messages a second of CPU{end}"
            )
    idle = statistics.median(seconds_of(two_a_day_apart(), "fast") for _ in range(int(rounds)))
    console.print(f"two messages a day apart: {idle:.3f} s of CPU  (aim: below {IDLE_S_MAX})")
    console.print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


def synthetic() -> dict[str, Recording]:
    """Make the recordings for which there are aims."""
    dense, day = (synthesize(SyntheticSettings(messages=10_000, hours=hours)) for hours in (1, 24))
    return dict(zip(AIMS, (dense, day), strict=True))


def seconds_of(recording: Recording, engine: str) -> float:
    """Replay once on the queue, and return the seconds of CPU."""
    began = time.process_time()
    replay(recording, all_systems()["queue"], SimSettings(engine=engine))
    return time.process_time() - began


def first(recording: Recording, messages: int) -> Recording:
    """Return a recording's first messages."""
    return replace(recording, arrivals=recording.arrivals[:messages])


def two_a_day_apart() -> Recording:
    """Make a recording in which nothing happens for a day."""
    arrivals = (
        Arrival(
            at_ms, instance="bot", phone="user", id=f"m{at_ms}", text="hi", kind="text", timestamp_ms=at_ms
        )
        for at_ms in (0, DAY_MS)
    )
    return Recording(name="two", arrivals=tuple(arrivals))


if __name__ == "__main__":
    main(*sys.argv[1:])
