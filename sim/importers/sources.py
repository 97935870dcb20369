"""Files to import, from folders, archives or standard input, in UTF-8 or UTF-16."""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from queue_core.recording.reader import numbered_lines
from queue_core.text import visible
from sim.importers.base import Context, ImportFailedError, Sample
from sim.importers.unpacking import (
    FILES_MAX,
    READ_ERRORS,
    LimitedStream,
    Opener,
    PrefixedStream,
    Unpacked,
    Utf8Stream,
    failure,
    is_hidden,
    members,
    unpacker,
)

SAMPLE_BYTES = 256 * 1024
LINE_BYTES_MAX = 16 * 1024**2
"""Limit on a line; a webhook may hold a picture."""
WRAPPINGS_MAX = 3
"""Limit on archives within archives."""
STANDARD_INPUT = Path("-")

_BUFFER_BYTES = 256 * 1024
_ZIP, _TAR, _TAR_AT = b"PK\x03\x04", b"ustar", 257
_UTF8_MARK = b"\xef\xbb\xbf"
_ENCODINGS = (
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
"""First bytes of UTF-16 files with a byte order mark."""
_UNMARKED = (
    (re.compile(rb"[\t -~]\0[\t -~]\0"), "utf-16-le"),
    (re.compile(rb"\0[\t -~]\0[\t -~]"), "utf-16-be"),
)
"""Beginnings of UTF-16 files without a byte order mark: two ASCII characters."""


@dataclass
class Meter:
    """Number of bytes read from disk so far, over all files and passes."""

    bytes_read: int = 0


@dataclass(frozen=True)
class Source:
    """File to import, which may be read several times."""

    name: str
    """Name for people; for a file in an archive, it begins with the archive's name."""
    opener: Opener
    path: Path | None = None
    """Path of a plain file on disk; None for other sources."""

    def open(self) -> BinaryIO:
        """Open the file's content, in UTF-8 without a byte order mark. Raises ImportFailedError."""
        try:
            stream = self.opener()
            start = stream.read(4)
        except READ_ERRORS as error:
            raise failure(self.name, error) from None
        whole = _buffered(PrefixedStream(self.name, start.removeprefix(_UTF8_MARK), stream))
        for mark, encoding in _ENCODINGS:
            if start.startswith(mark):
                return _buffered(Utf8Stream(self.name, whole, encoding))
        for pattern, encoding in _UNMARKED:
            if pattern.match(start):
                return _buffered(Utf8Stream(self.name, whole, encoding))
        return whole

    def lines(self) -> Iterator[tuple[int, bytes | None]]:
        """Yield numbered lines with their line breaks; None for a line over LINE_BYTES_MAX."""
        with self.open() as stream:
            yield from numbered_lines(stream, LINE_BYTES_MAX)

    def sample(self) -> Sample:
        """Read the beginning. Raises ImportFailedError."""
        with self.open() as stream:
            data = stream.read(SAMPLE_BYTES)
            if b"\n" not in data:  # the first line may have a picture
                data += stream.readline(LINE_BYTES_MAX)
            return Sample(self.name, data, is_whole=not stream.read(1))


def text_of(line: bytes, context: Context) -> str:
    """Decode a line; a line that is not UTF-8 is read as Windows-1252, with a note."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        context.note("Some lines are not UTF-8: they are read as Windows-1252.")
        return line.decode("cp1252", "replace")


def sources_of(paths: Iterable[Path], meter: Meter) -> Iterator[Source]:
    """Yield the files at the paths, in order; `-` is standard input. Raises ImportFailedError."""
    for path in paths:
        if path == STANDARD_INPUT:
            yield from _unwrapped(_standard_input())
            continue
        for file in files_of(path):
            yield from _unwrapped(plain_source(file, meter))


def plain_source(path: Path, meter: Meter) -> Source:
    """Return a file on disk as it is, without unpacking it."""
    return Source(visible(str(path)), _metered(path, meter), path)


def size_of(paths: Iterable[Path]) -> int:
    """Return the number of bytes in the files at the paths, as far as it is known."""
    total = 0
    for path in paths:
        if path != STANDARD_INPUT:
            for file in files_of(path):
                with suppress(OSError):
                    total += file.stat().st_size
    return total


def files_of(path: Path) -> list[Path]:
    """Return the path itself, or all files in the folder and its subfolders but hidden ones, READMEs and LICENSEs."""
    try:
        if not path.exists():
            raise ImportFailedError(f"{visible(str(path))}: does not exist")
        if path.is_file():
            return [path]
        if not path.is_dir():
            raise ImportFailedError(f"{visible(str(path))}: is neither a file nor a folder")
        files = []
        for file in sorted(path.rglob("*")):
            if file.is_file() and not is_hidden(file.relative_to(path)) and not _is_readme_or_license(file):
                files.append(file)
                if len(files) > FILES_MAX:
                    raise ImportFailedError(
                        f"{visible(str(path))}: has more than {FILES_MAX:,} files; import it in parts"
                    )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImportFailedError(f"{visible(str(path))}: cannot be read: {reason}") from None
    if not files:
        raise ImportFailedError(f"{visible(str(path))}: is a folder without files to read")
    return files


def _is_readme_or_license(file: Path) -> bool:
    """Return True for a README or a LICENSE, which tells people about the other files of a folder or an archive."""
    return file.stem.upper() in ("README", "LICENSE")


def _unwrapped(source: Source, depth: int = 0) -> Iterator[Source]:
    """Yield the source, or the files in it if it is an archive."""
    try:
        with source.opener() as stream:
            start = stream.read(512)
            packed_bytes = _size(stream)
    except READ_ERRORS as error:
        raise failure(source.name, error) from None
    if start[_TAR_AT:].startswith(_TAR):
        raise ImportFailedError(f"{source.name}: is a tar archive; unpack it, and import its folder")
    unpack = unpacker(start)
    if unpack is None and not start.startswith(_ZIP):
        yield source
        return
    if depth == WRAPPINGS_MAX:
        raise ImportFailedError(f"{source.name}: has archives within archives; unpack it first")
    if unpack is not None:
        content = _bounded(source.name, lambda: unpack(source.name, source.opener()), packed_bytes)
        yield from _unwrapped(Source(source.name, content), depth + 1)
        return
    for name, size, open_member in members(source.name, source.opener):
        if _is_readme_or_license(Path(name)):
            continue
        inner = f"{source.name}/{name}"
        yield from _unwrapped(Source(inner, _bounded(inner, open_member, size)), depth + 1)


def _size(stream: BinaryIO) -> int:
    """Return the size of a file on disk, at least 1; that of a file in an archive is unknown until it was read."""
    try:
        return max(1, stream.seek(0, io.SEEK_END))
    except (OSError, io.UnsupportedOperation):
        return 1 << 40


def _bounded(name: str, unpack: Callable[[], Unpacked], packed_bytes: int) -> Opener:
    return lambda: _buffered(LimitedStream(name, unpack(), packed_bytes))


def _buffered(raw: io.RawIOBase) -> BinaryIO:
    return cast("BinaryIO", io.BufferedReader(raw, _BUFFER_BYTES))


class _MeteredFile(io.FileIO):
    """File that counts the bytes that are read of it."""

    def __init__(self, path: Path, meter: Meter) -> None:
        super().__init__(path)
        self._meter = meter

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any writable buffer
        count = super().readinto(buffer)
        self._meter.bytes_read += count
        return count


def _metered(path: Path, meter: Meter) -> Opener:
    return lambda: _buffered(_MeteredFile(path, meter))


def _standard_input() -> Source:
    """Put standard input into a temporary file, so that it can be read several times."""
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - it lives as long as the source
    shutil.copyfileobj(sys.stdin.buffer, file, 1024 * 1024)
    file.flush()
    path = Path(file.name)

    def opener() -> BinaryIO:
        return path.open("rb")

    weakref.finalize(opener, file.close)
    return Source("standard input", opener)
