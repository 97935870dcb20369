"""Verdict of a comparison: one sentence, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from reports.compare.comparison import Change, Check, Effect
from reports.results.systems import is_queue
from reports.text import cut
from reports.words.figures import in_unit, relative
from reports.words.language import gettext, ngettext
from reports.words.verdicts import Verdict

NAMED_MAX = 2
LENGTH_MAX = 300
"""Maximum number of characters of the first part, and of all the others together."""


def verdict_of(changes: Sequence[Change], effects: Sequence[Effect], checks: Sequence[Check]) -> Verdict:
    """Sum up a comparison in one sentence: the worst first, and the queue before the other systems.

    A failed check alone is not called worse, since it may have failed before too.
    """
    worse = [
        *_worse_changes([change for change in changes if is_queue(change.system)]),
        *_worse_effects(effects),
        *_worse_changes([change for change in changes if not is_queue(change.system)]),
        *_failed_checks(checks),
    ]
    levels = Counter([*(change.level for change in changes), *(effect.level for effect in effects)])
    rest = []
    if levels["better"]:
        rest.append(ngettext("%(num)s better", "%(num)s better", levels["better"]))
    if levels["changed"]:
        rest.append(
            ngettext(
                "%(num)s changed, neither better nor worse",
                "%(num)s changed, neither better nor worse",
                levels["changed"],
            )
        )
    if worse:
        first, *second = worse[:NAMED_MAX]
        if levels["worse"]:
            first = gettext("Worse: %(named)s", named=first)
        parts = [first, *second, *_in_all(levels["worse"], checks, named=1 + len(second)), *rest]
    else:
        parts = (
            [gettext("Nothing is worse"), gettext(", ").join(rest)] if rest else [gettext("No difference")]
        )
    head, others = cut(parts[0], LENGTH_MAX), cut(gettext("; ").join(parts[1:]), LENGTH_MAX)
    return Verdict(head, f"{others}.") if others else Verdict(f"{head}.")


def _in_all(worse: int, checks: Sequence[Check], *, named: int) -> list[str]:
    """Count what is worse and what failed, if that is more than what is named."""
    failed = sum(check.ok is False for check in checks)
    parts = []
    if worse + failed > named:
        if worse:
            parts.append(ngettext("%(num)s worse in all", "%(num)s worse in all", worse))
        if failed:
            parts.append(ngettext("%(num)s failed in all", "%(num)s failed in all", failed))
    return parts


def _worse_changes(changes: Sequence[Change]) -> list[str]:
    """Sum up changes for the worse by system: messages lost, other fates of messages, whole runs, figures."""
    worse = [change for change in changes if change.level == "worse"]
    lost = Counter(change.system for change in worse if change.topic == "loss")
    parts = [
        ngettext(
            "%(system)s lost %(num)s message it answered before",
            "%(system)s lost %(num)s messages it answered before",
            number,
            system=system,
        )
        for system, number in lost.items()
    ]
    parts += [
        ngettext(
            "%(system)s: %(num)s message worse, in %(recording)s: %(now)s",
            "%(system)s: %(num)s messages worse, the first in %(recording)s: %(now)s",
            len(of_system),
            system=system,
            recording=of_system[0].recording,
            now=of_system[0].after,
        )
        for system, of_system in _by_system(change for change in worse if change.topic == "fate").items()
    ]
    runs: dict[tuple[str, str], Change] = {}
    for change in worse:
        if change.topic == "run":
            runs.setdefault((change.system, change.recording), change)
    parts += map(_change_words, runs.values())
    overall = gettext("all recordings")
    figures = [change for change in worse if change.topic == "figure"]
    of_all = _by_system(figure for figure in figures if figure.recording == overall)
    of_recordings = _by_system(figure for figure in figures if figure.recording != overall)
    parts += [_change_words(of_system[0]) for of_system in of_all.values()]
    return parts + [_figure_words(of_system) for of_system in of_recordings.values()]


def _by_system(changes: Iterable[Change]) -> dict[str, list[Change]]:
    by_system: dict[str, list[Change]] = {}
    for change in changes:
        by_system.setdefault(change.system, []).append(change)
    return by_system


def _figure_words(changes: Sequence[Change]) -> str:
    """Sum up figures of one system that got worse: in how many recordings, and the first of them."""
    first = changes[0]
    number = len({change.recording for change in changes})
    if number == 1:
        return _change_words(first)
    return ngettext(
        "%(system)s: worse figures in %(num)s recording, such as %(what)s in %(recording)s: %(before)s → %(after)s",
        "%(system)s: worse figures in %(num)s recordings, such as %(what)s in %(recording)s: %(before)s → %(after)s",
        number,
        system=first.system,
        what=first.subject,
        recording=first.recording,
        before=first.before,
        after=first.after,
    )


def _change_words(change: Change) -> str:
    return gettext(
        "%(system)s, %(recording)s: %(what)s %(before)s → %(after)s",
        system=change.system,
        recording=change.recording,
        what=change.subject,
        before=change.before,
        after=change.after,
    )


def _worse_effects(effects: Sequence[Effect]) -> list[str]:
    """Describe the first worse figure of each group, since quantiles of the same times move together."""
    first: dict[str, Effect] = {}
    for effect in effects:
        if effect.level == "worse":
            first.setdefault(effect.group, effect)
    parts = []
    for effect in first.values():
        change = relative(effect.before or None, effect.after)
        parts.append(
            gettext(
                "%(group)s: %(name)s %(before)s → %(after)s",
                group=effect.group,
                name=effect.name,
                before=in_unit(effect.before, effect.unit),
                after=in_unit(effect.after, effect.unit) + (f" ({change})" if change else ""),
            )
        )
    return parts


def _failed_checks(checks: Sequence[Check]) -> list[str]:
    return [
        gettext("%(group)s: “%(name)s” failed", group=check.group, name=check.name)
        for check in checks
        if check.ok is False
    ]
