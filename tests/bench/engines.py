"""Speed of the simulator's engines: messages of a recording replayed on the queue in a second of CPU.

The engines take turns, so that a busy machine slows both: `python tests/bench/engines.py [RECORDING] [ROUNDS]`.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from rich.console import Console

from queue_core.recording.reader import load
from sim.engine.settings import ENGINES, SimSettings
from sim.replay import replay
from sim.systems import all_systems

RECORDING = Path(__file__).resolve().parents[2] / "logs" / "users-60-at-once.jsonl"


def main(path: str = str(RECORDING), rounds: str = "5") -> None:
    """Replay in turns, and print the median for each engine."""
    (recording,) = load([Path(path)])
    speeds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    for _ in range(int(rounds)):
        for engine, measured in speeds.items():
            began = time.process_time()
            replay(recording, all_systems()["queue"], SimSettings(engine=engine))
            measured.append(len(recording.arrivals) / (time.process_time() - began))
    for engine, measured in speeds.items():
        Console().print(f"{engine:<10} {statistics.median(measured):8,.0f} messages a second of CPU")


if __name__ == "__main__":
    main(*sys.argv[1:])
