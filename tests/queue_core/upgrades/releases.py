"""Releases of `queue_core`: this one, and those before it that rolling upgrades must work with.

An archive holds the folder `queue_core` of the last commit before the layout in Redis changed. It was made by

    git archive --format=tar COMMIT queue_core | xz -9e > tests/queue_core/upgrades/releases/layout-N.tar.xz
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ROOT = Path(__file__).parents[3]
BEFORE = "layout-1"
COMMIT_BEFORE = "ec9e12b"
"""Commit of BEFORE, which is release 0.1.0."""


def unpack(release: str, folder: Path) -> Path:
    """Unpack an archive into a folder, which is then the root to import that release from."""
    with tarfile.open(FOLDER / "releases" / f"{release}.tar.xz") as archive:
        archive.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)  # not in Python 3.11.2
        archive.extractall(folder)
    return folder


class CallError(Exception):
    """Raised for a call that failed in the other process; `name` is the class of the error there."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(f"{name}: {words}")
        self.name = name


class Remote:
    """A queue of one release, in a process of its own. Each call sets its clock, Unix ms."""

    def __init__(self, root: Path) -> None:
        """Start the process, with the release that lies in `root`."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, FOLDER / "remote.py"],
            env={**kept, "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def open(self, url: str, **settings: Any) -> None:
        """Begin anew, on a Redis."""
        self._ask({"call": "open", "url": url, "settings": settings})

    def __call__(self, call: str, now_ms: int, **arguments: Any) -> Any:
        """Make a call and return its answer. Raises CallError."""
        return self._ask({"call": call, "now_ms": now_ms, **arguments})

    def _ask(self, call: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the process of the other release ended during {call['call']}"
        written = json.loads(line)
        if "error" in written:
            raise CallError(written["error"], written["words"])
        return written["answer"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
