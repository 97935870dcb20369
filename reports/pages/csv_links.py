"""CSV files embedded in a page: download links that need no server and no script."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from reports.command_lines import typed
from reports.text import cut, printable
from reports.words.language import gettext

BYTES_MAX = 20_000
"""Limit on the size of a file in a page, unless the caller sets another one."""
CELL_LENGTH_MAX = 500
"""Limit on the characters of a cell."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff0b", "\uff0d", "\uff1d", "\uff20")
"""Characters that begin a formula in some spreadsheets."""

_FORMULA_WITHIN = re.compile(f"([;|\t\n])(?=[ \t]*[{re.escape(''.join(_FORMULA).strip())}])")
"""Character that separates cells in some spreadsheets, before the beginning of a formula."""

BOM = "\ufeff"
"""Byte order mark, by which spreadsheets recognize UTF-8."""


@dataclass(frozen=True, slots=True)
class CsvLink:
    """Table that a page offers as a file. `lines` are the heading and all rows, of which the page has `rows_shown`.

    The address is a data URI in base64, so its content cannot do harm.
    """

    name: str
    lines: Sequence[str]
    rows_shown: int

    @property
    def left_out(self) -> int:
        """Number of rows that are missing in the page's file, whose last line says so."""
        return len(self.lines) - 1 - self.rows_shown

    @property
    def note(self) -> str:
        """Number of rows that are left out, and how to get them, in words."""
        return gettext(
            "rows left out: %(number)s; %(command)s writes whole files with %(option)s",
            number=f"{self.left_out:,}",
            command=typed("python -m reports build RESULT.json"),
            option="--csv-dir FOLDER",
        )

    @property
    def whole(self) -> str:
        """Content of the file with every row."""
        return BOM + "".join(self.lines)

    @property
    def address(self) -> str:
        """Address of the file with the rows for which the page has room."""
        note = _line([self.note]) if self.left_out else ""
        text = BOM + "".join(self.lines[: self.rows_shown + 1]) + note
        return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"


def csv_link(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, bytes_max: int = BYTES_MAX
) -> CsvLink:
    """Make a file called `name` from the rows; a page includes at most `bytes_max` bytes of it."""
    lines = [_line(columns), *map(_line, rows)]
    sizes = accumulate(len(line.encode()) for line in lines)
    return CsvLink(name, lines, max(sum(size <= bytes_max for size in sizes) - 1, 0))


def _line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def _cell(value: object) -> object:
    """Return the value in a form that spreadsheets do not read as a formula."""
    if not isinstance(value, str):
        return value
    text = cut(printable(value), CELL_LENGTH_MAX)
    if text.startswith(_FORMULA):
        text = "'" + text
    return _FORMULA_WITHIN.sub(r"\1'", text)
