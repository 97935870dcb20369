"""Facts about the stack of a load: the stack's settings, the faults, and the usage of CPU and memory.

`python -m loadtests run` and Locust's process share a folder with these files. The command writes all of them except
`started`, which Locust's process writes; that process also reads the others into the result.

- `stack_facts.json`: StackFacts, written before the start;
- `started`: Unix time of the start of the load;
- `faults.json`: a list of InjectedFault, rewritten when a fault begins, kills or ends;
- `usage.jsonl`: a UsageSample for each second.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from loadtests.stack.chaos import InjectedFault
from loadtests.stack.usage import UsageSample
from reports.results.faults import FaultName
from reports.results.load import FaultTimes, MissedFault
from reports.results.writing import write_whole
from sim.faults import Fault

STARTED, USAGE_LOG = "started", "usage.jsonl"

_USAGE = msgspec.json.Decoder(UsageSample)


class StackFacts(msgspec.Struct, frozen=True):
    """Facts that are known before the load begins; `plan` has the faults in the order of their times."""

    command: str
    settings: dict[str, str | int | float]
    system: dict[str, str]
    plan: list[Fault] = []

    def write(self, folder: Path) -> None:
        """Write the facts into the folder, with an empty list of faults."""
        write_whole(msgspec.json.encode(self).decode(), folder / "stack_facts.json")
        write_faults([], folder)


def write_faults(faults: list[InjectedFault], folder: Path) -> None:
    """Write all faults that have begun."""
    write_whole(msgspec.json.encode(faults).decode(), folder / "faults.json")


def read_stack_facts(folder: Path) -> StackFacts:
    """Read the facts that `StackFacts.write` wrote. Raises OSError, msgspec.MsgspecError."""
    return msgspec.json.decode((folder / "stack_facts.json").read_bytes(), type=StackFacts)


def read_injected(folder: Path) -> list[InjectedFault]:
    """Read the faults that have begun."""
    return msgspec.json.decode((folder / "faults.json").read_bytes(), type=list[InjectedFault])


def read_faults(folder: Path, until_s: float) -> list[FaultTimes]:
    """Read the times of the faults; a fault that has not ended yet ends at `until_s`."""
    return [
        FaultTimes(
            code=fault.code, start_s=fault.start_s, end_s=until_s if fault.end_s is None else fault.end_s
        )
        for fault in read_injected(folder)
    ]


def missed_faults(plan: Iterable[Fault], injected: Iterable[InjectedFault]) -> list[MissedFault]:
    """Return the faults of a plan that have not begun, or could not be carried out.

    Faults of one kind begin in the order of the plan.
    """
    begun: dict[FaultName, list[InjectedFault]] = {}
    for started in injected:
        begun.setdefault(started.code, []).append(started)
    missed = []
    for fault in plan:
        left = begun.get(fault.name, [])
        error = left.pop(0).error if left else None
        if error != "":
            missed.append(MissedFault(code=fault.name, at_s=fault.at_ms / 1000, error=error))
    return missed


def read_usage(folder: Path) -> list[UsageSample]:
    """Read the samples, in order."""
    return _USAGE.decode_lines((folder / USAGE_LOG).read_bytes())


def by_second(usage: Iterable[UsageSample]) -> dict[int, UsageSample]:
    """Return the samples, each by the number of the second that it measures."""
    return {round(sample.t_s) - 1: sample for sample in usage}
