"""The result of a run: thresholds, verdict, files, and what is said on the terminal."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtests import _ramp
from loadtests._ledger import Ledger, Sample, Times, quantile

if TYPE_CHECKING:
    from loadtests._account import Account

SCHEMA_VERSION = 1
SAMPLES_KEPT_MAX = 20_000
"""Of each latency; more are thinned out evenly."""
SHOWN_SETTINGS = (
    "scenario",
    "rate",
    "duration",
    "channel",
    "storm_users",
    "recording",
    "speed",
    "drain",
    "redeliver",
)


def result_of(account: Account, ledger: Ledger, times: Times, batches: Mapping[str, Any]) -> dict[str, Any]:
    """The result file as `reports` takes it."""
    options = account.options
    rates = account.rates()
    behind_ms = quantile(times.generator_lag, 0.99) or 0.0
    ramp = account.ramp()
    is_valid = bool(account.samples) and (bool(ramp) or behind_ms <= options.max_generator_lag_p99)
    thresholds = thresholds_of(options, ledger, times, rates)
    if ramp:  # it goes on until something is missed: what counts is how far it came
        thresholds = [_ramp_threshold(ramp), *(one for one in thresholds if not one["unit"])]
    is_ok = is_valid and all(one["ok"] for one in thresholds)
    return {
        "schema": SCHEMA_VERSION,
        "kind": "load",
        "verdict": _verdict(ledger, thresholds, behind_ms, is_valid=is_valid),
        "ok": is_ok,
        "valid": is_valid,
        "seed": options.seed,
        "scenario": options.scenario,
        "started_at": f"{datetime.fromtimestamp(account.start_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "duration_s": round(account.jobs[-1][0], 3),
        "drain_s": round(account.drain_s, 3),
        "settings": {name: str(getattr(options, name)) for name in SHOWN_SETTINGS},
        "system": _system(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "thresholds": thresholds,
        "ledger": {
            name: value
            for name, value in dataclasses.asdict(ledger).items()
            if name not in ("unanswered_ids", "duplicate_ids")
        },
        "lost_ids": list(ledger.unanswered_ids) if ledger.lost else [],
        "duplicate_ids": list(ledger.duplicate_ids),
        "batches": dict(batches),
        "latency_ms": {name: thinned(values) for name, values in dataclasses.asdict(times).items()},
        "timeline": rates,
        "faults": [],
        **({"ramp": ramp} if ramp else {}),
    }


def thresholds_of(
    options: argparse.Namespace, ledger: Ledger, times: Times, rates: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Every threshold with its target and what it came to."""
    redis_mb = max((one["redis_bytes"] or 0 for one in rates), default=0) / 1e6
    answered = 100 * ledger.answered / ledger.sent if ledger.sent else 0.0
    return [
        _at_most("lost messages", options.max_lost, ledger.lost),
        _at_most("dead letters", 0, ledger.dead),
        _at_most("answered twice", options.max_duplicates, ledger.duplicates),
        _at_most("out of order", options.max_out_of_order, ledger.out_of_order),
        _at_most("failed requests", options.max_failed, ledger.failed_requests),
        _at_most("acknowledgement p99", options.max_ack_p99, quantile(times.acknowledgement, 0.99), "ms"),
        _at_most("dispatch lag p99", options.max_lag_p99, quantile(times.dispatch_lag, 0.99), "ms"),
        _threshold("answered", "100", f"{_floored(answered)}", "%", ok=answered == 100),
        _at_most("Redis memory", options.max_redis_mb, redis_mb, "MB"),
    ]


def _ramp_threshold(ramp: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rate = _ramp.highest(ramp)
    return _threshold("highest rate", f"{ramp[0]['rate']}", f"{rate}", "/min", ok=rate > 0)


def _at_most(name: str, target: float, actual: float | None, unit: str = "") -> dict[str, Any]:
    shown = "none measured" if actual is None else f"{actual:.1f}".removesuffix(".0")
    return _threshold(name, f"{target:g}", shown, unit, ok=actual is None or actual <= target)


def _threshold(name: str, target: str, actual: str, unit: str, *, ok: bool) -> dict[str, Any]:
    return {"name": name, "target": target, "actual": actual, "ok": ok, "unit": unit}


def _floored(share: float) -> str:
    """Never 100.00 when one is missing."""
    return f"{math.floor(share * 100) / 100:.2f}"


def _verdict(
    ledger: Ledger, thresholds: Sequence[Mapping[str, Any]], behind_ms: float, *, is_valid: bool
) -> str:
    if not is_valid:
        return (
            f"Invalid: the generator was {behind_ms:.0f} ms behind its schedule (p99), so nothing here tells "
            "anything about the system. Use less load, or more machines for Locust."
        )
    head = (
        f"{ledger.sent} messages acknowledged, {ledger.answered} answered, {ledger.lost or 'none'} lost, "
        f"{ledger.duplicates or 'none'} answered twice, {ledger.out_of_order or 'none'} out of order"
    )
    missed = [f"{one['name']} {one['actual']} {one['unit']}".strip() for one in thresholds if not one["ok"]]
    if missed:
        return f"{head}. Missed: {', '.join(missed)}."
    return f"{head}. Every threshold is met."


def thinned(values: Sequence[float]) -> list[float]:
    """Sorted, and at most SAMPLES_KEPT_MAX of them, the extremes included."""
    ordered = sorted(values)
    if len(ordered) > SAMPLES_KEPT_MAX:
        step = (len(ordered) - 1) / (SAMPLES_KEPT_MAX - 1)
        ordered = [ordered[round(at * step)] for at in range(SAMPLES_KEPT_MAX)]
    return [round(value, 3) for value in ordered]


def write(result: Mapping[str, Any], samples: Sequence[Sample], folder: Path) -> None:
    """result.json and samples.jsonl, one message a line."""
    (folder / "result.json").write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", "utf-8")
    with (folder / "samples.jsonl").open("w", encoding="utf-8") as lines:
        for sample in sorted(samples, key=lambda one: one.intended_at):
            lines.write(json.dumps(dataclasses.asdict(sample)) + "\n")


def tell(result: Mapping[str, Any], folder: Path) -> None:
    """Thresholds and latencies as tables, then the verdict."""
    lines = [f"{'threshold':24}{'target':>10}{'actual':>16}"]
    for one in result["thresholds"]:
        unit = f" {one['unit']}" if one["unit"] else ""
        lines.append(
            f"{one['name']:24}{one['target']:>10}{one['actual'] + unit:>16}  {'ok' if one['ok'] else 'MISSED'}"
        )
    lines += ["", f"{'milliseconds':24}{'p50':>10}{'p95':>10}{'p99':>10}{'max':>10}{'count':>10}"]
    for name, values in result["latency_ms"].items():
        figures = [quantile(values, share) for share in (0.5, 0.95, 0.99, 1.0)]
        shown = "".join(f"{'-' if figure is None else f'{figure:.1f}':>10}" for figure in figures)
        lines.append(f"{name.replace('_', ' '):24}{shown}{len(values):>10}")
    if "ramp" in result:
        lines += ["", *_ramp.table(result["ramp"])]
    batches = result["batches"]
    lines += ["", f"turns: {batches['count']}, by trigger {batches['by_trigger']}", "", result["verdict"]]
    lines.append(f"{folder / 'result.json'}")
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    sys.stdout.flush()


def _system() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
        "locust": version("locust"),
    }
