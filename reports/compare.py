"""Compares a result with a baseline, or with an earlier result of its kind.

Replays are deterministic: with equal seed and settings any difference is real and is listed. Replications and load
tests are samples: a change there is what an interval and the size of the effect agree on.
"""

from __future__ import annotations

from collections.abc import Sequence

from reports.baseline import baseline_of
from reports.compare_load import load_changes, load_checks, load_effects, load_figures, load_notes
from reports.compare_replay import (
    overall_changes,
    replay_changes,
    replay_checks,
    replay_figures,
    replay_notes,
)
from reports.compare_runs import has_replications, replication_effects, replication_notes
from reports.comparison import LEVELS, Change, Comparison, Effect, Origin
from reports.files import Result, ResultError
from reports.language import gettext
from reports.schema_baseline import Baseline
from reports.text import EN_DASH
from reports.verdict import verdict_of


def compare(before: Result, after: Result) -> Comparison:
    """What of `after` differs from `before`; sentences are in the language that is spoken.

    Raises:
        ResultError: the two cannot be compared, or `after` is a baseline.
    """
    if after["kind"] == "baseline":
        raise ResultError(
            gettext("a baseline cannot be compared with another: the second file must be a result")
        )
    accepted = baseline_of(before)
    if accepted["of"] != after["kind"]:
        raise ResultError(
            gettext(
                "a result of kind %(after)s cannot be compared with one of kind %(before)s",
                after=after["kind"],
                before=accepted["of"],
            )
        )
    now = baseline_of(after)
    notes, changes, effects = [*_settings_notes(accepted, now)], list[Change](), list[Effect]()
    if after["kind"] == "load":
        old, new = accepted["load"], now["load"]
        assert old is not None and new is not None  # noqa: PT018 - their kinds were compared above
        if old["scenario"] != new["scenario"]:
            raise ResultError(
                gettext(
                    "a load test of %(after)s cannot be compared with one of %(before)s",
                    after=new["scenario"],
                    before=old["scenario"],
                )
            )
        notes += load_notes(old, after)
        changes += load_changes(old, new)
        effects += load_effects(old, after)
        checks, figures = load_checks(after), load_figures(old, new)
    else:
        earlier, later = accepted["replay"], now["replay"]
        assert earlier is not None and later is not None  # noqa: PT018 - their kinds were compared above
        notes += replay_notes(earlier, later)
        figures = replay_figures(earlier, later)
        if has_replications(earlier) or has_replications(later):
            same_seed = accepted["seed"] == now["seed"]
            effects += replication_effects(earlier, later, paired=same_seed)
            notes += replication_notes(earlier, later, effects)
        else:
            changes += overall_changes(earlier, later, figures)
            changes += replay_changes(earlier, later, after)
        checks = replay_checks(after)
    ordered = sorted(changes, key=lambda one: LEVELS.index(one.level))
    return Comparison(
        kind=after["kind"],
        verdict=verdict_of(ordered, effects, checks, compared=len(figures)),
        before=_origin(accepted),
        after=_origin(now),
        notes=notes,
        changes=ordered,
        effects=effects,
        checks=checks,
        figures=figures,
    )


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
                    name=name,
                    before=old,
                    after=new,
                )
            )
    return told
