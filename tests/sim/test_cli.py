"""The command line, with good and bad input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sim.systems import all_systems
from tests.sim.command_line import INCIDENT, REPOSITORY, sim, sim_process

MESSAGE = '{"event":"message","at":0,"instance":"bot","phone":"1","id":"m1","text":"hello"}\n'


def test_the_report_says_how_to_draw_more_and_the_command_says_when_it_replaces_a_report(
    tmp_path: Path,
) -> None:
    lines = [MESSAGE.replace('"phone":"1"', f'"phone":"{number}"') for number in range(12)]
    (tmp_path / "many.jsonl").write_text("".join(lines))
    options = ("--system", "queue", "--json", "result.json")
    assert "Report: reports/out/replay.html\n" in sim("replay", "many.jsonl", *options, cwd=tmp_path).stdout
    page = (tmp_path / "reports" / "out" / "replay.html").read_text("utf-8")
    assert "run python -m reports build result.json --draw NUMBER." in page
    again = sim("replay", "many.jsonl", *options, cwd=tmp_path)
    assert "Report: reports/out/replay.html (replaced)\n" in again.stdout


def test_the_incident_loses_two_messages_on_the_old_systems_only(tmp_path: Path) -> None:
    done = sim_process("replay", INCIDENT, "--json", "result.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "buffer-v1: 2 lost (m4, m5): Messages 4 and 5 arrived while the AI was answering 1\u20133."
        in done.stdout
    )
    assert "The queue lost, duplicated and reordered none of 5 messages" in " ".join(done.stdout.split())
    result = json.loads((tmp_path / "result.json").read_text("utf-8"))
    assert (result["schema"], result["kind"]) == (3, "replay")
    runs = {run["system"]: run for run in result["runs"]}
    assert list(runs) == ["buffer-v1", "buffer-v2", "list-v1", "list-v2", "queue"]
    for name in ("buffer-v1", "buffer-v2"):
        assert runs[name]["lost"] == ["m4", "m5"]
        lines = [{key: line[key] for key in line if key != "at_ms"} for line in runs[name]["log"]]
        assert {"event": "buffer.appended", "totalMessages": 4, "timespan": 10976} in lines
        assert {"event": "buffer.read", "messageCount": 3, "timespan": 6649} in lines
    assert runs["queue"]["lost"] == []
    assert all(expectation["held"] for expectation in result["expectations"])
    page = (tmp_path / "reports" / "out" / "replay.html").read_text("utf-8")
    HTMLParser().feed(page)
    assert "وجبة واحدة" in page


def test_json_on_standard_output_is_nothing_but_json(tmp_path: Path) -> None:
    done = sim("replay", INCIDENT, "--json", "-", "--no-report", "--system", "queue", cwd=tmp_path)
    assert done.returncode == 0
    assert [run["system"] for run in json.loads(done.stdout)["runs"]] == ["queue"]
    assert "The queue lost" in done.stderr
    assert not (tmp_path / "reports").exists()


def test_quiet_prints_the_verdict_alone(tmp_path: Path) -> None:
    done = sim("replay", INCIDENT, "--quiet", "--no-report", cwd=tmp_path)
    assert done.stdout.startswith("The queue lost, duplicated and reordered none")
    assert "buffer-v1: 2 lost" not in done.stdout
    assert done.stderr == ""


def test_in_a_pipe_no_value_is_cut_and_no_line_wrapped(tmp_path: Path) -> None:
    name = "a-recording-whose-name-is-as-long-as-" + "names-can-be-" * 12
    for copy in (f"{name}1.jsonl", f"{name}2.jsonl"):
        (tmp_path / copy).write_bytes(INCIDENT.read_bytes())
    done = sim("replay", ".", "--no-report", "--runs", "3", cwd=tmp_path, COLUMNS="40")
    lines = done.stdout.splitlines()
    assert "…" not in done.stdout
    assert any(line.split()[:2] == [f"{name}1.jsonl", "15"] for line in lines)
    headers = re.compile(r"system +runs +probability of losing a message +95 % interval +runs with a loss")
    assert any(map(headers.fullmatch, lines))
    assert lines[-1].startswith("The queue lost")
    assert lines[-1].endswith("matched.")
    assert " 0 % " in done.stdout
    assert "0.00%" not in done.stdout, "shares are written as in the verdict"


def test_an_outcome_that_does_not_match_begins_the_last_line_and_makes_the_exit_code_1(
    tmp_path: Path,
) -> None:
    head = '{"event":"recording","version":1,"expect":{"buffer-v1":{"lost":["m1"]}}}\n'
    (tmp_path / "wrong.jsonl").write_text(head + MESSAGE)
    done = sim("replay", "wrong.jsonl", "--no-report", cwd=tmp_path)
    assert done.returncode == 1
    assert "NOT MATCHED" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 OF 1 EXPECTED OUTCOMES DID NOT MATCH; the queue lost,")


def test_an_expectation_is_not_checked_under_other_settings(tmp_path: Path) -> None:
    done = sim("replay", INCIDENT, "--no-report", "--ai", "constant:1s", cwd=tmp_path)
    assert done.returncode == 0
    assert "not checked" in done.stdout


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (MESSAGE + "{broken\n", "bad.jsonl:2"),
        (MESSAGE.replace('"bot"', '""'), "bad.jsonl:1"),
        ("", "bad.jsonl"),
        (MESSAGE + '{"event":"recording","version":1}\n', "bad.jsonl:2"),
    ],
)
def test_the_error_of_unreadable_input_names_file_line_and_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "bad.jsonl").write_text(text)
    done = sim("replay", "bad.jsonl", cwd=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_broken_lines_are_skipped_counted_and_the_first_ten_shown_on_request(tmp_path: Path) -> None:
    broken = [f'{{"event": "{"<b>" * 200}{number}"}}\n' for number in range(13)]
    (tmp_path / "bad.jsonl").write_text("".join([MESSAGE, *broken]))
    options = ("--skip-bad-lines", "--report", "r.html", "--json", "r.json")
    done = sim("replay", "bad.jsonl", *options, cwd=tmp_path)
    assert done.returncode == 0
    info = json.loads((tmp_path / "r.json").read_text())["recordings"][0]
    assert info["skipped_lines"] == 13
    assert [bad["line"] for bad in info["skipped"]] == list(range(2, 12))
    assert all(0 < len(bad["reason"]) <= 200 for bad in info["skipped"])
    page = (tmp_path / "r.html").read_text().replace("\u00a0", " ")
    assert page.count("<b>" * 3) == 0
    for words in ("13 broken lines", "line 2: ", "line 11: ", "and 3 more"):
        assert words in done.stdout
        assert words in page
    assert "line 12" not in done.stdout
    done = sim("replay", "bad.jsonl", "--skip-bad-lines", "--no-report", "--quiet", cwd=tmp_path)
    assert done.stderr == "sim: warning: bad.jsonl: 13 broken lines skipped\n"


def test_a_replay_of_a_sound_file_names_no_broken_line(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text(MESSAGE)
    done = sim("replay", "good.jsonl", "--no-report", "--json", "r.json", cwd=tmp_path)
    assert "skipped" not in json.loads((tmp_path / "r.json").read_text())["recordings"][0]
    assert "broken" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["missing.jsonl"], "missing.jsonl"),
        ([str(INCIDENT), "--system", "quue"], "--system: there is no system 'quue'; did you mean \"queue\"?"),
        ([str(INCIDENT), "--system", "x"], "known are buffer-v1, buffer-v2"),
        ([str(INCIDENT), "--set", "n8n-wait.wait=8s"], "'n8n-wait' is not replayed"),
        ([str(INCIDENT), "--set", "wait=8s"], "'wait=8s' is not SYSTEM.NAME=VALUE, as in n8n-wait.wait=8s"),
        (
            [str(INCIDENT), "--set", "queue.window=8s"],
            "the rules of the queue are options of their own, such as --window",
        ),
        ([str(INCIDENT), "--set", "list-v1.wait=8s"], "there is no setting 'wait'; its rules are fixed"),
        (
            [str(INCIDENT), "--system", "market", "--set", "n8n-wait.wiat=8s"],
            "--set n8n-wait.wiat=8s: there is no setting 'wiat'; did you mean \"wait\"?",
        ),
        (
            [str(INCIDENT), "--system", "market", "--set", "n8n-wait.wait=8"],
            "--set n8n-wait.wait=8: 8 has no unit",
        ),
        ([str(INCIDENT), "--system", "market", "--set", "n8n-wait.compare=x"], "compare=x: there is no 'x'"),
        ([str(INCIDENT), "--system", "market", "--set", "n8n-wait.tries=0"], "whole number from 1 to"),
        ([str(INCIDENT), "--system", "market", "--set", "n8n-wait.node=20ms"], "is not a distribution"),
        ([str(INCIDENT), "--ai", "6s"], "write constant:6s"),
        ([str(INCIDENT), "--redis-latency", "lognormal:9s:1s"], "below the median"),
        ([str(INCIDENT), "--window", "eight"], "is not a duration"),
        ([str(INCIDENT), "--window", "8"], "window: 8 has no unit: write 8ms, 8s, 8m or 8h"),
        ([str(INCIDENT), "--idle", "-3s"], "idle: -3s is negative"),
        ([str(INCIDENT), "--max-messages", "1.5"], "max-messages"),
        ([str(INCIDENT), "--fault", "timer-dies=2"], "0 to 1"),
        ([str(INCIDENT), "--fault", "sunshine=0.1"], "there is no fault 'sunshine'"),
        ([str(INCIDENT), "--fault", "timer-deis=0.1"], 'did you mean "timer-dies"?'),
        ([str(INCIDENT), "--window", "2h"], "--window: must be from 0 to 1h, not 2h"),
        (
            [str(INCIDENT), "--max-messages", "99999999"],
            "--max-messages: must be from 0 to 1000, not 99999999",
        ),
        ([str(INCIDENT), "--cap", "5s"], "--cap: has no effect without --idle"),
        ([str(INCIDENT), "--profile", "hasty"], "--profile: invalid choice: 'hasty'"),
        (
            [str(INCIDENT), "--profile", "quick", "--profile", "quick"],
            "--profile quick: is given more than once; name each profile once",
        ),
        (
            [str(INCIDENT), "--outage", "5s"],
            "--outage: is now a fault: write --fault redis-away@TIME:DURATION",
        ),
        (
            [str(INCIDENT), "--outage", "away@5s:5s"],
            "--outage: is now a fault: write --fault redis-away@5s:5s",
        ),
        ([str(INCIDENT), "--json", "x", "--report", "x"], "give two different files"),
        ([str(INCIDENT), "--out", "x"], "unrecognized arguments: --out x; see"),  # not taken for --outage
        ([str(INCIDENT), "--jsn=x"], "unrecognized arguments: --jsn=x (did you mean --json?); see"),
        (["missing.jsonl", "--wibble"], "unrecognized arguments: --wibble; see python -m sim replay --help"),
        (
            [str(INCIDENT), "--runs", "0"],
            "100000, not '0'; see python -m sim replay --help",
        ),
        ([str(INCIDENT), "--report", "/dev/null/x.html"], "/dev/null is not a folder"),
        ([], "PATH"),
    ],
)
def test_options_that_cannot_be_used_are_refused_in_one_line(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    done = sim("replay", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("sim: ")
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
    assert list(tmp_path.rglob("*.html")) == []


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text(MESSAGE)
    for paths in ("one.jsonl", "."):
        done = sim("replay", paths, "--json", "one.jsonl", "--no-report", cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("sim: one.jsonl is an input file; write the result to another file")
    assert path.read_text() == MESSAGE


def test_a_report_on_standard_output_is_nothing_but_the_page(tmp_path: Path) -> None:
    done = sim("replay", INCIDENT, "--system", "queue", "--report", "-", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("<!DOCTYPE html>")
    assert done.stdout.rstrip().endswith("</html>")
    assert "The queue lost" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_profiles_run_beside_each_other_and_show_the_answers_that_they_drop(tmp_path: Path) -> None:
    profiles = ("--profile", "patient", "--profile", "quick")
    done = sim("replay", INCIDENT, *profiles, "--system", "queue", "--json", "r.json", cwd=tmp_path)
    assert done.returncode == 0
    rows = {line[:15].strip(): line for line in done.stdout.splitlines() if line.startswith("queue")}
    assert "dropped" in done.stdout
    assert rows["queue"].split()[8:10] == ["1", "0"]
    assert "3  2 (14.0 s)" in rows["queue (quick)"]
    assert "dropped: answers dropped because a newer message joined the turn" in done.stdout
    result = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert result["command"].endswith("--system queue --profile patient --profile quick")
    assert [run["superseded"] for run in result["runs"]] == [0, 2]


def test_without_dropped_answers_there_is_no_column_of_them(tmp_path: Path) -> None:
    done = sim("replay", INCIDENT, "--no-report", "--system", "queue", cwd=tmp_path)
    assert "dropped" not in done.stdout


def test_an_outage_leaves_expected_outcomes_unchecked_and_is_in_the_command(tmp_path: Path) -> None:
    outage = ("--fault", "redis-away@5s:2s")
    done = sim("replay", INCIDENT, *outage, "--system", "queue", "--json", "r.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "other settings were used: the fault redis-away@5s:2s" in done.stdout
    result = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert result["settings"]["faults"] == ["redis-away@5s:2s"]
    assert [fault["struck"] for run in result["runs"] for fault in run["faults"]] == [1]
    assert "how often faults struck" in done.stdout
    assert "warning" not in done.stdout
    assert result["command"].endswith("--fault redis-away@5s:2s")


def test_a_fault_that_never_struck_is_named(tmp_path: Path) -> None:
    faults = ("--fault", "redis-away@5s:2s,scripts-abort@1h:5s")
    done = sim("replay", INCIDENT, *faults, "--system", "queue", "--no-report", cwd=tmp_path)
    warnings = [line for line in done.stdout.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert "never struck, so this replay does not test it" in warnings[0]
    quiet = sim("replay", INCIDENT, *faults, "--system", "queue", "--no-report", "--quiet", cwd=tmp_path)
    assert "sim: warning: " in quiet.stderr
    assert "never struck, so this replay does not test it" in quiet.stderr


def test_the_systems_are_listed(tmp_path: Path) -> None:
    done = sim("systems", cwd=tmp_path)
    lines = done.stdout.splitlines()
    names = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert (done.returncode, names) == (0, list(all_systems()))
    assert all(len(line.split()) > 4 for line in lines if not line.startswith(" "))
    assert "--set n8n-wait.wait=5s" in done.stdout


def test_settings_of_a_system_are_in_result_and_command_and_change_what_it_does(tmp_path: Path) -> None:
    chosen = ("--system", "n8n-wait", "--system", "queue", "--set", "n8n-wait.wait=12s")
    done = sim("replay", INCIDENT, *chosen, "--json", "r.json", "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not checked" not in done.stdout
    result = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert result["settings"]["n8n-wait"] == {
        "wait": "12s",
        "compare": "text",
        "node": "lognormal:20ms:60ms",
        "tries": "1",
    }
    assert "--set n8n-wait.wait=12s" in result["command"]
    (run,) = (run for run in result["runs"] if run["system"] == "n8n-wait")
    assert len(run["batches"]) == 1  # with 5 s it answers in two turns


def test_the_help_names_the_main_options(tmp_path: Path) -> None:
    done = sim("replay", "--help", cwd=tmp_path)
    assert done.returncode == 0
    for option in ("--system", "--runs", "--seed", "--ai", "--redis-latency", "--window", "--max-messages"):
        assert option in done.stdout
    for option in ("--cap", "--supersede", "--profile"):
        assert option in done.stdout
    for option in ("--idle", "--fault", "--report", "--json", "--quiet", "--skip-bad-lines", "--jobs"):
        assert option in done.stdout


@pytest.mark.parametrize(("package", "printed"), [("sim", "sim: interrupted\n"), ("reports", "")])
def test_ctrl_c_while_generated_code_runs_has_the_same_exit_code(
    package: str, printed: str, tmp_path: Path
) -> None:
    """Python would end by SIGINT after a KeyboardInterrupt inside of `exec`, although it is caught."""
    (tmp_path / "interrupted.py").write_text(
        f"import runpy, {package}.cli\n"
        f"{package}.cli.main = lambda: exec('raise KeyboardInterrupt')\n"
        f"runpy.run_module('{package}', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "interrupted"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, printed)


@pytest.mark.parametrize(("jobs", "after_s"), [("1", 0), ("1", 2), ("2", 2)])
def test_ctrl_c_ends_cleanly(tmp_path: Path, jobs: str, after_s: float) -> None:
    options = ["--runs", "500", "--jobs", jobs, "--quiet"]
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "sim", "replay", str(REPOSITORY / "logs"), *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        assert child.stderr
        next(line for line in child.stderr if line.startswith("import time:") and "argparse" in line)
        time.sleep(after_s)  # while it imports or works; the outcome must be the same
        os.killpg(child.pid, signal.SIGINT)
        printed = [line for line in child.stderr if not line.startswith("import time:")]
        child.wait(timeout=60)
    assert (child.returncode, printed) == (130, ["sim: interrupted\n"])
