"""Tables as lines that can be read on a phone, where columns do not line up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markdown_it.token import Token

from queue_core.channels.form.inline import Dialect, Style, lines_of


def table_lines(tokens: Sequence[Token], dialect: Dialect) -> list[str]:
    """Returns a table's lines.

    A table of two columns becomes its headers and a line for each row. A wider table becomes a block for each row: the
    first cell as a heading, then a line "header: cell" for each other cell.
    """
    plain = _rows(tokens, dialect, None)
    bold = _rows(tokens, dialect, "bold")
    headers, rows = plain[0], plain[1:]
    if len(headers) <= 2:
        heads = " – ".join(cell for cell in bold[0] if cell)
        return [line for line in (heads, *(": ".join(cell for cell in row if cell) for row in rows)) if line]
    lines = [] if rows else [" – ".join(cell for cell in bold[0] if cell)]
    for row, title in zip(rows, (cells[0] for cells in bold[1:]), strict=True):
        lines += [""] * bool(lines)
        lines += [f"{headers[0]}: {title}" if headers[0] and title else title] * bool(title)
        lines += [
            f"{header}: {cell}" if header else cell
            for header, cell in zip(headers[1:], row[1:], strict=True)
            if cell
        ]
    return lines


def _rows(tokens: Sequence[Token], dialect: Dialect, style: Style | None) -> list[list[str]]:
    """Returns the texts of all cells, row by row, beginning with the headers."""
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(" ".join(_words(token, dialect, style)))
    return rows


def _words(token: Token, dialect: Dialect, style: Style | None) -> Iterator[str]:
    for line in lines_of(token.children or (), dialect, style=style):
        yield from line.split()
