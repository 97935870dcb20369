"""The verdict of a comparison in one sentence, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reports.comparison import Change, Check, Effect
from reports.figures import in_unit
from reports.language import gettext, ngettext
from reports.text import cut

NAMED_MAX = 2
LENGTH_MAX = 300


def verdict_of(changes: Sequence[Change], effects: Sequence[Effect], checks: Sequence[Check]) -> str:
    """One sentence of at most LENGTH_MAX characters."""
    worse = [*_changes_told(changes), *_effects_told(effects), *_checks_told(checks)]
    levels = [one.level for one in changes] + [one.level for one in effects]
    better, changed = levels.count("better"), levels.count("changed")
    rest = []
    if better:
        rest.append(
            ngettext("%(num)s difference for the better", "%(num)s differences for the better", better)
        )
    if changed:
        rest.append(ngettext("%(num)s difference neither way", "%(num)s differences neither way", changed))
    if worse:
        more = len(worse) - NAMED_MAX
        named = worse[:NAMED_MAX] + ([ngettext("%(num)s more", "%(num)s more", more)] if more > 0 else [])
        told = gettext("Worse: %(named)s", named=gettext("; ").join(named))
        return cut(gettext("; ").join([told, *rest]), LENGTH_MAX - 1) + "."
    if rest:
        return gettext("Nothing is worse; %(rest)s.", rest=gettext(", ").join(rest))
    return gettext("No difference.")


def _changes_told(changes: Sequence[Change]) -> list[str]:
    """Worse changes: losses and other fates by system, and of all else the first of each recording and system."""
    lost = Counter(one.system for one in changes if one.level == "worse" and one.topic == "loss")
    told = [
        ngettext(
            "%(system)s lost %(num)s message it answered before",
            "%(system)s lost %(num)s messages it answered before",
            number,
            system=system,
        )
        for system, number in lost.items()
    ]
    fared: dict[str, list[Change]] = {}
    first: dict[tuple[str, str], Change] = {}
    for one in changes:
        if one.level == "worse" and one.topic == "fate":
            fared.setdefault(one.system, []).append(one)
        elif one.level == "worse" and one.topic != "loss":
            first.setdefault((one.system, one.recording), one)
    told += [
        ngettext(
            "%(system)s: %(num)s message fares worse, in %(recording)s: %(now)s",
            "%(system)s: %(num)s messages fare worse, the first in %(recording)s: %(now)s",
            len(own),
            system=system,
            recording=own[0].recording,
            now=own[0].after,
        )
        for system, own in fared.items()
    ]
    return told + [
        gettext(
            "%(system)s, %(recording)s: %(what)s %(before)s → %(after)s",
            system=one.system,
            recording=one.recording,
            what=one.subject,
            before=one.before,
            after=one.after,
        )
        for one in first.values()
    ]


def _effects_told(effects: Sequence[Effect]) -> list[str]:
    return [
        gettext(
            "%(group)s: %(name)s %(before)s → %(after)s",
            group=one.group,
            name=one.name,
            before=in_unit(one.before, one.unit),
            after=in_unit(one.after, one.unit),
        )
        for one in effects
        if one.level == "worse"
    ]


def _checks_told(checks: Sequence[Check]) -> list[str]:
    return [
        gettext("%(group)s: “%(name)s” does not hold", group=one.group, name=one.name)
        for one in checks
        if one.ok is False
    ]
