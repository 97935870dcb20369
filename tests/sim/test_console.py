"""The console of a replay: which expected outcomes it lists, and which it counts."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from reports.results.replay import ExpectationResult, SettingChange
from sim.console import OUTCOMES_MAX, _show_expectations


def shown(*, unchecked: int, missed: int) -> list[str]:
    change = SettingChange(setting="fault", now="redis-away@20s:5s", then="")
    results = [
        ExpectationResult(
            recording=f"{number}.jsonl",
            system="queue",
            outcome="lost",
            held=held,
            expected=["m1"],
            actual=[],
            changes=[] if held is False else [change],
        )
        for held, count in ((None, unchecked), (False, missed))
        for number in range(count)
    ]
    console = Console(file=StringIO(), width=100)
    _show_expectations(results, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().split("\n")


def test_many_unchecked_outcomes_are_counted_and_those_that_did_not_match_are_listed() -> None:
    lines = shown(unchecked=OUTCOMES_MAX + 1, missed=OUTCOMES_MAX + 1)
    assert [line.strip() for line in lines if "not checked" in line] == ["not checked  13 outcomes"]
    assert sum("NOT MATCHED" in line for line in lines) == OUTCOMES_MAX + 1


def test_a_few_unchecked_outcomes_are_listed_with_what_was_changed() -> None:
    lines = shown(unchecked=OUTCOMES_MAX, missed=0)
    assert sum("not checked" in line for line in lines) == OUTCOMES_MAX
    assert "the fault redis-away@20s:5s" in " ".join(lines)
