"""`python -m reports`, as a user and as CI call it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reports.cli import main
from tests.reports import example, load_example


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a good result, one that lost a message, and a load test."""
    monkeypatch.chdir(tmp_path)
    good = example.incident()
    good["expectations"] = []
    bad = copy.deepcopy(good)
    bad["runs"][1]["ledger"][3].update({"fate": "lost", "answered_at_ms": None})
    bad["runs"][1]["lost"], bad["runs"][1]["causes"] = ["m4"], {"m4": "dropped"}
    results: dict[str, Any] = {"good": good, "bad": bad, "load": load_example.empty()}
    for name, result in results.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
    return tmp_path


def test_a_page_is_built_beside_the_result_whatever_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, words in (("good", "incident.jsonl"), ("load", "steady")):
        assert main(["build", f"{name}.json"]) == 0
        assert capsys.readouterr().out == f"{name}.html\n"
        assert words in (folder / f"{name}.html").read_text(encoding="utf-8")
    assert main(["build", "good.json", "-o", "deep/page.html", "--lang", "ar"]) == 0
    assert 'lang="ar" dir="rtl"' in (folder / "deep" / "page.html").read_text(encoding="utf-8")


def test_a_baseline_is_accepted_and_compared_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "update", "good.json", "-o", "baseline.json"]) == 0
    assert main(["compare", "baseline.json", "good.json", "-o", "same.html"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "No difference."
    arguments = [
        "--junit",
        "j.xml",
        "--summary",
        "s.md",
        "--json",
        "c.json",
        "--history",
        "h.jsonl",
        "--commit",
        "abc",
    ]
    assert main(["compare", "baseline.json", "bad.json", "-o", "worse.html", *arguments]) == 1
    assert "Worse: queue lost 1\u00a0message" in capsys.readouterr().out
    assert "dropped" in (folder / "worse.html").read_text(encoding="utf-8")
    assert (folder / "s.md").read_text(encoding="utf-8").startswith("## ❌ Worse: queue lost 1")
    assert "<failure" in (folder / "j.xml").read_text(encoding="utf-8")
    assert json.loads((folder / "c.json").read_text(encoding="utf-8"))["changes"][0]["after"] == "lost"
    entry = json.loads((folder / "h.jsonl").read_text(encoding="utf-8"))
    assert (entry["commit"], entry["ok"], entry["figures"]["queue"]["lost"]) == ("abc", False, 1)


@pytest.mark.parametrize(
    ("fail_on", "after", "code"),
    [
        ("worse", "good", 0),
        ("worse", "bad", 1),
        ("different", "good", 0),
        ("different", "bad", 1),
        ("never", "bad", 0),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_fails_is_for_the_caller_to_say(fail_on: str, after: str, code: int) -> None:
    assert main(["compare", "good.json", f"{after}.json", "--fail-on", fail_on]) == code


@pytest.mark.usefixtures("folder")
def test_an_improvement_is_a_difference_and_no_regression() -> None:
    assert main(["compare", "bad.json", "good.json"]) == 0
    assert main(["compare", "bad.json", "good.json", "--fail-on", "different"]) == 1


def test_the_history_shows_a_trend(folder: Path) -> None:
    for result in ("good", "good", "bad"):
        main(
            [
                "compare",
                "good.json",
                f"{result}.json",
                "-o",
                "page.html",
                "--history",
                "h.jsonl",
                "--commit",
                result,
            ]
        )
    html = (folder / "page.html").read_text(encoding="utf-8")
    assert "Steps: run 3 (bad): 0 → 1." in html


@pytest.mark.usefixtures("folder")
def test_texts_go_to_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good.json", "bad.json", "--summary", "-"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("## ❌")
    assert "Worse" in captured.err
    assert main(["compare", "good.json", "bad.json", "--json", "-"]) == 1
    assert json.loads(capsys.readouterr().out)["kind"] == "replay"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build", "missing.json"], "missing.json: there is no such file"),
        (["build", "good.json", "-o", "good.json"], "would replace the result"),
        (["build", "half.json"], "ends in the middle"),
        (["compare", "good.json", "load.json"], "cannot be compared with one of kind replay"),
        (["compare", "good.json", "half.json"], "ends in the middle"),
        (["compare", "good.json", "good.json", "-o", "good.json/page.html"], "good.json"),
        (["baseline", "update", "half.json"], "ends in the middle"),
    ],
)
def test_bad_input_is_told_and_exits_with_2(
    arguments: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (folder / "good.json").read_bytes()
    (folder / "half.json").write_bytes(whole[: len(whole) // 2])
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("reports: ")
    assert words in captured.err
    assert (folder / "good.json").read_bytes() == whole


def test_a_baseline_has_no_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "update", "good.json", "-o", "baseline.json"]) == 0
    assert main(["build", "baseline.json"]) == 2
    assert "compare a result with it" in capsys.readouterr().err
    assert not (folder / "baseline.html").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["build"], ["compare", "a.json"], ["baseline"], ["compare", "a", "b", "--fail-on", "x"]]
)
def test_wrong_options_exit_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_it_runs_as_a_module_and_names_the_commit_of_ci(folder: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "reports", "compare", "good.json", "bad.json", "--history", "h.jsonl"],
        env={**os.environ, "PYTHONPATH": str(root), "GITHUB_SHA": "0123456789abcdef"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads((folder / "h.jsonl").read_text(encoding="utf-8"))["commit"] == "0123456789ab"
