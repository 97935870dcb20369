"""Writing of pages: files whole or not at all; a path that is not a file is never replaced."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from reports.pages.replay.page import write_replay_report
from reports.results.replay import ReplayResult
from reports.results.writing import write_whole
from tests.reports import example


def empty() -> ReplayResult:
    return example.result([], [])


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


def test_links_that_lead_to_each_other_are_an_error_of_the_system(tmp_path: Path) -> None:
    first, second = tmp_path / "first.html", tmp_path / "second.html"
    first.symlink_to(second)
    second.symlink_to(first)
    with pytest.raises(OSError):  # noqa: PT011 - which one is the system's to say
        write_whole("page", first / "below.html")


def test_standard_output_may_be_a_pipe() -> None:
    program = (
        "from pathlib import Path; from reports.results.writing import write_whole; "
        "write_whole('page', Path('/dev/stdout'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("page", "")
