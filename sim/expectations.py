"""Check of a replay against the expected outcomes in its recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from queue_core.recording.format import Expectation, Recording
from reports.results.replay import ExpectationResult, Outcome, Run, SettingChange
from reports.results.systems import QUEUE
from sim.engine.options import read_options, written
from sim.engine.settings import SimSettings
from sim.systems import all_systems

_ID_OUTCOMES: tuple[Outcome, ...] = ("lost", "duplicated", "reordered", "dead_lettered")


def check(
    recording: Recording, runs: Sequence[Run], *, used: SimSettings, recorded: SimSettings
) -> list[ExpectationResult]:
    """Check a recording's expectations in every one of its runs.

    `recorded` are the settings that the recording asks for, `used` those of the runs. Where a difference between them
    affects a system, its expectations are not checked. Systems without a run are left out.
    """
    results: list[ExpectationResult] = []
    for system, expected in recording.expect.items():
        of_system = [run for run in runs if run["recording"] == recording.name and run["system"] == system]
        if not of_system:
            continue
        changes = list(_changes(system, used, recorded))
        for outcome in _outcomes(recording.name, system, expected):
            outcome["changes"] = changes
            if not changes:
                _compare(outcome, recording, of_system)
            results.append(outcome)
    return results


def _outcomes(recording: str, system: str, expected: Expectation) -> Iterator[ExpectationResult]:
    """Yield each expected outcome, not yet checked."""
    for outcome in _ID_OUTCOMES:
        ids: Sequence[str] | None = getattr(expected, outcome)
        if ids is not None:
            yield _unchecked(recording, system, outcome, ids)
    for line, fields in enumerate(expected.log, 1):
        logged = _unchecked(recording, system, "logged", ())
        logged["line"], logged["fields"] = line, dict(fields)
        yield logged


def _unchecked(recording: str, system: str, outcome: Outcome, ids: Sequence[str]) -> ExpectationResult:
    return ExpectationResult(
        recording=recording,
        system=system,
        outcome=outcome,
        held=None,
        expected=list(ids),
        actual=[],
        changes=[],
    )


def _changes(system: str, used: SimSettings, recorded: SimSettings) -> Iterator[SettingChange]:
    """Yield the differences among the settings that affect this system."""
    names = ["ai", "redis_latency", *(used.rules() if system == QUEUE else ())]
    for name in names:
        now, then = getattr(used, name), getattr(recorded, name)
        if now != then:
            yield SettingChange(setting=name, now=now, then=then)
    yield from _own_changes(system, used)
    for fault in used.faults:
        if fault.rate != 0:
            yield SettingChange(setting="fault", now=str(fault), then="")


def _own_changes(system: str, used: SimSettings) -> Iterator[SettingChange]:
    """Yield the differences between a system's own settings (`--set`) and their defaults, which recordings expect."""
    kind = all_systems()[system].options_type
    defaults = written(read_options(kind, {}))
    for name, now in written(read_options(kind, used.of_systems.get(system, {}))).items():
        if now != defaults[name]:
            yield SettingChange(setting=f"{system}.{name}", now=now, then=defaults[name])


def _compare(outcome: ExpectationResult, recording: Recording, runs: Iterable[Run]) -> None:
    """Fill in the actual outcome: that of the first run that does not match, or of the last run if all match."""
    for run in runs:
        if outcome["outcome"] == "logged":
            outcome["held"] = any(_matches(line, outcome["fields"]) for line in run["log"])
        else:
            outcome["actual"] = _recorded_ids(recording, run, outcome["outcome"])
            outcome["held"] = sorted(outcome["actual"]) == sorted(outcome["expected"])
        if not outcome["held"]:
            outcome["run"], outcome["seed"] = run["run"], run["seed"]
            return


def _recorded_ids(recording: Recording, run: Run, outcome: str) -> list[str]:
    """Return a run's list of ids as written in the recording, without the conversation."""
    ids = {}
    for arrival in recording.arrivals:
        ids[arrival.id] = arrival.id
        ids[f"{arrival.instance}/{arrival.phone}/{arrival.id}"] = arrival.id
    names: list[str] = run[outcome]  # type: ignore[literal-required] # a list of ids
    return list(dict.fromkeys(ids[name] for name in names))


def _matches(line: Mapping[str, Any], fields: Mapping[str, object]) -> bool:
    return all(name in line and line[name] == value for name, value in fields.items())
