"""Output of the operator's commands: tables for people and JSON for machines."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from queue_core.message import PART_END
from queue_core.text import visible

NAME_CELLS_MAX = 40
"""Width to which instance names and phones are cut in tables; JSON has them whole."""
TEXT_CELLS_MAX = 80
"""Width to which message texts and reasons are cut, unless the option for whole texts is given."""

ITEM_CELLS_MIN = 20
"""Smallest width to which the words after a label are wrapped on a terminal."""


def write(line: str = "") -> None:
    """Write one line to standard output."""
    _write_to(sys.stdout, line)


def write_remark(line: str) -> None:
    """Write one line to standard error, such as progress."""
    _write_to(sys.stderr, line)


def complain(line: str) -> None:
    """Write the reason why a command failed to standard error."""
    write_remark(f"queue_core: {line}")


def write_json(value: Any, *, on_one_line: bool = False) -> None:
    """Write JSON in ASCII, so that no text in it can control a terminal."""
    write(json.dumps(value, indent=None if on_one_line else 2))


def _write_to(stream: TextIO, line: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def width(text: str) -> int:
    """Return the number of terminal columns that a visible text takes."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def shortened(text: str, cells: int) -> str:
    """Make a text visible and cut it to at most `cells` columns."""
    shown = visible(text[: cells * 4])  # enough to fill the cells, without reading megabytes
    if width(shown) <= cells and len(text) <= cells * 4:
        return shown
    kept, used = [], 1
    for character in shown:
        used += _cells_of(character)
        if used > cells:
            break
        kept.append(character)
    return "".join(kept) + "…"


def short_name(text: str) -> str:
    """Make an instance name or a phone fit into a table."""
    return shortened(text, NAME_CELLS_MAX)


def reply_text(recorded: str) -> str:
    """Return a recorded reply for people, with ` | ` between its parts."""
    return recorded.removesuffix(PART_END).replace(PART_END, " | ")


def moment(unix_ms: int) -> str:
    """Write a time in UTC, to the second; a time outside the calendar is written as its number."""
    try:
        return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(unix_ms)


class Table:
    """Rows in aligned columns, written page by page: columns never become narrower.

    `numbers` names the columns that are aligned to the right. Cells must be visible text already.
    """

    def __init__(self, *columns: str, numbers: Iterable[str] = ()) -> None:
        self._columns = columns
        self._is_number = [column in set(numbers) for column in columns]
        self._widths = [width(column) for column in columns]
        self._rows: list[Sequence[str]] = []
        self._has_header = False

    def add(self, *cells: str) -> None:
        """Add a row."""
        assert len(cells) == len(self._columns)
        self._rows.append(cells)

    def flush(self) -> None:
        """Write the rows added since the last time, below the header."""
        for row in self._rows:
            self._widths = [max(widest, width(cell)) for widest, cell in zip(self._widths, row, strict=True)]
        if not self._has_header:
            self._has_header = True
            write(self._line(self._columns))
        for row in self._rows:
            write(self._line(row))
        self._rows = []

    def _line(self, cells: Sequence[str]) -> str:
        padded = []
        for cell, columns, is_number in zip(cells, self._widths, self._is_number, strict=True):
            gap = " " * (columns - width(cell))
            padded.append(gap + cell if is_number else cell + gap)
        return "  ".join(padded).rstrip()


def write_item(label: str, words: str) -> None:
    """Write a label and words; on a terminal, further lines begin below the words. A pipe gets one line."""
    room = shutil.get_terminal_size().columns - width(label) if sys.stdout.isatty() else 0
    lines = [words]
    if ITEM_CELLS_MIN <= room < width(words):
        lines = textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False)
    for line in lines:
        write(f"{label}{line}".rstrip())
        label = " " * width(label)


def write_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Write names and values, one pair on each line, with aligned values."""
    pairs = list(fields)
    widest = max((width(label) for label, _ in pairs), default=0)
    for label, value in pairs:
        write_item(f"{label}{' ' * (widest - width(label))}  ", value)
