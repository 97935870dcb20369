"""A whole load test, as `make load` runs it, only short: the real stack, Locust, the ledger, the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
QUICK = {"QUEUE_WINDOW_MS": "400"}


def run(folder: Path, *arguments: str, locust: tuple[str, ...] = ()) -> tuple[int, dict[str, Any], str]:
    """Exit code, result and output."""
    command = [
        sys.executable,
        "-m",
        "loadtests",
        "run",
        "--out",
        str(folder),
        "--ai",
        "constant:50ms",
        *arguments,
    ]
    command += ["--", "--only-summary", *locust]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **QUICK},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=100,
    )
    path = folder / "result.json"
    return done.returncode, json.loads(path.read_text("utf-8")) if path.exists() else {}, done.stdout


def test_a_load_that_meets_everything(tmp_path: Path) -> None:
    code, result, output = run(tmp_path, "--scenario", "steady", "--rate", "1200", "--duration", "4s")
    assert code == 0, output
    ledger = result["ledger"]
    assert ledger["sent"] == ledger["answered"] > 40
    assert (ledger["lost"], ledger["duplicates"], ledger["failed_requests"]) == (0, 0, 0)
    assert (result["ok"], result["valid"], result["kind"]) == (True, True, "load")
    assert sum(second["acknowledged"] for second in result["timeline"]) == ledger["sent"]
    assert result["batches"]["by_trigger"].keys() <= {"window", "size"}
    samples = (tmp_path / "samples.jsonl").read_text().splitlines()
    assert len(samples) == ledger["sent"]
    assert "Every threshold is met" in output
    assert any(second["cpu"] for second in result["timeline"])
    assert result["system"]["redis"]
    assert (result["settings"]["ai"], result["settings"]["duration_s"]) == ("constant:50ms", 4.0)
    assert result["command"].startswith("python -m loadtests run --out")
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_several_processes_add_up_and_a_missed_threshold_is_an_exit_code(tmp_path: Path) -> None:
    """Each sends its part, every message once; no acknowledgement takes less than nothing."""
    code, result, output = run(
        tmp_path,
        *("--scenario", "steady", "--rate", "1200", "--duration", "4s"),
        locust=("--processes", "2", "--max-ack-p99", "0"),
    )
    assert code == 1, output
    ledger = result["ledger"]
    assert ledger["sent"] == ledger["answered"] > 40
    assert (result["ok"], result["valid"]) == (False, True)
    assert [one["code"][:15] for one in result["thresholds"] if not one["ok"]] == ["acknowledgement"]


def test_a_generator_that_falls_behind_makes_the_run_invalid(tmp_path: Path) -> None:
    code, result, output = run(
        tmp_path, "--scenario", "storm", locust=("--max-generator-lag-p99", "0", "--storm-users", "20")
    )
    assert (code, result["valid"]) == (3, False), output
    assert "Invalid: the generator was" in output
    assert result["generator_lag"]["code"] == "generator_lag_max"


@pytest.mark.parametrize(
    ("locust", "told"),
    [
        (("--recording", "nowhere.jsonl"), "nowhere.jsonl"),
        (("--speed", "0", "--recording", "x"), "speed"),
    ],
)
def test_a_scenario_that_cannot_be_drawn_ends_it(tmp_path: Path, locust: tuple[str, ...], told: str) -> None:
    code, _, output = run(tmp_path, "--scenario", "recorded", locust=locust)
    assert code == 2, output
    assert told in output
    assert "Traceback" not in output


def test_a_run_that_is_ended_before_everything_is_answered_is_invalid_and_says_why(tmp_path: Path) -> None:
    code, result, output = run(
        tmp_path, "--scenario", "steady", "--duration", "20s", locust=("--run-time", "3s")
    )
    assert (code, result) == (3, {}), output
    assert "there is no result: --run-time is too short" in output
