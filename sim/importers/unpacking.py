"""Unpacking of gzip, bzip2, xz, zstd and zip, with limits, and with errors in words."""

from __future__ import annotations

import bz2
import codecs
import gzip
import importlib
import io
import lzma
import shutil
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePath, PurePosixPath
from typing import BinaryIO, Protocol, TypeAlias, cast

from queue_core.text import visible
from sim.importers.base import ImportFailedError

UNPACKED_BYTES_MAX = 8 * 1024**3
"""Limit on the unpacked size of an archive."""
RATIO_MAX, RATIO_FROM_BYTES = 200, 256 * 1024**2
"""Limit on the ratio of unpacked to packed bytes, and the unpacked bytes above which it applies. Logs have 10 to 50."""
FILES_MAX = 200_000
"""Limit on the files of a folder or an archive."""

Opener: TypeAlias = Callable[[], BinaryIO]


class Closable(Protocol):
    """Object that can be closed."""

    def close(self) -> None:
        """Close the object."""


Unpacked: TypeAlias = tuple[BinaryIO, *tuple[Closable, ...]]
"""Content of an archive, and further objects to close after it."""

READ_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    UnicodeError,
    NotImplementedError,
)
"""Errors that reading a damaged or protected file can raise."""


def failure(name: str, error: Exception) -> ImportFailedError:
    """Make an error in words from an error of reading or unpacking."""
    if isinstance(error, EOFError):
        return ImportFailedError(f"{name}: is cut off in the middle; get the whole file")
    if isinstance(error, FileNotFoundError):
        return ImportFailedError(f"{name}: does not exist")
    if isinstance(error, RuntimeError) and "password" in str(error):
        return ImportFailedError(f"{name}: is protected by a password; unpack it first")
    if isinstance(error, UnicodeError):
        return ImportFailedError(f"{name}: is damaged: its bytes are not text in UTF-16")
    if isinstance(error, OSError) and error.strerror:
        return ImportFailedError(f"{name}: cannot be read: {error.strerror}")
    return ImportFailedError(f"{name}: cannot be unpacked, since it is damaged: {visible(str(error))[:200]}")


class PrefixedStream(io.RawIOBase):
    """Stream whose first bytes were read already."""

    def __init__(self, name: str, start: bytes, stream: BinaryIO) -> None:
        self._name = name
        self._start = start
        self._stream = stream

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any writable buffer
        """Read into the buffer. Raises ImportFailedError."""
        size = len(buffer)
        if self._start:
            data, self._start = self._start[:size], self._start[size:]
        else:
            try:
                data = self._stream.read(size)
            except READ_ERRORS as error:
                raise failure(self._name, error) from None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the stream too."""
        if not self.closed:
            self._stream.close()
        super().close()


class Utf8Stream(io.RawIOBase):
    """Stream that converts a stream in another encoding to UTF-8."""

    def __init__(self, name: str, stream: BinaryIO, encoding: str) -> None:
        self._name = name
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._pending = b""
        self._is_at_end = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any writable buffer
        """Read into the buffer. Raises ImportFailedError."""
        while not self._pending and not self._is_at_end:
            data = self._stream.read(64 * 1024)
            self._is_at_end = not data
            try:
                text = self._decoder.decode(data, final=self._is_at_end)
            except UnicodeError as error:
                raise failure(self._name, error) from None
            self._pending = text.removeprefix("\ufeff").encode("utf-8", "replace")
        size = len(buffer)
        data, self._pending = self._pending[:size], self._pending[size:]
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the stream too."""
        if not self.closed:
            self._stream.close()
        super().close()


class LimitedStream(io.RawIOBase):
    """Stream of an archive's content that raises an error when the content is too large."""

    def __init__(self, name: str, unpacked: Unpacked, packed_bytes: int) -> None:
        self._name = name
        self._stream, *self._others = unpacked
        self._packed_bytes = packed_bytes
        self._bytes = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any writable buffer
        """Read into the buffer. Raises ImportFailedError."""
        data = self._stream.read(len(buffer))
        self._bytes += len(data)
        if self._bytes > UNPACKED_BYTES_MAX:
            raise too_large(self._name)
        if self._bytes > RATIO_FROM_BYTES and self._bytes > RATIO_MAX * self._packed_bytes:
            raise ImportFailedError(
                f"{self._name}: unpacks to more than {RATIO_MAX} times its size, which is unusual for logs; "
                "unpack it first if you trust it"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the stream, and the streams that it reads."""
        if not self.closed:
            for stream in (self._stream, *self._others):
                stream.close()
        super().close()


def too_large(name: str) -> ImportFailedError:
    """Make the error for an archive over the limit."""
    return ImportFailedError(
        f"{name}: unpacks to more than {UNPACKED_BYTES_MAX // 1024**3} GiB; unpack it, and import it in parts"
    )


def unpacker(start: bytes) -> Callable[[str, BinaryIO], Unpacked] | None:
    """Return the function that unpacks a compressed file, by the file's first bytes."""
    return next((unpack for mark, unpack in _UNPACKERS.items() if start.startswith(mark)), None)


def members(name: str, opener: Opener) -> Iterator[tuple[str, int, Callable[[], Unpacked]]]:
    """Yield the files of a zip archive: name, size in the archive, opener. Raises ImportFailedError."""
    try:
        with opener() as packed, zipfile.ZipFile(packed) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
    except READ_ERRORS as error:
        raise failure(name, error) from None
    if len(infos) > FILES_MAX:
        raise ImportFailedError(f"{name}: has more than {FILES_MAX:,} files; import it in parts")
    if sum(info.file_size for info in infos) > UNPACKED_BYTES_MAX:
        raise too_large(name)
    for info in sorted(infos, key=lambda info: info.filename):
        if not is_hidden(PurePosixPath(info.filename)) and "__MACOSX/" not in info.filename:
            yield visible(info.filename), max(info.compress_size, 1), _member_opener(opener, info)


def is_hidden(path: PurePath) -> bool:
    """Return True if a file, or a folder in its path, is hidden: its name begins with a dot."""
    return any(part.startswith(".") and part != ".." for part in path.parts)


def _member_opener(opener: Opener, info: zipfile.ZipInfo) -> Callable[[], Unpacked]:
    def open_member() -> Unpacked:
        packed = opener()
        try:
            archive = zipfile.ZipFile(packed)
            return cast("BinaryIO", archive.open(info)), archive, packed
        except READ_ERRORS:
            packed.close()
            raise

    return open_member


def _gzip(_: str, packed: BinaryIO) -> Unpacked:
    return cast("BinaryIO", gzip.open(packed)), packed


def _bzip2(_: str, packed: BinaryIO) -> Unpacked:
    return cast("BinaryIO", bz2.open(packed)), packed


def _xz(_: str, packed: BinaryIO) -> Unpacked:
    return cast("BinaryIO", lzma.open(packed)), packed


def _zstd(name: str, packed: BinaryIO) -> Unpacked:
    """Open zstd by Python's own module (3.14), the package zstandard, or the program zstd."""
    for module in ("compression.zstd", "zstandard"):
        try:
            return cast("BinaryIO", importlib.import_module(module).open(packed, "rb")), packed
        except ImportError:
            continue
    program = shutil.which("zstd")
    if program is None:
        raise ImportFailedError(
            f"{name}: is compressed by zstd; install the program zstd, or unpack it first"
        )
    return cast("BinaryIO", _ZstdProgram(name, program, packed)), packed


class _ZstdProgram(io.RawIOBase):
    """Content of a zstd file, unpacked by the program zstd."""

    def __init__(self, name: str, program: str, packed: BinaryIO) -> None:
        self._name = name
        # The program needs a real file, so the content of an archive is written into one.
        with tempfile.TemporaryFile() as file:
            shutil.copyfileobj(packed, file, 1024 * 1024)
            file.seek(0)
            self._process = subprocess.Popen(  # noqa: S603 - a program found on PATH, without arguments of others
                [program, "-dcq", "-M512MB"], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any writable buffer
        """Read into the buffer. Raises ImportFailedError."""
        assert self._process.stdout
        data = self._process.stdout.read(len(buffer))
        if not data and self._process.wait():
            raise ImportFailedError(
                f"{self._name}: cannot be unpacked: zstd says that it is cut off or damaged"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """End the program."""
        if not self.closed:
            self._process.kill()
            self._process.communicate()
        super().close()


_UNPACKERS: dict[bytes, Callable[[str, BinaryIO], Unpacked]] = {
    b"\x1f\x8b": _gzip,
    b"BZh": _bzip2,
    b"\xfd7zXZ\0": _xz,
    b"\x28\xb5\x2f\xfd": _zstd,
}
"""Openers by the first bytes of a compressed file."""
