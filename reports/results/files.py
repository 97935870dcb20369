"""Reads result files: whatever is wrong with one is told in a sentence that says what, where, and what to do."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from reports.results.baseline import BASELINE_SCHEMA_VERSION, Baseline
from reports.results.checks import Result as Result  # noqa: PLC0414 - whoever reads a file names what it holds
from reports.results.checks import contradictions, told_word
from reports.results.load import LOAD_SCHEMA_VERSION, LoadResult
from reports.results.replay import SCHEMA_VERSION, ReplayResult
from reports.results.sweep import SWEEP_SCHEMA_VERSION, SweepResult
from reports.text import cut

KINDS: dict[str, tuple[Any, int]] = {
    "replay": (ReplayResult, SCHEMA_VERSION),
    "load": (LoadResult, LOAD_SCHEMA_VERSION),
    "sweep": (SweepResult, SWEEP_SCHEMA_VERSION),
    "baseline": (Baseline, BASELINE_SCHEMA_VERSION),
}
"""Kinds of files, with the type and the version of the schema that are read."""

REMEDIES: dict[str, str] = {
    "replay": "python -m sim replay logs/ --json FILE",
    "load": "python -m loadtests run",
    "sweep": "python -m sim sweep logs/ --json FILE",
    "baseline": "python -m reports baseline update RESULT.json -o FILE",
}
"""Commands that make a file again."""

REASON_LENGTH_MAX = 120


class ResultError(Exception):
    """A file that cannot be used as a result; the message says which, why, and what to do."""


def read_result(path: Path) -> Result:
    """The result, or baseline, in a file.

    Raises:
        ResultError: there is no such file, it cannot be read, or it does not hold what it should.
    """
    raw = _bytes(path).removeprefix(codecs.BOM_UTF8)  # some editors begin a file with it; it means nothing
    try:
        data = msgspec.json.decode(raw)
        _check_keys(path, raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _tell_broken(path, raw, str(error))
    return _checked(path, data)


def _check_keys(path: Path, raw: bytes) -> None:
    """Of a key that is there twice, the decoder would take one, and nobody would know which."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(key for at, (key, _) in enumerate(pairs) if key in dict(pairs[:at]))
            raise ResultError(
                f"{path}: has the key {told_word(twice)} twice in one object, as after a merge; make it again"
            )
        return found

    json.loads(raw, object_pairs_hook=once)


def _bytes(path: Path) -> bytes:
    try:
        if path.is_char_device():  # /dev/zero never ends
            raise ResultError(f"{path}: is a device; name a result file")
        return path.read_bytes()
    except FileNotFoundError:
        raise ResultError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ResultError(f"{path}: is a folder; name the result file in it") from None
    except (OSError, ValueError) as error:
        raise ResultError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _tell_broken(path: Path, raw: bytes, reason: str) -> NoReturn:
    """Words for bytes that are no JSON; `reason` is the decoder's."""
    if not raw.strip():
        raise ResultError(f"{path}: is empty: the run that was to write it did not; make it again")
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ResultError(f"{path}: is UTF-16 text; results are UTF-8: save it as that, or make it again")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            raise ResultError(_cut_short(path, raw)) from None
        raise ResultError(f"{path}: is no UTF-8 text (byte {error.start}): this is no result file") from None
    try:
        json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        if "truncated" in reason:
            raise ResultError(_cut_short(path, raw)) from None
        raise ResultError(
            f"{path}: is no JSON: {error.msg}, line {error.lineno}, column {error.colno}; make the result again"
        ) from None
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = "a number is too large" if "out of range" in reason else str(error)
    else:  # what Python reads and the stricter decoder does not
        reason = (
            "a number is too large" if "out of range" in reason else "a text holds half of a surrogate pair"
        )
    raise ResultError(f"{path}: is no JSON that can be read: {reason}; make the result again")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"it holds {word}, which is no number in JSON")


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
            f"{path}: its kind is {told_word(kind)}; known are {', '.join(KINDS)}. Give a file that `python -m sim` or "
            "`python -m loadtests` wrote"
        )
    model, version = KINDS[kind]
    schema = data.get("schema")
    if not isinstance(schema, int) or schema < 1:
        raise ResultError(
            f"{path}: its schema is {told_word(schema)}, which is no version; make the result again"
        )
    if schema != version:
        which, remedy = (
            ("an older", f"make it again: {REMEDIES[kind]}")
            if schema < version
            else ("a newer", "update this program")
        )
        raise ResultError(
            f"{path}: was made by {which} version (schema {told_word(schema)}, this one reads {version}); {remedy}"
        )
    try:
        result: Result = msgspec.convert(data, type=model)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ResultError(
            f"{path}: is not what it says it is: {_short(str(error))}; make the result again"
        ) from None
    if problem := next(contradictions(result), ""):
        raise ResultError(f"{path}: is not what it says it is: {problem}; make the result again")
    return result


def _short(reason: str) -> str:
    """What was found instead may be long; what was expected and where may not."""
    found, at, place = reason.rpartition(" - at ")
    return cut(found, REASON_LENGTH_MAX) + at + place


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
