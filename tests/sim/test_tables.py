"""Tables on the console: they fit the terminal, and no value is ever cut."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from reports.results.systems import QUEUE
from sim import console as sim_console
from sim.console import WIDTH_MAX
from sim.systems import all_systems
from sim.tables import print_item, print_table

RECORDING = "delivered-an-hour-later-by-the-provider.jsonl"
VALUES = [f"{number},234,567" for number in range(1, len(all_systems()) + 1)]


def _printed(width: int, *, names: str = RECORDING) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    print_table(console, ["recording", *all_systems()], [[names, *VALUES], ["short", *VALUES]], title="lost")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 80, 100, 120])
def test_a_table_fits_the_terminal_with_every_value_whole_and_every_name_beside_it(width: int) -> None:
    lines = _printed(width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    assert sorted(word for word in words if word in VALUES) == sorted(VALUES * 2)
    parts = sum(line.startswith("recording") for line in lines)
    assert parts > 1, "the table is divided"
    assert sum(line.startswith("short") for line in lines) == parts
    assert "…" not in "".join(lines)
    names = "".join(line[: max(16, int(width * 0.4))].strip() for line in lines)
    assert names.count(RECORDING) == parts


def test_a_table_is_whole_where_it_fits_and_in_a_pipe() -> None:
    whole = _printed(WIDTH_MAX)
    widest = max(map(len, whole))
    assert _printed(widest) == whole
    assert len(whole) == 5, "a title, a line of headers, a rule, two rows"
    narrower = _printed(widest - 1)
    assert max(map(len, narrower)) < widest
    assert sum(line.startswith("recording") for line in narrower) == 1, "headers are wrapped first"
    long_name = "name-" * 100
    assert long_name in "".join(_printed(WIDTH_MAX, names=long_name))


def test_an_item_continues_below_its_beginning() -> None:
    console = Console(file=io.StringIO(), width=30)
    print_item(console, Text("  matched   "), f"{QUEUE}: nothing was lost, as expected")
    print_item(console, "  ", "and a sentence that is longer than the line")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "  matched   queue: nothing was",
        "            lost, as expected",
        "  and a sentence that is",
        "    longer than the line",
    ]


def test_without_a_terminal_the_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr(sim_console, "time", SimpleNamespace(monotonic=lambda: now_s))
    run: Any = {"recording": "day", "system": "queue"}
    for shown in (True, False):
        with sim_console.progress(40, shown=shown) as done:
            for _ in range(40):
                now_s += 1
                done(run)
    assert capsys.readouterr().err == "sim: 15 of 40 replays\nsim: 30 of 40 replays\n"
