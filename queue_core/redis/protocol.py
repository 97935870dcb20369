"""Redis's protocol (RESP2 and RESP3): commands out, answers in; by hiredis where it is installed (extra `fast`).

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol

from redis import exceptions
from redis._parsers.base import BaseParser

UNFINISHED = object()
"""Value of `gets` while a part of the answer has not come yet."""
_READ_BYTES_MAX = 1 << 16
"""Limit on bytes that were read and are still kept."""


class Push(list[Any]):
    """Message that the server sends without being asked (RESP3)."""


class Reader(Protocol):
    """Reader of one connection's answers, as hiredis has it."""

    def feed(self, data: bytes) -> None:
        """Take bytes as they come, in pieces of any size."""

    def gets(self) -> Any:
        """Return the next answer, an error as an exception; UNFINISHED until it is complete.

        Raises InvalidResponse, after which nothing can be read.
        """


def pack(command: tuple[Any, ...]) -> bytes:
    """Write a command of str, bytes and int."""
    parts = [b"*%d\r\n" % len(command)]
    for part in command:
        data = part if isinstance(part, bytes) else str(part).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


class PlainReader:
    """Reader in plain Python, of what scripts, SCRIPT LOAD and reads of streams answer, and of pushes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0
        self._reading = self._read()

    def feed(self, data: bytes) -> None:
        """Take bytes as they come, in pieces of any size."""
        self._data += data

    def gets(self) -> Any:
        """Return the next answer, or UNFINISHED. Raises InvalidResponse."""
        try:
            next(self._reading)
        except StopIteration as end:
            self._reading = self._read()
            if self._at == len(self._data) or self._at > _READ_BYTES_MAX:
                del self._data[: self._at]
                self._at = 0
            return end.value
        except ValueError:
            raise exceptions.InvalidResponse("a number was expected") from None
        return UNFINISHED

    def _read(self) -> Generator[None, None, Any]:
        """Read one answer; yields whenever more bytes are needed."""
        while (end := self._data.find(b"\r\n", self._at)) < 0:
            yield
        line = self._data[self._at : end].decode("utf-8", "replace")
        self._at = end + 2
        kind, rest = line[:1], line[1:]
        match kind:
            case "_" | "$" | "*" if not rest or int(rest) < 0:
                return None
            case "$":
                return (yield from self._bulk(int(rest)))
            case "*" | ">" | "%":
                return (yield from self._several(kind, int(rest)))
            case ":":
                return int(rest)
            case "+":
                return rest.encode()
            case "-":
                return BaseParser.parse_error(rest)  # type: ignore[no-untyped-call]  # in redis-py
        raise exceptions.InvalidResponse(f"an answer begins with {line[:20]!r}")

    def _several(self, kind: str, count: int) -> Generator[None, None, Any]:
        items = Push() if kind == ">" else []
        for _ in range(2 * count if kind == "%" else count):
            items.append((yield from self._read()))
        return dict(zip(items[::2], items[1::2], strict=True)) if kind == "%" else items

    def _bulk(self, size: int) -> Generator[None, None, bytes]:
        while len(self._data) < self._at + size + 2:
            yield
        value = bytes(self._data[self._at : self._at + size])
        self._at += size + 2
        return value


def _fastest() -> tuple[
    Callable[[tuple[Any, ...]], bytes], Callable[[], Reader], tuple[type[list[Any]], ...]
]:
    """Return how to pack and to read, and the types of pushes."""
    try:
        import hiredis  # noqa: PLC0415 - only the extra `fast` brings it
    except ImportError:
        return pack, PlainReader, (Push,)

    def reader() -> Reader:
        return hiredis.Reader(
            protocolError=exceptions.InvalidResponse,
            replyError=BaseParser.parse_error,
            notEnoughData=UNFINISHED,
        )

    return hiredis.pack_command, reader, (Push, hiredis.PushNotification)


pack_fast, new_reader, PUSHES = _fastest()
