"""Comparison of a result with a baseline, or with an earlier result of its kind.

Replays are deterministic: with equal seed and settings any difference is real and is listed. Replications and load
tests are samples: there, a change needs an interval without zero and a large enough effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.compare.baseline import baseline_of
from reports.compare.comparison import LEVELS, TOPICS, Change, Check, Comparison, Effect, Figures, Origin
from reports.compare.load import load_changes, load_checks, load_effects, load_figures, load_notes
from reports.compare.replay import replay_changes, replay_checks, replay_figures, replay_notes
from reports.compare.runs import (
    figure_pairs,
    has_replications,
    replication_changes,
    replication_checks,
    replication_effects,
    replication_notes,
)
from reports.compare.verdict import verdict_of
from reports.results.baseline import Baseline
from reports.results.files import Result, ResultError
from reports.results.load import LoadResult
from reports.results.replay import ReplayResult
from reports.results.systems import is_queue
from reports.text import cut, one_line
from reports.words.figures import setting_words
from reports.words.language import gettext

VALUE_LENGTH_MAX = 80
"""Limit for a setting's value in a note."""


def compare(before: Result, after: Result) -> Comparison:
    """Compare `after` with `before`; sentences are in the current language.

    Raises:
        ResultError: the two cannot be compared, or `after` is a baseline.
    """
    if after["kind"] == "baseline":
        if before["kind"] == "baseline":
            raise ResultError(gettext("both files are baselines: name a baseline first, then a result"))
        raise ResultError(gettext("the second file is a baseline: name the baseline first, then the result"))
    accepted, now = baseline_of(before), baseline_of(after)
    if accepted["of"] != now["of"]:
        raise ResultError(
            gettext(
                "the first file is %(before)s and the second %(after)s: name two of one kind",
                before=_kind_of(before),
                after=_kind_of(after),
            )
        )
    if after["kind"] == "load":
        parts = _compare_loads(accepted, now, after)
    else:
        assert after["kind"] == "replay"  # the other kinds have been refused
        parts = _compare_replays(accepted, now, after)
    changes = sorted(
        parts.changes,
        key=lambda change: (
            LEVELS.index(change.level),
            TOPICS.index(change.topic),
            not is_queue(change.system),
        ),
    )
    return Comparison(
        kind=now["of"],
        verdict=verdict_of(changes, parts.effects, parts.checks),
        before=_origin(accepted, is_baseline=before["kind"] == "baseline"),
        after=_origin(now),
        notes=[*_settings_notes(accepted, now), *parts.notes],
        changes=changes,
        effects=parts.effects,
        checks=parts.checks,
        figures=sorted(parts.figures, key=lambda figures: not is_queue(figures.name)),
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """Parts of a comparison that each kind of result makes in its own way."""

    notes: Sequence[str]
    changes: Sequence[Change]
    effects: Sequence[Effect]
    checks: Sequence[Check]
    figures: Sequence[Figures]


def _compare_loads(before: Baseline, after: Baseline, result: LoadResult) -> _Parts:
    old, new = before["load"], after["load"]
    assert old is not None and new is not None  # noqa: PT018 - their kinds were compared
    if old["scenario"] != new["scenario"]:
        raise ResultError(
            gettext(
                "the first file is a load test of %(before)s and the second of %(after)s: name two of one scenario",
                before=_short(old["scenario"]),
                after=_short(new["scenario"]),
            )
        )
    return _Parts(
        notes=list(load_notes(old, new)),
        changes=list(
            load_changes(old, new, {limit["code"]: limit["limit"] for limit in result["thresholds"]})
        ),
        effects=load_effects(old, new),
        checks=load_checks(result),
        figures=load_figures(old, new),
    )


def _compare_replays(before: Baseline, after: Baseline, result: ReplayResult) -> _Parts:
    old, new = before["replay"], after["replay"]
    assert old is not None and new is not None  # noqa: PT018 - their kinds were compared
    if not old["runs"] and not new["runs"]:
        raise ResultError(gettext("neither of the two has a run: replay a recording, and compare that"))
    notes, effects, checks = list(replay_notes(old, new)), list[Effect](), replay_checks(result)
    if has_replications(old) or has_replications(new):
        changes = replication_changes(old, new)
        pairs = figure_pairs(old, new, paired=before["seed"] == after["seed"])
        notes += replication_notes(pairs)
        effects = replication_effects(pairs)
        checks += replication_checks(pairs, effects)
    else:
        changes = replay_changes(old, new, result)
    return _Parts(notes, changes, effects, checks, replay_figures(old, new))


def _kind_of(result: Result) -> str:
    if result["kind"] == "baseline":
        return gettext("a baseline of a replay") if result["replay"] else gettext("a baseline of a load test")
    return gettext("a replay") if result["kind"] == "replay" else gettext("a load test")


def _origin(baseline: Baseline, *, is_baseline: bool = False) -> Origin:
    return Origin(baseline["command"], baseline["seed"], list(baseline["settings"].items()), is_baseline)


def _settings_notes(before: Baseline, after: Baseline) -> list[str]:
    notes = []
    if before["seed"] != after["seed"]:
        notes.append(
            gettext(
                "The seeds differ: %(before)s before, %(after)s now. Differences may be luck.",
                before=before["seed"],
                after=after["seed"],
            )
        )
    old, new = before["settings"], after["settings"]
    notes += [
        gettext(
            "The setting %(name)s differs: %(before)s before, %(after)s now.",
            name=_short(name),
            before=_short(setting_words(old[name])),
            after=_short(setting_words(new[name])),
        )
        for name in old
        if name in new and old[name] != new[name]
    ]
    if unknown := [_short(name) for name in [*old, *new] if not (name in old and name in new)]:
        notes.append(
            gettext(
                "Settings that only one of the two results names, so that they may differ: %(names)s.",
                names=gettext(", ").join(unknown),
            )
        )
    return notes


def _short(text: str) -> str:
    return cut(one_line(text), VALUE_LENGTH_MAX)
