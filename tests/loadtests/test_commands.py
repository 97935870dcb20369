"""The command line: its help, and command lines that cannot be carried out."""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.commands import main
from loadtests.options import Limits, add_load_options, value_for_locust
from loadtests.run import LoadRun
from loadtests.scenarios import SCENARIOS
from sim.faults import kinds_of

LEGACY_ALONE = (
    "--legacy tests the legacy buffer, which is measured on a single Redis only: "
    "leave out --legacy or --redis"
)


def run(*arguments: str) -> int | str | None:
    """Run a command line and return its exit code."""
    try:
        return main(arguments)
    except SystemExit as ended:
        return ended.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "a command is missing: type stack, run, validate, failover or sink"),
        ("rum", "'rum' is not a command: type stack, run, validate, failover or sink"),
        (
            "run --rat 5",
            "unrecognized arguments: --rat 5 (did you mean --rate?); write options of Locust after --",
        ),
        ("sink --rate 5", "unrecognized arguments: --rate 5"),
        ("run --rate", "--rate: its value is missing"),
        ("run --legacy=yes", "--legacy: it takes no value"),
        ("run --legacy --redis cluster", LEGACY_ALONE),
        ("stack --redis sentinel --legacy", LEGACY_ALONE),
        ("run --scenario stom", f"--scenario: 'stom' is not one of {', '.join(SCENARIOS)}"),
        ("run --rate nan", "--rate: 'nan' is not a number from 0.001 to 10,000,000"),
        ("run --rate -5", "--rate: '-5' is not a number from 0.001 to 10,000,000"),
        ("run --duration 60", "--duration: 60 has no unit: write 60ms, 60s, 60m or 60h"),
        ("run --max-lost 1.5", "--max-lost: '1.5' is not a whole number from 0 to 10,000,000"),
        ("run --out /dev/null", "--out: '/dev/null' is not a folder that can be written to"),
        ("run --faults redis-hangs@3s", "--faults: 'redis-hangs@3s': how long? Write redis-hangs@3s:5s"),
        (
            "run --faults worker-dies@60s --duration 60s",
            "--faults: worker-dies@1m comes after the end of the load (60s)",
        ),
        (
            "run --faults worker-dies@3s,worker-dies@60s",
            "--faults: worker-dies@1m comes after the end of the load (60s)",
        ),
        (
            "run --scenario recorded",
            "the scenario recorded needs a recording: add --recording FILE.jsonl",
        ),
        ("stack --workers 0", "--workers: '0' is not a whole number from 1 to 64"),
        ("stack --redis-memory lots", "--redis-memory: 'lots' is not a memory size: write it as in 50mb"),
        ("stack --redis-memory 0", "--redis-memory: '0' is not from 1mb to 1000gb"),
        ("run --redis-memory 999999999999gb", "--redis-memory: '999999999999gb' is not from 1mb to 1000gb"),
        ("failover --repeat 0", "--repeat: '0' is not a whole number from 1 to 1,000"),
        ("failover --rate 0", "--rate: '0' is not a whole number from 20 to 10,000"),
        ("failover --rate x", "--rate: 'x' is not a whole number from 20 to 10,000"),
        ("failover --rows 23", "--rows: '23' is not a list of numbers from 1 to 22, such as 2,15"),
        ("failover --out /dev/null", "--out: '/dev/null' is not a folder that can be written to"),
        ("stack -- -u 3", "only `run` passes options to Locust: leave out -- and everything after it"),
        ("sink --ai constant:5", "--ai: 'constant:5': 5 has no unit: write 5ms, 5s, 5m or 5h"),
        ("run --send constant:5", "--send: 'constant:5': 5 has no unit: write 5ms, 5s, 5m or 5h"),
        (
            "validate --only steady,stom",
            "--only: 'stom' is not a trial; there are steady, bursts, storm, legacy, redis-away, ai-fails",
        ),
        ("sink --ai-errors 2", "--ai-errors: '2' is not a number from 0 to 1"),
    ],
)
def test_a_command_line_that_cannot_be_carried_out_is_refused_in_one_sentence(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second line names the help if an option is wrong."""
    assert run(*arguments.split()) == 2
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == f"loadtests: {message}"
    assert [line.partition(":")[0] for line in rest] in ([], ["all options"])


def _value(name: str, *arguments: str) -> str:
    parser = argparse.ArgumentParser()
    add_load_options(parser)
    return value_for_locust(parser.parse_args(arguments), name)


def test_a_load_is_checked_with_the_values_that_locust_will_take(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _value("duration") == "60s"
    configured = "[tool.locust]\nduration = '70s'\n"
    (tmp_path / "pyproject.toml").write_text(configured)
    monkeypatch.setattr("loadtests.options.REPOSITORY", tmp_path)
    assert _value("duration") == "70s"
    monkeypatch.setenv("LOCUST_DURATION", "80s")
    assert _value("duration") == "80s"
    assert _value("duration", "--duration", "90s") == "90s"
    assert (_value("scenario"), _value("recording")) == ("bursts", "")


def test_a_plan_for_a_load_without_a_duration_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (
        ("--scenario", "storm", "--faults", "worker-dies@200s"),
        ("--faults", "worker-dies@200s", "--", "--duration=300s"),
    ):
        started: list[LoadRun] = []
        monkeypatch.setattr("loadtests.commands.carry_out", lambda run, _, runs=started: runs.append(run))
        run("run", *arguments)
        assert [str(fault) for fault in started[0].plan] == ["worker-dies@200s"]


def test_a_misspelt_setting_of_the_queue_is_named_on_the_console_and_not_in_the_result(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("QUEUE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("QUEUE_WINDOW", "5")
    monkeypatch.setenv("QUEUE_LOCK_TTL_MS", "9000")
    started: list[LoadRun] = []
    monkeypatch.setattr("loadtests.commands.carry_out", lambda run, _: started.append(run))
    run("run")
    assert capsys.readouterr().err == (
        "loadtests: QUEUE_WINDOW is not a setting and has no effect; did you mean QUEUE_WINDOW_MS?\n"
    )
    queue = {name: value for name, value in started[0].settings.items() if name.startswith("QUEUE_")}
    assert queue == {"QUEUE_LOCK_TTL_MS": "9000"}


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    code = (
        "import runpy, sys; sys.modules['psutil'] = None; runpy.run_module('loadtests', run_name='__main__')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == (
        "loadtests: the package psutil is missing: in the checkout of burstqueue, type "
        "pip install '.[load]', or make load\n"
    )


def test_the_sink_says_once_why_it_cannot_listen(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sink", "--host", "192.0.2.1") == 2
    assert capsys.readouterr().err == (
        "loadtests: cannot listen on 192.0.2.1:8090: cannot assign requested address; "
        "choose another --host or --port\n"
    )


def test_the_sink_refuses_an_empty_address_instead_of_listening_on_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("sink", "--host", "") == 2
    assert capsys.readouterr().err.startswith(
        "loadtests: --host: '' is not an address: leave out --host, or write 0.0.0.0 for all addresses\n"
    )


def test_the_sink_says_that_a_host_name_is_unknown_without_words_of_a_library(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(address: tuple[str, int], **_: object) -> None:
        raise OSError(-2, f"Name or service not known (while attempting to bind on address {address!r})")

    monkeypatch.setattr("loadtests.sink.server.socket.create_server", refuse)
    assert run("sink", "--host", "nowhere.invalid") == 2
    assert capsys.readouterr().err == (
        "loadtests: cannot listen on nowhere.invalid:8090: name or service not known; "
        "choose another --host or --port\n"
    )


def test_a_folder_that_is_made_later_can_be_written_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the rate is refused."""
    assert run("validate", "--out", str(tmp_path / "a" / "b"), "--rate", "x") == 2
    assert "--rate" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_help_of_run_has_every_scenario_every_fault_and_every_threshold_with_its_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("run", "--help") == 0
    shown = capsys.readouterr().out
    for name, meaning in SCENARIOS.items():
        assert f"{name:<10}{meaning}" in shown
    words = " ".join(shown.split())
    for fault, kind in kinds_of("load").items():
        assert f"{fault} {kind.spelling} {kind.meaning}" in words
    for limit in dataclasses.fields(Limits):
        option, unit = f"--{limit.name.replace('_', '-')}", limit.metadata["unit"]
        assert f"{option} {unit} {limit.metadata['help']} (default: {limit.default:g})" in words
