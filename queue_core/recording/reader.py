"""Reader of recordings from `.jsonl` files.

A broken line is never skipped silently: it raises RecordingError, which names file, line and reason, or is collected in
`Recording.skipped` if the caller asks for that.
"""

from __future__ import annotations

import shlex
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from queue_core.recording.checks import LineError, quote
from queue_core.recording.format import (
    DEFAULT_EPOCH_MS,
    LINE_BYTES_MAX,
    MESSAGES_MAX,
    OTHERS_MAX,
    SPAN_MS_MAX,
    Arrival,
    BadLine,
    Expectation,
    Header,
    MessageEvent,
    OtherEvent,
    Recording,
)
from queue_core.recording.line import parse_line
from queue_core.text import visible

BAD_LINES_MAX = 10_000

_UTF8_MARK = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_UTF16 = "UTF-16, and recordings are UTF-8"
_CONVERSIONS = {
    b"\x1f\x8b": ("compressed by gzip", "gzip -dc"),
    b"PK\x03\x04": ("a zip archive", "unzip -p"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "zstd -dc"),
    b"\xfd7zXZ\0": ("compressed by xz", "xz -dc"),
    b"BZh": ("compressed by bzip2", "bzip2 -dc"),
    b"\xff\xfe": (_UTF16, "iconv -f UTF-16 -t UTF-8"),
    b"\xfe\xff": (_UTF16, "iconv -f UTF-16 -t UTF-8"),
    b"{\0": (_UTF16, "iconv -f UTF-16LE -t UTF-8"),
    b"\0{": (_UTF16, "iconv -f UTF-16BE -t UTF-8"),
}
"""First bytes of other kinds of files, each with the kind and the command that converts such a file."""


class RecordingError(Exception):
    """Raised for a recording that cannot be read: `path`, `line` (from 1; None for the whole file), `reason`."""

    def __init__(self, path: Path | str, line: int | None, reason: str) -> None:
        super().__init__(path, line, reason)
        self.path = visible(str(path))
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.reason}"


def load(paths: Sequence[Path], *, skip_bad_lines: bool = False) -> list[Recording]:
    """Read files, and the `*.jsonl` files of folders except hidden ones; a file given twice is read once.

    With `skip_bad_lines`, broken lines are collected in `Recording.skipped`; otherwise the first one raises
    RecordingError. A file that is missing, unreadable, without messages, or has more than MESSAGES_MAX messages or
    BAD_LINES_MAX broken lines always raises it.
    """
    unique: dict[Path, Path] = {}
    for path in paths:
        for file in _files(path):
            unique.setdefault(file.resolve(), file)
    files = list(unique.values())
    names = short_names(files)
    return [
        read_recording(file, name, skip_bad_lines=skip_bad_lines)
        for file, name in zip(files, names, strict=True)
    ]


def read_recording(
    path: Path, name: str, *, skip_bad_lines: bool = False, opener: Callable[[], BinaryIO] | None = None
) -> Recording:
    """Read one recording, named `name`; `opener` opens its content if that is not the file itself. See `load`."""
    return _Reader(path, name, skip_bad_lines, opener).read()


class _Reader:
    """Reader of one file."""

    def __init__(
        self, path: Path, name: str, skip_bad_lines: bool, opener: Callable[[], BinaryIO] | None
    ) -> None:
        self._path = path
        self._opener = opener
        self._name = name
        self._skip_bad_lines = skip_bad_lines
        self._header = Header()
        self._header_line: int | None = None
        self._events: list[MessageEvent] = []
        self._others: list[OtherEvent] = []
        self._first_line: int | None = None
        self._first: MessageEvent | OtherEvent | None = None
        self._first_event_line = 0
        self._skipped: list[BadLine] = []

    def read(self) -> Recording:
        try:
            with self._opener() if self._opener else self._open() as file:
                for number, line in numbered_lines(file):
                    try:
                        self._take(number, line)
                    except LineError as error:
                        self._bad_line(number, str(error))
        except OSError as error:
            raise RecordingError(self._path, None, f"cannot be read: {error.strerror or error}") from error
        if not self._events:
            reason = "has no messages" if self._first_line or self._skipped else "is empty"
            raise RecordingError(self._path, None, reason)
        return self._recording()

    @property
    def _is_free(self) -> bool:
        """True if some events may have free fields: in version 1, or without a `recording` event."""
        return self._header_line is None or self._header.version == 1

    def _open(self) -> BinaryIO:
        file = self._path.open("rb")
        try:
            self._check_kind(file.peek())
        except RecordingError:
            file.close()
            raise
        return file

    def _check_kind(self, start: bytes) -> None:
        """Refuse a file of another kind, and say how to convert it. Raises RecordingError."""
        for mark, (kind, command) in _CONVERSIONS.items():
            if start.startswith(mark):
                hint = visible(f"{command} {shlex.quote(str(self._path))} > recording.jsonl")
                raise RecordingError(self._path, None, f"is {kind}; convert it first: {hint}")

    def _take(self, number: int, line: bytes | None) -> None:
        if line is None:
            raise LineError(f"is longer than {LINE_BYTES_MAX:,} bytes")
        if number == 1:
            line = line.removeprefix(_UTF8_MARK)
        if not line.strip(_BLANK):
            return
        event = parse_line(line, 1 if self._is_free else self._header.version)
        if isinstance(event, Header):
            if self._first_line is not None:
                raise LineError(f"the recording event must come first, before line {self._first_line}")
            self._header, self._header_line = event, number
        elif isinstance(event, MessageEvent):
            self._take_message(number, event)
        elif event is not None:
            self._take_other(number, event)
        self._first_line = self._first_line or number

    def _take_message(self, number: int, event: MessageEvent) -> None:
        self._check_time(number, event)
        if len(self._events) == MESSAGES_MAX:
            reason = f"more than {MESSAGES_MAX:,} messages; split the file by conversation"
            raise RecordingError(self._path, number, reason)
        self._events.append(event)

    def _take_other(self, number: int, event: OtherEvent) -> None:
        if not self._is_free:  # version 1 checked only the times of messages
            self._check_time(number, event)
        if len(self._others) == OTHERS_MAX:
            reason = f"more than {OTHERS_MAX:,} events other than messages; split the file by conversation"
            raise RecordingError(self._path, number, reason)
        self._others.append(event)

    def _check_time(self, number: int, event: MessageEvent | OtherEvent) -> None:
        """Check that a time has the form of the first event's time, and lies near it."""
        if self._first is None:
            self._first, self._first_event_line = event, number
        elif event.is_iso != self._first.is_iso:
            here, there = ("an ISO time", "milliseconds") if event.is_iso else ("milliseconds", "an ISO time")
            raise LineError(f'"at" is {here} here and {there} in line {self._first_event_line}')
        elif abs(event.at - self._first.at) > SPAN_MS_MAX:
            raise LineError(f'"at" is more than 20 years from line {self._first_event_line}')

    def _bad_line(self, number: int, reason: str) -> None:
        if not self._skip_bad_lines:
            raise RecordingError(self._path, number, reason) from None
        if len(self._skipped) == BAD_LINES_MAX:
            reason = f"more than {BAD_LINES_MAX:,} broken lines; the last: {reason}"
            raise RecordingError(self._path, number, reason) from None
        self._skipped.append(BadLine(number, reason))

    def _recording(self) -> Recording:
        expect = self._checked_expect()
        is_iso = self._events[0].is_iso
        epoch_ms = min(event.at for event in self._events) if is_iso else DEFAULT_EPOCH_MS
        start = epoch_ms if is_iso else 0
        return Recording(
            name=self._name,
            arrivals=arrivals_of(self._events, start),
            others=others_of(self._others, start, is_iso=is_iso),
            precision=self._header.precision,
            left_out=self._header.left_out,
            title=self._header.title,
            source=self._header.source,
            notes=self._header.notes,
            epoch_ms=epoch_ms,
            settings=self._header.settings,
            expect=expect,
            skipped=tuple(sorted(self._skipped, key=lambda bad: bad.line)),
        )

    def _checked_expect(self) -> Mapping[str, Expectation]:
        """Return the expectations; none if any of them names an id that the file does not have."""
        missing = {
            message_id: name
            for name, expected in self._header.expect.items()
            for message_id in expected.ids()
        }
        for event in self._events:
            missing.pop(event.id, None)
        if not missing or self._header_line is None:
            return self._header.expect
        message_id, system = next(iter(missing.items()))
        self._bad_line(self._header_line, f"expect.{system} names {quote(message_id)}, which no message has")
        return {}


def numbered_lines(file: BinaryIO, bytes_max: int = LINE_BYTES_MAX) -> Iterator[tuple[int, bytes | None]]:
    """Yield numbered lines with their line breaks; None for a line that is too long. Keeps one line in memory."""
    number = 0
    while line := file.readline(bytes_max + 2):
        number += 1
        is_whole = line.endswith(b"\n") or len(line) < bytes_max + 2
        if is_whole and len(line.rstrip(b"\r\n")) <= bytes_max:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(bytes_max)
        yield number, None


def arrivals_of(events: list[MessageEvent], start: int) -> tuple[Arrival, ...]:
    """Sort the arrivals; a delivery without a timestamp gets that of the first delivery of its id.

    Empties `events`, so that a long recording is not in memory twice.
    """
    events.sort(key=lambda event: event.at)
    events.reverse()
    first_timestamps: dict[tuple[str, str, str], int] = {}
    arrivals: list[Arrival] = []
    while events:
        event = events.pop()
        key = (sys.intern(event.instance), sys.intern(event.phone), event.id)
        timestamp = event.timestamp
        if timestamp is None:
            timestamp = first_timestamps.get(key, event.at)
        first_timestamps.setdefault(key, timestamp)
        arrivals.append(
            Arrival(event.at - start, *key, event.text, event.kind, timestamp - start, event.characters)
        )
    return tuple(arrivals)


def others_of(events: list[OtherEvent], start: int, *, is_iso: bool) -> tuple[OtherEvent, ...]:
    """Sort the other events and count their times from the start. Drops events whose times have another form."""
    events.sort(key=lambda event: event.at)
    return tuple(
        replace(event, at=event.at - start, is_iso=False) for event in events if event.is_iso == is_iso
    )


def _files(path: Path) -> list[Path]:
    """Return the path itself, or the recordings in the folder. Raises RecordingError."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISDIR(mode):
            return [_regular(path, mode)]
        files = sorted(file for file in path.iterdir() if file.suffix == ".jsonl" and file.name[0] != ".")
        if not files:
            raise RecordingError(
                path, None, "is a folder without *.jsonl files; the name of a recording must end in .jsonl"
            )
        return [_regular(file, file.stat().st_mode) for file in files]
    except FileNotFoundError as error:
        raise RecordingError(error.filename or path, None, "does not exist") from None
    except OSError as error:
        raise RecordingError(path, None, f"cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise RecordingError(path, None, "cannot be read: a name cannot hold a NUL character") from None


def _regular(path: Path, mode: int) -> Path:
    if stat.S_ISDIR(mode):
        raise RecordingError(path, None, "is a folder; a recording is a file")
    if not stat.S_ISREG(mode):
        raise RecordingError(path, None, "is neither a file nor a folder")
    return path


def short_names(files: Sequence[Path]) -> list[str]:
    """Name each file by the shortest end of its path that no other path has. The same path twice has one name."""
    paths = [file.resolve().parts for file in files]
    lengths = dict.fromkeys(paths, 1)
    while True:
        ends = {path: path[-length:] for path, length in lengths.items()}
        times = Counter(ends.values())
        if len(times) == len(ends):
            return [visible("/".join(ends[path])) for path in paths]
        lengths = {path: length + (times[ends[path]] > 1) for path, length in lengths.items()}
