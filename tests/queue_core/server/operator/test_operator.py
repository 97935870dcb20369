"""Shared parts of the operator's commands: arguments, help, and writing hostile text."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import pytest

from queue_core import InvalidSettingsError, QueueUnavailableError
from queue_core.durations import age
from queue_core.server.cli import main
from queue_core.server.operator import output as operator_output
from queue_core.server.operator.arguments import duration_s
from queue_core.server.operator.output import (
    NAME_CELLS_MAX,
    Table,
    moment,
    short_name,
    shortened,
    width,
)
from tests.queue_core.server.operator.console import Console, command_names, parser, settings_for

ROOT = Path(__file__).parents[4]
COMMANDS = command_names(parser())


def test_durations_are_more_than_0_and_up_to_30_days() -> None:
    assert duration_s("1.5h") == 5_400
    assert duration_s("30d") == 30 * 86_400
    for words, reason in (("0s", "more than 0"), ("31d", "at most 720h"), ("7", "write 7ms, 7s, 7m or 7h")):
        with pytest.raises(argparse.ArgumentTypeError, match=reason):
            duration_s(words)


@pytest.mark.parametrize(
    "arguments",
    [
        ["drain", "--timeout", "soon"],
        ["status", "--watch", "0"],
        ["status", "--limit", "-1"],
        ["dead"],
        ["dead", "list", "--limit", "many"],
        ["dead", "show"],
        ["show"],
        ["send-test", "--count", "0"],
        ["send-test", "--phone", "me"],
        ["send-test", "--instance", " "],
        ["send-test", "--url", "localhost:8080"],
        ["send-test", "--url", "http://localhost:99999"],
        ["send-test", "--url", "http://localhost/?token=x"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_and_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments)
    assert ended.value.code == 2
    assert ": error: " in capsys.readouterr().err.splitlines()[-1]


def test_a_negative_duration_is_not_taken_for_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["drain", "--timeout", "-3s"])
    assert "-3s is negative: a duration is more than 0" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example_exit_codes_and_fits(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([*command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"  python -m queue_core {' '.join(command)}" in shown.split("example", 1)[1]
    assert "exit codes: 0 " in shown or command in (["dead"], ["damaged"])
    assert max(len(line) for line in shown.splitlines()) <= 110


def test_the_document_names_the_commands_that_print_json_by_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    by_lines = []
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            parser().parse_args([*command, "--help"])
        shown = " ".join(capsys.readouterr().out.split())
        if "an object of JSON on each line" in shown:
            by_lines.append(" ".join(command))
        else:
            assert "--json" not in shown.partition("options:")[2] or "one JSON value" in shown
    assert sorted(by_lines) == ["damaged list", "dead list"]
    operate = " ".join((ROOT / "docs" / "operate.md").read_text("utf-8").split())
    assert "`dead list`, `damaged list` and `status --watch 2s` print an object on each line" in operate


def test_long_names_are_cut_by_what_they_take_on_the_screen() -> None:
    assert short_name("x" * NAME_CELLS_MAX) == "x" * NAME_CELLS_MAX
    assert short_name("x" * (NAME_CELLS_MAX + 1)) == "x" * (NAME_CELLS_MAX - 1) + "…"
    wide = short_name("漢" * NAME_CELLS_MAX)
    assert wide.endswith("…")
    assert NAME_CELLS_MAX - 1 <= width(wide) <= NAME_CELLS_MAX
    assert shortened("\u0301" * 1_000_000, 10).endswith("…")
    assert len(shortened("\u0301" * 1_000_000, 10)) < 100


def test_tables_stay_aligned_over_pages(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("who", "n", "text", numbers=("n",))
    table.add("漢字", "7", "one")
    table.add(r"a\nb", "12345", "two")
    table.flush()
    table.add("", "1", "three")
    table.flush()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "who       n  text"
    assert lines[1:] == ["漢字      7  one", "a\\nb  12345  two", "          1  three"]


def test_a_terminal_that_cannot_show_a_character_gets_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    operator_output.write("é \ud83d 👍")
    assert raw.getvalue() == b"\\xe9 \\ud83d \\U0001f44d\n"


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (-5, "0.0 s"),
        (1_234, "1.2 s"),
        (59_949, "59.9 s"),
        (59_960, "1 min"),
        (3_599_400, "59 min 59 s"),
        (3_600_000, "1 h"),
        (86_400_000, "24 h"),
        (200_000_000, "2 d 07 h"),
    ],
)
def test_ages_for_people(milliseconds: int, words: str) -> None:
    assert age(milliseconds) == words


def test_moments() -> None:
    assert moment(1_700_000_000_000) == "2023-11-14 22:13:20Z"
    assert moment(10**18) == str(10**18)


@pytest.mark.parametrize("command", ["status", "drain"])
async def test_without_redis(command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(QueueUnavailableError):
        await Console(settings_for("unix:///nowhere/redis.sock"), capsys).run(command)
    with pytest.raises(InvalidSettingsError, match="set REDIS_URL"):
        await Console(settings_for(DATA_DIR=str(tmp_path)), capsys).run(command)
