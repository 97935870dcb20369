"""The table, with stand-ins for the processes that run a deployment each."""

from __future__ import annotations

import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtests.commands import main
from loadtests.failover.command import ROWS
from loadtests.failover.running import Load
from loadtests.failover.table import Logs, run_cases


class StandInProcess:
    """Stand-in that says as soon as it starts that no row follows, and ends when it is waited for."""

    started: list[StandInProcess]

    def __init__(self, *, target: Callable[..., None], args: tuple[Any, ...], daemon: bool) -> None:
        self.rows: queue.SimpleQueue[None] = args[-1]
        self.is_running, self.is_cut_off = False, False

    def start(self) -> None:
        self.started.append(self)
        self.is_running = True
        self.rows.put(None)

    def join(self) -> None:
        self.is_running = False

    def terminate(self) -> None:
        self.is_cut_off |= self.is_running


class StandInContext:
    """Context that makes stand-ins for processes."""

    Process = StandInProcess
    SimpleQueue = queue.SimpleQueue


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[StandInProcess]:
    monkeypatch.setattr("multiprocessing.get_context", lambda _: StandInContext)
    monkeypatch.setattr(StandInProcess, "started", [], raising=False)
    return StandInProcess.started


def _run(folder: Path) -> None:
    logs = Logs(folder, of_all_runs=False)
    run_cases([], Load(), lambda _, __: None, logs=logs, is_side_by_side=True)


def test_processes_that_have_handed_over_everything_end_by_themselves(
    processes: list[StandInProcess], tmp_path: Path
) -> None:
    """A process that is cut off while it ends prints a traceback."""
    _run(tmp_path)
    assert [(each.is_running, each.is_cut_off) for each in processes] == [(False, False)] * 2


def test_processes_are_cut_off_by_an_interrupt(
    processes: list[StandInProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StandInContext, "SimpleQueue", type("Rows", (), {"put": print, "get": interrupted}))
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path)
    assert [(each.is_running, each.is_cut_off) for each in processes] == [(False, True)] * 2


def test_rows_of_another_load_are_not_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ROWS).write_text("[1, 1, [200, 0.4], {}]\n[1, 2, [200, 0.4]")
    with pytest.raises(SystemExit, match="2"):
        main(["failover", "--continue", "--rate", "300", "--short", "--rows", "1", "--out", str(tmp_path)])
    assert "measured with --rate 200 --short: continue with these options" in capsys.readouterr().err
    assert (tmp_path / ROWS).exists()
