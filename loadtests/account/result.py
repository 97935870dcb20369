"""Result of a run, made and written by the process that keeps the account."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import cast

from loadtests.account.account import Account
from loadtests.account.busy import busy_machine
from loadtests.account.ledger import Ledger, Sample, batches_of, delays_of, latency_of
from loadtests.account.ramp import ramp_of
from loadtests.account.stack_facts import (
    by_second,
    missed_faults,
    read_faults,
    read_injected,
    read_stack_facts,
    read_usage,
)
from loadtests.account.thresholds import p99_at_most, thresholds_of, thresholds_of_ramp
from loadtests.options import Limits, seconds_of
from loadtests.scenarios import UNTIMED
from loadtests.schedule import steps_of
from loadtests.stack.usage import UsageSample
from reports.results.load import LOAD_SCHEMA_VERSION, SAMPLES_KEPT_MAX, LoadLatency, LoadResult
from reports.results.writing import json_text, write_whole


def result_of(account: Account, ledger: Ledger) -> LoadResult:
    """Make the result; include the facts about the stack if the options name their folder."""
    options, limits = account.options, Limits.of(account.options)
    measured = cast("dict[str, list[float]]", latency_of(account.samples, account.events))
    latency = cast("LoadLatency", {name: thinned(times) for name, times in measured.items()})
    generator_lag = p99_at_most("generator_lag", limits.max_generator_lag_p99, latency["generator_lag"])
    result = LoadResult(
        schema=LOAD_SCHEMA_VERSION,
        kind="load",
        ok=False,
        valid=bool(account.samples) and generator_lag["ok"] and not account.was_given_up,
        generator_lag=generator_lag,
        seed=options.seed,
        scenario=options.scenario,
        started_at=f"{datetime.fromtimestamp(account.start_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        duration_s=round(account.load_s, 3),
        drain_s=round(account.drain_s, 3),
        settings=_settings(options),
        system=machine(),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        thresholds=[],
        ledger=ledger.counts,
        lost_ids=ledger.unanswered_ids if ledger.counts["lost"] else [],
        doubles=ledger.doubles,
        batches=batches_of(account.events),
        latency_ms=latency,
        timeline=account.timeline(),
        faults=[],
    )
    if delays := delays_of(account.samples, account.events):
        result["delays_ms"] = delays
    usage: list[UsageSample] = []
    if options.stack_facts:
        usage = read_usage(Path(options.stack_facts))
        _add_stack_facts(result, Path(options.stack_facts), usage)
    if account.unsent:
        result["unsent"] = account.unsent
    _judge(result, account, limits, usage)
    if result.get("missed_faults"):
        result["valid"] = False
    result["ok"] = result["valid"] and all(threshold["ok"] for threshold in result["thresholds"])
    return result


def _judge(result: LoadResult, account: Account, limits: Limits, usage: Sequence[UsageSample]) -> None:
    """Add the thresholds, and note whether the run says anything about them."""
    counts = result["ledger"]
    if account.plan.scenario == "ramp":
        steps = [step for step in steps_of(account.plan) if not account.unsent or step.to_s <= account.load_s]
        ramp = ramp_of(limits, steps, account.samples, account.events, account.start_at)
        result["ramp"] = ramp
        result["valid"] = bool(account.samples)  # an overloaded generator ends the ramp and leaves it valid
        result["thresholds"] = thresholds_of_ramp(limits, counts, account.plan.rate, ramp)
    else:
        thresholds = thresholds_of(limits, counts, result["latency_ms"], result["timeline"])
        result["thresholds"] = thresholds
        if busy := busy_machine(
            thresholds,
            limits,
            account.samples,
            account.events,
            usage,
            start_at=account.start_at,
            run_s=account.load_s + account.drain_s,
        ):
            result["busy_machine"] = busy
            result["valid"] = False


def _add_stack_facts(result: LoadResult, folder: Path, usage: Sequence[UsageSample]) -> None:
    """Add the facts about the stack that `python -m loadtests run` has written."""
    stack_facts, samples = read_stack_facts(folder), by_second(usage)
    for second in result["timeline"]:
        if sample := samples.get(second["t_s"]):
            second["cpu"] = sample.cpu
            if second["redis_bytes"] is None:
                second["redis_bytes"] = sample.redis_bytes
    result["faults"] = read_faults(folder, until_s=result["duration_s"] + result["drain_s"])
    if missed := missed_faults(stack_facts.plan, read_injected(folder)):
        result["missed_faults"] = missed
    result["settings"] |= stack_facts.settings
    result["system"] |= stack_facts.system
    result["command"] = stack_facts.command


def thinned(values_ms: Sequence[float]) -> list[float]:
    """Sort values, and keep at most SAMPLES_KEPT_MAX of them, the extremes included.

    Clocks of two processes may differ: a negative time becomes 0.
    """
    ordered = sorted(values_ms)
    if len(ordered) > SAMPLES_KEPT_MAX:
        step = (len(ordered) - 1) / (SAMPLES_KEPT_MAX - 1)
        ordered = [ordered[round(index * step)] for index in range(SAMPLES_KEPT_MAX)]
    return [round(max(0.0, value_ms), 3) for value_ms in ordered]


def write(result: LoadResult, samples: Sequence[Sample], folder: Path) -> None:
    """Write samples.jsonl (one message on each line), result.json and the page report.html."""
    from reports.pages.load.page import write_load_report  # noqa: PLC0415 - matplotlib takes a second to import

    with (folder / "samples.jsonl").open("w", encoding="utf-8") as lines:
        for sample in sorted(samples, key=lambda sample: sample.intended_at):
            lines.write(json.dumps(dataclasses.asdict(sample)) + "\n")
    write_whole(json_text(result), folder / "result.json")
    write_load_report(result, folder / "report.html")


def _settings(options: argparse.Namespace) -> dict[str, str | int | float]:
    """Return the options of the load that its scenario uses."""
    settings: dict[str, str | int | float] = {"scenario": options.scenario}
    if options.scenario not in UNTIMED:
        settings |= {"rate_per_min": options.rate, "duration_s": seconds_of(options, "duration")}
    if options.scenario == "storm" and options.storm_users:
        settings["storm_users"] = options.storm_users
    if options.scenario == "recorded":
        settings |= {"recording": options.recording, "speed": options.speed}
    return settings | {
        "channel": options.channel,
        "drain_s": seconds_of(options, "drain"),
        "redeliver_s": seconds_of(options, "redeliver"),
    }


def machine() -> dict[str, str]:
    """Return versions, and facts about the machine."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
        "locust": version("locust"),
    }
