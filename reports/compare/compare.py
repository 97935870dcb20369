"""Compares a result with a baseline, or with an earlier result of its kind.

Replays are deterministic: with equal seed and settings any difference is real and is listed. Replications and load
tests are samples: a change there is what an interval and the size of the effect agree on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.compare.baseline import baseline_of
from reports.compare.comparison import LEVELS, TOPICS, Change, Check, Comparison, Effect, Figures, Origin
from reports.compare.load import load_changes, load_checks, load_effects, load_figures, load_notes
from reports.compare.replay import QUEUE, replay_changes, replay_checks, replay_figures, replay_notes
from reports.compare.runs import (
    has_replications,
    replication_changes,
    replication_effects,
    replication_notes,
)
from reports.compare.verdict import verdict_of
from reports.results.baseline import Baseline
from reports.results.files import Result, ResultError
from reports.results.load import LoadResult
from reports.results.replay import ReplayResult
from reports.text import cut, one_line
from reports.words.language import gettext
from reports.words.numbers import EN_DASH

VALUE_LENGTH_MAX = 80
"""Of a setting that differs, in a note."""


def compare(before: Result, after: Result) -> Comparison:
    """What of `after` differs from `before`; sentences are in the language that is spoken.

    Raises:
        ResultError: the two cannot be compared, or `after` is a baseline.
    """
    if after["kind"] == "baseline":
        raise ResultError(
            gettext("a baseline cannot be compared with another: the second file must be a result")
        )
    accepted, now = baseline_of(before), baseline_of(after)
    if accepted["of"] != now["of"]:
        raise ResultError(
            gettext(
                "a result of kind %(after)s cannot be compared with one of kind %(before)s",
                after=now["of"],
                before=accepted["of"],
            )
        )
    found = _compared(accepted, now, after)
    ordered = sorted(
        found.changes,
        key=lambda one: (LEVELS.index(one.level), TOPICS.index(one.topic), one.system != QUEUE),
    )
    return Comparison(
        kind=now["of"],
        verdict=verdict_of(ordered, found.effects, found.checks),
        before=_origin(accepted),
        after=_origin(now),
        notes=[*_settings_notes(accepted, now), *found.notes],
        changes=ordered,
        effects=found.effects,
        checks=found.checks,
        figures=sorted(found.figures, key=lambda one: one.name != QUEUE),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found of two results of one kind."""

    notes: Sequence[str]
    changes: Sequence[Change]
    effects: Sequence[Effect]
    checks: Sequence[Check]
    figures: Sequence[Figures]


def _compared(before: Baseline, after: Baseline, result: Result) -> _Found:
    if result["kind"] == "load":
        return _compare_loads(before, after, result)
    assert result["kind"] == "replay"  # the other kinds have been refused
    return _compare_replays(before, after, result)


def _compare_loads(before: Baseline, after: Baseline, result: LoadResult) -> _Found:
    old, new = before["load"], after["load"]
    assert old is not None and new is not None  # noqa: PT018 - their kinds were compared
    if old["scenario"] != new["scenario"]:
        raise ResultError(
            gettext(
                "a load test of %(after)s cannot be compared with one of %(before)s",
                after=_shown(new["scenario"]),
                before=_shown(old["scenario"]),
            )
        )
    return _Found(
        notes=list(load_notes(old, new)),
        changes=list(load_changes(old, new)),
        effects=load_effects(old, new),
        checks=load_checks(result),
        figures=load_figures(old, new),
    )


def _compare_replays(before: Baseline, after: Baseline, result: ReplayResult) -> _Found:
    old, new = before["replay"], after["replay"]
    assert old is not None and new is not None  # noqa: PT018 - their kinds were compared
    if not old["runs"] and not new["runs"]:
        raise ResultError(gettext("neither of the two holds a run: there is nothing to compare"))
    notes, changes, effects = list[str](), list[Change](), list[Effect]()
    figures = replay_figures(old, new)
    if has_replications(old) or has_replications(new):
        same_seed = before["seed"] == after["seed"]
        changes += replication_changes(old, new)
        effects += replication_effects(old, new, paired=same_seed)
        notes += replication_notes(old, new, paired=same_seed)
    else:
        notes += replay_notes(old, new)
        changes += replay_changes(old, new, result)
    return _Found(notes, changes, effects, replay_checks(result), figures)


def _origin(baseline: Baseline) -> Origin:
    return Origin(baseline["command"], baseline["seed"], list(baseline["settings"].items()))


def _settings_notes(before: Baseline, after: Baseline) -> Sequence[str]:
    told = []
    if before["seed"] != after["seed"]:
        told.append(
            gettext(
                "The seeds differ: %(before)s before, %(after)s now. Differences may be luck.",
                before=before["seed"],
                after=after["seed"],
            )
        )
    for name in dict.fromkeys([*before["settings"], *after["settings"]]):
        old, new = before["settings"].get(name, EN_DASH), after["settings"].get(name, EN_DASH)
        if old != new:
            told.append(
                gettext(
                    "The setting %(name)s differs: %(before)s before, %(after)s now.",
                    name=_shown(name),
                    before=_shown(old),
                    after=_shown(new),
                )
            )
    return told


def _shown(text: str) -> str:
    return cut(one_line(text), VALUE_LENGTH_MAX)
