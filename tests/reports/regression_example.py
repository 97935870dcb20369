"""Results to compare: an incident, and replications and load tests with random times; functions that change them."""

from __future__ import annotations

import numpy as np

from reports.results.load import LoadLatency, LoadResult
from reports.results.replay import ReplayResult, Run
from tests.reports import example, load_example

BEFORE = example.incident(expectations=[example.expectation("queue")])


def lose(run: Run) -> None:
    entry = run["ledger"][3]
    entry["fate"], entry["answered_at_ms"] = "lost", None
    run["lost"], run["causes"] = ["m4"], {"m4": {"code": "ai_failed", "at_ms": 9}}


def replications(runs: int, seed: int, slower_ms: float = 0, lossy: float = 0.0) -> ReplayResult:
    """Return many runs of one recording with random reply times and losses."""
    recorded = example.recording(
        "r.jsonl", [example.message(number, number * 20_000, "a") for number in range(10)]
    )
    random = np.random.default_rng(seed)
    made = []
    for number in range(runs):
        run = example.run(recorded, "queue", number=number)
        drawn = random.normal(7000, 900, len(run["batches"])) + slower_ms
        for batch, time_ms in zip(run["batches"], drawn, strict=True):
            batch["replied_at_ms"] = batch["claimed_at_ms"] + round(time_ms)
        run["latency_ms"]["first"]["p95"] = round(8000 + max(drawn))
        run["lost"] = ["m1"] if random.random() < lossy else []
        made.append(run)
    return example.result([recorded], made)


def load(seed: int, factor: float = 1.0, size: int = 4000, shift_ms: float = 0.0) -> LoadResult:
    random = np.random.default_rng(seed)

    def drawn(median_ms: float, scale: float = 1.0) -> list[float]:
        return sorted(float(value) * scale for value in random.lognormal(np.log(median_ms), 0.5, size))

    result = load_example.empty()
    result["latency_ms"] = LoadLatency(
        acknowledgement=drawn(4),
        dispatch_lag=drawn(3),
        ai=drawn(2000),
        reply=[time_ms + shift_ms for time_ms in drawn(9000, factor)],
        reply_from_first=drawn(11_000, factor),
        generator_lag=drawn(1),
    )
    return result
