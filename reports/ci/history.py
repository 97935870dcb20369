"""History of a regression test: a file with a line of JSON for each run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import msgspec

from reports.compare.comparison import Comparison
from reports.results.checks import NUMBER_MAX
from reports.results.files import ResultError
from reports.text import cut, one_line

ENTRIES_MAX = 500
"""Maximum number of entries that are read, from the end of the file."""
NAME_LENGTH_MAX = 80


class Entry(TypedDict):
    """One run: its time in ISO 8601, its commit, and its figures by system and name."""

    at: str
    commit: str
    kind: str
    ok: bool
    figures: dict[str, dict[str, float | None]]


def entry_of(comparison: Comparison, *, at: str, commit: str) -> Entry:
    """Make the entry of the newer result of a comparison."""
    figures = {
        cut(one_line(figures.name), NAME_LENGTH_MAX): {
            name: after for name, (_, after) in figures.values.items()
        }
        for figures in comparison.figures
    }
    return Entry(
        at=at,
        commit=cut(one_line(commit), NAME_LENGTH_MAX),
        kind=comparison.kind,
        ok=not comparison.is_worse,
        figures={
            system: values
            for system, values in figures.items()
            if any(value is not None for value in values.values())
        },
    )


def append(path: Path, entry: Mapping[str, object]) -> None:
    """Append the entry as a line; a new line is begun first if a crash cut the last one short.

    Raises:
        OSError: the file cannot be written; a full disk may leave half a line.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"
    if path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n"):
        line = "\n" + line
    with path.open("ab") as file:
        file.write(line.encode("utf-8", "replace"))


def read(path: Path) -> tuple[list[Entry], list[str]]:
    """Return the last entries, oldest first, and a warning if lines cannot be read; nothing without a file.

    Raises:
        OSError: the file cannot be read.
        ResultError: no line of the file is an entry: another file must have been meant.
    """
    if not path.is_file():  # /dev/null keeps nothing
        return [], []
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    entries = [entry for line in lines if (entry := _entry(line)) is not None]
    if lines and not entries:
        raise ResultError(f"{path}: is not a history, and is left as it is; name another file with --history")
    warnings = []
    if broken := len(lines) - len(entries):
        warnings.append(f"{path}: {broken} of {len(lines)} lines cannot be read and were skipped")
    return entries[-ENTRIES_MAX:], warnings


def _entry(line: bytes) -> Entry | None:
    """Read the entry in a line; None if it is not one, or has figures too large to draw."""
    try:
        entry = msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    values = [value for figures in entry["figures"].values() for value in figures.values()]
    return entry if all(value is None or abs(value) <= NUMBER_MAX for value in values) else None
