"""The figures in docs/which-system.md are those of a replay of logs/."""

from __future__ import annotations

import json
import re
from functools import cache

import pytest

from queue_core.recording.format import Recording
from queue_core.recording.reader import load
from reports.analysis.figures import counts_by
from reports.words.numbers import EN_DASH
from sim.engine.settings import SimSettings
from sim.faults import parse_faults
from sim.study import Study, carry_out
from sim.systems import chosen_systems
from tests.docs.documents import ROOT, section_under

HEADING = "What they lose in the recordings of this project"
COUNTS = ("lost", "twice", "order", "ai_calls")
QUEUE, *MARKET = chosen_systems(["market"])


def _rows() -> dict[str, list[str]]:
    """Return the cells behind each system's name, without thousands separators."""
    lines = re.findall(
        r"^\| `([\w-]+)` \| (.+) \|$", section_under("docs/which-system.md", HEADING), re.MULTILINE
    )
    return {name: cells.replace(",", "").split(" | ") for name, cells in lines}


@cache
def _recordings() -> list[Recording]:
    return load([ROOT / "logs"])


def _counts(system: str, *faults: str) -> dict[str, int]:
    settings = SimSettings(seed=1, faults=parse_faults(faults, "sim"))
    result = carry_out(Study(recordings=_recordings(), systems=[system], settings=settings, options={}))
    return dict(counts_by(result["runs"], "system")[system,])


def test_the_table_has_the_queue_as_the_baseline_has_it_and_every_system_of_the_market() -> None:
    baseline = json.loads((ROOT / "reports" / "baseline.json").read_text("utf-8"))
    assert "--seed 1" in baseline["command"], "the page's figures are from seed 1"
    runs = [run for run in baseline["replay"]["runs"] if run["system"] == QUEUE]
    assert list(_rows()) == [QUEUE, *MARKET]
    assert _rows()[QUEUE][:4] == [str(sum(run[name] for run in runs)) for name in COUNTS]
    assert f"All of `logs/`, {sum(run['sent'] for run in runs):,} messages, seed 1" in section_under(
        "docs/which-system.md", HEADING
    )


@pytest.mark.parametrize("system", MARKET)
def test_what_a_system_loses_doubles_and_mixes_up_is_what_the_page_says(system: str) -> None:
    counts = _counts(system)
    assert _rows()[system][:4] == [str(counts[name]) for name in COUNTS], (
        "docs/which-system.md is out of date"
    )


@pytest.mark.soak
@pytest.mark.parametrize("system", [QUEUE, *MARKET])
def test_what_a_system_loses_with_failures_is_what_the_page_says(system: str) -> None:
    counts = _counts(system, "ai-fails=0.02", "timer-dies=0.01")
    lost, dead = _rows()[system][4:]
    assert (lost, dead.replace(EN_DASH, "0")) == (str(counts["lost"]), str(counts["dead"]))
