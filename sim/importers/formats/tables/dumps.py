"""Rows in dumps of PostgreSQL and MySQL: `COPY table (columns) FROM stdin;` with lines of tabs, and `INSERT INTO`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from sim.importers.base import Sample
from sim.importers.sources import Source

DumpRow: TypeAlias = tuple[str, dict[str, Any], int]
"""Table, fields and line."""
_NAME = r'(?:"(?:[^"]|"")+"|`[^`]+`|\w+)'
_COPY = re.compile(
    rf"COPY (?:{_NAME}\.)?(?P<table>{_NAME}) \((?P<columns>[^)]*)\) FROM stdin;", re.IGNORECASE
)
_INSERT = re.compile(
    rf"INSERT INTO (?:{_NAME}\.)?(?P<table>{_NAME})\s*(?:\((?P<columns>[^)]*)\))?\s*VALUES\s*(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_CREATE = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?(?:{_NAME}\.)?(?P<table>{_NAME}) \(", re.IGNORECASE)
_COLUMN = re.compile(rf"\s+(?P<name>{_NAME})\s+\S")
_NOT_COLUMNS = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "EXCLUDE"})
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_LITERAL = re.compile(
    r"\s*(?:E'(?P<escaped>(?:[^'\\]|''|\\.)*)'|'(?P<text>(?:[^']|'')*)'|(?P<word>[^\s,()']+))"
    r"(?:::[\w \[\]\"]+)?\s*(?P<next>[,)])",
    re.DOTALL,
)
_ESCAPED_LITERAL = re.compile(
    r"\s*(?:'(?P<escaped>(?:[^'\\]|''|\\.)*)'(?P<text>(?!))?|(?P<word>[^\s,()']+))\s*(?P<next>[,)])",
    re.DOTALL,
)
"""Literal of MySQL, in which a backslash always escapes."""
_STATEMENT_CHARACTERS_MAX = 16 * 1024 * 1024


def is_dump(sample: Sample) -> bool:
    """Return True for a file that begins with rows of a dump, or with pg_dump's header."""
    return "PostgreSQL database dump" in sample.text or any(
        pattern.search(sample.text) for pattern in (_COPY, _INSERT)
    )


def table_without_names(sample: Sample) -> str:
    """Return the first table whose columns have no names, neither in its INSERT nor in a CREATE TABLE; "" if none."""
    created = {_plain(match["table"]) for match in _CREATE.finditer(sample.text)}
    inserts = (match for line in sample.text.split("\n") if (match := _INSERT.match(line)))
    return next(
        (
            table
            for match in inserts
            if not match["columns"] and (table := _plain(match["table"])) not in created
        ),
        "",
    )


def rows_of_dump(source: Source) -> Iterator[DumpRow]:
    """Yield the rows of all tables; a row has no fields if nothing names its columns."""
    dump = _Dump()
    for number, raw in source.lines():
        line = "" if raw is None else raw.decode("utf-8", "replace").rstrip("\r\n")
        if dump.table:
            if line == "\\.":
                dump.table = ""
            elif raw is not None:
                yield dump.table, _copied(line, dump.columns), number
        elif dump.statement or _INSERT.match(line):
            yield from dump.insert(line, number)
        else:
            dump.define(line)


class _Dump:
    """State of reading a dump."""

    def __init__(self) -> None:
        self.table = ""
        """Table of the current COPY."""
        self.columns: list[str] = []
        self.statement = ""
        """Lines of an INSERT that is not complete yet."""
        self._began = 0
        self._created: dict[str, list[str]] = {}
        self._creating = ""

    def define(self, line: str) -> None:
        """Read a line that begins a COPY, or defines a table."""
        if match := _COPY.match(line):
            self.table, self.columns = _plain(match["table"]), _names(match["columns"])
        elif match := _CREATE.match(line):
            self._creating = _plain(match["table"])
            self._created[self._creating] = []
        elif self._creating:
            column = _COLUMN.match(line)
            if column and column["name"].upper() not in _NOT_COLUMNS:
                self._created[self._creating].append(_plain(column["name"]))
            self._creating = "" if line.startswith(")") else self._creating

    def insert(self, line: str, number: int) -> Iterator[DumpRow]:
        """Read a line of an INSERT; yields the rows when the INSERT is complete."""
        self._began = self._began if self.statement else number
        self.statement += line + "\n"
        if line.endswith(";") or len(self.statement) > _STATEMENT_CHARACTERS_MAX:
            yield from _inserted(self.statement, self._created, self._began)
            self.statement = ""


def _plain(name: str) -> str:
    return name.strip().strip('"`').replace('""', '"')


def _names(columns: str) -> list[str]:
    return [_plain(name) for name in columns.split(",")]


def _copied(line: str, columns: list[str]) -> dict[str, Any]:
    """Read a line of COPY's text format."""
    values = line.split("\t")
    return {
        name: None if value == r"\N" else _ESCAPE.sub(_character, value) if "\\" in value else value
        for name, value in zip(columns, values, strict=False)
    }


def _character(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8))
    return _ESCAPES.get(code, code)


def _inserted(statement: str, created: dict[str, list[str]], number: int) -> Iterator[DumpRow]:
    """Read the rows of an INSERT."""
    match = _INSERT.match(statement)
    if match is None:
        return
    table = _plain(match["table"])
    columns = _names(match["columns"]) if match["columns"] else created.get(table, [])
    literal = _ESCAPED_LITERAL if match["table"].startswith("`") else _LITERAL
    text, at = match["rest"], 0
    while (opening := text.find("(", at)) >= 0:
        values, at = _tuple(text, opening + 1, literal)
        if values is None:
            return
        yield table, dict(zip(columns, values, strict=False)), number


def _tuple(text: str, at: int, literal: re.Pattern[str]) -> tuple[list[Any] | None, int]:
    """Read the values up to the closing bracket; returns None if they cannot be read."""
    values: list[Any] = []
    while match := literal.match(text, at):
        if match["escaped"] is not None:
            values.append(_ESCAPE.sub(_character, match["escaped"].replace("''", "'")))
        elif match["text"] is not None:
            values.append(match["text"].replace("''", "'"))
        else:
            values.append(None if match["word"].upper() == "NULL" else match["word"])
        at = match.end()
        if match["next"] == ")":
            return values, at
    return None, at
