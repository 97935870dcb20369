"""`python -m reports`, as a user and as CI call it."""

from __future__ import annotations

import copy
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reports.cli import main
from tests.reports import example, load_example


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with a good result, one that lost a message, and a load test."""
    monkeypatch.chdir(tmp_path)
    good = example.incident()
    good["expectations"] = []
    bad = copy.deepcopy(good)
    bad["runs"][1]["ledger"][3].update({"fate": "lost", "answered_at_ms": None})
    bad["runs"][1].update({"answered": 4, "lost": ["m4"], "causes": {"m4": {"code": "ai_failed"}}})
    results: dict[str, Any] = {"good": good, "bad": bad, "load": load_example.empty()}
    for name, result in results.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
    return tmp_path


def test_a_page_is_built_beside_the_result_of_any_kind(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, words in (("good", "incident.jsonl"), ("load", "steady")):
        assert main(["build", f"{name}.json"]) == 0
        assert capsys.readouterr().out == f"{name}.html\n"
        assert main(["build", f"{name}.json"]) == 0
        assert capsys.readouterr().out == f"{name}.html (replaced)\n"
        assert words in (folder / f"{name}.html").read_text(encoding="utf-8")
    assert main(["build", "good.json", "-o", "deep/page.html", "--lang", "ar"]) == 0
    assert 'lang="ar" dir="rtl"' in (folder / "deep" / "page.html").read_text(encoding="utf-8")


def test_tables_are_written_with_all_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    messages = [example.message(user, user * 1000, "a", phone=f"9665{user:08}") for user in range(600)]
    recorded = example.recording("day.jsonl", messages)
    lost = [(message["phone"], message["id"]) for message in messages]
    result = example.result([recorded], [example.run(recorded, "old", lost=lost)])
    (folder / "lossy.json").write_text(json.dumps(result), encoding="utf-8")
    assert main(["build", "lossy.json", "--csv-dir", "tables"]) == 0
    tables = ["lost.csv", "runs.csv", "systems.csv"]
    assert sorted(file.name for file in Path("tables").iterdir()) == tables
    assert sorted(capsys.readouterr().out.split()) == ["lossy.html", *(f"tables/{name}" for name in tables)]
    assert len(Path("tables/lost.csv").read_text(encoding="utf-8-sig").splitlines()) == 601
    assert main(["build", "load.json", "--csv-dir", "tables"]) == 0
    assert main(["compare", "good.json", "bad.json", "--csv-dir", "tables", "-o", "c.html"]) == 1
    for name in ("seconds.csv", "latencies.csv", "differences.csv"):
        assert (folder / "tables" / name).read_text(encoding="utf-8-sig")


def test_another_conversation_can_be_drawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "big day.json").write_text(json.dumps(example.big_day()), encoding="utf-8")
    assert main(["build", "big day.json", "--draw", "298"]) == 0
    html = (folder / "big day.html").read_text(encoding="utf-8")
    assert "Conversation 298:" in html
    assert "run python -m reports build &#39;big day.json&#39; --draw NUMBER." in html
    assert main(["build", "load.json", "--draw", "1"]) == 2
    capsys.readouterr()
    for number in ("0", "9999"):
        assert main(["build", "big day.json", "--draw", number]) == 2
        words = f"--draw {number}: no recording of this result has a conversation with that number; the largest is "
        assert words in capsys.readouterr().err


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
    assert "Worse: queue lost 1 message" in capsys.readouterr().out
    assert "The AI failed on message 4" in (folder / "worse.html").read_text(encoding="utf-8")
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
def test_the_caller_says_what_fails(fail_on: str, after: str, code: int) -> None:
    assert main(["compare", "good.json", f"{after}.json", "--fail-on", fail_on]) == code


@pytest.mark.usefixtures("folder")
def test_an_improvement_is_a_difference_and_not_a_regression() -> None:
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
    assert json.loads(capsys.readouterr().out)["kind"] == "comparison"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build", "."], ".: is a folder"),
        (["build", "missing.json"], "missing.json: there is no such file"),
        (["build", "good.json", "-o", "good.json"], "-o would replace an input"),
        (["build", "half.json"], "ends in the middle"),
        (["compare", "good.json", "load.json"], "the first file is a replay and the second a load test"),
        (["compare", "good.json", "half.json"], "ends in the middle"),
        (["compare", "good.json", "good.json", "-o", "good.json/page.html"], "good.json"),
        (["baseline", "update", "half.json"], "ends in the middle"),
    ],
)
def test_bad_input_exits_with_2_and_says_why(
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
    "arguments",
    [
        [],
        ["build"],
        ["compare", "a.json"],
        ["baseline"],
        ["compare", "a", "b", "--fail-on", "x"],
        ["compare", "a", "b", "--js", "x"],
        ["hammer"],
    ],
)
def test_wrong_options_exit_with_2_and_a_hint_what_to_type(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("reports: ")
    assert line.endswith(" --help`")
    assert "'" not in line


def test_the_module_runs_and_names_the_commit_of_ci(folder: Path) -> None:
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


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "good.json", "-o", "soft.html"],
        ["build", "good.json", "-o", "hard.html"],
        ["compare", "good.json", "bad.json", "-o", "bad.json"],
        ["compare", "good.json", "bad.json", "--junit", "good.json"],
        ["compare", "good.json", "bad.json", "--summary", "hard.html"],
        ["compare", "good.json", "bad.json", "--json", "./good.json"],
        ["compare", "good.json", "bad.json", "--history", "bad.json"],
        ["baseline", "update", "good.json", "-o", "good.json"],
    ],
)
def test_inputs_are_never_written_over(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "soft.html").symlink_to("good.json")
    (folder / "hard.html").hardlink_to(folder / "good.json")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert main(arguments) == 2
    option = arguments[-2]
    assert f"{Path(arguments[-1])}: {option} would replace an input" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "x", "--junit", "x"], "x: is given for -o and for --junit; name two files"),
        (["-o", "x", "--json", "y", "--history", "./y"], "y: is given for --json and for --history"),
        (["--summary", "-", "--json", "-"], "-: is given for --summary and for --json"),
        (["-o", "-", "--junit", "-"], "-: is given for -o and for --junit"),
        (["-o", "page.html", "--history", "-"], "--history -: a history is a file"),
        (["-o", "page.html", "--junit", "folder"], "folder: is a folder; name a file in it with --junit"),
        (["-o", "page.html", "--json", "loop"], "loop: Too many levels of symbolic links"),
    ],
)
def test_outputs_are_checked_before_anything_is_written(
    options: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    before = set(folder.iterdir())
    assert main(["compare", "good.json", "bad.json", *options]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""
    assert set(folder.iterdir()) == before


@pytest.mark.usefixtures("folder")
def test_several_outputs_may_be_dev_null() -> None:
    nowhere = ["-o", os.devnull, "--junit", os.devnull, "--history", os.devnull]
    assert main(["compare", "good.json", "good.json", *nowhere]) == 0


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        (["build", "good.json", "-o", "-"], "<!DOCTYPE html>"),
        (["compare", "good.json", "bad.json", "-o", "-"], "<!DOCTYPE html>"),
        (["compare", "good.json", "bad.json", "-o", "page.html", "--junit", "-"], "<?xml"),
        (["baseline", "update", "good.json", "-o", "-"], "{"),
    ],
)
def test_any_output_can_be_the_only_text_on_standard_output(
    arguments: list[str], begins: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) in (0, 1)
    out = capfd.readouterr().out
    assert out.startswith(begins)
    assert out.rstrip().endswith(("</html>", "</testsuites>", "}"))
    assert not (folder / "-").exists()


def test_a_history_that_is_another_file_is_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = folder / "recording.jsonl"
    other.write_text('{"event":"message","at":0}\n{"event":"message","at":1}\n')
    assert main(["compare", "good.json", "good.json", "-o", "p.html", "--history", "recording.jsonl"]) == 2
    assert "recording.jsonl: is not a history, and is left as it is" in capsys.readouterr().err
    assert other.read_text().count("\n") == 2


def test_a_run_whose_page_could_not_be_written_is_not_in_the_history(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("reports.cli.write_whole", full)
    assert main(["compare", "good.json", "good.json", "-o", "page.html", "--history", "h.jsonl"]) == 2
    assert "page.html: cannot be written: No space left on device" in capsys.readouterr().err
    assert not (folder / "h.jsonl").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "good.json", "-o", "/dev/full"],
        ["compare", "good.json", "good.json", "-o", "p.html", "--summary", "/dev/full"],
        ["compare", "good.json", "good.json", "-o", "p.html", "--history", "/dev/full"],
        ["baseline", "update", "good.json", "-o", "/dev/full"],
    ],
)
@pytest.mark.usefixtures("folder")
def test_the_error_for_a_full_disk_names_the_file(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "/dev/full: cannot be " in capsys.readouterr().err


def test_an_invalid_baseline_is_not_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = json.loads((folder / "good.json").read_text(encoding="utf-8"))
    for message in late["recordings"][0]["messages"]:
        message["at_ms"] += 10**9
    (folder / "late.json").write_text(json.dumps(late))
    assert main(["baseline", "update", "late.json", "-o", "baseline.json"]) == 2
    assert "late.json: its baseline would be invalid: a number is less than 0" in capsys.readouterr().err
    assert not (folder / "baseline.json").exists()


def test_a_name_in_a_result_cannot_begin_a_line_that_ci_servers_obey(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = json.loads(
        (folder / "bad.json").read_text(encoding="utf-8").replace('"queue"', '"a\\n::error::b"')
    )
    before = json.loads(
        (folder / "good.json").read_text(encoding="utf-8").replace('"queue"', '"a\\n::error::b"')
    )
    (folder / "evil.json").write_text(json.dumps(evil))
    (folder / "before.json").write_text(json.dumps(before))
    assert main(["compare", "before.json", "evil.json", "-o", "p.html", "--summary", "-"]) == 1
    captured = capsys.readouterr()
    assert "::error::b" in captured.out
    assert not re.search("(?m)^::", captured.out + captured.err)
    assert main(["compare", "before.json", "evil.json", "-o", "p.html"]) == 1
    captured = capsys.readouterr()
    assert "::error::b" in captured.out
    assert not re.search("(?m)^::", captured.out + captured.err)
    assert main(["build", "a\n::error::b.json"]) == 2
    assert capsys.readouterr().err == "reports: a ::error::b.json: there is no such file\n"


@pytest.mark.parametrize("output", ["page.html", "-"])
def test_a_terminal_of_another_encoding_is_not_an_error(output: str, folder: Path) -> None:
    name = os.fsdecode(b"n\xff\xd9\x86.json")
    (folder / name).write_bytes((folder / "good.json").read_bytes())
    arguments = ["compare", name, name, "-o", f"{name}.html", "--summary", output]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "reports", *arguments],
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert ("✅".encode() in done.stdout) is (output == "-")
    assert (folder / f"{name}.html").exists()
