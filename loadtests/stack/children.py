"""Child processes that end with this process, even when it is killed.

They are one process group. Its leader is a shell that reads from a pipe which only this process holds open. When this
process ends, the system closes the pipe, and the shell ends the group and itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_S = 8.0
"""Longest wait for an orderly end, before children are killed."""
LOG_LINES_SHOWN = 15

# In every shell 0 is the shell's own group; not every shell understands `kill -- -GROUP`.
_WATCHDOG = """
trap '' TERM INT HUP
read -r _
kill -s CONT 0
kill -s TERM 0
sleep 3
kill -s KILL 0
"""
_Process = subprocess.Popen[bytes]


class Children:
    """Processes by name, each with a log in `folder`, which must exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, _Process] = {}
        self._watchdog: _Process | None = None

    def spawn(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        cwd: Path | None = None,
        is_logged: bool = True,
    ) -> _Process:
        """Start a process in the group. Without a log it shares this process's output."""
        old = self._processes.get(name)
        assert old is None or old.poll() is not None
        group = self._group()
        with contextlib.ExitStack() as opened:
            log = opened.enter_context(self.log_of(name).open("ab")) if is_logged else None
            process = subprocess.Popen(  # noqa: S603 - commands of our own
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if is_logged else None,
                cwd=cwd or self._folder,
                env=dict(environment),
                process_group=group,
            )
        self._processes[name] = process
        return process

    def kill(self, name: str) -> None:
        """End a process at once (SIGKILL)."""
        process = self._processes[name]
        process.kill()
        process.wait()

    def running(self) -> dict[str, int]:
        """Return the process ids of the running processes, by name."""
        return {name: process.pid for name, process in self._processes.items() if process.poll() is None}

    def ended(self) -> dict[str, int]:
        """Return the exit codes of the ended processes, by name."""
        codes = {name: process.poll() for name, process in self._processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def log_of(self, name: str) -> Path:
        """Return the path of a process's log."""
        return self._folder / f"{name}.log"

    def log_tail(self, name: str, lines: int = LOG_LINES_SHOWN) -> str:
        """Return the last lines of a process's log."""
        try:
            text = self.log_of(name).read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self) -> None:
        """End all processes by SIGTERM, and by SIGKILL after STOP_S. None is left then."""
        deadline = time.monotonic() + STOP_S
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        if self._watchdog is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(
                    self._watchdog.pid, signal.SIGKILL
                )  # the shell, hanging children, and grandchildren
            self._watchdog.communicate()
            self._watchdog = None
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def _group(self) -> int:
        if self._watchdog is None:
            self._watchdog = subprocess.Popen(  # noqa: S603 - a constant script
                ["/bin/sh", "-c", _WATCHDOG, "loadtests-watchdog"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
        return self._watchdog.pid
