"""Reads result files: whatever is wrong with one is told in a sentence that says what, where, and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import msgspec

from reports.schema import SCHEMA_VERSION, ReplayResult
from reports.schema_baseline import BASELINE_SCHEMA_VERSION, Baseline
from reports.schema_load import LOAD_SCHEMA_VERSION, LoadResult

Result: TypeAlias = ReplayResult | LoadResult | Baseline
KINDS: dict[str, tuple[Any, int]] = {
    "replay": (ReplayResult, SCHEMA_VERSION),
    "load": (LoadResult, LOAD_SCHEMA_VERSION),
    "baseline": (Baseline, BASELINE_SCHEMA_VERSION),
}
"""What a file's `kind` may be, and the schema that is read."""

WORD_LENGTH_MAX = 40


class ResultError(Exception):
    """A file that cannot be used as a result; the message says which, why, and what to do."""


def read_result(path: Path) -> Result:
    """The result, or baseline, in a file.

    Raises:
        ResultError: there is no such file, it cannot be read, or it does not hold what it should.
    """
    raw = _bytes(path)
    try:
        data = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if "truncated" in str(error) and raw.strip():
            raise ResultError(_cut_short(path, raw)) from None
        _tell_broken(path, raw)
    return _checked(path, data)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ResultError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ResultError(f"{path}: is a folder; name the result file in it") from None
    except (OSError, ValueError) as error:
        raise ResultError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _tell_broken(path: Path, raw: bytes) -> NoReturn:
    """Words for bytes that are no JSON."""
    if not raw.strip():
        raise ResultError(f"{path}: is empty: the run that was to write it did not; make it again")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            raise ResultError(_cut_short(path, raw)) from None
        raise ResultError(f"{path}: is no UTF-8 text (byte {error.start}): this is no result file") from None
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultError(
            f"{path}: is no JSON: {error.msg}, line {error.lineno}, column {error.colno}; make the result again"
        ) from None
    except (RecursionError, ValueError):
        pass
    raise ResultError(
        f"{path}: is no JSON that can be read: NaN, or nested too deeply; make the result again"
    )


def _cut_short(path: Path, raw: bytes) -> str:
    return f"{path}: ends in the middle, after {len(raw):,} bytes: what wrote it was cut short; make it again"


def _checked(path: Path, data: object) -> Result:
    """The data as what their `kind` says they are."""
    if not isinstance(data, dict):
        raise ResultError(
            f"{path}: holds no result but a {_type_name(data)}; give the file that --json wrote"
        )
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ResultError(
            f"{path}: its kind is {_word(kind)}; known are {', '.join(KINDS)}. Give a file that `python -m sim` or "
            "`python -m loadtests` wrote"
        )
    model, version = KINDS[kind]
    schema = data.get("schema")
    if not isinstance(schema, int) or schema < 1:
        raise ResultError(
            f"{path}: its schema is {_word(schema)}, which is no version; make the result again"
        )
    if schema != version:
        which, remedy = (
            ("an older", "make it again") if schema < version else ("a newer", "update this program")
        )
        raise ResultError(
            f"{path}: was made by {which} version (schema {_word(schema)}, this one reads {version}); {remedy}"
        )
    try:
        result: Result = msgspec.convert(data, type=model)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ResultError(f"{path}: is not what it says it is: {error}; make the result again") from None
    _check_runs(path, result)
    return result


def _check_runs(path: Path, result: Result) -> None:
    """What types cannot say: each run is of a recording and a system that the result names."""
    if result["kind"] != "replay":
        return
    names = {recording["name"] for recording in result["recordings"]}
    for place, run in enumerate(result["runs"]):
        for what, known in (("recording", names), ("system", set(result["systems"]))):
            if run[what] not in known:  # type: ignore[literal-required] # one of the two keys above
                raise ResultError(
                    f"{path}: is not what it says it is: there is no {what} {_word(run[what])} - at "  # type: ignore[literal-required]
                    f"`$.runs[{place}]`; make the result again"
                )


def _type_name(value: object) -> str:
    names = {
        list: "list",
        str: "text",
        int: "number",
        float: "number",
        bool: "truth value",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)


def _word(value: object) -> str:
    if value is None:
        return "missing"
    told = json.dumps(value, ensure_ascii=True)[: WORD_LENGTH_MAX + 1]
    return told if len(told) <= WORD_LENGTH_MAX else told[:WORD_LENGTH_MAX] + "…"
