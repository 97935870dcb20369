"""Processes of a deployment, as an operator starts them: `python -m queue_core serve`, `web`, `worker`, `monitor`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.queue_core.server.outside import PATIENCE_S

ROOT = Path(__file__).parents[3]

QUICK = {
    "QUEUE_WINDOW_MS": "300",
    "QUEUE_LOCK_TTL_MS": "1000",
    "QUEUE_LOCK_RENEW_MS": "200",
    "QUEUE_BACKOFF_BASE_MS": "100",
    "QUEUE_REDIS_DEADLINE_MS": "500",
    "GRACE_S": "5",
}
"""Settings that make a test short."""


class Process:
    """One process, its log and its output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.events: list[dict[str, Any]] = []
        self.printed: list[str] = []
        self._said = asyncio.Condition()
        self._log_ended = False
        self._readers = [asyncio.create_task(self._read_log()), asyncio.create_task(self._read_output())]
        self.url = ""

    async def wait_for_event(self, start: str, times: int = 1) -> dict[str, Any]:
        """Wait for `times` events in the log that begin with `start`, and return the last."""
        async with asyncio.timeout(PATIENCE_S), self._said:
            while len(lines := [event for event in self.events if event["event"].startswith(start)]) < times:
                assert not self._log_ended, f"the process ended; its log: {self.events}"
                await self._said.wait()
            return lines[-1]

    async def wait_for_output(self, part: str) -> str:
        """Wait for a line of output that holds `part`, and return it."""
        async with asyncio.timeout(PATIENCE_S), self._said:
            while True:
                for line in self.printed:
                    if part in line:
                        return line
                await self._said.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    async def wait_for_exit(self) -> int:
        """Return the exit code, once the process has ended."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._process.wait()

    async def post(self, path: str, body: Any, **options: Any) -> tuple[int, Any]:
        """Post JSON, and return status and JSON of the answer."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url + path, json=body, **options) as response,
        ):
            return response.status, await response.json()

    async def get(self, path: str) -> tuple[int, str]:
        """Get a page, and return status and text of the answer."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            return response.status, await response.text()

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": line.decode().rstrip()}
            async with self._said:
                self.events.append(event)
                self._said.notify_all()
        async with self._said:
            self._log_ended = True
            self._said.notify_all()

    async def _read_output(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._said:
                self.printed.append(line.decode().rstrip())
                self._said.notify_all()

    async def kill(self) -> None:
        """Kill the process if it still lives, and end the tasks that read its output."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        await self._process.wait()
        await asyncio.gather(*self._readers)


@asynccontextmanager
async def running(
    *arguments: str,
    environment: Mapping[str, str],
    folder: Path,
    ready: str = "listening on",
    root: Path = ROOT,
) -> AsyncIterator[Process]:
    """Start a process in `folder`, wait until it logs `ready`, and kill it at the end if it still lives.

    `root` is the folder that `queue_core` is imported from.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "REDIS_SERVER") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "queue_core",
        *arguments,
        cwd=folder,
        env={**kept, "PYTHONPATH": str(root), "LOG_FORMAT": "json", "PORT": "0", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    started = Process(process)
    try:
        event = await started.wait_for_event(ready)
        started.url = event["event"].removeprefix("listening on ")
        yield started
    finally:
        await started.kill()
