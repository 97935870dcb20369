"""Settings of one system under test, as they are typed: `--set n8n-wait.wait=8s`.

A system declares them as the fields of a frozen dataclass: `wait_ms: int = duration("5s")` is typed as `wait=5s`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from queue_core.durations import format_duration_ms, parse_duration_ms
from queue_core.text import suggestion
from sim.engine.distributions import parse_distribution

COUNT_MAX = 1_000_000
DURATION_MS_MAX = 86_400_000

Options = TypeVar("Options")


class OptionError(ValueError):
    """Raised for a setting that a system does not have, or a value that it cannot use."""


@dataclass(frozen=True, slots=True)
class NoOptions:
    """Settings of a system whose rules are fixed: none."""


def duration(default: str) -> Any:
    """Declare a duration of whole milliseconds; the name of its field ends in `_ms`."""
    return field(default=_whole_ms(default), metadata={"read": _whole_ms, "write": format_duration_ms})


def count(default: int, *, at_least: int = 0) -> Any:
    """Declare a whole number."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not at_least <= int(text) <= COUNT_MAX:
            raise ValueError(f"{text!r} is not a whole number from {at_least} to {COUNT_MAX}")
        return int(text)

    return field(default=default, metadata={"read": read, "write": str})


def choice(default: str, *others: str) -> Any:
    """Declare a choice between words."""
    known = (default, *others)

    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"there is no {text!r}{suggestion(text, known)}")
        return text

    return field(default=default, metadata={"read": read, "write": str, "choices": known})


def spread(default: str) -> Any:
    """Declare a distribution of durations, kept as it is typed."""

    def read(text: str) -> str:
        parse_distribution(text)
        return text

    return field(default=default, metadata={"read": read, "write": str})


def words() -> Any:
    """Declare a list of words, none by default, typed with `|` between them."""

    def read(text: str) -> tuple[str, ...]:
        return tuple(filter(None, text.split("|")))

    return field(default=(), metadata={"read": read, "write": "|".join})


def read_options(kind: type[Options], texts: Mapping[str, str]) -> Options:
    """Make the settings of a system from those that were typed; the others get their defaults. Raises OptionError."""
    declared = _declared(kind)
    values: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in declared:
            known = suggestion(name, declared) if declared else "; its rules are fixed"
            raise OptionError(f"there is no setting {name!r}{known}")
        try:
            values[declared[name].name] = declared[name].metadata["read"](text)
        except ValueError as error:
            raise OptionError(str(error)) from None
    return kind(**values)


def written(options: object) -> dict[str, str]:
    """Write all settings of a system as they are typed."""
    return {
        name: each.metadata["write"](getattr(options, each.name))
        for name, each in _declared(type(options)).items()
    }


def parse_option(text: str) -> tuple[str, str, str]:
    """Read `SYSTEM.NAME=VALUE`; returns the three parts. Raises OptionError."""
    target, equals, value = text.partition("=")
    system, point, name = target.partition(".")
    if not (equals and point and system and name):
        raise OptionError(f"{text!r} is not SYSTEM.NAME=VALUE, as in n8n-wait.wait=8s")
    return system, name, value


def _declared(kind: type[Any]) -> dict[str, Field[Any]]:
    return {each.name.removesuffix("_ms").replace("_", "-"): each for each in fields(kind)}


def _whole_ms(text: str) -> int:
    value_ms = parse_duration_ms(text, at_most_ms=DURATION_MS_MAX)
    if value_ms != int(value_ms):
        raise ValueError(f"{text!r} must be a whole number of milliseconds")
    return int(value_ms)
