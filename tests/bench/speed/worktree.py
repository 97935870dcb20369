"""Checkout of another commit, for as long as it is measured."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.speed.contenders import REPOSITORY


class UnknownCommitError(Exception):
    """Raised for a name that git cannot check out."""


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder, and remove it afterwards. Raises UnknownCommitError."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        added = _git("worktree", "add", "--detach", "--quiet", str(checkout), f"{revision}^{{commit}}")
        if added.returncode:
            raise UnknownCommitError(f"git cannot check {revision} out: {added.stderr.strip()}")
        try:
            yield checkout
        finally:
            _git("worktree", "remove", "--force", str(checkout))


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(REPOSITORY), *words], capture_output=True, text=True, check=False)
