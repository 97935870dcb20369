"""Signals to a process of the server."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import asyncio, os, signal
from queue_core.server.processes import _signals

async def main():
    with _signals(asyncio.Event(), 60):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)

asyncio.run(main())
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_second_sigterm_after_the_event_loop_ended_exits_with_130() -> None:
    assert subprocess.run([sys.executable, "-c", SCRIPT], check=False).returncode == 130
