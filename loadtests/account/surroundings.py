"""The surroundings of a load: the stack's settings, the faults, and what everything used.

`python -m loadtests run` notes them in a folder while Locust runs, and Locust's process puts them into the result:

- `surroundings.json`: Surroundings, written before the start;
- `faults.json`: [{"code", "start_s", "end_s"}], rewritten when one begins or is over; `end_s` is null until then;
- `usage.json`: [{"t_s", "cpu": {name: share of one core}, "memory_bytes": {name: n}, "redis_bytes": n or null}],
  one each second, complete JSON at any time.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from loadtests.stack.chaos import FeltFault
from loadtests.stack.usage import UsageSample
from reports.results.load import FaultTimes
from reports.results.writing import write_whole

FILES = ("surroundings.json", "faults.json", "usage.json")


class Surroundings(msgspec.Struct, frozen=True):
    """Facts that are known before the load begins. `predicted_ms` are reply times of a simulation, if there was one."""

    command: str
    settings: dict[str, str | int | float]
    system: dict[str, str]
    predicted_ms: list[float] = []

    def write(self, folder: Path) -> None:
        """Note them, with no fault and nothing used so far."""
        _write(self, folder / "surroundings.json")
        write_faults([], folder)


def write_faults(faults: list[FeltFault], folder: Path) -> None:
    """Note all faults that began."""
    _write(faults, folder / "faults.json")


def read_surroundings(folder: Path) -> Surroundings:
    """Read what was noted before the start. Raises OSError, msgspec.MsgspecError."""
    return msgspec.json.decode((folder / "surroundings.json").read_bytes(), type=Surroundings)


def read_faults(folder: Path, until_s: float) -> list[FaultTimes]:
    """Read the faults; one that is not over ends with the run."""
    faults = msgspec.json.decode((folder / "faults.json").read_bytes(), type=list[FeltFault])
    return [
        FaultTimes(
            code=fault.code, start_s=fault.start_s, end_s=until_s if fault.end_s is None else fault.end_s
        )
        for fault in faults
    ]


def read_usage(folder: Path) -> dict[int, UsageSample]:
    """Read the samples by the second that they tell of: one at the end of a second tells of that second."""
    samples = msgspec.json.decode((folder / "usage.json").read_bytes(), type=list[UsageSample])
    return {round(sample.t_s) - 1: sample for sample in samples}


def _write(value: Surroundings | list[FeltFault], path: Path) -> None:
    write_whole(msgspec.json.encode(value).decode() + "\n", path)
