"""The command line: options that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.commands import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--chaos", "unplug@3s"], "known are kill-worker"),
        (["run", "--chaos", "kill-worker@60s", "--duration", "60s"], "after the end of the load"),
        (["run", "--duration", "60"], "60 has no unit"),
        (["run", "--duration", "-3s"], "-3s is negative"),
        (["run", "--rate", "nan"], "outside"),
        (["stack", "--workers", "0"], "not a whole number"),
        (["stack", "--redis-memory", "lots"], "not a size"),
        (["sink", "--ai", "soon"], "is not a distribution"),
        (["sink", "--ai-errors", "2"], "outside 0 to 1"),
        (["stack", "--", "-u", "3"], "only `run`"),
    ],
)
def test_options_that_cannot_be_used_are_told(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: Any = main(arguments)
    except SystemExit as left:
        code = left.code
    assert code == 2
    assert words in capsys.readouterr().err
