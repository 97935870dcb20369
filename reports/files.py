"""Reads result files: whatever is wrong with one is told in a sentence that says what, where, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import msgspec

from reports.schema import SCHEMA_VERSION, ReplayResult, Run
from reports.schema_baseline import BASELINE_SCHEMA_VERSION, Baseline, BaselineRun
from reports.schema_load import LOAD_SCHEMA_VERSION, LoadResult
from reports.schema_sweep import SWEEP_SCHEMA_VERSION, SweepResult

Result: TypeAlias = ReplayResult | LoadResult | SweepResult | Baseline
KINDS: dict[str, tuple[Any, int]] = {
    "replay": (ReplayResult, SCHEMA_VERSION),
    "load": (LoadResult, LOAD_SCHEMA_VERSION),
    "sweep": (SweepResult, SWEEP_SCHEMA_VERSION),
    "baseline": (Baseline, BASELINE_SCHEMA_VERSION),
}
"""What a file's `kind` may be, and the schema that is read."""

WORD_LENGTH_MAX = 40
NUMBER_MAX = 2**64
"""Nothing in a result is larger: seeds have up to 64 bits. What is larger may overflow when it is reckoned with."""
_BASELINE_WORD = re.compile(r"(-?[0-9]{1,15}|[a-z_]{1,20})(\+twice)?(\+order)?")


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
    for problem in _contradictions(result):
        raise ResultError(f"{path}: is not what it says it is: {problem}; make the result again")
    return result


def _contradictions(result: Result) -> Iterator[str]:
    """What types cannot say, and whoever reads the result relies on."""
    if place := _too_large(result):
        yield f"a number is too large - at `{place}`"
    if result["kind"] == "replay":
        names = [recording["name"] for recording in result["recordings"]]
        yield from _repeated(names)
        yield from _strange_runs(result["runs"], names, result["systems"], "$.runs")
    elif result["kind"] == "sweep":
        if result["recommended"] is not None and not 0 <= result["recommended"] < len(result["rows"]):
            yield "no row is the recommended one - at `$.recommended`"
    elif result["kind"] == "baseline":
        if (result["replay"] is None, result["load"] is None) != (
            result["of"] == "load",
            result["of"] != "load",
        ):
            yield f"it is of a {result['of']}, and does not hold just that"
        if (replay := result["replay"]) is not None:
            yield from _strange_runs(replay["runs"], replay["digests"], replay["systems"], "$.replay.runs")
            yield from _strange_outcomes(replay["runs"])


def _repeated(names: Sequence[str]) -> Iterator[str]:
    seen = set[str]()
    for at, name in enumerate(names):
        if name in seen:
            yield f"there are two recordings {_word(name)} - at `$.recordings[{at}]`"
        seen.add(name)


def _strange_runs(
    runs: Sequence[Run] | Sequence[BaselineRun], recordings: Iterable[str], systems: Iterable[str], where: str
) -> Iterator[str]:
    """Each run is the only one of its number, of a recording and a system that the result names."""
    names, known_systems, seen = set(recordings), set(systems), set[tuple[str, str, int]]()
    for at, run in enumerate(runs):
        recording, system, number = key = run["recording"], run["system"], run["run"]
        if recording not in names:
            yield f"there is no recording {_word(recording)} - at `{where}[{at}]`"
        if system not in known_systems:
            yield f"there is no system {_word(system)} - at `{where}[{at}]`"
        if key in seen:
            yield f"run {number} of this recording on this system is there twice - at `{where}[{at}]`"
        seen.add(key)


def _strange_outcomes(runs: Sequence[BaselineRun]) -> Iterator[str]:
    for at, run in enumerate(runs):
        for place, line in enumerate(run["messages"]):
            if not all(_BASELINE_WORD.fullmatch(word) for word in line.split()):
                yield f"what became of a message cannot be read - at `$.replay.runs[{at}].messages[{place}]`"


def _too_large(result: Result) -> str:
    """The place of a number that is beyond NUMBER_MAX; empty if there is none."""
    rest: list[tuple[str, object]] = [("$", result)]
    while rest:
        place, value = rest.pop()
        if isinstance(value, dict):
            rest += [
                (f"{place}.{key}" if key.isidentifier() else f"{place}[...]", one)
                for key, one in value.items()
                if not isinstance(one, str)
            ]
        elif isinstance(value, list | tuple):
            rest += [(f"{place}[{at}]", one) for at, one in enumerate(value) if not isinstance(one, str)]
        elif isinstance(value, int | float) and abs(value) > NUMBER_MAX:
            return place
    return ""


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
