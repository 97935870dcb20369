"""Determinism: equal recordings, systems, settings and seeds give equal bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from .command_line import REPOSITORY, record_processes, sim

NAMES = ("incident", "hostile-names", "delivered-twice-at-once")


def result(tmp_path: Path, *options: str, names: Sequence[str] = NAMES, **environment: str) -> bytes:
    paths = [REPOSITORY / "logs" / f"{name}.jsonl" for name in names]
    faults = ("--fault", "timer-dies=0.1", "--fault", "http-fails=0.1", "--fault", "ai-fails=0.1")
    others = ("--fault", "redis-away@3s:20s", "--fault", "process-restarts@25s,answers-lost=0.02")
    profiles = ("--profile", "plan", "--profile", "quick")
    arguments = (
        "--no-report",
        "--quiet",
        "--json",
        "result.json",
        "--runs",
        "2",
        *faults,
        *others,
        *profiles,
    )
    done = sim("replay", *paths, *arguments, *options, cwd=tmp_path, **environment)
    assert done.returncode in (0, 1), done.stderr
    return (tmp_path / "result.json").read_bytes()


def test_results_are_the_same_bytes_in_one_process_and_in_two_and_under_any_hash_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = result(tmp_path, "--jobs", "1")
    started = record_processes(monkeypatch)
    assert result(tmp_path, "--jobs", "2", PYTHONHASHSEED="12345") == first
    assert started == [2]
    assert sum(fault["struck"] for run in json.loads(first)["runs"] for fault in run["faults"]) > 20


def test_another_seed_gives_another_run(tmp_path: Path) -> None:
    first, second = (result(tmp_path, "--seed", seed, names=NAMES[:1]) for seed in ("1", "2"))
    assert json.loads(first)["runs"] != json.loads(second)["runs"]
