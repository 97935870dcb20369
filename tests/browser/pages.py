"""Pages of every kind by name: good, bad, hostile, large, and in Arabic."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from reports.pages.audit.page import render_audit_report
from reports.pages.failover.page import render_failover_report
from reports.pages.load.page import render_load_report
from reports.pages.regression.page import render_regression_report
from reports.pages.replay.page import render_replay_report
from reports.pages.sweep.page import render_sweep_report
from reports.pages.validation.page import render_validation_report
from reports.results.replay import ReplayResult
from tests.reports import (
    audit_example,
    comparison_example,
    example,
    failover_example,
    load_example,
    sweep_example,
    validation_example,
)

REPOSITORY = Path(__file__).parents[2]
MANY = 10_000


@cache
def incident() -> ReplayResult:
    """Replay the recorded incident on every system; in a process of its own, since it needs its own event loop."""
    command = [sys.executable, "-m", "sim", "replay", "logs/incident.jsonl", "--no-report", "--json", "-"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, timeout=60)
    result: ReplayResult = json.loads(done.stdout)
    return result


def profiles() -> ReplayResult:
    """Return the incident with dropped answers, on systems with long names and times: its tables are the widest."""
    result = example.incident_with_profiles()
    recorded = result["recordings"][0]
    more = [example.run(recorded, name) for name in ("buffer-v2", "list-v1", "queue (patient)")]
    result["runs"] += more
    result["systems"] += [run["system"] for run in more]
    for run in result["runs"]:
        quantiles = dict.fromkeys(("p50", "p95", "max"), 139_000)
        run["latency_ms"] = {"first": quantiles, "last": quantiles}  # type: ignore[typeddict-item] # Quantiles
        run["dispatch_lag_ms"] = quantiles  # type: ignore[typeddict-item]
    return result


def many() -> ReplayResult:
    """Return 10,000 conversations of two messages; in one of a hundred something is lost on the older system."""
    messages = [
        example.message(
            number,
            number * 400,
            "هل الفُستُق متوفّر؟" if number % 5000 == 11 else example.ARABIC[number % 5],
            phone=f"9665{number % MANY:08}",
            name=f"m{number}",
        )
        for number in range(2 * MANY)
    ]
    recorded = example.recording("day.jsonl", messages)
    lost = [(message["phone"], message["id"]) for message in messages[::100]]
    return example.result(
        [recorded], [example.run(recorded, "buffer-v1", lost=lost), example.run(recorded, "queue")]
    )


def slow() -> ReplayResult:
    """Return the incident with replies after minutes, whose times take much room."""
    result = copy.deepcopy(incident())
    for run in result["runs"]:
        quantiles = dict.fromkeys(("p50", "p95", "max"), 139_000)
        run["latency_ms"] = {"first": quantiles, "last": quantiles}  # type: ignore[typeddict-item] # Quantiles
        run["dispatch_lag_ms"] = quantiles  # type: ignore[typeddict-item]
    return result


PAGES: dict[str, Callable[[], str]] = {
    "incident": lambda: render_replay_report(incident()),
    "incident in Arabic": lambda: render_replay_report(incident(), "ar"),
    "profiles in Arabic": lambda: render_replay_report(profiles(), "ar"),
    "slow replies": lambda: render_replay_report(slow()),
    "many conversations": lambda: render_replay_report(many()),
    "day": lambda: render_replay_report(example.big_day()),
    "faults in Arabic": lambda: render_replay_report(example.faulty_day(), "ar"),
    "load": lambda: render_load_report(load_example.chaos()),
    "load in Arabic": lambda: render_load_report(load_example.chaos(), "ar"),
    "invalid load": lambda: render_load_report(load_example.invalid()),
    "clean comparison": lambda: render_regression_report(comparison_example.clean()),
    "worse comparison": lambda: render_regression_report(comparison_example.worse()),
    "worse comparison in Arabic": lambda: render_regression_report(comparison_example.worse(), language="ar"),
    "sweep": lambda: render_sweep_report(sweep_example.nine()),
    "sweep in Arabic": lambda: render_sweep_report(sweep_example.nine(), "ar"),
    "hostile sweep": lambda: render_sweep_report(sweep_example.hostile()),
    "audit": lambda: render_audit_report(audit_example.bad_day()),
    "audit in Arabic": lambda: render_audit_report(audit_example.bad_day(), "ar"),
    "failovers": lambda: render_failover_report(failover_example.kept()),
    "failovers in Arabic": lambda: render_failover_report(failover_example.broken(), "ar"),
    "hostile failovers": lambda: render_failover_report(failover_example.hostile()),
    "validation": lambda: render_validation_report(validation_example.six()),
    "validation in Arabic": lambda: render_validation_report(validation_example.six(), "ar"),
    "hostile validation": lambda: render_validation_report(validation_example.hostile()),
    "hostile audit": lambda: render_audit_report(audit_example.hostile()),
    "hostile replay": lambda: render_replay_report(example.hostile()),
    "hostile load": lambda: render_load_report(load_example.hostile()),
    "hostile comparison": lambda: render_regression_report(comparison_example.hostile()),
    "endless comparison": lambda: render_regression_report(comparison_example.endless()),
}
HOSTILE = [name for name in PAGES if name.startswith("hostile")]
ARABIC = [name for name in PAGES if name.endswith("Arabic")]
READABLE = [name for name in PAGES if name not in HOSTILE]
