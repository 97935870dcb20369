"""A series of trials: progress, result, files and exit code, with made-up live runs; and one with a real stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import loadtests.validation.series
from loadtests.commands import main
from reports.results.files import read_result
from reports.results.validation import TrialRun
from reports.words.language import speaking
from reports.words.load import setting_name
from tests.reports.validation_example import run

REPOSITORY = Path(__file__).parents[3]


def _live(later_ms: float, **facts: Any) -> Callable[..., TrialRun]:
    """Return a stand-in for `measure`, with each reply later than in the simulator."""
    return lambda *_: run(later_ms, **facts)


@pytest.fixture
def validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[..., TrialRun], str], int]:
    """Return a function that validates two trials with made-up live runs, and returns the exit code."""

    def run_command(measured: Callable[..., TrialRun], json_file: str = "") -> int:
        monkeypatch.setattr(loadtests.validation.series, "measure", measured)
        monkeypatch.setattr(loadtests.validation.series, "simulate", lambda *_: run(0))
        options = ["--only", "legacy,steady", "--out", str(tmp_path), "--duration", "5s", "--rate", "600"]
        return main(["validate", *options, "--lang", "ar", *(["--json", json_file] if json_file else [])])

    return run_command


@pytest.mark.parametrize(
    ("later_ms", "facts", "code"),
    [(40, {}, 0), (200, {}, 1), (40, {"lost": 50}, 1), (40, {"problems": ["generator_late"]}, 3)],
)
def test_the_exit_code_says_whether_the_simulator_agrees(
    validate: Callable[..., int], later_ms: float, facts: dict[str, Any], code: int, tmp_path: Path
) -> None:
    """The live runs are equal, so a reply in a hundred may be apart: 50 ms, since a reply comes every 12.5 ms."""
    assert validate(_live(later_ms, **facts)) == code
    result = read_result(tmp_path / "result.json")
    assert result["kind"] == "validation"
    assert [trial["name"] for trial in result["trials"]] == ["steady", "legacy"]
    assert result["ok"] is (code == 0)
    assert 'dir="rtl"' in (tmp_path / "report.html").read_text("utf-8")


def test_every_setting_of_the_page_has_a_name_in_arabic(
    validate: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables of the environment keep their names, and misspelt ones are left out."""
    monkeypatch.setenv("QUEUE_WINDOW_MS", "400")
    monkeypatch.setenv("QUEUE_WINDOW", "5")
    assert validate(_live(40)) == 0
    result = read_result(tmp_path / "result.json")
    assert result["kind"] == "validation"
    with speaking("ar"):
        names = [setting_name(code) for code in result["settings"]]
    assert [name for name in names if name.isascii()] == ["QUEUE_WINDOW_MS"]


def test_progress_and_table_leave_standard_output_to_the_result(
    validate: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(_live(40), "-") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["kind"] == "validation"
    lines = shown.err.splitlines()
    assert lines[0].startswith("trials: 2, each simulated once; live runs: 4, about ")
    assert [line.split("(")[0].strip() for line in lines[1:5]] == [
        "1 of 4  steady     live 1  replies: 400, lost: 0",
        "2 of 4  steady     live 2  replies: 400, lost: 0",
        "3 of 4  legacy     live 1  replies: 400, lost: 0",
        "4 of 4  legacy     live 2  replies: 400, lost: 0",
    ]
    assert "The simulator agrees with the deployment in all 2 trials." in shown.err


@pytest.mark.soak
def test_a_real_stack_and_the_simulator_answer_the_same_turns(tmp_path: Path) -> None:
    """The AI takes long, so that a busy machine does not part the curves: only the counts are compared."""
    command = [sys.executable, "-m", "loadtests", "validate", "--only", "steady,redis-away", "--rate", "300"]
    done = subprocess.run(
        [*command, "--duration", "6s", "--ai", "lognormal:1s:2s", "--out", str(tmp_path), "--json", "-"],
        cwd=REPOSITORY,
        env={**os.environ, "QUEUE_WINDOW_MS": "400"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stderr
    trials = json.loads(done.stdout)["trials"]
    assert [trial["name"] for trial in trials] == ["steady", "redis-away"]
    for trial in trials:
        for each in (*trial["live"], trial["simulated"]):
            assert each["sent"] == each["answered"] == trial["messages"] > 20
            assert (each["lost"], each["dead"]) == (0, 0)
        assert [len(live["reply_ms"]) for live in trial["live"]] == [len(trial["simulated"]["reply_ms"])] * 2
    assert trials[1]["live"][0]["faults"][0]["code"] == "redis-away"
    assert (tmp_path / "redis-away" / "live-2" / "report.html").exists()
