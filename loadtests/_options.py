"""The options of the load test beside Locust's own: on the command line, in [tool.locust], or as LOCUST_… variables."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from loadtests._schedule import SCENARIOS, Plan

_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """From 500ms, 60s, 5m, 1h, or a bare number of seconds. For argparse: raises ArgumentTypeError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 30s, 5m or 1h")
    return float(found[1]) * _UNITS_S[found[2] or "s"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Every option, in one place."""
    _add_load(parser)
    _add_limits(parser)


def _add_load(parser: argparse.ArgumentParser) -> None:
    load = parser.add_argument_group("Load", "What is sent, and where it is seen again")
    load.add_argument(
        "--scenario",
        choices=SCENARIOS,
        default="bursts",
        env_var="LOCUST_SCENARIO",
        help="what arrives; default: bursts",
    )
    load.add_argument(
        "--rate", type=float, default=600.0, env_var="LOCUST_RATE", help="messages a minute; default: 600"
    )
    load.add_argument(
        "--duration",
        default="60s",
        env_var="LOCUST_DURATION",
        help="of the load, without the drain; default: 60s",
    )
    load.add_argument(
        "--seed", type=int, default=1, env_var="LOCUST_SEED", help="of the schedule; default: 1"
    )
    load.add_argument(
        "--storm-users",
        type=int,
        default=0,
        help="storm: so many users at once, instead of 100 messages in 10 s",
    )
    load.add_argument("--recording", default="", help="recorded: the .jsonl to send")
    load.add_argument("--speed", type=float, default=1.0, help="recorded: so many times as fast")
    load.add_argument(
        "--channel",
        choices=("mixed", "evolution", "cloud"),
        default="mixed",
        help="whose webhooks are sent; default: mixed, by user",
    )
    load.add_argument(
        "--sink", default="http://127.0.0.1:8090", env_var="LOCUST_SINK", help="address of the sink"
    )
    load.add_argument(
        "--drain", default="60s", help="longest wait after the load until all is answered; default: 60s"
    )
    load.add_argument(
        "--redeliver",
        default="2s",
        help="wait before a refused message is delivered again, doubling; default: 2s",
    )
    load.add_argument(
        "--out", default="reports/out/load", help="folder for result.json, report.html, samples.jsonl"
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group(
        "Thresholds", "One that is missed makes the exit code 1; an invalid run, 3"
    )
    limits.add_argument("--max-lost", type=int, default=0)
    limits.add_argument("--max-duplicates", type=int, default=0)
    limits.add_argument("--max-out-of-order", type=int, default=0)
    limits.add_argument("--max-failed", type=int, default=0, help="requests without a 2xx answer")
    limits.add_argument(
        "--max-ack-p99", type=float, default=250.0, help="ms from the intended moment to the 2xx"
    )
    limits.add_argument(
        "--max-lag-p99", type=float, default=250.0, help="ms from when a turn is due to its claim"
    )
    limits.add_argument("--max-redis-mb", type=float, default=50.0)
    limits.add_argument(
        "--max-generator-lag-p99",
        type=float,
        default=200.0,
        help="ms that the generator may be behind; more: invalid",
    )


def plan_of(options: argparse.Namespace) -> Plan:
    """The schedule that the options ask for. Raises ValueError for a duration that is none."""
    return Plan(
        scenario=options.scenario,
        rate=options.rate,
        duration_s=_duration(options.duration),
        seed=options.seed,
        users=options.storm_users,
        recording=Path(options.recording) if options.recording else None,
        speed=options.speed,
    )


def _duration(text: str) -> float:
    try:
        return seconds(text)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"--duration: {error}") from None
