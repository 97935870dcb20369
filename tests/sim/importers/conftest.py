"""Fixtures of the importers' tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from queue_core.recording.format import Recording
from sim.importers.importing import Import
from sim.importers.taking import ImportOptions
from sim.synthetic.day import SyntheticSettings, synthesize
from tests.sim.importers.writers import Importing


@pytest.fixture
def imported() -> Importing:
    """Import files in memory; options are those of ImportOptions."""

    def run(*paths: Path, **options: Any) -> tuple[Recording, Import]:
        work = Import(paths, ImportOptions(**options))
        return work.recording("x"), work

    return run


@pytest.fixture
def day() -> Recording:
    """A synthetic day; its phones are numbers, and each message has an id of its own or is delivered twice."""
    synthetic = synthesize(SyntheticSettings(messages=300, hours=2, seed=3, instance="shop"))
    phones = {
        name: f"9665{number:08d}"
        for number, name in enumerate(dict.fromkeys(a.phone for a in synthetic.arrivals))
    }
    arrivals = tuple(
        replace(arrival, phone=phones[arrival.phone], text=arrival.text or "…")
        for arrival in synthetic.arrivals
    )
    return replace(synthetic, arrivals=arrivals)
