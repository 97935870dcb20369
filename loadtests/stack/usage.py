"""Usage of CPU and memory by the processes of the stack, and its log."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

SAMPLE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """CPU seconds since the start of the stack, over restarts, and resident memory now."""

    cpu_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Use of each process, by name; `redis_bytes` is Redis's used_memory, None while it does not answer."""

    processes: dict[str, ProcessUsage]
    redis_bytes: int | None


class UsageSample(msgspec.Struct, frozen=True):
    """A second of usage.json."""

    t_s: float
    cpu: dict[str, float]
    memory_bytes: dict[str, int]
    redis_bytes: int | None


class UsageLog:
    """Samples as one JSON array that is complete after each of them, however long it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._count = 0
        self._next_s = 0.0
        self._last: tuple[float, Usage] | None = None

    def is_due(self, t_s: float) -> bool:
        """Say whether it is time for the next sample, t_s seconds after the start."""
        return t_s >= self._next_s

    def add(self, t_s: float, usage: Usage) -> None:
        """Append a sample; CPU shares are those since the sample before, so the first one only sets the mark."""
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
        assert self._file is not None
        self._file.seek(-2, os.SEEK_END)
        self._file.write((b",\n" if self._count else b"\n") + msgspec.json.encode(sample) + b"\n]")
        self._file.flush()
        self._count += 1

    def __enter__(self) -> Self:
        self._file = self._path.open("w+b")
        self._file.write(b"[\n]")
        self._file.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()
