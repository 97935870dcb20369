"""Where the page is written: files whole or not at all, and what is no file is never replaced."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

from reports.replay import write_replay_report
from reports.schema import ReplayResult


def empty() -> ReplayResult:
    return ReplayResult(
        schema=1,
        kind="replay",
        seed=1,
        settings={},
        systems={},
        recordings=[],
        runs=[],
        loss=[],
        expectations=[],
        verdict="Nothing was replayed.",
        ok=True,
    )


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "real.html", tmp_path / "link.html"
    target.write_text("old")
    link.symlink_to(target)
    write_replay_report(empty(), link)
    assert link.is_symlink()
    assert "Nothing was replayed" in target.read_text("utf-8")


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text("utf-8")), daemon=True)
    reader.start()
    write_replay_report(empty(), pipe)
    reader.join(timeout=20)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert "Nothing was replayed" in read[0]
