"""The surroundings of a load: the stack's settings, the faults, and the usage of CPU and memory.

`python -m loadtests run` and Locust's process share a folder with these files. The first writes all but `started`;
Locust's process puts them into the result.

- `surroundings.json`: Surroundings, written before the start;
- `started`: Unix time of the start of the load;
- `faults.json`: [{"code", "start_s", "end_s"}], rewritten when one begins or ends; `end_s` is null until then;
- `usage.jsonl`: a UsageSample each second.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from loadtests.stack.chaos import FeltFault
from loadtests.stack.usage import UsageSample
from reports.results.load import FaultTimes
from reports.results.writing import write_whole

STARTED, USAGE_LOG = "started", "usage.jsonl"

_USAGE = msgspec.json.Decoder(UsageSample)


class Surroundings(msgspec.Struct, frozen=True):
    """Facts that are known before the load begins. `predicted_ms` are reply times of a simulation, if there was one."""

    command: str
    settings: dict[str, str | int | float]
    system: dict[str, str]
    predicted_ms: list[float] = []

    def write(self, folder: Path) -> None:
        """Write them into the folder, with an empty list of faults."""
        write_whole(msgspec.json.encode(self).decode(), folder / "surroundings.json")
        write_faults([], folder)


def write_faults(faults: list[FeltFault], folder: Path) -> None:
    """Write all faults that have begun."""
    write_whole(msgspec.json.encode(faults).decode(), folder / "faults.json")


def read_surroundings(folder: Path) -> Surroundings:
    """Read the facts of before the load. Raises OSError, msgspec.MsgspecError."""
    return msgspec.json.decode((folder / "surroundings.json").read_bytes(), type=Surroundings)


def read_faults(folder: Path, until_s: float) -> list[FaultTimes]:
    """Read the faults; those that last end with the run."""
    faults = msgspec.json.decode((folder / "faults.json").read_bytes(), type=list[FeltFault])
    return [
        FaultTimes(
            code=fault.code, start_s=fault.start_s, end_s=until_s if fault.end_s is None else fault.end_s
        )
        for fault in faults
    ]


def read_usage(folder: Path) -> dict[int, UsageSample]:
    """Read the samples by the second before each of them, which they are about."""
    samples = _USAGE.decode_lines((folder / USAGE_LOG).read_bytes())
    return {round(sample.t_s) - 1: sample for sample in samples}
