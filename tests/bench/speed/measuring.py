"""Measurement of one case of one contender: its processes, their CPU time, and Redis's."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from tests.bench.speed.contenders import FLOOR, TURNS, Case, Contender

PATIENCE_S = 300.0
PICKUPS = 60
"""Messages of which the pickup is measured, in each repeat."""


class MeasurementError(Exception):
    """Raised for a program that failed or hung."""


@dataclass(frozen=True)
class Measured:
    """One repeat of one case."""

    per_second: float
    producer_us: float
    """CPU time for a message; so are the next two."""
    worker_us: float
    redis_us: float
    picked_up_ms: list[float] = field(default_factory=list)

    @property
    def cpu_us(self) -> float:
        """CPU time of all processes for a message."""
        return self.producer_us + self.worker_us + self.redis_us


class Bench:
    """Redis server on which the contenders take turns."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.redis = Redis.from_url(url)

    def redis_cpu_s(self) -> float:
        """Return Redis's CPU time so far."""
        cpu: dict[str, float] = self.redis.info("cpu")
        return cpu["used_cpu_user"] + cpu["used_cpu_sys"]

    def run(self, contender: Contender, case: Case, messages: int) -> Measured:
        """Measure a case once, on an empty Redis."""
        self.redis.flushall()
        if contender.name == FLOOR and case != "pickup":
            return self._produced(contender, messages, "calls", "1" if case == "enqueue" else "2")
        if case == "enqueue":
            return self._produced(contender, messages, "enqueue", "1")
        return self._answered(contender, case, PICKUPS if case == "pickup" else messages)

    def _produced(self, contender: Contender, messages: int, mode: str, turn: str) -> Measured:
        redis_began_s = self.redis_cpu_s()
        with _program(contender, mode, self.url, str(messages), turn) as program:
            facts = program.facts()
        redis_s = self.redis_cpu_s() - redis_began_s
        seconds = facts["ended_s"] - facts["began_s"]
        return Measured(messages / seconds, _us(facts["cpu_s"], messages), 0.0, _us(redis_s, messages))

    def _answered(self, contender: Contender, case: Case, messages: int) -> Measured:
        mode = "trickle" if case == "pickup" else "enqueue"
        words = (self.url, str(messages), str(TURNS[case]))
        with _program(contender, "work", *words) as worker:
            worker.facts()  # it is ready
            redis_began_s = self.redis_cpu_s()
            with _program(contender, mode, *words) as producer:
                produced = producer.facts()
            answered = worker.facts()
            redis_s = self.redis_cpu_s() - redis_began_s
        if case == "pickup":
            return Measured(0.0, 0.0, 0.0, 0.0, answered["picked_up_ms"])
        return Measured(
            messages / (answered["ended_s"] - produced["began_s"]),
            _us(produced["cpu_s"], messages),
            _us(answered["cpu_s"], messages),
            _us(redis_s, messages),
        )


def _us(seconds: float, messages: int) -> float:
    return seconds * 1e6 / messages


class _Program:
    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self._name = name
        self._process = process

    def facts(self) -> dict[str, Any]:
        """Wait for the next line of facts. Raises MeasurementError when the program has ended without one."""
        timer = threading.Timer(PATIENCE_S, self._process.kill)
        timer.start()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        timer.cancel()
        if not line:
            raise MeasurementError(
                f"{self._name} ended without a result within {PATIENCE_S:g} s; its output is above"
            )
        facts: dict[str, Any] = json.loads(line)
        return facts


@contextmanager
def _program(contender: Contender, *words: str) -> Iterator[_Program]:
    environment = os.environ | contender.environment
    with subprocess.Popen(
        [*contender.command, *words], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _Program(contender.name, process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        finally:
            process.kill()
