"""A worker in a process of its own, to be killed, frozen and drained: run by `Worker`, or `python -m` this.

It writes each stage that it reaches to stdout. At the stage `hold_at` it waits for a line on stdin; with "block" its
event loop is blocked meanwhile. What it did is in its journal, a file that survives it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import msgspec

from queue_core import Batch, MessageQueue, Processor, QueueSettings, connect
from tests.queue_core.bot import PATIENCE_S

Stage = Literal["claimed", "asked", "recorded", "sent"]
"""Before the AI is asked; after its answer; before the reply is sent; after that, before complete."""
ROOT = Path(__file__).parents[3]


class Worker:
    """The other end: what a test does with the process."""

    def __init__(self, process: asyncio.subprocess.Process, journal: Path) -> None:
        self._process = process
        self._journal = journal

    async def reaches(self, stage: Stage | Literal["ready"]) -> None:
        """Return when the worker says so."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while line := await self._process.stdout.readline():
                if line.decode().strip() == stage:
                    return
        raise AssertionError(f"the worker ended before it reached {stage!r}")

    def go_on(self) -> None:
        """Let it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; SIGTERM makes the process finish what it has in progress."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Return the exit code, once it has ended."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._process.wait()

    @property
    def asked_ids(self) -> list[str]:
        """Ids that its AI was asked about."""
        return self._ids("asked")

    @property
    def sent_ids(self) -> list[str]:
        """Ids whose reply it sent."""
        return self._ids("sent")

    def _ids(self, event: Stage) -> list[str]:
        lines = self._journal.read_text().splitlines() if self._journal.exists() else []
        entries = [json.loads(line) for line in lines]
        return [message_id for entry in entries if entry["event"] == event for message_id in entry["ids"]]


@contextlib.asynccontextmanager
async def worker(
    url: str,
    settings: QueueSettings,
    journal: Path,
    *,
    hold_at: Stage | None = None,
    how: Literal["wait", "block"] = "wait",
    grace_s: float = 20.0,
) -> AsyncIterator[Worker]:
    """Start a worker; kill it at the end if it still lives."""
    options = [url, msgspec.json.encode(settings).decode(), str(journal), str(hold_at), how, str(grace_s)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.queue_core.faults.worker",
        *options,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    started = Worker(process, journal)
    try:
        await started.reaches("ready")
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        assert process.stdin is not None
        process.stdin.close()


class _Bot:
    def __init__(self, options: argparse.Namespace) -> None:
        self._journal: Path = options.journal
        self._hold_at: str = options.hold_at
        self._blocks = options.how == "block"

    async def handle(self, batch: Batch) -> str:
        await self._reach("claimed", batch)
        await self._reach("asked", batch)
        return "re " + " ".join(batch.ids)

    async def send(self, batch: Batch, reply: str) -> None:
        await self._reach("recorded", batch)
        await self._reach("sent", batch)

    async def _reach(self, stage: Stage, batch: Batch) -> None:
        with self._journal.open("a") as journal:
            journal.write(json.dumps({"event": stage, "ids": batch.ids}) + "\n")
        print(stage, flush=True)  # noqa: T201 - how the test learns of it
        if stage == self._hold_at:
            self._hold_at = ""
            if self._blocks:
                sys.stdin.readline()
            else:
                await asyncio.to_thread(sys.stdin.readline)


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("settings", type=lambda text: msgspec.json.decode(text, type=QueueSettings))
    parser.add_argument("journal", type=Path)
    parser.add_argument("hold_at")
    parser.add_argument("how")
    parser.add_argument("grace_s", type=float)
    options = parser.parse_args()
    bot = _Bot(options)
    async with connect(options.url) as redis:
        queue = MessageQueue(redis, options.settings)
        processor = Processor(queue, bot.handle, bot.send, grace_s=options.grace_s)
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        print("ready", flush=True)  # noqa: T201 - how the test learns of it
        async with asyncio.TaskGroup() as group:
            running = group.create_task(processor.run())
            await stopped.wait()
            await processor.stop()
            await running


if __name__ == "__main__":
    asyncio.run(_main())
