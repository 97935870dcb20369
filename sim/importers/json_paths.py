"""Values of a large JSON file by their paths; large objects and lists are read in parts, never as a whole."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeAlias

from sim.importers.sources import LINE_BYTES_MAX, Source

Path: TypeAlias = tuple[str, ...]
"""Keys from the root to a value; the elements of a list have the key "*"."""
ELEMENT = "*"


class _End:
    """End of a value that was yielded in parts."""


END = _End()
"""Value that is yielded, with the empty path, after the parts of each outermost value."""
_CHUNK_BYTES = 256 * 1024
_BLANK = " \t\r\n\ufeff"
_DECODER = json.JSONDecoder()
_DEPTH_MAX = 20


class BrokenJsonError(Exception):
    """Raised if a file is not JSON, or ends in the middle of a value; the message says which."""


def values_at(source: Source, descends: Callable[[Path, str], bool]) -> Iterator[tuple[Path, Any]]:
    """Yield each value with its path. Objects and lists whose path `descends` accepts are yielded in parts.

    `descends` is called with a path and the opening bracket. Several values may follow each other, as in JSON lines.
    Raises BrokenJsonError.
    """
    with source.open() as stream:
        scanner = _Scanner(stream, descends)
        while opening := scanner.peek():
            yield from scanner.value(())
            if opening in "{[" and descends((), opening):
                yield (), END


class _Scanner:
    """Reader at a position in a stream of JSON."""

    def __init__(self, stream: BinaryIO, descends: Callable[[Path, str], bool]) -> None:
        self._stream = stream
        self._descends = descends
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._at = 0
        self._is_at_end = False

    def value(self, path: Path) -> Iterator[tuple[Path, Any]]:
        """Yield the value at the position, whole or in parts."""
        opening = self.peek()
        if opening in ("{", "[") and len(path) < _DEPTH_MAX and self._descends(path, opening):
            self._at += 1
            yield from self._members(path) if opening == "{" else self._elements(path)
        else:
            yield path, self._decoded()

    def _members(self, path: Path) -> Iterator[tuple[Path, Any]]:
        while self.peek() != "}":
            key = self._decoded()
            if not isinstance(key, str) or self.peek() != ":":
                raise BrokenJsonError("is not JSON from here on")
            self._at += 1
            yield from self.value((*path, key))
            self._comma("}")
        self._at += 1

    def _elements(self, path: Path) -> Iterator[tuple[Path, Any]]:
        while self.peek() != "]":
            yield from self.value((*path, ELEMENT))
            self._comma("]")
        self._at += 1

    def _comma(self, end: str) -> None:
        character = self.peek()
        if character == ",":
            self._at += 1
        elif character != end:
            raise BrokenJsonError("is not JSON from here on" if character else "the file ends in the middle")

    def peek(self) -> str:
        """Return the next character that is not white space; "" at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read():
                return ""

    def _decoded(self) -> Any:
        """Decode the whole value at the position, and read on until it is complete."""
        if not self.peek():
            raise BrokenJsonError("the file ends in the middle")
        wanted = 0
        while True:
            left = len(self._text) - self._at
            if left >= wanted or self._is_at_end:
                try:
                    value, end = _DECODER.raw_decode(self._text, self._at)
                except RecursionError:
                    raise BrokenJsonError("is nested too deeply") from None
                except ValueError:
                    if self._is_at_end:
                        raise BrokenJsonError("is not JSON from here on, or ends in the middle") from None
                    if left > LINE_BYTES_MAX:
                        raise BrokenJsonError("a value is too long, or is not JSON") from None
                    wanted = 2 * left
                else:
                    # A number may continue in the part that is not read yet.
                    if end < len(self._text) or self._is_at_end:
                        self._at = end
                        return value
            self._read()

    def _read(self) -> bool:
        """Read more of the file; returns False at its end."""
        if self._is_at_end:
            return False
        data = self._stream.read(_CHUNK_BYTES)
        self._is_at_end = not data
        self._text = self._text[self._at :] + self._decoder.decode(data, final=self._is_at_end)
        self._at = 0
        return bool(data)
