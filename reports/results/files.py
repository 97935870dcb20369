"""Reading of result files: an error says in a sentence what is wrong, where, and what to do."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from reports.command_lines import typed
from reports.results.audit import AUDIT_SCHEMA_VERSION, AuditResult
from reports.results.baseline import BASELINE_SCHEMA_VERSION, Baseline
from reports.results.checks import Result as Result  # noqa: PLC0414 - exported for callers of read_result
from reports.results.checks import contradictions, shown
from reports.results.failover import FAILOVER_SCHEMA_VERSION, FailoverResult
from reports.results.load import LOAD_SCHEMA_VERSION, LoadResult
from reports.results.replay import SCHEMA_VERSION, ReplayResult
from reports.results.sweep import SWEEP_SCHEMA_VERSION, SweepResult
from reports.results.validation import VALIDATION_SCHEMA_VERSION, ValidationResult

KINDS: dict[str, tuple[Any, int]] = {
    "replay": (ReplayResult, SCHEMA_VERSION),
    "load": (LoadResult, LOAD_SCHEMA_VERSION),
    "sweep": (SweepResult, SWEEP_SCHEMA_VERSION),
    "audit": (AuditResult, AUDIT_SCHEMA_VERSION),
    "failover": (FailoverResult, FAILOVER_SCHEMA_VERSION),
    "validation": (ValidationResult, VALIDATION_SCHEMA_VERSION),
    "baseline": (Baseline, BASELINE_SCHEMA_VERSION),
}
"""Kinds of files, each with its type and the schema version that is read."""

REMEDIES: dict[str, str] = {
    "replay": "python -m sim replay logs/ --json FILE",
    "load": "python -m loadtests run",
    "sweep": "python -m sim sweep logs/ --json FILE",
    "audit": "python -m sim audit FILE --json RESULT",
    "failover": "python -m loadtests failover",
    "validation": "python -m loadtests validate",
    "baseline": "python -m reports baseline update RESULT.json -o FILE",
}
"""Commands that make a file again."""

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
_TYPE_NAMES = re.compile("`([^`]+)`")


class ResultError(Exception):
    """A file that cannot be used as a result; the message says which, why, and what to do."""


def read_result(path: Path) -> Result:
    """Read the result, or the baseline, in a file.

    Raises:
        ResultError: there is no such file, it cannot be read, or its content is not a valid result.
    """
    try:
        return _checked(_decoded(_bytes(path)))
    except ResultError as error:
        raise ResultError(f"{path}: {error}") from None


def _bytes(path: Path) -> bytes:
    try:
        if path.is_char_device():  # /dev/zero never ends
            raise ResultError("is a device; name a result file")
        return path.read_bytes().removeprefix(codecs.BOM_UTF8)  # some editors begin a file with it
    except FileNotFoundError:
        raise ResultError("there is no such file") from None
    except IsADirectoryError:
        raise ResultError("is a folder; name the result file in it") from None
    except (OSError, ValueError) as error:
        raise ResultError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _decoded(raw: bytes) -> object:
    """Decode JSON in UTF-8, or say why that is not possible."""
    if not raw.strip():
        raise ResultError("is empty: the run that should have written it failed; make it again")
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ResultError("is UTF-16 text; results are UTF-8: save it as UTF-8, or make it again")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            raise ResultError(_cut_short(raw)) from None
        raise ResultError(
            f"is not UTF-8 text (byte {error.start}), so it is not a result; name another file"
        ) from None
    try:
        data: object = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
        msgspec.json.decode(raw)  # is stricter: Python reads numbers and texts that JSON cannot hold
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            raise ResultError(_cut_short(raw)) from None
        raise ResultError(
            f"is not JSON (line {error.lineno}, column {error.colno}); make the result again"
        ) from None
    except RecursionError:
        raise ResultError("is nested too deeply; make the result again") from None
    except (msgspec.DecodeError, ValueError) as error:  # ValueError: a number of too many digits
        is_text = isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError)
        part = "a text with half of a surrogate pair" if is_text else "a number that is too large"
        raise ResultError(f"holds {part}; make the result again") from None
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dictionary of an object's keys and values, and refuse a repeated key, which is ambiguous."""
    keys = Counter(key for key, _ in pairs)
    if twice := next((key for key, times in keys.items() if times > 1), None):
        raise ResultError(f"has the key {shown(twice)} twice in one object, as after a merge; make it again")
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise ResultError(f"holds {name}, which is not a number in JSON; make the result again")


def _cut_short(raw: bytes) -> str:
    return f"ends in the middle, after {len(raw):,} bytes: its writer was stopped; make it again"


def _checked(data: object) -> Result:
    """Convert decoded JSON to the type that its `kind` names, and make the checks beyond types."""
    if not isinstance(data, dict):
        raise ResultError("holds a single value or a list, not a result; give the file that --json wrote")
    kind, schema = data.get("kind"), data.get("schema")
    if not isinstance(kind, str) or kind not in KINDS:
        kinds = f"its kind is {shown(kind)}; known kinds are {', '.join(KINDS)}"
        raise ResultError(typed(f"{kinds}. Give a file that `python -m sim` or `python -m loadtests` wrote"))
    model, version = KINDS[kind]
    if type(schema) is not int or schema < 1:
        raise ResultError(f"its schema is {shown(schema)}, which is not a version; make the result again")
    if schema != version:
        which, remedy = ("a newer", "update this program")
        if schema < version:
            which, remedy = ("an older", typed(f"make it again: {REMEDIES[kind]}"))
        raise ResultError(
            f"was made by {which} version (schema {shown(schema)}; this program reads {version}); {remedy}"
        )
    try:
        result: Result = msgspec.convert(data, type=model)
        if problem := next(contradictions(result), ""):
            raise ResultError(f"is not a valid {kind} file: {problem}; make the result again")
    except msgspec.ValidationError as error:
        problem = _misfit(str(error))
        raise ResultError(f"is not a valid {kind} file: {problem}; make the result again") from None
    return result


def _misfit(reason: str) -> str:
    """Rewrite an error of msgspec in plain words; it ends in a path such as `$.runs[0]` unless it is about the file."""
    what, at, path = reason.rpartition(" - at ") if " - at " in reason else (reason, " - at ", "`$`")
    if what.startswith("Object missing required field"):
        what = f"the key {what.split()[-1]} is missing"
    elif what.startswith("Expected"):
        expected, _, actual = what.removeprefix("Expected ").partition(", got ")
        what = f"there must be {_type_words(expected)}, not {_type_words(actual)}"
    elif what.startswith("Invalid enum value"):
        what = "the text is not one of the known values"
    return what + at + path


def _type_words(names: str) -> str:
    """Replace names of types, such as `int | null`, by words."""
    return _TYPE_NAMES.sub(
        lambda match: " or ".join(_TYPES.get(name, name) for name in match[1].split(" | ")), names
    )
