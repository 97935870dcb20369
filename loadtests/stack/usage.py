"""Usage of CPU and memory by the processes of the stack, and its log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

SAMPLE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """CPU seconds since the start of the stack, restarts included, and resident memory now."""

    cpu_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of each process by name, and Redis's used_memory, None while Redis does not answer."""

    processes: dict[str, ProcessUsage]
    redis_bytes: int | None


class UsageSample(msgspec.Struct, frozen=True):
    """Line of the log. `cpu` is the share of one core that each process used since the previous line."""

    t_s: float
    cpu: dict[str, float]
    memory_bytes: dict[str, int]
    redis_bytes: int | None


class UsageLog:
    """Log with a sample for each second, as JSON lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next_s = 0.0
        self._last: tuple[float, Usage] | None = None
        path.touch()

    def is_due(self, t_s: float) -> bool:
        """Return True if the next sample is due, `t_s` seconds after the start."""
        return t_s >= self._next_s

    def add(self, t_s: float, usage: Usage) -> None:
        """Append a sample; the first one writes nothing, since there is no CPU share before it."""
        self._next_s = (t_s // SAMPLE_EVERY_S + 1) * SAMPLE_EVERY_S
        last, self._last = self._last, (t_s, usage)
        if last is None:
            return
        sample = UsageSample(
            t_s=round(t_s, 3),
            cpu={
                name: round(max(0.0, used.cpu_s - last[1].processes[name].cpu_s) / (t_s - last[0]), 4)
                for name, used in usage.processes.items()
                if name in last[1].processes
            },
            memory_bytes={name: used.memory_bytes for name, used in usage.processes.items()},
            redis_bytes=usage.redis_bytes,
        )
        with self._path.open("ab", buffering=0) as log:
            log.write(msgspec.json.encode(sample) + b"\n")  # in one write for its reader
