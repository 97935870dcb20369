"""Checks of what types cannot say of a result, and readers rely on: numbers in range, parts that agree."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from reports.results.baseline import Baseline, BaselineRun
from reports.results.causes import VALUES
from reports.results.load import LoadResult
from reports.results.replay import ExpectationResult, ReplayResult, Run
from reports.results.sweep import SweepResult

Result: TypeAlias = ReplayResult | LoadResult | SweepResult | Baseline

WORD_LENGTH_MAX = 40
SEED_MAX = 2**64
NUMBER_MAX = 10**15
"""Nothing but a seed is larger: as milliseconds it is 30,000 years. What is larger may overflow when reckoned with."""
ROUNDING = 1e-6
"""So much may an end of an interval be off, for results are rounded."""

_BASELINE_WORD = re.compile(r"(-?[0-9]{1,16}|[a-z_]{1,20})(\+twice)?(\+order)?", re.ASCII)
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_MAY_BE_NEGATIVE = ("$.settings", "$.latency_ms", "$.predicted_ms", "$.load.latency_ms")
"""Clocks of two processes may differ: then a sample of a load test is negative. Settings are anybody's."""


def contradictions(result: Result) -> Iterator[str]:
    """A sentence for each thing that is wrong, with its place."""
    yield from _strange_numbers(result)
    if result["kind"] == "replay":
        yield from _strange_replay(result)
    elif result["kind"] == "load":
        yield from _strange_load(result)
    elif result["kind"] == "sweep":
        yield from _strange_sweep(result)
    elif result["kind"] == "baseline":
        yield from _strange_baseline(result)


def told_word(value: object) -> str:
    """A value of a file as a short word in a sentence."""
    if value is None:
        return "missing"
    told = json.dumps(value, ensure_ascii=True)[: WORD_LENGTH_MAX + 1]
    return told if len(told) <= WORD_LENGTH_MAX else told[:WORD_LENGTH_MAX] + "…"


def _strange_numbers(result: Result) -> Iterator[str]:
    """Numbers that are too large, or negative where nothing can be less than none.

    The log of a run is what the system itself wrote, negative spans of the old ones included; no page shows it.
    """
    rest: list[tuple[str, object]] = [("$", result)]
    while rest:
        place, value = rest.pop()
        if isinstance(value, dict):
            rest += [
                (f"{place}.{key}" if key.isascii() and key.isidentifier() else f"{place}[...]", one)
                for key, one in value.items()
                if not isinstance(one, str) and not (key == "log" and place.startswith("$.runs["))
            ]
        elif isinstance(value, list | tuple):
            rest += [(f"{place}[{at}]", one) for at, one in enumerate(value) if not isinstance(one, str)]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if abs(value) > (SEED_MAX if place.endswith(".seed") else NUMBER_MAX):
                yield f"a number is too large - at `{place}`"
            if value < 0 and not place.startswith(_MAY_BE_NEGATIVE):
                yield f"a number is less than 0 - at `{place}`"


def _strange_replay(result: ReplayResult) -> Iterator[str]:
    yield from _strange_settings(result["settings"])
    names = [recording["name"] for recording in result["recordings"]]
    yield from _repeated(names)
    yield from _strange_runs(result["runs"], names, result["systems"], "$.runs")
    for at, run in enumerate(result["runs"]):
        yield from _strange_ledger(run, f"$.runs[{at}]")
        yield from _strange_causes(run, f"$.runs[{at}].causes")
    for at, expectation in enumerate(result["expectations"]):
        yield from _strange_expectation(expectation, names, f"$.expectations[{at}]")
    for at, one in enumerate(result["loss"]):
        low, probability, high = one["low"], one["probability"], one["high"]
        if not low - ROUNDING <= probability <= high + ROUNDING or max(probability, high) > 1 + ROUNDING:
            yield f"the interval of a probability does not hold it, or is none - at `$.loss[{at}]`"


def _strange_settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """Those that a page shows as times and as shares."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            if not all(isinstance(one, int | float) and 0 <= one <= 1 for one in value.values()):
                yield f"the setting {told_word(name)} holds what is no share from 0 to 1 - at `$.settings`"
        elif name.endswith("_ms") and value is not None and not isinstance(value, int | float):
            yield f"the setting {told_word(name)} is no time - at `$.settings`"


def _repeated(names: Sequence[str]) -> Iterator[str]:
    seen = set[str]()
    for at, name in enumerate(names):
        if name in seen:
            yield f"there are two recordings {told_word(name)} - at `$.recordings[{at}]`"
        seen.add(name)


def _strange_runs(
    runs: Sequence[Run] | Sequence[BaselineRun], recordings: Iterable[str], systems: Iterable[str], where: str
) -> Iterator[str]:
    """Each run is the only one of its number, of a recording and a system that the result names."""
    names, known_systems, seen = set(recordings), set(systems), set[tuple[str, str, int]]()
    for at, run in enumerate(runs):
        recording, system, number = key = run["recording"], run["system"], run["run"]
        if recording not in names:
            yield f"there is no recording {told_word(recording)} - at `{where}[{at}]`"
        if system not in known_systems:
            yield f"there is no system {told_word(system)} - at `{where}[{at}]`"
        if key in seen:
            yield f"run {number} of this recording on this system is there twice - at `{where}[{at}]`"
        seen.add(key)


def _strange_ledger(run: Run, where: str) -> Iterator[str]:
    """The counts of a run are those of its messages: one part of a page must not say what another denies."""
    fates = Counter(entry["fate"] for entry in run["ledger"])
    counted = {
        "sent": (run["sent"], len(run["ledger"])),
        "answered": (run["answered"], fates["answered"]),
        "lost": (len(run["lost"]), fates["lost"]),
        "dead_lettered": (len(run["dead_lettered"]), fates["dead_lettered"]),
        "pending": (len(run["pending"]), fates["pending"]),
    }
    for name, (told, found) in counted.items():
        if told != found:
            yield f"{name} is {told:,}, and its messages say {found:,} - at `{where}`"


def _strange_causes(run: Run, where: str) -> Iterator[str]:
    """Each cause has the values of its code, and no others."""
    for name, cause in run["causes"].items():
        given = {value for value in cause if value not in ("code", "at_ms")}
        code = cause["code"]
        for value in sorted(VALUES[code] - given):
            yield f"the cause {code} of {told_word(name)} has no {value} - at `{where}`"
        for value in sorted(given - VALUES[code]):
            yield f"the cause {code} of {told_word(name)} has a {value}, which does not belong to it - at `{where}`"


def _strange_expectation(expectation: ExpectationResult, names: Sequence[str], where: str) -> Iterator[str]:
    if expectation["recording"] not in names:
        yield f"there is no recording {told_word(expectation['recording'])} - at `{where}`"
    if expectation["outcome"] == "logged" and not {"line", "fields"} <= expectation.keys():
        yield f"an expected line of the log has no line or no fields - at `{where}`"


def _strange_load(result: LoadResult) -> Iterator[str]:
    for size in result["batches"]["sizes"]:
        if not _WHOLE_NUMBER.fullmatch(size):
            yield f"the size {told_word(size)} of a turn is no number - at `$.batches.sizes`"
    for at, fault in enumerate(result["faults"]):
        if fault["end_s"] < fault["start_s"]:
            yield f"a fault ends before it starts - at `$.faults[{at}]`"


def _strange_sweep(result: SweepResult) -> Iterator[str]:
    recommended = result["recommended"]
    if recommended is not None and not 0 <= recommended < len(result["rows"]):
        yield "no row is the recommended one - at `$.recommended`"
    if (recommended is None) != (result["no_recommendation"] is not None):
        yield "there is either a recommendation or a reason for none - at `$.no_recommendation`"
    for at, row in enumerate(result["rows"]):
        if row["lost"] + row["dead"] + row["waiting"] > row["sent"]:
            yield f"more messages than were sent have a fate - at `$.rows[{at}]`"
        if max(row["split_turns"], row["turns_of_several"]) > row["turns"]:
            yield f"more turns are split, or of several messages, than there are - at `$.rows[{at}]`"


def _strange_baseline(result: Baseline) -> Iterator[str]:
    if (result["replay"] is None, result["load"] is None) != (
        result["of"] == "load",
        result["of"] != "load",
    ):
        yield f"it is of a {result['of']}, and does not hold just that"
    if (replay := result["replay"]) is not None:
        yield from _strange_runs(replay["runs"], replay["digests"], replay["systems"], "$.replay.runs")
        yield from _strange_outcomes(replay["runs"])


def _strange_outcomes(runs: Sequence[BaselineRun]) -> Iterator[str]:
    for at, run in enumerate(runs):
        if run["answered"] + run["lost"] + run["dead"] + run["waiting"] != run["sent"]:
            yield f"the fates of its messages do not add up to what was sent - at `$.replay.runs[{at}]`"
        for place, line in enumerate(run["messages"]):
            if not all(_BASELINE_WORD.fullmatch(word) for word in line.split()):
                yield f"what became of a message cannot be read - at `$.replay.runs[{at}].messages[{place}]`"
