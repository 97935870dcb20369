"""The log of the usage of CPU and memory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from loadtests.stack.usage import MachineUsage, ProcessUsage, Usage, UsageLog, machine_usage


def test_the_usage_log_has_a_line_for_each_sample_but_the_first(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"

    def lines() -> list[Any]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    log = UsageLog(path)
    assert lines() == []
    assert not log.is_due(-0.5)
    assert log.is_due(0.0)
    machine = MachineUsage(total_s=100.0, busy_s=50.0, idle_s=50.0, own_s={1: 9.0, 2: 3.0})
    log.add(0.0, Usage({"web": ProcessUsage(1.0, 100)}, 7, machine))
    assert not log.is_due(0.9)
    machine = MachineUsage(total_s=104.0, busy_s=53.0, idle_s=50.5, own_s={1: 10.0, 3: 0.5})
    log.add(2.0, Usage({"web": ProcessUsage(2.0, 200), "new": ProcessUsage(5.0, 1)}, None, machine))
    shares = {"length_s": 2.0, "idle": 0.125, "others": 0.375}
    first = {
        "t_s": 2.0,
        **shares,
        "cpu": {"web": 0.5},
        "memory_bytes": {"web": 200, "new": 1},
        "redis_bytes": None,
    }
    assert lines() == [first]
    log.add(3.0, Usage({"web": ProcessUsage(2.0, 200)}, 7, machine))
    assert [sample["t_s"] for sample in lines()] == [2.0, 3.0]


def test_the_usage_of_the_machine_includes_that_of_this_process() -> None:
    usage = machine_usage()
    assert usage.own_s[os.getpid()] > 0
    assert 0 < usage.busy_s + usage.idle_s <= usage.total_s
