"""Medians and ratios of all repeats, and the aims.

Ratios are computed within each repeat, in which the contenders ran one after another, so that a noisy neighbour
disturbs both sides of a ratio alike.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from reports.analysis.quantile import quantile
from tests.bench.speed.contenders import OURS, Case
from tests.bench.speed.measuring import Measured
from tests.bench.speed.webhooks import BARE, Acknowledged

Key = tuple[str, Case]


@dataclass
class Results:
    """Every repeat of every case."""

    server: str
    messages: int
    queues: dict[str, dict[Case, list[Measured]]] = field(default_factory=dict)
    """By contender and case."""
    webhooks: dict[str, list[Acknowledged]] = field(default_factory=dict)
    peers: tuple[str, ...] = ()

    def of(self, key: Key) -> list[Measured]:
        """Return the repeats of a case of a contender."""
        contender, case = key
        return self.queues[contender][case]

    def median(self, key: Key, figure: Callable[[Measured], float]) -> float:
        """Return the median of a figure over the repeats."""
        return statistics.median(figure(run) for run in self.of(key))

    def ratio(self, key: Key, to: Key) -> float:
        """Return the median of the ratios of the rates within each repeat."""
        pairs = zip(self.of(key), self.of(to), strict=True)
        return statistics.median(run.per_second / other.per_second for run, other in pairs)

    def pickups_ms(self, contender: str) -> tuple[float, float]:
        """Return the median and the 95th percentile of the pickups in all repeats."""
        times = [time for run in self.of((contender, "pickup")) for time in run.picked_up_ms]
        return quantile(sorted(times), 0.5), quantile(sorted(times), 0.95)

    def webhook_ratio(self, server: str) -> float:
        """Return the median of the ratios of the CPU time to the bare handler's within each repeat."""
        pairs = zip(self.webhooks[server], self.webhooks[BARE], strict=True)
        return statistics.median(run.cpu_us / bare.cpu_us for run, bare in pairs)


@dataclass(frozen=True)
class Aim:
    """Figure that this commit should reach."""

    name: str
    figure: float
    bound: float
    is_least: bool = True
    """False: the bound is the most that the figure may be."""

    @property
    def is_reached(self) -> bool:
        """True if the figure is within the bound."""
        return self.figure >= self.bound if self.is_least else self.figure <= self.bound


def aims(results: Results) -> list[Aim]:
    """Compare this commit with its aims; those about other queues only where these were measured."""
    beside_peers = []
    if results.peers:
        beside_peers = [
            Aim("enqueues, times those of the faster peer", _lead(results, "enqueue", "enqueue"), 1.0),
            Aim(
                "turns of one, times those of the faster peer",
                _lead(results, "turns of one", "turns of one"),
                1.0,
            ),
            Aim(
                "turns of three, times the turns of one of the faster peer",
                _lead(results, "turns of three", "turns of one"),
                1.7,
            ),
            _frugality(results, "an enqueue", "enqueue", "enqueue"),
            _frugality(results, "a message in turns of one", "turns of one", "turns of one"),
            _frugality(results, "a message in turns of three", "turns of three", "turns of one"),
        ]
    median, late = results.pickups_ms(OURS)
    return [
        *beside_peers,
        Aim(
            "CPU of Redis for a turn of one, µs",
            results.median((OURS, "turns of one"), _redis_us),
            34,
            is_least=False,
        ),
        Aim(
            "CPU of Redis for a message in turns of three, µs",
            results.median((OURS, "turns of three"), _redis_us),
            20,
            is_least=False,
        ),
        Aim("pickup in the median, ms", median, 0.5, is_least=False),
        Aim("95 % picked up within, ms", late, 1.0, is_least=False),
        Aim("CPU of a webhook, times the bare handler's", results.webhook_ratio(OURS), 1.5, is_least=False),
    ]


def _redis_us(run: Measured) -> float:
    return run.redis_us


def _lead(results: Results, case: Case, of_peers: Case) -> float:
    return min(results.ratio((OURS, case), (peer, of_peers)) for peer in results.peers)


def _frugality(results: Results, words: str, case: Case, of_peers: Case) -> Aim:
    least = min(results.median((peer, of_peers), _cpu_us) for peer in results.peers)
    ratio = results.median((OURS, case), _cpu_us) / least
    return Aim(f"CPU of {words}, times the more frugal peer's", ratio, 1.0, is_least=False)


def _cpu_us(run: Measured) -> float:
    return run.cpu_us
