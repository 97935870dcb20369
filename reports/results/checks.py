"""Checks of a result beyond its types: numbers are in range, and parts agree."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from reports.results.audit import AuditResult
from reports.results.baseline import Baseline, BaselineRun
from reports.results.causes import VALUES
from reports.results.failover import FailoverResult, broken_promises
from reports.results.faults import StruckFault
from reports.results.load import LoadResult
from reports.results.replay import ExpectationResult, Explanation, ReplayResult, Run
from reports.results.sweep import SweepResult
from reports.results.systems import is_queue
from reports.results.validation import LIVE_RUNS, Trial, ValidationResult
from reports.results.zones import zone_named
from reports.text import cut

Result: TypeAlias = (
    ReplayResult | LoadResult | SweepResult | AuditResult | ValidationResult | FailoverResult | Baseline
)

VALUE_LENGTH_MAX = 40
SEED_MAX = 2**64
NUMBER_MAX = 10**15
"""Maximum of all numbers except seeds; in milliseconds it is 30,000 years. Arithmetic with it does not overflow."""
DATE_MS_MAX = 253_402_214_400_000
"""Latest Unix time that can be written as a date in every time zone: 9999-12-31T00:00:00Z."""
ROUNDING = 1e-6
"""Tolerance for the ends of an interval, since results are rounded."""

_BASELINE_WORD = re.compile(r"(-?[0-9]{1,16}|[a-z_]{1,20})(\+twice)?(\+order)?", re.ASCII)
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_MAY_BE_NEGATIVE = ("$.settings", "$.latency_ms", "$.load.latency_ms")
"""Paths of numbers that may be negative: settings, and samples of a load test, where clocks of processes differ."""


def contradictions(result: Result) -> Iterator[str]:
    """Yield a sentence for each error in a result, with its path."""
    yield from _in_numbers(result)
    if result["kind"] == "replay":
        yield from _in_replay(result)
    elif result["kind"] == "load":
        yield from _in_load(result)
    elif result["kind"] == "sweep":
        yield from _in_sweep(result)
    elif result["kind"] == "failover":
        yield from _in_failover(result)
    elif result["kind"] == "audit":
        yield from _in_audit(result)
    elif result["kind"] == "validation":
        yield from _in_validation(result)
    else:
        yield from _in_baseline(result)


def shown(value: object) -> str:
    """Write a value of a file as JSON for a sentence, shortened if it is long."""
    return "missing" if value is None else cut(json.dumps(value), VALUE_LENGTH_MAX)


def _in_numbers(result: Result) -> Iterator[str]:
    """Find numbers that are too large, or negative where they count or measure something.

    The log of a run is not checked: the system under test wrote it, and no page shows it.
    """
    unvisited: list[tuple[str, object]] = [("$", result)]
    while unvisited:
        path, value = unvisited.pop()
        if isinstance(value, dict):
            unvisited += [
                (f"{path}.{key}" if key.isascii() and key.isidentifier() else f"{path}[...]", part)
                for key, part in value.items()
                if not (key == "log" and path.startswith("$.runs["))
            ]
        elif isinstance(value, list | tuple):
            unvisited += [(f"{path}[{index}]", part) for index, part in enumerate(value)]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if abs(value) > (SEED_MAX if path.endswith(".seed") else NUMBER_MAX):
                yield f"a number is too large - at `{path}`"
            if value < 0 and not path.startswith(_MAY_BE_NEGATIVE):
                yield f"a number is less than 0 - at `{path}`"


def _in_replay(result: ReplayResult) -> Iterator[str]:
    yield from _in_settings(result["settings"])
    names = [recording["name"] for recording in result["recordings"]]
    yield from _repeated(names)
    yield from _in_runs(result["runs"], names, result["systems"], "$.runs")
    for index, run in enumerate(result["runs"]):
        yield from _in_ledger(run, f"$.runs[{index}]")
        yield from _in_causes(run, f"$.runs[{index}].causes")
        yield from _in_faults(run["faults"], f"$.runs[{index}].faults")
    if len({tuple(fault["name"] for fault in run["faults"]) for run in result["runs"]}) > 1:
        yield "the runs have different faults - at `$.runs`"
    for index, expectation in enumerate(result["expectations"]):
        yield from _in_expectation(expectation, names, f"$.expectations[{index}]")
    for index, explanation in enumerate(result.get("explanations", ())):
        yield from _in_explanation(explanation, names, result["systems"], f"$.explanations[{index}]")
    for index, estimate in enumerate(result["loss"]):
        low, probability, high = estimate["low"], estimate["probability"], estimate["high"]
        if not low - ROUNDING <= probability <= high + ROUNDING or max(probability, high) > 1 + ROUNDING:
            yield f"a probability is outside of its interval, or the interval exceeds 1 - at `$.loss[{index}]`"


def _in_explanation(
    explanation: Explanation, recordings: Iterable[str], systems: Iterable[str], where: str
) -> Iterator[str]:
    if explanation["recording"] not in recordings or explanation["system"] not in systems:
        yield f"the recording or the system is not in the result - at `{where}`"
    for overlap in (explanation["unanswered"], explanation["cut"]):
        if overlap["both"] > min(overlap["actual"], overlap["predicted"]) or overlap["probability"] > 1:
            yield f"an overlap is larger than its parts, or a probability exceeds 1 - at `{where}`"


def _in_settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """Check the settings that a page shows as times and as shares."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and is_queue(name):
            if not all(type(part) is int for part in value.values()):
                yield f"a rule of {shown(name)} is not a whole number - at `$.settings`"
        elif name == "faults":
            if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
                yield "the setting faults is not a list of texts - at `$.settings`"
        elif name.endswith("_ms") and value is not None and not isinstance(value, int | float):
            yield f"the setting {shown(name)} is not a time - at `$.settings`"


def _in_faults(faults: Iterable[StruckFault], where: str) -> Iterator[str]:
    for fault in faults:
        if "rate" in fault:
            if fault["rate"] > 1:
                yield f"the rate of a fault exceeds 1 - at `{where}`"
        elif fault.get("end_ms", -1) < fault.get("start_ms", 0):
            yield f"a fault has no times, or ends before it starts - at `{where}`"


def _repeated(names: Sequence[str]) -> Iterator[str]:
    seen = set[str]()
    for index, name in enumerate(names):
        if name in seen:
            yield f"there are two recordings {shown(name)} - at `$.recordings[{index}]`"
        seen.add(name)


def _in_runs(
    runs: Sequence[Run] | Sequence[BaselineRun], recordings: Iterable[str], systems: Iterable[str], where: str
) -> Iterator[str]:
    """Check that no run is there twice, and that the result names the recording and the system of each."""
    names, known_systems, seen = set(recordings), set(systems), set[tuple[str, str, int]]()
    for index, run in enumerate(runs):
        recording, system, number = key = run["recording"], run["system"], run["run"]
        if recording not in names:
            yield f"the recording {shown(recording)} is not in the result - at `{where}[{index}]`"
        if system not in known_systems:
            yield f"the system {shown(system)} is not in the result - at `{where}[{index}]`"
        if key in seen:
            yield f"run {number} of this recording on this system is there twice - at `{where}[{index}]`"
        seen.add(key)


def _in_ledger(run: Run, where: str) -> Iterator[str]:
    """Check that the counts of a run agree with its ledger, which has only the lost messages of a folded run."""
    fates = Counter(entry["fate"] for entry in run["ledger"])
    counted = {
        "sent": (run["sent"], len(run["ledger"])),
        "answered": (run["answered"], fates["answered"]),
        "lost": (len(run["lost"]), fates["lost"]),
        "dead_lettered": (len(run["dead_lettered"]), fates["dead_lettered"]),
        "pending": (len(run["pending"]), fates["pending"]),
    }
    for name, (count, messages) in counted.items():
        if "folded" in run and name != "lost":
            continue
        if count != messages:
            yield f"{name} is {count:,}, but the ledger has {messages:,} such messages - at `{where}`"


def _in_causes(run: Run, where: str) -> Iterator[str]:
    """Check that each cause has the values of its code, and no others."""
    for name, cause in run["causes"].items():
        given = {value for value in cause if value not in ("code", "at_ms")}
        code = cause["code"]
        for value in sorted(VALUES[code] - given):
            yield f"the cause {code} of {shown(name)} lacks the value {value} - at `{where}`"
        for value in sorted(given - VALUES[code]):
            yield f"the cause {code} of {shown(name)} must not have the value {value} - at `{where}`"


def _in_expectation(expectation: ExpectationResult, names: Sequence[str], where: str) -> Iterator[str]:
    if expectation["recording"] not in names:
        yield f"the recording {shown(expectation['recording'])} is not in the result - at `{where}`"
    if expectation["outcome"] == "logged" and not {"line", "fields"} <= expectation.keys():
        yield f"an expected log line lacks `line` or `fields` - at `{where}`"


def _in_load(result: LoadResult) -> Iterator[str]:
    for size in result["batches"]["sizes"]:
        if not _WHOLE_NUMBER.fullmatch(size):
            yield f"the size {shown(size)} of a turn is not a number - at `$.batches.sizes`"
    for index, fault in enumerate(result["faults"]):
        if fault["end_s"] < fault["start_s"]:
            yield f"a fault ends before it starts - at `$.faults[{index}]`"


def _in_sweep(result: SweepResult) -> Iterator[str]:
    recommended = result["recommended"]
    if recommended is not None and not 0 <= recommended < len(result["rows"]):
        yield "the recommended row does not exist - at `$.recommended`"
    if (recommended is None) != (result["no_recommendation"] is not None):
        yield "a recommendation and a reason for none are both there, or both missing - at `$.no_recommendation`"
    for index, row in enumerate(result["rows"]):
        if row["lost"] + row["dead"] + row["waiting"] > row["sent"]:
            yield f"more messages than were sent are lost, dead-lettered or waiting - at `$.rows[{index}]`"
        if max(row["split_turns"], row["turns_of_several"]) > row["turns"]:
            yield f"more turns are split, or have several messages, than the row counts - at `$.rows[{index}]`"


def _in_failover(result: FailoverResult) -> Iterator[str]:
    for index, row in enumerate(result["rows"]):
        if row["twice_after_lost_write"] > row["twice"]:
            yield f"`twice_after_lost_write` is greater than `twice` - at `$.rows[{index}]`"
        if row["once"] + row["lost"] > row["acknowledged"]:
            yield f"more messages were answered or lost than acknowledged - at `$.rows[{index}]`"
    if result["ok"] == any(broken_promises(row) for row in result["rows"]):
        yield "`ok` and the rows contradict each other - at `$.ok`"


def _in_baseline(result: Baseline) -> Iterator[str]:
    parts = {"replay": result["replay"], "load": result["load"]}
    if [kind for kind, part in parts.items() if part is not None] != [result["of"]]:
        yield f"`of` is {shown(result['of'])}, so that part must be there, and the other must be null"
    if (replay := result["replay"]) is not None:
        yield from _in_runs(replay["runs"], replay["digests"], replay["systems"], "$.replay.runs")
        yield from _in_outcomes(replay["runs"])


def _in_outcomes(runs: Sequence[BaselineRun]) -> Iterator[str]:
    for index, run in enumerate(runs):
        if run["answered"] + run["lost"] + run["dead"] + run["waiting"] != run["sent"]:
            yield f"the counts of messages by fate do not add up to `sent` - at `$.replay.runs[{index}]`"
        for number, line in enumerate(run["messages"]):
            if not all(_BASELINE_WORD.fullmatch(word) for word in line.split()):
                yield f"the outcome of a message cannot be read - at `$.replay.runs[{index}].messages[{number}]`"


def _in_audit(result: AuditResult) -> Iterator[str]:
    """Check the zone, the dates, the counts, and that the recordings and replies that are named exist."""
    try:
        zone_named(result["zone"])
    except ValueError:
        yield f"{shown(result['zone'])} is not a time zone - at `$.zone`"
    yield from _repeated([recording["name"] for recording in result["recordings"]])
    if not result["recordings"]:
        yield "there is no recording - at `$.recordings`"
    yield from _late_dates(result)
    total = result["total"]
    if total["messages"] != sum(total[state] for state in ("answered", "unanswered", "open", "exempt")):
        yield "the counts of messages do not add up - at `$.total`"
    names = {recording["name"] for recording in result["recordings"]}
    for index, conversation in enumerate(result["worst"]):
        where = f"$.worst[{index}]"
        if conversation["recording"] not in names:
            yield f"the recording {shown(conversation['recording'])} is not in the result - at `{where}`"
        if not conversation["messages"]:
            yield f"a conversation has no messages - at `{where}`"
        replies = len(conversation["replies"])
        if any(
            message["reply"] is not None and message["reply"] >= replies
            for message in conversation["messages"]
        ):
            yield f"a message names a reply that does not exist - at `{where}`"


def _late_dates(result: AuditResult) -> Iterator[str]:
    """Find times that cannot be written as dates."""
    starts_ms = {recording["name"]: recording["epoch_ms"] for recording in result["recordings"]}
    latest = {
        "recordings": [recording["epoch_ms"] + recording["end_ms"] for recording in result["recordings"]],
        "busiest": [minute["at_ms"] for minute in result["busiest"]],
        "worst": [
            starts_ms.get(conversation["recording"], 0)
            + max((message["at_ms"] for message in conversation["messages"]), default=0)
            for conversation in result["worst"]
        ],
    }
    for name, times_ms in latest.items():
        for index, time_ms in enumerate(times_ms):
            if time_ms > DATE_MS_MAX:
                yield f"a time is too late for a date - at `$.{name}[{index}]`"


def _in_validation(result: ValidationResult) -> Iterator[str]:
    if len({trial["name"] for trial in result["trials"]}) < len(result["trials"]):
        yield "a trial is there twice - at `$.trials`"
    for index, trial in enumerate(result["trials"]):
        yield from _in_trial(trial, f"$.trials[{index}]")
    if result["ok"] != all(trial["verdict"] == "within" for trial in result["trials"]):
        yield "`ok` contradicts the verdicts of the trials - at `$.ok`"


def _in_trial(trial: Trial, where: str) -> Iterator[str]:
    """Check the number of live runs, the distances, and that curves ascend."""
    if len(trial["live"]) != LIVE_RUNS:
        yield f"there are not {LIVE_RUNS} live runs - at `{where}.live`"
    if len(trial["distances"]) not in ((LIVE_RUNS,) if trial["verdict"] != "invalid" else (0, LIVE_RUNS)):
        yield f"there is not a distance for each live run - at `{where}.distances`"
    if max([trial["floor"], trial["distance"], *trial["distances"]]) > 1:
        yield f"a distance exceeds 1 - at `{where}`"
    for run in (*trial["live"], trial["simulated"]):
        times = run["reply_ms"]
        if any(later < earlier for earlier, later in pairwise(times)) or not (
            times or trial["verdict"] == "invalid"
        ):
            yield f"the reply times of a run are missing or do not ascend - at `{where}`"
