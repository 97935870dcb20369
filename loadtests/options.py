"""Options of a load: on the command line, in [tool.locust], or as LOCUST_… variables."""

from __future__ import annotations

import argparse
import os
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Self

from loadtests.scenarios import SCENARIOS
from loadtests.schedule import Plan
from queue_core.command_lines import typed
from queue_core.durations import DurationError, parse_duration_ms

REPOSITORY = Path(__file__).parents[1]
"""Folder in which Locust runs, and whose pyproject.toml it reads."""
NUMBER_MAX = 10_000_000
SEED_MAX = 2**63 - 1
OUT = "reports/out/load"
CHANNELS = ("mixed", "evolution", "cloud")


def whole(low: int, high: int) -> Callable[[str], int]:
    """Make a reader of whole numbers between two limits."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,19}", text) or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number from {low:,} to {high:,}")
        return int(text)

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """Make a reader of numbers between two limits."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ValueError(f"{text!r} is not a number from {low:,g} to {high:,.12g}")
        return value

    return read


def duration(*, is_above_0: bool) -> Callable[[str], str]:
    """Make a reader that checks a duration and returns its text."""

    def read(text: str) -> str:
        parse_duration_ms(text, is_above_0=is_above_0)
        return text

    return read


def folder(text: str) -> str:
    """Return the name of a folder. Raises ValueError when the folder cannot be made or written to."""
    path = Path(text).absolute()
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise ValueError(f"{text!r} is not a folder that can be written to")
    return text


def _choice(names: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"{text!r} is not one of {', '.join(names)}")
        return text

    return read


def _checked(read: Callable[[str], object]) -> Callable[[str], object]:
    """Make a reader for argparse, which shows only messages of ArgumentTypeError."""

    def check(text: str) -> object:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return check


class Option(NamedTuple):
    """Option of a command. `unit` names its value in the help, which does not show a default of ""."""

    name: str
    unit: str
    default: str | float
    help: str
    read: Callable[[str], object] = str
    choices: tuple[str, ...] | None = None

    def add_to(self, parser: Any, **changes: Any) -> None:
        """Add the option to a parser of argparse or of Locust, or to a group of options."""
        shown = f"{self.default:g}" if isinstance(self.default, float) else self.default
        settings = {
            "type": _checked(_choice(self.choices) if self.choices else self.read),
            "default": self.default,
            "metavar": self.unit,
            "help": self.help if shown == "" else f"{self.help} (default: {shown})",
        }
        parser.add_argument(f"--{self.name}", **(settings | changes))


_LOAD = (
    Option("scenario", "NAME", "bursts", "a scenario of the list above", choices=tuple(SCENARIOS)),
    Option("rate", "N", 600.0, "messages a minute, on average", number(0.001, NUMBER_MAX)),
    Option("duration", "TIME", "60s", "length of the load", duration(is_above_0=True)),
    Option("seed", "N", 1, "equal seeds draw equal messages", whole(0, SEED_MAX)),
    Option(
        "storm-users",
        "N",
        0,
        "storm: users who write one message each within 1 s; 0: the storm of 8 users",
        whole(0, NUMBER_MAX),
    ),
    Option("recording", "FILE", "", "recorded: the .jsonl file to send"),
    Option("speed", "N", 1.0, "recorded: factor by which the recording is sent faster", number(0.001, 1000)),
    Option("channel", "NAME", "mixed", "mixed, evolution or cloud", choices=CHANNELS),
    Option("drain", "TIME", "60s", "longest wait for replies after the load", duration(is_above_0=False)),
    Option(
        "redeliver",
        "TIME",
        "2s",
        "wait before a refused message is sent again; it doubles each time, up to 30 s",
        duration(is_above_0=False),
    ),
)


def _limit(default: float, unit: str, meaning: str) -> Any:
    return field(default=default, metadata={"default": default, "unit": unit, "help": meaning})


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the thresholds. Each field has the name of its option."""

    max_lost: int = _limit(0, "MESSAGES", "acknowledged, and then lost, so never answered")
    max_duplicates: int = _limit(
        0, "MESSAGES", "answered more than once, though no worker died while it sent"
    )
    max_out_of_order: int = _limit(0, "MESSAGES", "answered before a message that was acknowledged earlier")
    max_failed: int = _limit(0, "REQUESTS", "answered with anything but 2xx, or not at all")
    max_ack_p99: float = _limit(250.0, "MS", "p99 of the time from a message's scheduled moment to its 2xx")
    max_lag_p99: float = _limit(250.0, "MS", "p99 of the time from a turn's due time to its claim")
    max_redis_mb: float = _limit(50.0, "MB", "memory of Redis")
    max_generator_lag_p99: float = _limit(
        200.0, "MS", "p99 of how late the generator sends; a larger value makes the run invalid, exit code 3"
    )

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """Return the limits that the options set."""
        return cls(**{limit.name: getattr(options, limit.name) for limit in fields(cls)})


_LIMITS = tuple(
    Option(
        limit.name.replace("_", "-"),
        limit.metadata["unit"],
        limit.metadata["default"],
        limit.metadata["help"],
        whole(0, NUMBER_MAX) if isinstance(limit.metadata["default"], int) else number(0, NUMBER_MAX),
    )
    for limit in fields(Limits)
)
_ADDRESSES = (
    Option("sink", "URL", "http://127.0.0.1:8090", "address of the sink"),
    Option("out", "DIR", OUT, "folder for the report, the result and all samples", folder),
    Option(
        "stack-facts", "DIR", "", typed("folder in which `python -m loadtests run` writes faults and usage")
    ),
)
_GROUPS = (
    ("Load", "\n".join(f"{name:<10}{meaning}" for name, meaning in SCENARIOS.items()), _LOAD),
    ("Thresholds", "Largest values that are allowed; a larger value means exit code 1.", _LIMITS),
)


def add_load_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `typed_options` passes to Locust, without defaults: Locust has them."""
    for title, description, options in _GROUPS:
        group = parser.add_argument_group(title, description)
        for option in options:
            option.add_to(group, default=argparse.SUPPRESS)


def add_locust_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the load to Locust, which also reads them from environment variables."""
    for title, description, options in (*_GROUPS, ("Addresses and folders", None, _ADDRESSES)):
        group = parser.add_argument_group(title, description)
        for option in options:
            option.add_to(
                group, type=_checked(option.read), choices=option.choices, env_var=_variable(option.name)
            )


def _variable(name: str) -> str:
    """Return the environment variable from which Locust reads an option."""
    return f"LOCUST_{name.upper().replace('-', '_')}"


def typed_options(options: argparse.Namespace) -> list[str]:
    """Return the options of the load that the user typed, as words of a command line."""
    values = vars(options)
    keys = [option.name.replace("-", "_") for _, _, group in _GROUPS for option in group]
    return [f"--{key.replace('_', '-')}={values[key]}" for key in keys if key in values]


def value_for_locust(options: argparse.Namespace, name: str) -> str:
    """Return the value that Locust will use for an option of the load, if the option does not follow `--`.

    That is the typed value, or else the value in the environment, in [tool.locust] of pyproject.toml, or the default.
    """
    default = next(option.default for option in _LOAD if option.name == name)
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        configured = tomllib.load(file).get("tool", {}).get("locust", {})
    key = name.replace("-", "_")
    typed = getattr(options, key, None)
    return str(os.environ.get(_variable(name), configured.get(name, default)) if typed is None else typed)


def plan_of(options: argparse.Namespace) -> Plan:
    """Return a description of the messages that the options ask for. Raises ValueError."""
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
