"""Rows of exported tables, whatever they are written in: CSV with a line of names, JSON, dumps of PostgreSQL."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

from sim.importers.base import ImportFailedError, Omission, Sample
from sim.importers.formats.tables.dumps import is_dump, rows_of_dump
from sim.importers.json_paths import ELEMENT, BrokenJsonError, Path, values_at
from sim.importers.sources import LINE_BYTES_MAX, Source

csv.field_size_limit(LINE_BYTES_MAX)
_LISTS = frozenset({"messages", "records", "rows", "data", "payload", "result", "results", "items", "value"})
"""Keys under which APIs and tools put their rows."""
_DELIMITERS = ",;\t|"
_NULLS = frozenset({"", r"\N", "NULL", "null"})
CUT_ROW = "a row with another number of columns than the first line"


class Row(NamedTuple):
    """A row. Values of CSV and dumps are texts; None is NULL."""

    table: str
    """Name of the table; "" where the file does not name it."""
    fields: Mapping[str, Any]
    place: int
    outer: Mapping[str, Any]
    """Values beside the list that the row stands in."""


def rows_of(source: Source) -> Iterator[Row | Omission]:
    """Yields the rows of a file. Raises ImportFailedError."""
    sample = source.sample()
    if is_json(sample):
        yield from _json_rows(source)
    elif is_dump(sample):
        for table, fields, place in rows_of_dump(source):
            yield Row(table, fields, place, {})
    else:
        yield from _csv_rows(source, sample)


def rows_in(sample: Sample) -> list[Row]:
    """Returns the rows in the beginning of a file, as many as can be read."""
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
    """Returns True for a file that begins as JSON does."""
    return sample.text[:100].lstrip("\ufeff \t\r\n").startswith(("{", "["))


def _json_rows(source: Source) -> Iterator[Row | Omission]:
    """Yields the objects of the outermost lists, and those that stand alone, as in JSON lines."""
    outer: dict[str, Any] = {}
    number = 0
    lists = 0
    try:
        for path, value in values_at(source, _descends):
            if ELEMENT in path or not path:
                for fields in value if isinstance(value, list) else [value]:
                    number += 1
                    if isinstance(fields, dict):
                        yield Row(path[-2] if len(path) > 1 else "", fields, number, dict(outer))
                    else:
                        yield Omission("a value that is not a row", number)
                lists += 1
            elif len(outer) < 100:
                outer[path[-1]] = value
    except BrokenJsonError as error:
        yield Omission(
            f"the file {error}" if not str(error).startswith("the file") else str(error), number + 1
        )
    if not lists and outer:
        yield Row("", outer, 1, {})


def _descends(path: Path) -> bool:
    """Returns True for the root, and for lists of rows within objects that are not rows."""
    if not path:
        return True
    return ELEMENT not in path and (path[-1] in _LISTS or path[-1][:1].isupper())


def _csv_rows(source: Source, sample: Sample) -> Iterator[Row | Omission]:
    first = sample.text.lstrip("\ufeff").split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    with source.open() as stream:
        # `newline=""`: line ends within quotes are the reader's to see.
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        reader = csv.reader(text, delimiter=delimiter)
        names: list[str] = []
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield Omission("a row that is not CSV, or is too long", reader.line_num)
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
    """Returns the name of a column without quotes and the name of its table."""
    return re.sub(r'^.*\.(?=[\w"]+$)', "", written.strip()).strip('"\ufeff ')


def json_of(value: Any) -> Any:
    """Decodes a value of a JSON column that stands as a text; other values are returned as they are."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value


def flag(value: Any) -> bool:
    """Reads true and false as databases write them."""
    return value is True or str(value).strip().lower() in ("t", "true", "1", "yes")
