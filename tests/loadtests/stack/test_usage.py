"""The log of the usage of CPU and memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loadtests.stack.usage import ProcessUsage, Usage, UsageLog


def test_the_usage_log_has_a_line_for_each_sample_but_the_first(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"

    def lines() -> list[Any]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    log = UsageLog(path)
    assert lines() == []
    assert not log.is_due(-0.5)
    assert log.is_due(0.0)
    log.add(0.0, Usage({"web": ProcessUsage(1.0, 100)}, 7))
    assert not log.is_due(0.9)
    log.add(2.0, Usage({"web": ProcessUsage(2.0, 200), "new": ProcessUsage(5.0, 1)}, None))
    first = {"t_s": 2.0, "cpu": {"web": 0.5}, "memory_bytes": {"web": 200, "new": 1}, "redis_bytes": None}
    assert lines() == [first]
    log.add(3.0, Usage({"web": ProcessUsage(2.0, 200)}, 7))
    assert [sample["t_s"] for sample in lines()] == [2.0, 3.0]
