"""Targets of the Makefile, with a stand-in for the Python that they run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("code", [0, 1])
def test_a_baseline_is_accepted_only_if_the_replay_kept_its_promises(tmp_path: Path, code: int) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\necho "$2" >> ran\nexit {code}\n')
    python.chmod(0o755)
    make = ["make", "--old-file", ".venv/.sim", "BIN=bin", "baseline"]
    done = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (tmp_path / "ran").read_text().split() == (["sim"] if code else ["sim", "reports"])
    assert (done.returncode != 0) == bool(code)
    refusal = "nothing was accepted: reports/baseline.json is as it was"
    assert (refusal in done.stderr) == bool(code)
