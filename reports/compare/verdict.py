"""The verdict of a comparison in one sentence, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from reports.compare.comparison import Change, Check, Effect
from reports.compare.replay import QUEUE
from reports.text import cut
from reports.words.figures import in_unit, relative
from reports.words.language import gettext, ngettext
from reports.words.verdicts import Verdict

NAMED_MAX = 2
LENGTH_MAX = 300
"""Characters of each part."""


def verdict_of(changes: Sequence[Change], effects: Sequence[Effect], checks: Sequence[Check]) -> Verdict:
    """Tell the worst first, and of the queue first, for the other systems are there to compare."""
    of_queue = [one for one in changes if one.system == QUEUE]
    of_others = [one for one in changes if one.system != QUEUE]
    worse = [
        *_changes_told(of_queue),
        *_effects_told(effects),
        *_changes_told(of_others),
        *_checks_told(checks),
    ]
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
        parts = [gettext("Worse: %(named)s", named=named[0]), *named[1:], *rest]
    else:
        parts = (
            [gettext("Nothing is worse"), gettext(", ").join(rest)] if rest else [gettext("No difference")]
        )
    first, told = cut(parts[0], LENGTH_MAX), cut(gettext("; ").join(parts[1:]), LENGTH_MAX)
    return Verdict(first, f"{told}.") if told else Verdict(f"{first}.")


def _changes_told(changes: Sequence[Change]) -> list[str]:
    """What got worse: messages lost, those that fared otherwise, whole runs, figures; of each system a line of each."""
    worse = [one for one in changes if one.level == "worse"]
    lost = Counter(one.system for one in worse if one.topic == "loss")
    told = [
        ngettext(
            "%(system)s lost %(num)s message it answered before",
            "%(system)s lost %(num)s messages it answered before",
            number,
            system=system,
        )
        for system, number in lost.items()
    ]
    told += [
        ngettext(
            "%(system)s: %(num)s message fares worse, in %(recording)s: %(now)s",
            "%(system)s: %(num)s messages fare worse, the first in %(recording)s: %(now)s",
            len(own),
            system=system,
            recording=own[0].recording,
            now=own[0].after,
        )
        for system, own in _by_system(one for one in worse if one.topic == "fate").items()
    ]
    runs: dict[tuple[str, str], Change] = {}
    for one in worse:
        if one.topic == "run":
            runs.setdefault((one.system, one.recording), one)
    told += map(_change_told, runs.values())
    overall = gettext("all recordings")
    figures = [one for one in worse if one.topic == "figure"]
    told += [
        _change_told(own[0]) for own in _by_system(x for x in figures if x.recording == overall).values()
    ]
    return told + [
        _figures_told(own) for own in _by_system(x for x in figures if x.recording != overall).values()
    ]


def _by_system(changes: Iterable[Change]) -> dict[str, list[Change]]:
    found: dict[str, list[Change]] = {}
    for one in changes:
        found.setdefault(one.system, []).append(one)
    return found


def _figures_told(own: Sequence[Change]) -> str:
    """Figures of one system that got worse: in how many recordings, and the first of them."""
    number = len({one.recording for one in own})
    if number == 1:
        return _change_told(own[0])
    return ngettext(
        "%(system)s: worse figures in %(num)s recording, such as %(what)s in %(recording)s: %(before)s → %(after)s",
        "%(system)s: worse figures in %(num)s recordings, such as %(what)s in %(recording)s: %(before)s → %(after)s",
        number,
        system=own[0].system,
        what=own[0].subject,
        recording=own[0].recording,
        before=own[0].before,
        after=own[0].after,
    )


def _change_told(one: Change) -> str:
    return gettext(
        "%(system)s, %(recording)s: %(what)s %(before)s → %(after)s",
        system=one.system,
        recording=one.recording,
        what=one.subject,
        before=one.before,
        after=one.after,
    )


def _effects_told(effects: Sequence[Effect]) -> list[str]:
    """The first worse figure of each group: quantiles of the same times move together."""
    first: dict[str, Effect] = {}
    for one in effects:
        if one.level == "worse":
            first.setdefault(one.group, one)
    return [
        gettext(
            "%(group)s: %(name)s %(before)s → %(after)s",
            group=one.group,
            name=one.name,
            before=in_unit(one.before, one.unit),
            after=" ".join(
                [in_unit(one.after, one.unit), *_in_brackets(relative(one.before or None, one.after))]
            ),
        )
        for one in first.values()
    ]


def _in_brackets(words: str) -> list[str]:
    return [f"({words})"] if words else []


def _checks_told(checks: Sequence[Check]) -> list[str]:
    return [
        gettext("%(group)s: “%(name)s” does not hold", group=one.group, name=one.name)
        for one in checks
        if one.ok is False
    ]
