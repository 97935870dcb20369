"""Expected outcomes: they match, do not match, or are not checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from queue_core.recording.format import Expectation, Recording
from queue_core.recording.reader import load
from reports.results.replay import ExpectationResult
from sim.engine.settings import SimSettings, with_options
from sim.expectations import check
from sim.faults import Fault, parse_faults
from sim.replay import replay
from sim.systems import all_systems

INCIDENT = Path(__file__).parents[2] / "logs" / "incident.jsonl"


def _checked(
    expected: Expectation, *, options: dict[str, str] | None = None, faults: tuple[Fault, ...] = ()
) -> list[ExpectationResult]:
    """Replay the incident with its recorded settings, and check an expectation of buffer-v1."""
    (shipped,) = load([INCIDENT])
    recording: Recording = replace(shipped, expect={"buffer-v1": expected})
    recorded = with_options(SimSettings(), recording.settings)
    runs = [replay(recording, all_systems()["buffer-v1"], recorded, number) for number in (0, 1)]
    used = replace(with_options(recorded, options or {}), faults=faults)
    return check(recording, runs, used=used, recorded=recorded)


def test_an_outcome_that_matches_in_every_run_holds() -> None:
    (lost,) = _checked(Expectation(lost=("m5", "m4")))
    assert lost == {
        "recording": "incident.jsonl",
        "system": "buffer-v1",
        "outcome": "lost",
        "held": True,
        "expected": ["m5", "m4"],
        "actual": ["m4", "m5"],
        "changes": [],
    }


def test_an_outcome_that_does_not_match_names_the_first_such_run() -> None:
    lost, line = _checked(Expectation(lost=("m1",), log=({"event": "never"},)))
    assert (lost["held"], lost["actual"], lost["run"], lost["seed"]) == (False, ["m4", "m5"], 0, 1)
    assert (line["outcome"], line["held"], line["line"], line["fields"], line["run"]) == (
        "logged",
        False,
        1,
        {"event": "never"},
        0,
    )


def test_other_settings_leave_an_outcome_unchecked_and_are_named() -> None:
    (lost,) = _checked(
        Expectation(lost=("m4", "m5")),
        options={"ai": "constant:1s", "window": "9s"},
        faults=parse_faults(["ai-fails=0.5"], "sim"),
    )
    assert (lost["held"], lost["actual"]) == (None, [])
    assert lost["changes"] == [
        {"setting": "ai", "now": "constant:1s", "then": "constant:7s"},
        {"setting": "fault", "now": "ai-fails=0.5", "then": ""},
    ], "the window affects the queue only"


def test_a_setting_of_the_system_itself_leaves_its_outcome_unchecked() -> None:
    (shipped,) = load([INCIDENT])
    recording: Recording = replace(shipped, expect={"n8n-wait": Expectation(lost=())})
    recorded = with_options(SimSettings(), recording.settings)
    for wait, changes in (
        ("9s", [{"setting": "n8n-wait.wait", "now": "9s", "then": "5s"}]),
        ("5000ms", []),
    ):
        used = replace(recorded, of_systems={"n8n-wait": {"wait": wait}, "bull-delay": {"delay": "1s"}})
        runs = [replay(recording, all_systems()["n8n-wait"], used)]
        (lost,) = check(recording, runs, used=used, recorded=recorded)
        assert (lost["held"], lost["changes"]) == (None if changes else True, changes)
