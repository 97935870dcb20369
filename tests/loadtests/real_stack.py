"""A small real stack for tests, and the processes that belong to one."""

from __future__ import annotations

import contextlib
import os

import psutil

from loadtests.sink.server import SinkSettings
from loadtests.stack.deployment import StackSettings

SETTINGS = StackSettings(port=0, sink_port=0, sink=SinkSettings(ai="constant:10ms"))
ENVIRON = {
    **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "REDIS_SERVER") if name in os.environ},
    "QUEUE_WINDOW_MS": "300",
    "QUEUE_LOCK_TTL_MS": "1000",
    "QUEUE_LOCK_RENEW_MS": "200",
}


def family(pid: int) -> set[int]:
    """Return the ids of a process's descendants, except the browser of other tests."""
    pids: set[int] = set()
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie has no command line
            if any("playwright" in word for word in child.cmdline()):
                continue
        pids.add(child.pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            pids |= {process.pid for process in child.children(recursive=True)}
    return pids
