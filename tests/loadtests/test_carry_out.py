"""A run on the real stack, with a program in Locust's place: faults, surroundings, exit codes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from loadtests.account.surroundings import read_faults, read_surroundings, read_usage
from loadtests.run import LoadRun, carry_out
from loadtests.stack.chaos import parse_plan
from tests.loadtests.real_stack import ENVIRON, SETTINGS, family

GENERATOR = """
import json, pathlib, sys, time
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
out = pathlib.Path(options["--out"])
(out / "started").write_text(str(time.time()))
faults = out / "faults.json"
deadline = time.monotonic() + 40

def over():
    return sum(fault["end_s"] is not None for fault in json.loads(faults.read_text()))

while over() < int(options["--faults"]) or time.monotonic() < deadline - 37:
    assert time.monotonic() < deadline, "the faults do not come"
    time.sleep(0.05)
(out / "addresses.json").write_text(json.dumps(options))
sys.exit(int(options["--exit"]))
"""
"""Plays Locust: starts a load, waits for the faults and 3 s, and leaves no result."""


def load_run(out: Path, plan: str, *options: str) -> LoadRun:
    return LoadRun(
        stack=SETTINGS,
        plan=parse_plan(plan) if plan else (),
        out=out,
        locust=(sys.executable, "-c", GENERATOR),
        locust_options=options,
        command="python -m loadtests run",
        settings={"workers": 1},
    )


def test_a_run_carries_out_the_plan_and_notes_the_surroundings(tmp_path: Path) -> None:
    tmp_path.joinpath("started").write_text("1")  # of an earlier run, as are these:
    tmp_path.joinpath("result.json").write_text("{}")
    tmp_path.joinpath("logs").mkdir()
    tmp_path.joinpath("logs", "web.log").write_text("from before")
    plan = "kill-worker@200ms,pause-redis@300ms:300ms,ai-errors@0s:200ms"
    before = family(os.getpid())
    code = carry_out(load_run(tmp_path, plan, "--faults", "3", "--exit", "0"), ENVIRON)
    assert code == 0
    faults = {fault["code"]: fault for fault in read_faults(tmp_path, until_s=99)}
    assert faults.keys() == {"kill-worker", "pause-redis", "ai-errors"}
    assert 0.3 <= faults["pause-redis"]["start_s"] < 2
    assert all(fault["start_s"] < fault["end_s"] < 40 for fault in faults.values())
    around = read_surroundings(tmp_path)
    assert (around.command, around.settings) == ("python -m loadtests run", {"workers": 1})
    assert around.system["redis"]
    assert {"web", "sink", "redis", "locust"} <= list(read_usage(tmp_path).values())[-1].cpu.keys()
    options = json.loads((tmp_path / "addresses.json").read_text())
    assert options["--surroundings"] == options["--out"] == str(tmp_path)
    assert "from before" not in (tmp_path / "logs" / "web.log").read_text()
    assert family(os.getpid()) == before


def test_a_run_ends_with_the_generators_code_unless_a_fault_did_not_take_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert carry_out(load_run(tmp_path / "a", "", "--faults", "0", "--exit", "1"), ENVIRON) == 1
    assert "no report" in capsys.readouterr().err
    late = load_run(tmp_path / "b", "kill-worker@1h", "--faults", "0", "--exit", "0")
    assert carry_out(late, ENVIRON) == 3
    assert "never took place, the load was over before: kill-worker@3600s" in capsys.readouterr().err
