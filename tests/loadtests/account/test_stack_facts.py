"""Facts about the stack of a load, written by one process and read by another."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.account.stack_facts import (
    USAGE_LOG,
    StackFacts,
    by_second,
    missed_faults,
    read_faults,
    read_injected,
    read_stack_facts,
    read_usage,
    write_faults,
)
from loadtests.stack.chaos import InjectedFault
from loadtests.stack.usage import MachineUsage, ProcessUsage, Usage, UsageLog
from sim.faults import Fault, parse_faults


def test_facts_are_read_as_written_and_a_fault_that_lasts_ends_with_the_run(tmp_path: Path) -> None:
    written = StackFacts(
        "the command",
        {"workers": 2, "ai": "constant:1s"},
        {"redis": "8"},
        [Fault("ai-fails", 3000, 1000)],
    )
    written.write(tmp_path)
    assert read_stack_facts(tmp_path) == written
    assert read_faults(tmp_path, until_s=9.0) == []
    faults = [InjectedFault("worker-dies", 1.0, 2.5, "worker-1.1", 1.1), InjectedFault("ai-fails", 3.0)]
    write_faults(faults, tmp_path)
    assert read_injected(tmp_path) == faults
    assert read_faults(tmp_path, until_s=9.0) == [
        {"code": "worker-dies", "start_s": 1.0, "end_s": 2.5},
        {"code": "ai-fails", "start_s": 3.0, "end_s": 9.0},
    ]


@pytest.mark.parametrize(
    ("injected", "missed"),
    [
        ([], [(5.0, None), (9.0, None), (20.0, None)]),
        ([InjectedFault("worker-dies", 5.1, 6.0)], [(9.0, None), (20.0, None)]),
        (
            [InjectedFault("worker-dies", 5.1, 6.0, error="no worker")],
            [(5.0, "no worker"), (9.0, None), (20.0, None)],
        ),
        (
            [
                InjectedFault("worker-dies", 5.1),
                InjectedFault("ai-fails", 9.0),
                InjectedFault("worker-dies", 20.0),
            ],
            [],
        ),
    ],
)
def test_faults_of_the_plan_that_did_not_happen_are_missed(
    injected: list[InjectedFault], missed: list[tuple[float, str | None]]
) -> None:
    plan = parse_faults(["worker-dies@20s,worker-dies@5s,ai-fails@9s:1s"], "load")
    assert [(fault["at_s"], fault["error"]) for fault in missed_faults(plan, injected)] == missed


def test_a_sample_of_usage_measures_the_second_before_it(tmp_path: Path) -> None:
    log = UsageLog(tmp_path / USAGE_LOG)
    for t_s in (0.1, 1.1, 2.0):
        log.add(t_s, Usage({"web": ProcessUsage(t_s, 100)}, 7, MachineUsage(t_s, 0.0, t_s, {})))
    cpu = {second: sample.cpu for second, sample in by_second(read_usage(tmp_path)).items()}
    assert cpu == {0: {"web": 1.0}, 1: {"web": 1.0}}
