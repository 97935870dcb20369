"""The live recorder: writes down messages that arrive at a bot, and what becomes of them, as it happens.

`python -m sim replay` reads the recordings. Two kinds of files lie in the folder, both one JSON object per line:

- `recording-<UTC>-<pid>.jsonl`: the messages that a process took in, and what became of them while it watched. A replay
  of the folder reads these.
- `outcomes-<UTC>-<pid>.ndjson`: what became of messages that other processes, or this one before a restart, recorded.

Phones and message ids (some hold the phone) are replaced by a keyed hash, and so is an instance named after a number.
Texts are left out unless asked for. A recorder is an observer: it never raises, and gives up before it harms the bot.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from queue_core.durations import DAY_MS
from queue_core.message import Batch, QueueMessage, well_formed
from queue_core.recording.format import SPAN_MS_MAX, TEXT_LENGTH_MAX, Header, MessageEvent
from queue_core.recording.line import LineError, identifier
from queue_core.recording.writer import fate_line, header_line, message_line

Kind = Literal["recording", "outcomes"]

MAX_BYTES = 1024**3
"""Limit of what one Recorder writes: it may share its disk with Redis, which must never run out of space."""
FILE_BYTES_MAX = 64 * 1024**2
"""Size at which the next file begins; it holds fewer messages than a replay takes (2,000,000)."""
RETRY_AFTER_MS = 60_000
"""Time without another attempt after a failed write."""

REASON_LENGTH_MAX = 200
IDS_MAX = 2_000
FIELDS_MAX = 100

FILE_SPAN_MS = DAY_MS
"""Longest time that one file covers, where old files are deleted."""

_SUFFIXES: dict[Kind, str] = {"recording": ".jsonl", "outcomes": ".ndjson"}
_FILE_NAME = re.compile(r"(?:recording|outcomes)-\d{8}T\d{6}Z-\d+(?:-\d+)?\.(?:jsonl|ndjson)")
_KIND_WORD = re.compile(r"(?!.*[0-9]{4})[A-Za-z][A-Za-z0-9_-]{0,63}")
_NUMBER = re.compile(r"\d(?:[\s()./_-]*\d){6,}")
"""Number as long as a phone's, however it is written."""
_UNFORESEEN = re.compile(r"(?:handle|send|complete): \w+")
_HEX_AS_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_log = logging.getLogger(__name__)


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Recorder:
    """Writer of recordings into `folder`. Folder and files are made when there is something to write.

    With the same `hash_key` a user has the same hash in all files; without a key each Recorder makes a new one. Each
    line is one write at the end of the file, so that a killed process leaves whole lines. Events that cannot be written
    are counted, with one warning, until writing works again. Not thread-safe.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        show_text: bool = False,
        hash_key: bytes | None = None,
        kind: Kind = "recording",
        max_bytes: int = MAX_BYTES,
        now_ms: Callable[[], int] = _wall_clock_ms,
    ) -> None:
        self._show_text = show_text
        self._hash_key = hash_key or secrets.token_bytes(32)
        self._kind = kind
        self._now_ms = now_ms
        self._files = _Files(Path(folder), max_bytes, now_ms, self._header)
        self._warned_of_event = False

    def message(self, message: QueueMessage, kind: str) -> None:
        """Records a delivery of a message, at the moment it arrives; a second delivery is recorded too."""
        self._record("message", lambda at_ms: self._arrival(message, kind, at_ms))

    def acknowledged(self, message: QueueMessage, how: str) -> None:
        """Records that a message was acknowledged, in which way, such as "queued" or "duplicate"."""
        self._record_fate("note", lambda: {**self._of(message), "what": "acknowledged", "how": how})

    def fallback(self, message: QueueMessage) -> None:
        """Records that a message was answered directly, since Redis was away."""
        self._record_fate("fallback", lambda: self._of(message))

    def batch(self, batch: Batch) -> None:
        """Records that a worker took a turn."""
        self._record_fate(
            "batch", lambda: {**self._of(batch), "trigger": batch.trigger, "attempt": batch.attempt}
        )

    def reply(
        self,
        batch: Batch,
        reply: str,
        needs_data_collection: bool = False,
        requested_fields: tuple[str, ...] = (),
    ) -> None:
        """Records the reply to a turn. An answer that was dropped is not recorded."""

        def fields() -> dict[str, Any]:
            values = {**self._of(batch), "characters": len(reply), "requested": len(requested_fields)}
            if needs_data_collection:
                values["needs_data_collection"] = True
            if self._show_text:
                values["text"] = _clean(reply)
                values["requested_fields"] = [_clean(name)[:200] for name in requested_fields[:FIELDS_MAX]]
            return values

        self._record_fate("reply", fields)

    def superseded(self, batch: Batch) -> None:
        """Records that a turn ended without a reply, since a newer message joined it: the answer was dropped."""
        self._record_fate("note", lambda: {**self._of(batch), "what": "superseded"})

    def sent(self, batch: Batch) -> None:
        """Records that a channel took the reply."""
        self._record_fate("sent", lambda: self._of(batch))

    def dead_letter(self, about: Batch | QueueMessage, reason: str) -> None:
        """Records that messages were given up. Unless texts are kept, the reason quotes no user."""

        def fields() -> dict[str, Any]:
            messages = about.messages if isinstance(about, Batch) else (about,)
            shown = _clean(reason) if self._show_text else _without_quotes(reason, messages)
            return {**self._of(about), "reason": shown}

        self._record_fate("dead_letter", fields)

    def note(self, text: str) -> None:
        """Records a remark of the operator or the program; it is written as it is."""
        self._record_fate("note", lambda: {"text": _clean(text)})

    def expire(self, older_than_ms: float) -> int:
        """Delete the files of all recorders in the folder whose newest event is older than that, at least a day.

        Files of this one that began a day ago end, and others begin. Returns the number of deleted files.
        """
        return self._files.expire(older_than_ms)

    def close(self) -> None:
        """Ends the recording; later events are not recorded."""
        self._files.close()

    def _record_fate(self, event: str, fields: Callable[[], dict[str, Any]]) -> None:
        self._record(event, lambda at_ms: fate_line(event, at_ms, fields()))

    def _record(self, event: str, line_at: Callable[[int], str]) -> None:
        try:
            line = line_at(self._now_ms()).encode()
        except Exception as error:  # noqa: BLE001 - a message that cannot be recorded is delivered all the same
            if not self._warned_of_event:
                self._warned_of_event = True
                _log.warning("an event cannot be recorded (reported once): %s", type(error).__name__)
            return
        # A replay refuses a recording without messages: until the first message, events go to the other file.
        starts_file = event == "message" or self._kind == "outcomes"
        is_open = starts_file or self._files.is_open(self._kind)
        self._files.append(
            self._kind if is_open else "outcomes", line, starts_file=starts_file or not is_open
        )

    def _header(self, kind: Kind) -> bytes:
        texts = "texts as they were" if self._show_text else "texts left out"
        header = Header(
            title="Recorded live" if kind == "recording" else "What became of messages recorded elsewhere",
            source="burstqueue",
            notes=f"phones, ids and instances with a number in them are keyed hashes; {texts}",
        )
        return header_line(header).encode()

    def _arrival(self, message: QueueMessage, kind: str, at_ms: int) -> str:
        is_plausible = message.timestamp > 0 and abs(message.timestamp - at_ms) < SPAN_MS_MAX
        # The queue treats each message without an id as a new message.
        unique_id = f"none-{_letters(secrets.token_hex(8))}"
        return message_line(
            MessageEvent(
                at=at_ms,
                is_iso=True,
                instance=self._instance(message.instance_name),
                phone=self._hashed("phone", message.user_phone),
                id=self._hashed("id", message.id) if message.id else unique_id,
                text=_clean(message.message) if self._show_text else "",
                kind=kind if _KIND_WORD.fullmatch(kind) else "other",
                timestamp=message.timestamp if is_plausible else None,
            )
        )

    def _of(self, about: Batch | QueueMessage) -> dict[str, Any]:
        """Returns the fields that name the conversation and its messages, hashed."""
        fields: dict[str, Any] = {
            "instance": self._instance(about.instance_name),
            "phone": self._hashed("phone", about.user_phone),
        }
        if isinstance(about, Batch):
            fields["ids"] = [self._hashed("id", message_id) for message_id in about.ids[:IDS_MAX]]
        elif about.id:
            fields["id"] = self._hashed("id", about.id)
        return fields

    def _instance(self, name: str) -> str:
        try:
            if not _NUMBER.search(identifier(well_formed(name), "instance")):
                return well_formed(name)
        except LineError:
            pass
        return f"instance-{self._hashed('instance', name)}"

    def _hashed(self, kind: str, value: str) -> str:
        """Hashes a value to 16 letters without a digit: no hash in a file can be mistaken for a phone number."""
        data = f"{kind}\0{well_formed(value)}".encode()
        return _letters(hmac.new(self._hash_key, data, hashlib.sha256).hexdigest()[:16])


class _Files:
    """The files being written, at most one of each kind. Nothing here raises."""

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
        return kind in self._open

    def append(self, kind: Kind, line: bytes, *, starts_file: bool) -> None:
        """Writes one line. If the file is full and `starts_file` allows it, the line begins another file."""
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
        now_ms, deleted = self._now_ms(), 0
        for kind in [kind for kind, file in self._open.items() if file.began_ms <= now_ms - FILE_SPAN_MS]:
            self._open.pop(kind).close()
        with suppress(OSError, ValueError):  # no folder yet, say
            for path in sorted(self._folder.iterdir()):
                if _FILE_NAME.fullmatch(path.name) and path.stat().st_mtime * 1000 < now_ms - older_than_ms:
                    path.unlink()
                    deleted += 1
        return deleted

    def close(self) -> None:
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
            _log.warning("recording ends here: it has reached its limit in bytes")
            self.close()
            return
        if file is None:
            file = self._open[kind] = _File(self._folder, kind, now_ms)
        file.append(line)
        self._bytes_left -= len(line)
        if self._failed_at_ms is not None:
            _log.info("recording again; %d events are missing", self._missing)
            self._failed_at_ms, self._missing = None, 0

    def _gap(self, now_ms: int) -> bytes:
        if not self._missing:
            return b""
        text = f"{self._missing} events before this could not be recorded"
        return fate_line("note", now_ms, {"text": text}).encode()

    def _failed(self, error: Exception, now_ms: int) -> None:
        """Closes all files, so that the next attempt begins others and no file has a gap inside."""
        if self._failed_at_ms is None:
            _log.warning("cannot record for now; messages are not affected: %s", error)
        self._failed_at_ms = now_ms
        self._missing += 1
        self._close_all()


class _File:
    """A new file of whole lines that no other process writes to. Methods raise OSError."""

    def __init__(self, folder: Path, kind: Kind, now_ms: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        moment = _UNIX_EPOCH + timedelta(milliseconds=now_ms)
        stem = f"{kind}-{moment:%Y%m%dT%H%M%SZ}-{os.getpid()}"
        self.size = 0
        self.began_ms = now_ms
        for number in range(1, 1_000):
            self._path = folder / f"{stem}{f'-{number}' if number > 1 else ''}{_SUFFIXES[kind]}"
            # EXCL: never write to an existing link, or to the file of a container with the same pid.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with suppress(FileExistsError):
                self._descriptor = os.open(self._path, flags, 0o600)
                return
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self._path))

    def append(self, lines: bytes) -> None:
        """Writes the lines, all or none."""
        written = os.write(self._descriptor, lines)
        if written < len(lines):
            os.ftruncate(self._descriptor, self.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self.size += written

    def close(self) -> None:
        """Closes the file, and removes it if it is empty."""
        with suppress(OSError):
            os.close(self._descriptor)
        if not self.size:
            with suppress(OSError):
                self._path.unlink()


def _letters(hexadecimal: str) -> str:
    return hexadecimal.translate(_HEX_AS_LETTERS)


def _clean(text: str) -> str:
    """Makes text fit for a recording: without NUL and half surrogate pairs, and not too long."""
    return well_formed(text[:TEXT_LENGTH_MAX]).replace("\0", "\N{REPLACEMENT CHARACTER}")


def _without_quotes(reason: str, messages: tuple[QueueMessage, ...]) -> str:
    """Returns a reason without anything that a user wrote, and without phone numbers.

    Errors of the queue, its AI backends and channels quote nobody; of other errors only the type is kept.
    """
    if unforeseen := _UNFORESEEN.match(reason):
        return unforeseen[0][:REASON_LENGTH_MAX]
    if any(message.message and message.message in reason for message in messages):
        return "withheld: it quotes the message"
    return _NUMBER.sub("#", _clean(reason))[:REASON_LENGTH_MAX]
