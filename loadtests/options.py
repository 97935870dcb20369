"""The options of the load test beside Locust's own: on the command line, in [tool.locust], or as LOCUST_… variables."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from loadtests.schedule import SCENARIOS, Plan
from queue_core.durations import DurationError, parse_duration_ms


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of messages, of p99 in ms, and of megabytes, each by the name of its option."""

    max_lost: int = 0
    max_duplicates: int = 0
    max_out_of_order: int = 0
    max_failed: int = 0
    max_ack_p99: float = 250.0
    max_lag_p99: float = 250.0
    max_redis_mb: float = 50.0
    max_generator_lag_p99: float = 200.0

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """Take them from the options."""
        return cls(**{field.name: getattr(options, field.name) for field in fields(cls)})


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
    load.add_argument(
        "--surroundings",
        default="",
        help="folder in which `python -m loadtests run` notes stack, faults and usage for the result",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group(
        "Thresholds", "One that is missed makes the exit code 1; an invalid run, 3"
    )
    helps = {
        "max_failed": "requests without a 2xx answer",
        "max_ack_p99": "ms from the intended moment to the 2xx",
        "max_lag_p99": "ms from when a turn is due to its claim",
        "max_generator_lag_p99": "ms that the generator may be behind; more: invalid",
    }
    for field in fields(Limits):
        name, kind = field.name.replace("_", "-"), type(field.default)
        limits.add_argument(f"--{name}", type=kind, default=field.default, help=helps.get(field.name))


def plan_of(options: argparse.Namespace) -> Plan:
    """Return the schedule that the options ask for. Raises ValueError."""
    return Plan(
        scenario=options.scenario,
        rate=options.rate,
        duration_s=seconds_of(options, "duration"),
        seed=options.seed,
        users=options.storm_users,
        recording=Path(options.recording) if options.recording else None,
        speed=options.speed,
    )


def seconds_of(options: argparse.Namespace, name: str) -> float:
    """Read an option that is a duration. Raises ValueError, which names the option."""
    try:
        return parse_duration_ms(getattr(options, name)) / 1000
    except DurationError as error:
        raise ValueError(f"--{name}: {error}") from None
