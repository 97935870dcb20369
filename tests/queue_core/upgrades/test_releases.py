"""The archive of the release before: that of the commit which docs/upgrade.md names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.queue_core.upgrades.releases import BEFORE, COMMIT_BEFORE, ROOT, unpack


def _git(*words: str) -> str:
    """Return git's output, or skip where there is no git, or no history with the commit."""
    try:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and the history of this repository")


def test_the_archive_has_the_files_of_the_commit_that_the_document_names(tmp_path: Path) -> None:
    document = ROOT.joinpath("docs", "upgrade.md").read_text("utf-8")
    assert f"0.1.0 is commit `{COMMIT_BEFORE}`" in document
    assert '\nversion = "0.1.0"\n' in _git("show", f"{COMMIT_BEFORE}:pyproject.toml")
    committed = _git("ls-tree", "-r", "--name-only", COMMIT_BEFORE, "queue_core").splitlines()
    folder = unpack(BEFORE, tmp_path)
    unpacked = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert unpacked == set(committed)
    keys = "queue_core/keys.py"
    assert folder.joinpath(keys).read_text("utf-8") == _git("show", f"{COMMIT_BEFORE}:{keys}")
