"""Files in a data folder with the addresses of running servers, by which commands on this machine find them.

They are those of the redis-server, and of the web server of `serve`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REDIS = "redis.url"
WEB = "web.url"


@contextmanager
def announced(url: str, folder: Path, name: str = REDIS) -> Iterator[None]:
    """Keep the address of a running server in its data folder until the end of the block."""
    path = folder / name
    path.write_text(f"{url}\n", "utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read_address(folder: Path, name: str = REDIS) -> str:
    """Return the address in a data folder, "" if there is none. A server that was killed leaves its address there."""
    with contextlib.suppress(OSError):
        return (folder / name).read_text("utf-8").strip()
    return ""
