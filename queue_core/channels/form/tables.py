"""Tables as lines that can be read on a phone, where columns do not line up."""

from __future__ import annotations

from collections.abc import Sequence

from markdown_it.token import Token

from queue_core.channels.form.html_tags import Style
from queue_core.channels.form.inline import Dialect, lines_of


def table_lines(tokens: Sequence[Token], dialect: Dialect) -> list[str]:
    """Return a table's lines.

    A table of two columns becomes its headers and a line for each row. A wider table becomes a block for each row: the
    first cell as a heading, then a line "header: cell" for each other cell.
    """
    cells_of = _rows(tokens)
    plain = [[_text(cell, dialect) for cell in cells] for cells in cells_of]
    headers, rows = plain[0], plain[1:]
    if len(headers) <= 2:
        heads = _heads(cells_of[0], dialect)
        return [line for line in (heads, *(": ".join(cell for cell in row if cell) for row in rows)) if line]
    lines = [] if rows else [_heads(cells_of[0], dialect)]
    titles = (_text(cells[0], dialect, "bold") for cells in cells_of[1:])
    for row, title in zip(rows, titles, strict=True):
        lines += [""] * bool(lines)
        lines += [f"{headers[0]}: {title}" if headers[0] and title else title] * bool(title)
        lines += [
            f"{header}: {cell}" if header else cell
            for header, cell in zip(headers[1:], row[1:], strict=True)
            if cell
        ]
    return lines


def has_further_cells(rows: Sequence[str], columns: int) -> bool:
    """Return True if a row has more cells than the table has columns; CommonMark would leave them out."""
    return any(row.replace("\\|", "").strip("> \t").strip("|").count("|") >= columns for row in rows)


def _rows(tokens: Sequence[Token]) -> list[list[Token]]:
    """Return the cells, row by row, beginning with the headers."""
    rows: list[list[Token]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(token)
    return rows


def _heads(cells: Sequence[Token], dialect: Dialect) -> str:
    """Return the headers as a line."""
    return " – ".join(text for cell in cells if (text := _text(cell, dialect, "bold")))


def _text(cell: Token, dialect: Dialect, style: Style | None = None) -> str:
    lines = lines_of(cell.children or (), dialect, style=style)
    return " ".join(word for line in lines for word in line.split())
