"""The history of a regression test: one line of JSON a run, appended to a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import msgspec

from reports.compare.baseline import baseline_of
from reports.compare.load import load_figures
from reports.compare.replay import replay_figures
from reports.results.checks import NUMBER_MAX
from reports.results.files import Result, ResultError
from reports.text import cut, one_line

ENTRIES_MAX = 500
"""So many of the last entries are read."""
NAME_LENGTH_MAX = 80


class Entry(TypedDict):
    """One run: when and of which commit it was, and its figures by system and name."""

    at: str
    commit: str
    kind: str
    ok: bool
    figures: dict[str, dict[str, float | None]]


def entry_of(result: Result, *, at: str, commit: str, ok: bool) -> Entry:
    """The line for a result; `at` is a moment in ISO 8601, `ok` what the comparison came to."""
    baseline = baseline_of(result)
    if baseline["replay"] is not None:
        figures = replay_figures(baseline["replay"], baseline["replay"])
    else:
        assert baseline["load"] is not None, "a baseline is of a replay or of a load test"
        figures = load_figures(baseline["load"], baseline["load"])
    return Entry(
        at=at,
        commit=cut(one_line(commit), NAME_LENGTH_MAX),
        kind=baseline["of"],
        ok=ok,
        figures={
            cut(one_line(one.name), NAME_LENGTH_MAX): {name: after for name, (_, after) in one.values.items()}
            for one in figures
        },
    )


def append(path: Path, entry: Mapping[str, object]) -> None:
    """Adds a line, in one write. A last line that a crash cut short is ended first, so that this one is whole.

    Should the disk be full in the middle of the line, the line is half there and the error is raised.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"
    if _is_cut_short(path):
        line = "\n" + line
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    rest = line.encode("utf-8", "replace")
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
    finally:
        os.close(file)


def _is_cut_short(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except FileNotFoundError:
        return False


def read(path: Path) -> tuple[list[Entry], list[str]]:
    """The last entries, oldest first, and a sentence for each thing that was passed over; none where there is no file.

    Raises:
        OSError: the file cannot be read.
        ResultError: it holds something, and no entry at all: it is another file than was meant.
    """
    if not path.is_file():  # what is no regular file, such as /dev/null, keeps nothing
        return [], []
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    entries = [entry for line in lines if (entry := _entry(line)) is not None]
    if lines and not entries:
        raise ResultError(f"{path}: holds no entry of a history, and is left as it is; name another file")
    broken = len(lines) - len(entries)
    warnings = [
        f"{path}: {broken} of {len(lines)} lines cannot be read as entries of a history and were passed over"
    ]
    return entries[-ENTRIES_MAX:], warnings if broken else []


def _entry(line: bytes) -> Entry | None:
    """The entry in a line; None if it holds none, or figures that nothing can be drawn of."""
    try:
        entry = msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    values = [value for figures in entry["figures"].values() for value in figures.values()]
    return entry if all(value is None or abs(value) <= NUMBER_MAX for value in values) else None
