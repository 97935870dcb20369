"""Rows of exported tables in any of these forms: CSV with a line of names, JSON, dumps of PostgreSQL and MySQL."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

from sim.importers.base import ImportFailedError, Omission, Sample
from sim.importers.formats.tables.dumps import is_dump, rows_of_dump
from sim.importers.json_paths import ELEMENT, END, BrokenJsonError, Path, values_at
from sim.importers.sources import LINE_BYTES_MAX, Source

csv.field_size_limit(LINE_BYTES_MAX)
_LISTS = frozenset(
    {
        "messages",
        "records",
        "rows",
        "data",
        "payload",
        "result",
        "results",
        "items",
        "value",
        "Message",
        "Messages",
    }
)
"""Keys under which APIs and tools store lists of rows."""
_DELIMITERS = ",;\t|"
_NULLS = frozenset({"", r"\N", "NULL", "null"})
_POINT_ZERO = re.compile(r"(?<=\d)\.0+$")
_PYTHON_CHARACTERS_MAX = 100_000
NO_NAMES = "a row of a table whose columns have no names, neither in the INSERT nor in a CREATE TABLE"
NOT_A_ROW = "a value that is not a row"
CUT_ROW = "a row with another number of columns than the first line"


class Row(NamedTuple):
    """Row of a table. Values in CSV and dumps are texts; None means NULL."""

    table: str
    """Name of the table; "" if the file does not name it."""
    fields: Mapping[str, Any]
    place: int
    outer: Mapping[str, Any]
    """Values beside the list of rows, in the same object."""


def rows_of(source: Source) -> Iterator[Row | Omission]:
    """Yield the rows of a file. Raises ImportFailedError."""
    sample = source.sample()
    if is_json(sample):
        yield from _json_rows(source, sample)
    elif is_dump(sample):
        for table, fields, place in rows_of_dump(source):
            yield Row(table, fields, place, {}) if fields else Omission(NO_NAMES, place)
    else:
        yield from _csv_rows(source, sample)


def rows_in(sample: Sample) -> list[Row]:
    """Return the rows in the beginning of a file, as many as can be read."""
    source = Source(sample.name, lambda: cast("Any", io.BytesIO(sample.data)))
    rows: list[Row] = []
    try:
        for row in rows_of(source):
            if isinstance(row, Row):
                rows.append(row)
            if len(rows) >= 200:
                break
    except ImportFailedError:
        pass
    return rows


def is_json(sample: Sample) -> bool:
    """Return True for a file that begins like JSON."""
    return sample.text[:100].lstrip("\ufeff \t\r\n").startswith(("{", "["))


def _json_rows(source: Source, sample: Sample) -> Iterator[Row | Omission]:
    """Yield the rows of JSON: in lists, alone, or one after the other as in JSON lines."""
    number = 0
    pieces = _in_parts(source) if _begins_with_open_object(sample) else _whole(source)
    try:
        for piece in pieces:
            number += 1
            yield piece._replace(place=number) if isinstance(piece, Row) else Omission(NOT_A_ROW, number)
    except BrokenJsonError as error:
        yield Omission(f"the rest of the file: {error}", number + 1)


def _begins_with_open_object(sample: Sample) -> bool:
    """Return True for a file that begins with an object whose end is not in the sample, since it is large or cut."""
    text = sample.text.lstrip("\ufeff \t\r\n")
    if not text.startswith("{"):
        return False
    try:
        json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return True
    return False


def _whole(source: Source) -> Iterator[Row | None]:
    """Yield the rows of a file with small objects; None for a value that is not a row."""
    for path, value in values_at(source, lambda path, opening: not path and opening == "["):
        if path or value is not END:
            yield from _rows_within(value)


def _rows_within(value: Any) -> Iterator[Row | None]:
    """Yield the rows of a list, or of a list in an object. An object without such a list is itself a row."""
    if not isinstance(value, dict):
        yield from (
            (row for item in value for row in _rows_within(item)) if isinstance(value, list) else (None,)
        )
        return
    name, rows, outer = _list_in(value)
    if not rows:
        yield Row("", value, 0, {})
        return
    for row in rows:
        yield Row(name, row, 0, outer) if isinstance(row, dict) else None


def _list_in(value: Mapping[str, Any], depth: int = 0) -> tuple[str, list[Any], Mapping[str, Any]]:
    """Return the list of rows in an object, with its name and the values beside it."""
    for name, inner in value.items():
        if not _may_hold_rows(name):
            continue
        if isinstance(inner, list) and any(isinstance(row, dict) for row in inner):
            return _table(name), inner, {key: other for key, other in value.items() if key != name}
        if isinstance(inner, dict) and depth < 2 and (nested := _list_in(inner, depth + 1))[1]:
            return nested
    return "", [], {}


def _in_parts(source: Source) -> Iterator[Row | None]:
    """Yield the rows of objects that are too large for memory: reads the rows of each list one by one."""
    outer: dict[str, Any] = {}
    has_rows = False
    for path, value in values_at(source, _descends):
        if value is END:
            if outer and not has_rows:
                yield Row("", outer, 0, {})
            outer, has_rows = {}, False
        elif ELEMENT in path:
            has_rows = True
            yield Row(_table(path[-2]), value, 0, outer) if isinstance(value, dict) else None
        elif path:
            beside = outer
            for name in path[:-1]:
                beside = beside.setdefault(name, {})
            beside[path[-1]] = value


def _descends(path: Path, _: str) -> bool:
    """Return True for the outermost object, and for values in it that may contain rows."""
    return len(path) <= 3 and ELEMENT not in path and (not path or _may_hold_rows(path[-1]))


def _table(name: str) -> str:
    return name if name in _LISTS else ""


def _may_hold_rows(name: str) -> bool:
    """Return True for the name of a list of rows. DBeaver uses the query as the name."""
    return name in _LISTS or name[:7].lower() == "select "


def _csv_rows(source: Source, sample: Sample) -> Iterator[Row | Omission]:
    first = sample.text.lstrip("\ufeff").split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    with source.open() as stream:
        # `newline=""`, since the CSV reader must see line ends within quotes.
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        reader = csv.reader(text, delimiter=delimiter)
        names: list[str] = []
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield Omission("a row that is not CSV, or that is too long", reader.line_num)
                continue
            if not values:
                continue
            if not names:
                names = [column_name(value) for value in values]
            elif len(values) != len(names):
                yield Omission(CUT_ROW, reader.line_num)
            else:
                fields = {
                    name: None if value in _NULLS else value
                    for name, value in zip(names, values, strict=True)
                }
                yield Row("", fields, reader.line_num, {})


def column_name(written: str) -> str:
    """Return the name of a column without quotes and without the name of its table."""
    return re.sub(r'^.*\.(?=[\w"]+$)', "", written.strip()).strip('"\ufeff ')


def json_of(value: Any) -> Any:
    """Decode the value of a JSON column if it is a text; returns other values as they are."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return _python_value(value)


def _python_value(written: str) -> Any:
    """Decode a value as Python prints it, which Python programs write into CSV; returns None for anything else."""
    if "'" not in written or len(written) > _PYTHON_CHARACTERS_MAX:
        return None
    try:
        return ast.literal_eval(written)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def whole(value: Any) -> Any:
    """Return a number in a text without the `.0` that spreadsheets and pandas append."""
    return _POINT_ZERO.sub("", value) if isinstance(value, str) else value


def flag(value: Any) -> bool:
    """Read true and false as databases write them."""
    return value is True or str(value).strip().lower() in ("t", "true", "1", "yes")
