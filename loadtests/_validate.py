"""The simulator's prediction, checked: the same arrivals through `sim` and through the running stack.

What is compared is the time from a turn's last message to its reply: its distribution in the simulation and as the sink
saw it, and the largest distance between the two curves (the Kolmogorov-Smirnov statistic).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests._schedule import Arrival, Plan, arrivals_of

DISTANCE_AIM = 0.05
RUNS = 5
"""The simulation is repeated with other seeds, so that its curve is smoother than the measured one."""
LOOPBACK_REDIS = "lognormal:0.3ms:1ms"
"""Round trip to a Redis on the same machine."""


def write_recording(plan: Plan, path: Path) -> int:
    """Draws the arrivals and writes them as a recording; returns how many."""
    arrivals = arrivals_of(plan)
    with path.open("w", encoding="utf-8") as lines:
        for number, arrival in enumerate(arrivals):
            lines.write(json.dumps(_event(number, arrival), ensure_ascii=False) + "\n")
    return len(arrivals)


def _event(number: int, arrival: Arrival) -> dict[str, Any]:
    return {
        "event": "message",
        "at": round(arrival.at_s * 1000),
        "instance": "load",
        "phone": arrival.phone.replace("/", "-"),
        "id": f"m{number}",
        "text": arrival.text,
    }


def simulate(recording: Path, ai: str, window_ms: int | None, folder: Path) -> list[float]:
    """Reply times of all turns in RUNS simulations, in ms. Raises RuntimeError with what `sim` said."""
    path = folder / "simulated.json"
    command = [sys.executable, "-m", "sim", "replay", str(recording), "--system", "queue", "--ai", ai]
    command += [
        "--redis-latency",
        LOOPBACK_REDIS,
        "--runs",
        str(RUNS),
        "--no-report",
        "--quiet",
        "--json",
        str(path),
    ]
    command += [] if window_ms is None else ["--window", f"{window_ms}ms"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    if not path.exists():
        raise RuntimeError(f"the simulation failed: {done.stderr.strip() or done.stdout.strip()}")
    return reply_times(json.loads(path.read_text("utf-8")))


def reply_times(replay: Mapping[str, Any]) -> list[float]:
    """From each turn's last message to its reply, in ms, over all runs of a replay."""
    (recording,) = replay["recordings"]
    arrived = {(one["phone"], one["id"]): one["at_ms"] for one in recording["messages"]}
    return [
        float(
            batch["replied_at_ms"] - max(arrived[batch["phone"], message_id] for message_id in batch["ids"])
        )
        for run in replay["runs"]
        for batch in run["batches"]
        if batch["replied_at_ms"] is not None
    ]
