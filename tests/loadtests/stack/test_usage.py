"""The log of what everything uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loadtests.stack.usage import ProcessUsage, Usage, UsageLog


def test_the_usage_log_is_complete_json_after_each_sample(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"

    def read() -> Any:
        return json.loads(path.read_text())

    with UsageLog(path) as log:
        assert read() == []
        assert not log.is_due(-0.5)
        assert log.is_due(0.0)
        log.add(0.0, Usage({"web": ProcessUsage(1.0, 100)}, 7))
        assert not log.is_due(0.9)
        log.add(2.0, Usage({"web": ProcessUsage(2.0, 200), "new": ProcessUsage(5.0, 1)}, None))
        first = {"t_s": 2.0, "cpu": {"web": 0.5}, "memory_bytes": {"web": 200, "new": 1}, "redis_bytes": None}
        assert read() == [first]
        log.add(3.0, Usage({"web": ProcessUsage(2.0, 200)}, 7))
        assert [sample["t_s"] for sample in read()] == [2.0, 3.0]
