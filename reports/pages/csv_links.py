"""Tables as CSV files that a page holds in itself: links that download, without a server and without a script."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from reports.text import cut, printable

BYTES_MAX = 20_000
"""A file may have unless more is asked for; rows beyond that are left out, and the link says so."""
CELL_LENGTH_MAX = 500
"""Characters of a text that a cell may have."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff0b", "\uff0d", "\uff1d", "\uff20")
"""What a formula begins with, in some spreadsheet or other."""

_FORMULA_WITHIN = re.compile(f"([;|\t\n])(?=[ \t]*[{re.escape(''.join(_FORMULA).strip())}])")
"""Where the list separator is a semicolon, spreadsheets begin a cell after one, and after a line end in quotes."""

BOM = "\ufeff"
"""Spreadsheets take a file for UTF-8 by it."""


@dataclass(frozen=True, slots=True)
class CsvLink:
    """A file to download: its name, its address (data: and base64, so nothing in it can do harm), and its rows."""

    name: str
    address: str
    rows: int
    left_out: int


def csv_link(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, bytes_max: int = BYTES_MAX
) -> CsvLink:
    """The rows as a file called `name`, which is the page's own and never from data."""
    table = [[_cell(value) for value in row] for row in rows]
    text, kept = _fitting(columns, table, bytes_max)
    encoded = base64.b64encode((BOM + text).encode("utf-8", "replace")).decode()
    return CsvLink(name, f"data:text/csv;charset=utf-8;base64,{encoded}", kept, len(table) - kept)


def _fitting(columns: Sequence[str], table: Sequence[Sequence[object]], bytes_max: int) -> tuple[str, int]:
    """As many rows as there is room for, as text, and their number."""
    kept = len(table)
    while True:
        frame = pd.DataFrame(table[:kept], columns=list(columns), dtype=object)  # no number becomes another
        text = frame.to_csv(index=False, lineterminator="\r\n")
        size = len(text.encode("utf-8", "replace"))
        if size <= bytes_max or kept == 0:
            return text, kept
        kept = min(kept - 1, int(kept * bytes_max / size))


def _cell(value: object) -> object:
    """A spreadsheet must not take what somebody wrote for a formula."""
    if not isinstance(value, str):
        return value
    text = cut(printable(value), CELL_LENGTH_MAX)
    if text.startswith(_FORMULA):
        text = "'" + text
    return _FORMULA_WITHIN.sub(r"\1'", text)
