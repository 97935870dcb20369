"""Commands in messages: as the reader can type them, from `queue_core` and `reports` alike."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import queue_core.command_lines
import reports.command_lines
from queue_core.command_lines import typed, with_env_file
from queue_core.server.cli import main
from tests.lint_language import _docstrings

ROOT = Path(__file__).parents[2]
FACTS = {
    ("reports/results/files.py", "REMEDIES"),
    ("sim/synthetic/day.py", "command"),
}
"""Places where a command is a fact, or is written by `typed` later."""


@pytest.mark.parametrize(
    ("called", "shown"),
    [
        ("python", "python"),
        ("python3.12", "python3.12"),
        (".venv/bin/python", ".venv/bin/python"),
        ("../venv/bin/python", "../venv/bin/python"),
        ("my venv/bin/python", "'my venv/bin/python'"),
        ("{folder}/.venv/bin/python", ".venv/bin/python"),
        ("/opt/of/somebody/bin/python", "python"),
        ("", "python"),
    ],
)
def test_the_interpreter_is_named_as_it_was_called(
    called: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "orig_argv", [called.format(folder=Path.cwd())] if called else [])
    for module in (queue_core.command_lines, reports.command_lines):
        words = module.typed("type `python -m sim replay x`, or python -m reports build y")
        assert words == f"type `{shown} -m sim replay x`, or {shown} -m reports build y"


def test_a_folder_that_was_deleted_stops_no_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", [str(tmp_path / "bin" / "python")])
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert typed("python -m sim systems") == "python -m sim systems"


def test_a_command_repeats_the_file_of_settings() -> None:
    words = "see `python -m queue_core dead list`, then `python -m sim replay x`"
    with with_env_file("my prod.env"):
        shown = typed(words)
    assert (
        shown
        == "see `python -m queue_core --env-file 'my prod.env' dead list`, then `python -m sim replay x`"
    )
    assert typed(words) == words


def test_messages_of_a_command_repeat_its_file_of_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    Path("prod.env").write_text("AI=echo\n", "utf-8")
    assert main(["--env-file", "prod.env", "status"]) == 2
    assert "neither `python -m queue_core --env-file prod.env serve` nor" in capsys.readouterr().err


def test_every_command_in_a_message_is_written_by_typed() -> None:
    for folder in ("queue_core", "sim", "reports", "loadtests"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if file.name != "command_lines.py":
                assert [*_untyped(ast.parse(file.read_text("utf-8")), name)] == [], name


def _untyped(tree: ast.Module, name: str) -> list[str]:
    """Return the texts with a command, other than docstrings and facts, that are not an argument of `typed`."""
    left_out: set[ast.AST] = set(_docstrings(tree))
    for node in ast.walk(tree):
        is_typed = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "typed"
        is_epilog = isinstance(node, ast.keyword) and node.arg == "epilog" and "operator/" in name
        names = [getattr(node, "name", ""), getattr(getattr(node, "target", None), "id", "")]
        if is_typed or is_epilog or any((name, each) in FACTS for each in names):
            left_out.update(ast.walk(node))
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and "python -m " in node.value
        and node not in left_out
    ]
