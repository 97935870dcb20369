"""Rows of exported tables in files of every size."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sim.importers.base import Omission
from sim.importers.formats.tables.rows import Row, rows_of
from sim.importers.sources import SAMPLE_BYTES
from tests.sim.importers.exports.reading import source_of

LARGE = [{"id": number, "text": "x" * 200} for number in range(SAMPLE_BYTES // 200)]


def read(value: Any) -> list[Row | Omission]:
    return list(rows_of(source_of(value if isinstance(value, str) else json.dumps(value))))


@pytest.mark.parametrize("rows", [LARGE[:3], LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    "wrapped",
    [
        lambda rows: rows,
        lambda rows: {"meta": {"name": "x"}, "payload": rows},
        lambda rows: {"messages": {"total": len(rows), "records": rows}},
        lambda rows: {'select * from "Message"': rows},
        lambda rows: "".join(json.dumps(row) + "\n" for row in rows),
    ],
    ids=["a list", "beside others", "a list in an object", "a query", "lines"],
)
def test_rows_are_found_whatever_is_around_them(rows: list[Any], wrapped: Any) -> None:
    pieces = read(wrapped(rows))
    assert [row.fields for row in pieces if isinstance(row, Row)] == rows
    assert [row.place for row in pieces] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize("rows", [LARGE[:3], LARGE], ids=["small", "large"])
def test_values_beside_the_list_are_known_to_its_rows(rows: list[Any]) -> None:
    (first, *_) = read({"meta": {"contact": {"phone": "1"}}, "payload": rows})
    assert isinstance(first, Row)
    assert first.outer == {"meta": {"contact": {"phone": "1"}}}


def test_an_object_without_a_list_is_a_row_however_large() -> None:
    large = {"id": 1, "data": {"deep": {"text": "x" * SAMPLE_BYTES}}, "mode": "webhook"}
    assert [row.fields for row in read(large) if isinstance(row, Row)] == [large]
    assert [row.fields for row in read(json.dumps(large) * 2) if isinstance(row, Row)] == [large, large]


@pytest.mark.parametrize("rows", [LARGE[:3], LARGE], ids=["small", "large"])
def test_a_cut_file_gives_what_is_whole_and_says_so(rows: list[Any]) -> None:
    content = json.dumps({"payload": rows})
    pieces = read(content[:-20])
    assert [row.fields for row in pieces if isinstance(row, Row)] == rows[:-1]
    assert len([row for row in pieces if isinstance(row, Omission)]) == 1


def test_values_that_are_not_rows_are_counted() -> None:
    assert sum(isinstance(row, Omission) for row in read([{"a": 1}, 5, "x", None])) == 3
