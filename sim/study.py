"""A study: replays of every recording on every system, once or several times, in one process or several.

The result depends only on recordings, systems, settings and the version of Python, not on the number of jobs, the
machine, or the time.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from queue_core.recording.format import Recording
from reports.analysis.recording import first_with_loss
from reports.analysis.statistics import wilson
from reports.results.replay import (
    REASON_LENGTH_MAX,
    SCHEMA_VERSION,
    SKIPPED_MAX,
    ExpectationResult,
    LossEstimate,
    RecordedMessage,
    RecordingInfo,
    ReplayResult,
    Run,
    SkippedLine,
)
from reports.results.systems import QUEUE, is_queue, queue_with
from reports.text import cut
from sim.engine.options import read_options, written
from sim.engine.processes import spread
from sim.engine.settings import SettingsError, SimSettings, with_options, with_profile
from sim.expectations import check
from sim.folding import Fold
from sim.replay import replay
from sim.systems import all_systems

SMALL_STUDY_MESSAGES = 1500
"""Number of messages up to which starting more processes takes longer than it saves."""

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""Version of Python, on which results depend: it sets the order of tasks that are ready at the same moment."""


class ReplayFailedError(Exception):
    """A run that ended with an exception: a bug in a system or in the simulator. The cause is chained."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A system under test. `name` is its name in results; `profile` names rules that replace those of the queue."""

    name: str
    system: str
    profile: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """Recordings to replay, names of systems, and settings.

    The queue runs once for each of the `profiles`, with its rules; the first run is named `queue`. A profile overrides
    the rules in a recording. `options` come from the command line (see `settings.with_options`) and override both.
    """

    recordings: Sequence[Recording]
    systems: Sequence[str]
    settings: SimSettings
    options: Mapping[str, str]
    runs: int = 1
    command: str = ""
    profiles: Sequence[str] = ()
    keeps_all: bool = False
    """True if every run is kept whole, not only one of each recording on each system (`folding.py`)."""

    @property
    def contenders(self) -> list[Contender]:
        """Systems under test: those in `systems`, and the queue once more for each further profile."""
        first, *further = self.profiles or [""]
        return [
            contender
            for system in self.systems
            for contender in (
                [
                    Contender(QUEUE, QUEUE, first),
                    *(Contender(queue_with(name), QUEUE, name) for name in further),
                ]
                if system == QUEUE
                else [Contender(system, system)]
            )
        ]

    def recorded_settings(self, recording: Recording) -> SimSettings:
        """Return the defaults, changed by the recording's settings. Raises SettingsError."""
        try:
            return with_options(SimSettings(seed=self.settings.seed), recording.settings)
        except SettingsError as error:
            raise SettingsError(f"{recording.name}: settings.{error}") from None

    def settings_for(self, recording: Recording, contender: Contender) -> SimSettings:
        """Return the recording's settings, changed by the profile and by the options. Raises SettingsError."""
        recorded = self.recorded_settings(recording)
        world = replace(recorded, faults=self.settings.faults, of_systems=self.settings.of_systems)
        return self.changed(world, contender)

    def changed(self, settings: SimSettings, contender: Contender) -> SimSettings:
        """Return settings, changed by the contender's profile and by the options. Raises SettingsError."""
        if contender.profile:
            settings = with_profile(settings, contender.profile)
        try:
            settings = with_options(settings, self.options)
        except SettingsError as error:
            raise SettingsError(f"--{error}") from None
        if "cap" in self.options and not settings.idle_ms:
            raise SettingsError("--cap: has no effect without --idle; add it, as in --idle 3s")
        return settings


@dataclass(frozen=True, slots=True)
class _Task:
    """A run that is still to do."""

    recording: int
    contender: Contender
    settings: SimSettings
    run: int


def carry_out(study: Study, *, jobs: int = 1, done: Callable[[Run], None] = lambda _: None) -> ReplayResult:
    """Do every run and return the result. `done` is called with each run as it ends, in any order.

    Raises SettingsError for a recording whose settings cannot be used, and ReplayFailedError. KeyboardInterrupt
    ends the other processes first.
    """
    return next(carry_out_all([study], jobs=jobs, done=done))


def carry_out_all(
    studies: Sequence[Study], *, jobs: int = 1, done: Callable[[Run], None] = lambda _: None
) -> Iterator[ReplayResult]:
    """Carry out studies of the same recordings in shared processes; yields a result for each, in order."""
    recordings = studies[0].recordings
    work = [_tasks(study) for study in studies]
    flat = list(chain.from_iterable(work))
    messages = sum(len(recordings[run.recording].arrivals) for run in flat)
    jobs = min(jobs, len(flat)) if messages > SMALL_STUDY_MESSAGES else 1
    folds = [_folds(study) for study in studies]
    fold_of = [fold[task] for fold, planned in zip(folds, work, strict=True) for task in map(_group, planned)]

    def keep(index: int, run: Run) -> Run:
        done(run)
        fold = fold_of[index]
        return fold.keep(run) if fold else run

    remaining = _parallel(recordings, flat, jobs, keep) if jobs > 1 else _serial(recordings, flat, keep)
    for study, planned, of_study in zip(studies, work, folds, strict=True):
        runs = list(islice(remaining, len(planned)))
        if any(of_study.values()):
            runs = _with_loss_whole(recordings, planned, runs, of_study)
        result = _result(study, runs, _expectations(study, runs))
        if times := [fold.times() for fold in of_study.values() if fold]:
            result["times"] = times
        yield result


def _tasks(study: Study) -> list[_Task]:
    return [
        _Task(index, contender, study.settings_for(recording, contender), run)
        for index, recording in enumerate(study.recordings)
        for contender in study.contenders
        for run in range(study.runs)
    ]


def _group(task: _Task) -> tuple[int, str]:
    """Return the recording and the system of a run."""
    return task.recording, task.contender.name


def _folds(study: Study) -> dict[tuple[int, str], Fold | None]:
    """Make a fold for each recording and system that are replayed several times."""
    is_folded = study.runs > 1 and not study.keeps_all
    folds: dict[tuple[int, str], Fold | None] = {}
    for index, recording in enumerate(study.recordings):
        info = _recording_info(recording) if is_folded else None
        for contender in study.contenders:
            expected = recording.expect.get(contender.name)
            folds[index, contender.name] = (
                Fold(info, contender.name, keeps_log=bool(expected and expected.log)) if info else None
            )
    return folds


def _with_loss_whole(
    recordings: Sequence[Recording],
    planned: Sequence[_Task],
    runs: Sequence[Run],
    folds: Mapping[tuple[int, str], Fold | None],
) -> list[Run]:
    """Return the runs; of each recording, the first run with a loss is done again and kept whole."""
    by_recording: dict[int, list[Run]] = {}
    for task, run in zip(planned, runs, strict=True):
        by_recording.setdefault(task.recording, []).append(run)
    whole = {
        recording: first_with_loss(of_recording) or 0 for recording, of_recording in by_recording.items()
    }

    def kept(task: _Task, run: Run) -> Run:
        fold, number = folds[_group(task)], whole[task.recording]
        if fold and number and task.run == 0:
            return fold.folded(run)
        return _do_run(recordings, task) if number and task.run == number else run

    return list(map(kept, planned, runs))


def _expectations(study: Study, runs: list[Run]) -> list[ExpectationResult]:
    return [
        result
        for recording in study.recordings
        for contender in study.contenders
        for result in check(
            recording,
            [run for run in runs if run["system"] == contender.name],
            used=study.settings_for(recording, contender),
            recorded=study.recorded_settings(recording),
        )
    ]


def loss_estimates(runs: Sequence[Run]) -> list[LossEstimate]:
    """Estimate the share of lost messages, with its interval, for each recording and system.

    The interval assumes independent messages, so it is too narrow where losses within a run come in groups.
    `runs_with_loss` does not have this fault, since runs are independent.
    """
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run["recording"], run["system"]), []).append(run)
    estimates = []
    for (recording, system), group in grouped.items():
        sent, lost = sum(run["sent"] for run in group), sum(len(run["lost"]) for run in group)
        low, high = wilson(lost, sent)
        estimates.append(
            LossEstimate(
                recording=recording,
                system=system,
                runs=len(group),
                runs_with_loss=sum(bool(run["lost"]) for run in group),
                sent=sent,
                lost=lost,
                probability=round(lost / sent, 6) if sent else 0.0,
                low=low,
                high=high,
            )
        )
    return estimates


def is_clean(runs: Sequence[Run], expectations: Sequence[ExpectationResult]) -> bool:
    """Return True if the queue came to rest, lost, duplicated and reordered nothing, and all expectations matched."""
    of_queue = [run for run in runs if is_queue(run["system"])]
    return all(
        run["came_to_rest"] and not (run["lost"] or run["duplicated"] or run["reordered"]) for run in of_queue
    ) and all(result["held"] is not False for result in expectations)


def _result(study: Study, runs: list[Run], expectations: list[ExpectationResult]) -> ReplayResult:
    contenders = study.contenders
    result = ReplayResult(
        schema=SCHEMA_VERSION,
        kind="replay",
        seed=study.settings.seed,
        settings=_settings(study, contenders),
        systems=[contender.name for contender in contenders],
        recordings=[_recording_info(recording) for recording in study.recordings],
        runs=runs,
        loss=loss_estimates(runs),
        expectations=expectations,
        ok=is_clean(runs, expectations),
    )
    if study.command:
        result["command"] = study.command
    return result


def _settings(study: Study, contenders: Sequence[Contender]) -> dict[str, Any]:
    """Return the settings that all contenders share, the rules of `queue`, and those of other queues by name."""
    queue = next((each for each in contenders if each.name == QUEUE), Contender(QUEUE, QUEUE))
    return {
        **study.changed(study.settings, queue).as_json(),
        **{
            each.name: study.changed(study.settings, each).rules()
            for each in contenders
            if each.profile and each is not queue
        },
        **_of_systems(study, contenders),
        "runs": study.runs,
        "python": PYTHON,
    }


def _of_systems(study: Study, contenders: Sequence[Contender]) -> dict[str, dict[str, str]]:
    """Return the settings of the systems that have some of their own, as they are typed."""
    known = all_systems()
    of_systems = {
        each.name: written(
            read_options(known[each.system].options_type, study.settings.of_systems.get(each.system, {}))
        )
        for each in contenders
    }
    return {name: options for name, options in of_systems.items() if options}


def _recording_info(recording: Recording) -> RecordingInfo:
    info = RecordingInfo(
        name=recording.name,
        title=recording.title,
        source=recording.source,
        notes=recording.notes,
        settings=dict(recording.settings),
        skipped_lines=len(recording.skipped),
        messages=[
            RecordedMessage(
                instance=arrival.instance,
                phone=arrival.phone,
                id=arrival.id,
                at_ms=arrival.at_ms,
                kind=arrival.kind,
                text=arrival.text,
            )
            for arrival in recording.arrivals
        ],
    )
    if recording.skipped:
        info["skipped"] = [
            SkippedLine(line=bad.line, reason=cut(bad.reason, REASON_LENGTH_MAX))
            for bad in recording.skipped[:SKIPPED_MAX]
        ]
    return info


def _do_run(recordings: Sequence[Recording], work: _Task) -> Run:
    recording, contender = recordings[work.recording], work.contender
    try:
        run = replay(recording, all_systems()[contender.system], work.settings, work.run)
    except Exception as error:
        raise ReplayFailedError(
            f"{recording.name} on {contender.name}, run {work.run}: {type(error).__name__}: {error}"
        ) from error
    run["system"] = contender.name
    return run


def _serial(
    recordings: Sequence[Recording], work: Sequence[_Task], keep: Callable[[int, Run], Run]
) -> Iterator[Run]:
    """Do the runs one after the other, and yield what `keep` returns for each."""
    for index, planned in enumerate(work):
        yield keep(index, _do_run(recordings, planned))


def _parallel(
    recordings: Sequence[Recording], work: Sequence[_Task], jobs: int, keep: Callable[[int, Run], Run]
) -> Iterator[Run]:
    """Start the largest runs first, in several processes; yields what `keep` returns, in the order of `work`."""
    by_size = sorted(range(len(work)), key=lambda index: -len(recordings[work[index].recording].arrivals))
    runs: dict[int, Run] = {}
    position_of_next = 0
    with contextlib.closing(
        spread(_do_run, recordings, [work[index] for index in by_size], jobs=jobs)
    ) as made:
        for position, run in made:
            index = by_size[position]
            runs[index] = keep(index, run)
            while position_of_next in runs:
                yield runs.pop(position_of_next)
                position_of_next += 1
