"""Files written whole or not at all: results, pages, baselines, recordings."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

STANDARD_OUTPUT = Path("-")
"""Name of standard output where a file is asked for."""


def write_whole(text: str, path: Path) -> None:
    """Write `text` to `path`, whole or not at all; missing folders are created.

    A link is followed. Standard output and other things that are not a regular file (a pipe, /dev/null) are written
    to, never replaced.

    Raises:
        OSError: the file cannot be written.
    """
    encoded = text.encode("utf-8", "replace")
    if path == STANDARD_OUTPUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(encoded)
        sys.stdout.flush()
        return
    if path.exists() and not path.is_file():  # before links are resolved, which fails for a pipe
        path.write_bytes(encoded)
        return
    try:
        path = path.resolve()
    except RuntimeError as error:  # Python 3.12 and older, for links that lead to each other
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(encoded)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def json_text(value: object) -> str:
    """Return indented JSON with a line end."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
