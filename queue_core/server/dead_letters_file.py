"""File to which the oldest dead letters are moved when there is no room for more."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path


class DeadLettersFile:
    """File with a dead letter on each line, as JSON: `id`, and the fields in Redis. Only its owner may read it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def append(self, letters: list[dict[str, str]]) -> None:
        """Append dead letters. When this returns, they are on the disk. Raises OSError."""
        await asyncio.to_thread(self._append, letters)

    def _append(self, letters: list[dict[str, str]]) -> None:
        lines = "".join(json.dumps(letter, ensure_ascii=False) + "\n" for letter in letters)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
