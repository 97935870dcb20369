"""Tables and items on the console: whole in a pipe, fitted to the width on a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

GAP, GAP_MIN = 2, 1
"""Spaces between two columns, and those in a table that would not fit otherwise."""
NAMES_SHARE = 0.4
"""Largest part of the width that names take before they are wrapped."""
NAMES_MIN = 16
_BREAKS = re.compile(r"(?<=[\s-])")

Cell = str | Text


def print_table(
    console: Console, headers: Sequence[str], rows: Sequence[Sequence[Cell]], *, title: str = ""
) -> None:
    """Print a table of names, in the first column, and values, which are never cut.

    A table that is wider than the console has its headers wrapped, then smaller gaps, then is printed in parts below
    each other, each with the names.
    """
    columns = [_Column(header, [row[at] for row in rows]) for at, header in enumerate(headers)]
    if title:
        console.print(Text(title, style="italic"))
    names, values = columns[0], columns[1:]
    if _width(columns, GAP, is_wrapped=False) <= console.width:
        console.print(_drawn(columns, GAP, is_wrapped=False))
        return
    for gap in (GAP, GAP_MIN):
        if _width(columns, gap, is_wrapped=True) <= console.width:
            console.print(_drawn(columns, gap, is_wrapped=True))
            return
    names.limit = max(NAMES_MIN, int(console.width * NAMES_SHARE))
    for part in _parts(names, values, console.width):
        console.print(_drawn([names, *part], GAP, is_wrapped=True))


def print_item(console: Console, label: Cell, words: Cell, *, hang: int = 4) -> None:
    """Print a label and words; on a terminal, further lines begin at column `hang`, or after a longer label."""
    first = Text() + (label if isinstance(label, Text) else Text(label))
    rest = words if isinstance(words, Text) else Text(words)
    hang = max(hang, first.cell_len)
    for line in rest.wrap(console, max(NAMES_MIN, console.width - hang)):
        line.rstrip()
        console.print(first + line, soft_wrap=True)
        first = Text(" " * hang)


class _Column:
    def __init__(self, header: str, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.limit: int | None = None
        self._header = header
        self._cells_width = max(
            (cell_len(line) for cell in cells for line in str(cell).splitlines()), default=0
        )

    def width(self, *, is_wrapped: bool) -> int:
        """Return the width of the longest cell or header, in terminal columns."""
        whole = max(
            self._cells_width, max(map(cell_len, self.header(is_wrapped=is_wrapped).splitlines()), default=0)
        )
        return whole if self.limit is None else min(whole, self.limit)

    def header(self, *, is_wrapped: bool) -> str:
        """Return the header, on several lines as wide as the cells if it is wrapped."""
        if not is_wrapped:
            return self._header
        pieces = _BREAKS.split(self._header)
        room = max(self._cells_width, *(cell_len(piece.strip()) for piece in pieces))
        lines = [""]
        for piece in pieces:
            if lines[-1] and cell_len((lines[-1] + piece).rstrip()) > room:
                lines.append("")
            lines[-1] += piece
        return "\n".join(line.strip() for line in lines)


def _parts(names: _Column, values: Sequence[_Column], width: int) -> list[list[_Column]]:
    """Divide the columns into parts that fit beside the names; a part has at least one column."""
    parts: list[list[_Column]] = [[]]
    for column in values:
        if parts[-1] and _width([names, *parts[-1], column], GAP, is_wrapped=True) > width:
            parts.append([])
        parts[-1].append(column)
    return parts


def _width(columns: Sequence[_Column], gap: int, *, is_wrapped: bool) -> int:
    return sum(column.width(is_wrapped=is_wrapped) for column in columns) + gap * (len(columns) - 1)


def _drawn(columns: Sequence[_Column], gap: int, *, is_wrapped: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, gap - GAP_MIN, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(
            column.header(is_wrapped=is_wrapped),
            justify="right" if number else "left",
            vertical="bottom",
            overflow="fold",
            width=column.width(is_wrapped=is_wrapped),
            no_wrap=bool(number),
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*chain(row))
    return table
