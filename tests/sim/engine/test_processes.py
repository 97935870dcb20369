"""Work in several processes: every result once, every failure reported, and an end at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.engine.processes import ChildProcessDiedError, spread

REPOSITORY = Path(__file__).parents[3]
LARGE = 30_000_000
"""Bytes of an answer, far more than a pipe holds."""


def added(shared: int, task: int) -> int:
    return shared + task


def failing(shared: str, task: int) -> int:
    if task == 2:
        raise LookupError(f"{shared} {task}")
    return task


def dying(shared: None, task: int) -> int:
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def writing(path: str, task: int) -> bytes:
    """Return an answer, for task 1 so large that the process is still writing it when the caller begins to read."""
    if task == 0:
        return b""
    Path(path).touch()
    return bytes(LARGE)


def sleeping(path: str, task: int) -> None:
    Path(path, str(os.getpid())).touch()
    time.sleep(60)


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_every_task_is_answered_once_with_its_index(jobs: int) -> None:
    assert sorted(spread(added, 100, range(7), jobs=jobs)) == [(index, 100 + index) for index in range(7)]


def test_without_tasks_there_are_no_answers() -> None:
    assert list(spread(added, 1, [], jobs=2)) == []


def test_a_failure_is_raised_with_where_it_happened() -> None:
    with pytest.raises(LookupError, match="shared 2") as raised:
        list(spread(failing, "shared", range(9), jobs=2))
    assert "in failing" in "".join(raised.value.__notes__)


def test_a_killed_process_is_reported() -> None:
    with pytest.raises(ChildProcessDiedError, match="--jobs 1"):
        list(spread(dying, None, range(9), jobs=2))


def test_a_process_can_be_stopped_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    marker = tmp_path / "writing"
    program = f"""
import time
from pathlib import Path
from sim.engine.processes import spread
from tests.sim.engine.test_processes import writing

if __name__ == "__main__":
    answers = spread(writing, {str(marker)!r}, [0, 1], jobs=1)
    assert next(answers) == (0, b"")
    try:
        answers.throw(KeyboardInterrupt)
    except KeyboardInterrupt:
        print("interrupted")
    answers = spread(writing, {str(marker)!r}, [1, 0], jobs=1)
    for index, answer in answers:
        print(index, len(answer))
        answers.close()
"""
    done = run_program(program, tmp_path)
    assert (done.stdout.split(), done.stderr, done.returncode) == (["interrupted", "0", str(LARGE)], "", 0)


def test_ctrl_c_while_a_process_writes_its_answer_ends_everything(tmp_path: Path) -> None:
    """A process that is stopped while it writes never finishes, so the caller's read must be interruptible."""
    program = """
import os, signal, threading, time
from multiprocessing import active_children
from pathlib import Path
from sim.engine.processes import spread
from tests.sim.engine.test_processes import writing

def interrupt():
    while not Path("writing").exists():
        time.sleep(0.01)
    for child in active_children():
        os.kill(child.pid, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGINT)

if __name__ == "__main__":
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        list(spread(writing, "writing", [1, 1], jobs=2))
    except KeyboardInterrupt:
        print("interrupted", active_children())
"""
    done = run_program(program, tmp_path)
    assert (done.stdout.split(), done.stderr, done.returncode) == (["interrupted", "[]"], "", 0)


def test_processes_end_with_their_parent(tmp_path: Path) -> None:
    program = f"""
from sim.engine.processes import spread
from tests.sim.engine.test_processes import sleeping

if __name__ == "__main__":
    list(spread(sleeping, {str(tmp_path / "pids")!r}, [1, 2], jobs=2))
"""
    (tmp_path / "program.py").write_text(program, "utf-8")
    (tmp_path / "pids").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path, env=environment) as parent:
        wait_until(lambda: len(list((tmp_path / "pids").iterdir())) == 2)
        parent.kill()
    pids = [int(path.name) for path in (tmp_path / "pids").iterdir()]
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def run_program(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a new process and return its output and exit code."""
    (folder / "program.py").write_text(program, "utf-8")
    return subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 50
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # a zombie is still listed
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
