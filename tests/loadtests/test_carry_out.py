"""A run on the real stack, with a program instead of Locust: faults, facts about the stack, exit codes."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from loadtests.account.stack_facts import read_faults, read_stack_facts, read_usage
from loadtests.run import LoadRun, carry_out
from sim.faults import parse_faults
from tests.loadtests.real_stack import ENVIRON, SETTINGS, family

GENERATOR = """
import json, pathlib, shutil, sys, time
options = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
if options["exit"] == "2":
    sys.exit(2)
out, stack_facts = pathlib.Path(options["out"]), pathlib.Path(options["stack-facts"])
(stack_facts / "starting").write_text(str(time.time()))
(stack_facts / "starting").rename(stack_facts / "started")
faults = stack_facts / "faults.json"
deadline = time.monotonic() + 40

def over():
    return sum(fault["end_s"] is not None for fault in json.loads(faults.read_text()))

while over() < int(options["faults"]) or time.monotonic() < deadline - 40 + float(options["seconds"]):
    assert time.monotonic() < deadline, "the faults do not come"
    time.sleep(0.05)
shutil.copytree(stack_facts, out / "copy")
sys.exit(int(options["exit"]))
"""
"""Program instead of Locust: it starts a load, waits until all faults have ended and some seconds passed, and exits."""


def load_run(out: Path, plan: str, *options: str) -> LoadRun:
    return LoadRun(
        stack=SETTINGS,
        plan=parse_faults([plan], "load") if plan else (),
        out=out,
        locust=(sys.executable, "-c", GENERATOR),
        locust_options=options,
        command="python -m loadtests run",
        settings={"workers": 1},
    )


def earlier_run(out: Path) -> dict[str, str]:
    """Write files of an earlier run, and return their contents by their names."""
    out.joinpath("logs").mkdir()
    for name in ("result.json", "report.html", "samples.jsonl", "logs/web.log"):
        out.joinpath(name).write_text(f"an earlier {name}")
    return files(out)


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_run_carries_out_the_plan_and_writes_the_facts_about_the_stack(tmp_path: Path) -> None:
    earlier = earlier_run(tmp_path)
    recording = tmp_path / "logs" / "incident.jsonl"
    recording.write_text("not of a load test, as with --out .")
    plan = "worker-dies@200ms,redis-hangs@300ms:300ms,ai-fails@0s:200ms"
    before = family(os.getpid())
    code = carry_out(load_run(tmp_path, plan, "--faults=3", "--seconds=3", "--exit=0"), ENVIRON)
    assert code == 0
    faults = {fault["code"]: fault for fault in read_faults(tmp_path / "copy", until_s=99)}
    assert faults.keys() == {"worker-dies", "redis-hangs", "ai-fails"}
    assert 0.3 <= faults["redis-hangs"]["start_s"] < 2
    assert all(fault["start_s"] < fault["end_s"] < 40 for fault in faults.values())
    written = read_stack_facts(tmp_path / "copy")
    assert (written.command, written.settings) == ("python -m loadtests run", {"workers": 1})
    assert written.system["redis"]
    assert {"web", "sink", "redis", "locust"} <= read_usage(tmp_path / "copy")[-1].cpu.keys()
    names = {"redis.log", "sink.log", "web.log", "worker-1.log"}
    assert files(tmp_path / "logs").keys() == {*names, recording.name}
    assert earlier["logs/web.log"] not in files(tmp_path / "logs").values()
    assert family(os.getpid()) == before


def test_options_that_locust_refuses_change_no_file_of_the_earlier_run(tmp_path: Path) -> None:
    earlier = earlier_run(tmp_path)
    assert carry_out(load_run(tmp_path, "", "--exit=2"), ENVIRON) == 2
    assert files(tmp_path) == earlier


def test_a_run_ends_with_the_code_of_locust_unless_a_fault_did_not_happen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert carry_out(load_run(tmp_path / "a", "", "--faults=0", "--seconds=0", "--exit=1"), ENVIRON) == 1
    late = load_run(tmp_path / "b", "worker-dies@1h", "--faults=0", "--seconds=0", "--exit=0")
    assert carry_out(late, ENVIRON) == 3
    assert "did not happen, since the load ended before its time: worker-dies@1h" in capsys.readouterr().err


def test_a_load_that_never_began_is_not_taken_for_a_missed_threshold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = dataclasses.replace(load_run(tmp_path, ""), locust=(sys.executable, "-c", "raise SystemExit(1)"))
    assert carry_out(run, ENVIRON) == 3
    assert "loadtests: Locust ended with code 1 before the load began" in capsys.readouterr().err
