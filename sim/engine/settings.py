"""Settings of a replay, and how options and recordings change their defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from queue_core.durations import DurationError, format_duration_ms, parse_duration_ms
from queue_core.settings import PROFILES, RULE_OPTIONS, TurnRules
from queue_core.text import suggestion
from sim.engine.distributions import DistributionError, parse_distribution
from sim.faults import OF_OUTSIDE, Fault, check_overlaps

ENGINES: Mapping[str, str] = MappingProxyType(
    {
        "fast": "the simulator's own Redis, on LuaJIT",
        "fakeredis": "fakeredis behind redis-py, several times slower, for comparison",
    }
)
"""Simulated Redis servers by name."""


class SettingsError(ValueError):
    """Raised for a setting that cannot be used; the message has its name, its value and the allowed values."""


@dataclass(frozen=True, slots=True)
class SimSettings(TurnRules):
    """Settings on which a replay depends, besides its recording and system.

    The batching rules apply to the queue only; those of the older systems are fixed.
    `redis_latency` is a whole round trip. Raises SettingsError for a value that cannot be used.
    """

    seed: int = 1
    engine: str = "fast"
    ai: str = "lognormal:4.5s:9s"
    redis_latency: str = "lognormal:5ms:15ms"
    ai_by_turn: bool = False
    """True if the AI takes equally long whenever it is asked about a turn that begins with the same message. The AI
    of a load test does so; otherwise the n-th call of a conversation always takes equally long."""
    webhook_delay_ms: float = 0.0
    """Time of a webhook on its way to the bot, and of its answer on the way back."""
    ai_delay_ms: float = 0.0
    """Time of a call of the AI beyond the AI's own time."""
    faults: tuple[Fault, ...] = ()
    of_systems: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Settings of single systems, by the system's name, as they are typed (`sim.engine.options`)."""

    def __post_init__(self) -> None:
        for name, text in (("ai", self.ai), ("redis-latency", self.redis_latency)):
            try:
                parse_distribution(text)
            except DistributionError as error:
                raise SettingsError(f"{name}: {error}") from None
        if self.engine not in ENGINES:
            raise SettingsError(
                f"engine: there is no engine {self.engine!r}{suggestion(self.engine, ENGINES)}"
            )
        _in_range("seed", self.seed, 0, 2**63 - 1)
        limits = {rule.name: rule.metadata["limits"] for rule in fields(TurnRules)}
        for option, rule in RULE_OPTIONS.items():
            words = format_duration_ms if rule.endswith("_ms") else str
            _in_range(option, getattr(self, rule), *limits[rule], words=words)
        check_overlaps(self.faults, "sim")
        if self.engine == "fakeredis" and (
            bad := [fault for fault in self.faults if fault.name not in OF_OUTSIDE]
        ):
            raise SettingsError(
                f"engine: fakeredis has no {bad[0].name}; it has {', '.join(OF_OUTSIDE)}. Leave out --engine"
            )

    def rules(self) -> dict[str, Any]:
        """Return the batching rules by name."""
        return {rule: getattr(self, rule) for rule in RULE_OPTIONS.values()}

    def as_json(self) -> dict[str, Any]:
        """Return plain values in a fixed order, for the result file."""
        return {
            "engine": self.engine,
            "ai": self.ai,
            "redis_latency": self.redis_latency,
            **self.rules(),
            "faults": list(map(str, self.faults)),
        }


def with_profile(settings: SimSettings, profile: str) -> SimSettings:
    """Replace all batching rules by those of a profile; a rule that it does not name gets its default."""
    changes: dict[str, Any] = {rule.name: rule.default for rule in fields(TurnRules)}
    return replace(settings, **{**changes, **PROFILES[profile]})


def with_options(settings: SimSettings, options: Mapping[str, str]) -> SimSettings:
    """Change settings by options, named and written as on the command line (`{"window": "8s"}`).

    Raises SettingsError, whose message begins with the option.
    """
    changes: dict[str, Any] = {}
    for name, text in options.items():
        attribute, read = _OPTIONS[name]
        try:
            changes[attribute] = read(text)
        except ValueError as error:
            raise SettingsError(f"{name}: {error}") from None
    return replace(settings, **changes)


def _in_range(name: str, value: int, low: int, high: int, *, words: Callable[[int], str] = str) -> None:
    if not low <= value <= high:
        raise SettingsError(f"{name}: must be from {words(low)} to {words(high)}, not {words(value)}")


def _whole_ms(text: str) -> int:
    value_ms = parse_duration_ms(text)
    if value_ms != int(value_ms):
        raise DurationError(f"{text!r} must be a whole number of milliseconds")
    return int(value_ms)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


_OPTIONS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "engine": ("engine", str),
    "ai": ("ai", str),
    "redis-latency": ("redis_latency", str),
    **{
        option: (rule, _whole_ms if rule.endswith("_ms") else _count) for option, rule in RULE_OPTIONS.items()
    },
}
