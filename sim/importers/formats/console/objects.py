"""Objects in a log, on one line or several, with the time and the instance of their log record."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sim.importers.base import Omission
from sim.importers.formats.console.inspected import InspectedError, read_value
from sim.importers.formats.console.lines import log_header, log_line
from sim.importers.times import Moment

LINES_MAX = 20_000
OBJECT_CHARACTERS_MAX = 8 * 1024 * 1024
STREAMS_MAX = 100
_STARTS_MAX = 4
"""Limit on brackets in a line that are tried as the beginning of an object."""
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`\\]|\\.)*`")
_OPENING = re.compile(r"(?:\[\s*)?[{\[]\s*$")


class LogObject(NamedTuple):
    """Object that was printed into the log."""

    value: Any
    place: int
    logged: Moment | None
    instance: str


@dataclass(slots=True)
class _Stream:
    """State of reading the lines of one process."""

    instance: str = ""
    header_logged: Moment | None = None
    lines: list[str] = field(default_factory=list)
    place: int = 0
    logged: Moment | None = None
    indent: int = 0
    balance: int = 0
    characters: int = 0
    is_indented: bool = False


NO_OBJECT = "lines of the log without an object"
CUT_OFF = "an object whose end is missing"
TOO_LONG = "an object over 8 MiB or 20,000 lines"
TOO_LONG_LINE = "a line that is too long"


def objects_in(lines: Iterable[tuple[int, bytes | None]]) -> Iterator[LogObject | Omission]:
    """Yield the objects in the lines of a log, and an Omission for everything else."""
    streams: dict[str, _Stream] = {}
    for number, raw in lines:
        if raw is None:
            yield Omission(TOO_LONG_LINE, number)
            continue
        line = log_line(raw.decode("utf-8", "replace"))
        if line.stream not in streams and len(streams) >= STREAMS_MAX:
            streams.pop(next(iter(streams)))
        stream = streams.setdefault(line.stream, _Stream())
        for text in line.text.split("\n"):
            yield from _line(stream, number, line.logged, text)
    for stream in streams.values():
        yield from _abandoned(stream)


def _line(stream: _Stream, number: int, logged: Moment | None, text: str) -> Iterator[LogObject | Omission]:
    if header := log_header(text):
        yield from _abandoned(stream)
        stream.instance, stream.header_logged = header.instance, logged or header.logged
        text = header.rest
        yield from _begin(stream, number, stream.header_logged, text, is_header=True)
    elif not stream.lines:
        yield from _begin(stream, number, logged or stream.header_logged, text)
    elif _ends_before(stream, text):
        yield from _abandoned(stream)
        yield from _begin(stream, number, logged or stream.header_logged, text)
    else:
        yield from _go_on(stream, text)


def _begin(
    stream: _Stream, number: int, logged: Moment | None, text: str, *, is_header: bool = False
) -> Iterator[LogObject | Omission]:
    """Begin an object of several lines, or yield the objects that are whole in the line."""
    if not text.strip():
        return
    whole = list(_whole(text, number, logged, stream.instance))
    if whole:
        yield from whole
        stream.header_logged = None
    elif match := _OPENING.search(text):
        stream.lines, stream.place, stream.logged = [text[match.start() :]], number, logged
        stream.indent = len(text) - len(text.lstrip())
        stream.balance, stream.characters, stream.is_indented = _balance(match[0]), len(text), False
    else:
        if not is_header:
            stream.header_logged = None
        yield Omission(NO_OBJECT, number)


def _whole(text: str, number: int, logged: Moment | None, instance: str) -> Iterator[LogObject]:
    """Yield the objects of one line."""
    at, tries = 0, 0
    while tries < _STARTS_MAX and (start := _first(text, at)) >= 0:
        tries += 1
        try:
            value, at = read_value(text, start)
        except InspectedError:
            at = start + 1
            continue
        if (isinstance(value, dict) and value) or (isinstance(value, list) and any(map(_is_object, value))):
            yield LogObject(value, number, logged, instance)


def _first(text: str, at: int) -> int:
    positions = [position for bracket in "{[" if (position := text.find(bracket, at)) >= 0]
    return min(positions, default=-1)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _go_on(stream: _Stream, text: str) -> Iterator[LogObject | Omission]:
    """Add a line to the open object, and yield the object if the line ends it."""
    stream.lines.append(text)
    stream.characters += len(text)
    stream.is_indented |= len(text) - len(text.lstrip()) > stream.indent
    stream.balance += _balance(text)
    if stream.characters > OBJECT_CHARACTERS_MAX or len(stream.lines) > LINES_MAX:
        yield Omission(TOO_LONG, stream.place)
        stream.lines = []
    elif stream.balance <= 0 and text.lstrip()[:1] in ("}", "]"):
        try:
            value, _ = read_value("\n".join(stream.lines))
        except InspectedError:
            return
        yield LogObject(value, stream.place, stream.logged, stream.instance)
        stream.lines, stream.header_logged = [], None


def _balance(text: str) -> int:
    """Return the number of brackets that a line opens minus those that it closes, outside of quotes."""
    bare = _QUOTED.sub("", text)
    return sum(bare.count(bracket) for bracket in "{[") - sum(bare.count(bracket) for bracket in "}]")


def _ends_before(stream: _Stream, text: str) -> bool:
    """Return True for a line that cannot belong to the open object, since lines within an object are indented."""
    indent = len(text) - len(text.lstrip())
    return bool(
        stream.is_indented and text.strip() and indent <= stream.indent and text.lstrip()[0] not in "}]"
    )


def _abandoned(stream: _Stream) -> Iterator[Omission]:
    if stream.lines:
        yield Omission(CUT_OFF, stream.place)
        stream.lines = []
