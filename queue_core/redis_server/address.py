"""Address file in a redis-server's data folder, by which commands on this machine find the server without REDIS_URL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "redis.url"


@contextmanager
def announced(url: str, folder: Path) -> Iterator[None]:
    """Keep the address of a running server in its data folder until the end of the block."""
    path = folder / NAME
    path.write_text(f"{url}\n", "utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read_address(folder: Path) -> str:
    """Return the address in a data folder, "" if there is none. A server that was killed leaves its address there."""
    with contextlib.suppress(OSError):
        return (folder / NAME).read_text("utf-8").strip()
    return ""
