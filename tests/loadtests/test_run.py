"""A whole load test, as `make load` runs it, only short: the real stack, Locust, the ledger, the report."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
QUICK = {"QUEUE_WINDOW_MS": "400"}
PATIENT = ("--max-ack-p99", "60000", "--max-lag-p99", "60000", "--max-generator-lag-p99", "60000")
"""Limits on times that a busy machine meets too."""


def run(folder: Path, *options: str, locust: tuple[str, ...] = ()) -> tuple[int, dict[str, Any], str]:
    """Run a load test, and return its exit code, result and output."""
    command = [sys.executable, "-m", "loadtests", "run", "--out", str(folder), "--ai", "constant:50ms"]
    command += [*options, *(["--", *locust] if locust else [])]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **QUICK},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    path = folder / "result.json"
    return done.returncode, json.loads(path.read_text("utf-8")) if path.exists() else {}, done.stdout


def test_a_load_that_meets_all_thresholds_ends_with_0_and_has_a_report(tmp_path: Path) -> None:
    """Two processes send, and every message is sent once."""
    code, result, output = run(
        tmp_path,
        *("--scenario", "steady", "--rate", "1200", "--duration", "4s", *PATIENT),
        locust=("--processes", "2"),
    )
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


def test_a_worker_that_is_killed_while_it_sends_is_the_reason_for_what_was_sent_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About twenty sends are under way at any moment, since each takes a second."""
    monkeypatch.setenv("QUEUE_LOCK_TTL_MS", "6000")
    monkeypatch.setenv("QUEUE_LOCK_RENEW_MS", "500")
    code, result, output = run(
        tmp_path,
        *("--scenario", "steady", "--rate", "1200", "--duration", "6s", "--send", "constant:1s"),
        *("--faults", "worker-dies@3s", *PATIENT),
    )
    assert code == 0, output
    ledger = result["ledger"]
    assert (ledger["lost"], ledger["duplicates"]) == (0, 0)
    assert ledger["worker_died"] > 0
    assert "Because a worker died while sending, " in output
    assert re.search(r"^faults: worker killed from \d+\.\d+ s to \d", output, re.MULTILINE), output
    assert {double["worker_died"] for double in result["doubles"]} == {True}
    # A worker may also die after the answer to its send, before it notes the send: not every caller was gone.
    assert any(double["sends"][0]["is_caller_gone"] for double in result["doubles"])
    for double in result["doubles"]:
        first, *later = double["sends"]
        assert first["caller"] == "worker-1.1"
        assert {send["caller"] for send in later} == {"worker-1.2"}
        assert first["died_s"] is not None
        assert first["answered_s"] - first["at_s"] > 0.99  # a second; times are rounded to ms
    assert result["settings"]["send"] == "constant:1s"
    assert "a worker died while sending" in (tmp_path / "report.html").read_text()


@pytest.mark.soak
def test_a_generator_that_falls_behind_makes_the_run_invalid(tmp_path: Path) -> None:
    code, result, output = run(
        tmp_path, "--scenario", "storm", "--max-generator-lag-p99", "0", locust=("--storm-users", "20")
    )
    assert (code, result["valid"]) == (3, False), output
    assert "Invalid: the generator was" in output
    assert result["generator_lag"]["code"] == "generator_lag_max"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--recording", "nowhere.jsonl"), "loadtests: nowhere.jsonl: does not exist"),
        ((), "add --recording FILE.jsonl"),
    ],
)
def test_a_scenario_that_cannot_be_drawn_ends_the_run(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    code, _, output = run(tmp_path, "--scenario", "recorded", *options)
    assert code == 2, output
    assert words in output
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("processes", [(), pytest.param(("--processes", "2"), marks=pytest.mark.soak)])
def test_a_run_that_locust_ends_early_has_a_result_for_what_was_sent(
    tmp_path: Path, processes: tuple[str, ...]
) -> None:
    """Redis takes more memory than its limit of 0 MB: a missed threshold is an exit code here too."""
    code, result, output = run(
        tmp_path,
        *("--scenario", "steady", "--rate", "1200", "--duration", "60s", "--max-redis-mb", "0", *PATIENT),
        locust=("--run-time", "12s", *processes),
    )
    assert code == 1, output
    assert (result["ok"], result["valid"]) == (False, True)
    assert [missed["code"] for missed in result["thresholds"] if not missed["ok"]] == ["redis_memory"]
    assert result["ledger"]["sent"] == result["ledger"]["answered"] > 0
    assert result["unsent"] > 0
    assert result["duration_s"] < 60
    assert f"The load was ended early: {result['unsent']:,} messages of the schedule were not sent." in output
    assert (tmp_path / "report.html").exists()


@pytest.mark.soak
def test_a_run_that_ends_before_its_load_has_no_result_and_says_so(tmp_path: Path) -> None:
    code, result, output = run(tmp_path, "--duration", "20s", locust=("--run-time", "1s"))
    assert code == 3, output
    assert result.get("ledger", {}).get("sent", 0) == 0
    assert "ended before the load began: there is no result" in output or "nothing was sent" in output
