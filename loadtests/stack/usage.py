"""Usage of CPU and memory by the processes of the stack, and its log."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

SAMPLE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """CPU seconds since the start of the stack, restarts included, and resident memory now."""

    cpu_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class MachineUsage:
    """CPU seconds of all cores together since the machine started.

    `busy_s` is the time that programs used or that the host of a virtual machine took away, `idle_s` the time left
    over. `total_s` also has the time of interrupts. `own_s` is the part of this process and its children, by pid.
    """

    total_s: float
    busy_s: float
    idle_s: float
    own_s: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of each process by name, of the machine, and Redis's used_memory, None while Redis does not answer."""

    processes: dict[str, ProcessUsage]
    redis_bytes: int | None
    machine: MachineUsage


class UsageSample(msgspec.Struct, frozen=True):
    """Line of the log, on the `length_s` seconds before `t_s`.

    `cpu` is the share of one core that each process used. `idle` and `others` are shares of the CPU time of all cores:
    what was left over, and what went to programs beside this run.
    """

    t_s: float
    length_s: float
    idle: float
    others: float
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
        idle, others = _idle_and_others(last[1].machine, usage.machine)
        sample = UsageSample(
            t_s=round(t_s, 3),
            length_s=round(t_s - last[0], 3),
            idle=round(idle, 4),
            others=round(others, 4),
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


def machine_usage() -> MachineUsage:
    """Return the present usage of the machine."""
    times = psutil.cpu_times()._asdict()
    own_s = {}
    this = psutil.Process()
    for process in (this, *this.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            used = process.cpu_times()
            own_s[process.pid] = used.user + used.system
    names = ("user", "nice", "system", "steal", "idle", "iowait", "irq", "softirq")  # not each system has all
    user, nice, system, steal, idle, iowait, *interrupts = (times.get(name, 0.0) for name in names)
    busy, idle = user + nice + system + steal, idle + iowait
    return MachineUsage(total_s=busy + idle + sum(interrupts), busy_s=busy, idle_s=idle, own_s=own_s)


def _idle_and_others(before: MachineUsage, after: MachineUsage) -> tuple[float, float]:
    """Return the shares of the CPU time that were left over, and that other programs used."""
    total_s = after.total_s - before.total_s
    if total_s <= 0:
        return 1.0, 0.0
    own_s = sum(max(0.0, used_s - before.own_s.get(pid, 0.0)) for pid, used_s in after.own_s.items())
    others_s = after.busy_s - before.busy_s - own_s
    return max(0.0, after.idle_s - before.idle_s) / total_s, max(0.0, others_s) / total_s
