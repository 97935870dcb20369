"""Outcomes on record, checked against what a replay gave: a recording is a regression test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from queue_core.recording.format import Expectation, Recording
from reports.results.replay import ExpectationResult, Run
from sim.engine.settings import SimSettings

_ID_OUTCOMES = ("lost", "duplicated", "reordered", "dead_lettered")
_WORDS = {
    "lost": "lost",
    "duplicated": "duplicated",
    "reordered": "out of order",
    "dead_lettered": "dead-lettered",
}
_QUEUE_ONLY = ("window_ms", "max_messages", "idle_ms")
_QUEUE = "queue"


def check(
    recording: Recording, runs: Sequence[Run], *, used: SimSettings, recorded: SimSettings
) -> list[ExpectationResult]:
    """Check a recording's expectations in every one of its runs.

    `recorded` are the settings with the recording's own and nothing else; where those really `used` differ in
    something that touches a system, what is on record for it was seen under other conditions and is not checked.
    Systems without a run are passed over.
    """
    results: list[ExpectationResult] = []
    for system, expected in recording.expect.items():
        of_system = [run for run in runs if run["recording"] == recording.name and run["system"] == system]
        if not of_system:
            continue
        changes = list(_changes(system, used, recorded))
        for outcome in _outcomes(expected):
            if changes:
                held, detail = None, f"{outcome}: not checked, as the command line sets {'; '.join(changes)}"
            else:
                held, detail = _in_all(of_system, expected, outcome)
            results.append(
                ExpectationResult(recording=recording.name, system=system, held=held, detail=detail)
            )
    return results


def _outcomes(expected: Expectation) -> Iterator[str]:
    for name in _ID_OUTCOMES:
        if getattr(expected, name) is not None:
            yield _WORDS[name]
    for number in range(len(expected.log)):
        yield f"log line {number + 1}"


def _changes(system: str, used: SimSettings, recorded: SimSettings) -> Iterator[str]:
    """What differs, in words, among the settings that touch this system."""
    names = ["ai", "redis_latency", *(_QUEUE_ONLY if system == _QUEUE else ())]
    for name in names:
        now, then = getattr(used, name), getattr(recorded, name)
        if now != then:
            yield f"{name} to {now} instead of {then}"
    for name, rate in used.faults.items():
        if rate > 0:
            yield f"the fault {name} to {rate:g}"


def _in_all(runs: Iterable[Run], expected: Expectation, outcome: str) -> tuple[bool, str]:
    detail = ""
    for run in runs:
        held, detail = _in_one(run, expected, outcome)
        if not held:
            return False, f"{detail} (run {run['run']}, seed {run['seed']})"
    return True, detail


def _in_one(run: Run, expected: Expectation, outcome: str) -> tuple[bool, str]:
    for name, words in _WORDS.items():
        if words == outcome:
            return _same_ids(words, _plain(run, name), getattr(expected, name))
    fields = expected.log[int(outcome.rsplit(" ", 1)[1]) - 1]
    shown = ", ".join(f"{name} {value}" for name, value in fields.items())
    if any(_matches(line, fields) for line in run["log"]):
        return True, f"logged as on record: {shown}"
    return False, f"on record, but never logged: {shown}"


def _plain(run: Run, outcome: str) -> list[str]:
    """The ids in one of a run's lists as the recording has them: a recording names no conversation with an id."""
    plain = {}
    for entry in run["ledger"]:
        plain[entry["id"]] = entry["id"]
        plain[f"{entry['instance']}/{entry['phone']}/{entry['id']}"] = entry["id"]
    found: list[str] = run[outcome]  # type: ignore[literal-required]
    return list(dict.fromkeys(plain[one] for one in found))


def _same_ids(words: str, found: Sequence[str], expected: Sequence[str]) -> tuple[bool, str]:
    if sorted(found) == sorted(expected):
        return True, f"{words}: {_listed(expected)}, as on record"
    return False, f"{words}: {_listed(found)}, but on record: {_listed(expected)}"


def _matches(line: Mapping[str, Any], fields: Mapping[str, object]) -> bool:
    return all(name in line and line[name] == value for name, value in fields.items())


def _listed(ids: Sequence[str]) -> str:
    shown = ", ".join(list(ids)[:20])
    return (shown + f" and {len(ids) - 20} more" if len(ids) > 20 else shown) or "none"
