"""Files of the live recorder, with whole lines, limits on size and age, and protection against a full disk."""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from queue_core.durations import DAY_MS
from queue_core.recording.writer import free_line

Kind = Literal["recording", "outcomes"]

FILE_BYTES_MAX = 64 * 1024**2
"""Size at which the next file begins; a file of this size has fewer messages than a replay accepts (2,000,000)."""
RETRY_AFTER_MS = 60_000
"""Pause after a failed write."""

FILE_SPAN_MS = DAY_MS
"""Longest time that one file covers if old files are deleted."""

_SUFFIXES: dict[Kind, str] = {"recording": ".jsonl", "outcomes": ".ndjson"}
FILE_NAME = re.compile(r"(?:recording|outcomes)-\d{8}T\d{6}Z-\d+(?:-\d+)?\.(?:jsonl|ndjson)")
"""Name of a file that a recorder wrote."""
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_log = logging.getLogger(__name__)


class RecordingFiles:
    """Files that are being written, at most one of each kind. Methods do not raise."""

    def __init__(
        self, folder: Path, max_bytes: int, now_ms: Callable[[], int], header: Callable[[Kind], bytes]
    ) -> None:
        self._folder = folder
        self._bytes_left = max_bytes
        self._now_ms = now_ms
        self._header = header
        self._open: dict[Kind, _File] = {}
        self._failed_at_ms: int | None = None
        self._missing = 0
        self._is_closed = False

    def is_open(self, kind: Kind) -> bool:
        """Return True if a file of the kind is being written."""
        return kind in self._open

    def append(self, kind: Kind, line: bytes, *, starts_file: bool) -> None:
        """Write one line. If the file is full and `starts_file` is true, the line begins another file."""
        if self._is_closed:
            return
        now_ms = self._now_ms()
        if self._failed_at_ms is not None and abs(now_ms - self._failed_at_ms) < RETRY_AFTER_MS:
            self._missing += 1
            return
        try:
            if starts_file and kind in self._open and self._open[kind].size >= FILE_BYTES_MAX:
                self._open.pop(kind).close()
            self._write(kind, line, now_ms)
        except (OSError, ValueError) as error:  # ValueError: a folder's name that no file system has
            self._failed(error, now_ms)

    def expire(self, older_than_ms: float) -> int:
        """See Recorder.expire."""
        now_ms, deleted = self._now_ms(), 0
        kept_ms = max(older_than_ms, FILE_SPAN_MS)  # a younger file may still be written
        for kind in [kind for kind, file in self._open.items() if file.began_ms <= now_ms - FILE_SPAN_MS]:
            self._open.pop(kind).close()
        with suppress(OSError, ValueError):  # for example, if there is no folder yet
            for path in sorted(self._folder.iterdir()):
                if FILE_NAME.fullmatch(path.name) and path.stat().st_mtime * 1000 < now_ms - kept_ms:
                    path.unlink()
                    deleted += 1
        return deleted

    def close(self) -> None:
        """End all files; nothing is written afterwards."""
        self._is_closed = True
        self._close_all()

    def _close_all(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def _write(self, kind: Kind, line: bytes, now_ms: int) -> None:
        file = self._open.get(kind)
        if file is None:  # the first lines are one write, so that no recording is without a message
            line = self._header(kind) + self._gap(now_ms) + line
        if len(line) > self._bytes_left:
            _log.warning(
                "the recording stops: this process has written as much as it may; a restart records again"
            )
            self.close()
            return
        if file is None:
            file = self._open[kind] = _File(self._folder, kind, now_ms)
        file.append(line)
        self._bytes_left -= len(line)
        if self._failed_at_ms is not None:
            _log.info("recording again; events missing: %d", self._missing)
            self._failed_at_ms, self._missing = None, 0

    def _gap(self, now_ms: int) -> bytes:
        if not self._missing:
            return b""
        text = f"{self._missing} events before this could not be recorded"
        return free_line("note", now_ms, {"text": text}).encode()

    def _failed(self, error: Exception, now_ms: int) -> None:
        """Close all files. The next attempt begins new files, so that no file has a gap inside."""
        if self._failed_at_ms is None:
            _log.warning("cannot record for now; messages are not affected: %s", error)
        self._failed_at_ms = now_ms
        self._missing += 1
        self._close_all()


class _File:
    """New file of whole lines, to which no other process writes. Methods raise OSError."""

    def __init__(self, folder: Path, kind: Kind, now_ms: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        moment = _UNIX_EPOCH + timedelta(milliseconds=now_ms)
        stem = f"{kind}-{moment:%Y%m%dT%H%M%SZ}-{os.getpid()}"
        self.size = 0
        self.began_ms = now_ms
        for number in range(1, 1_000):
            self._path = folder / f"{stem}{f'-{number}' if number > 1 else ''}{_SUFFIXES[kind]}"
            # O_EXCL prevents writing to an existing link, or to the file of a container with the same pid.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with suppress(FileExistsError):
                self._descriptor = os.open(self._path, flags, 0o600)
                return
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self._path))

    def append(self, lines: bytes) -> None:
        """Write the lines, all or none."""
        written = os.write(self._descriptor, lines)
        if written < len(lines):
            os.ftruncate(self._descriptor, self.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self.size += written

    def close(self) -> None:
        """Close the file, and remove it if it is empty."""
        with suppress(OSError):
            os.close(self._descriptor)
        if not self.size:
            with suppress(OSError):
                self._path.unlink()
