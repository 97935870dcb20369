"""Explanations in words: how well each system explains what really happened."""

from __future__ import annotations

from collections.abc import Sequence

from reports.results.replay import Explanation, Overlap
from reports.text import cut, one_line
from reports.words.language import gettext, ngettext
from reports.words.numbers import share

CHANCE_MAX = 0.01
"""Largest probability of a coincidence with which a system counts as an explanation."""
PROBABILITY_MIN = 1e-6
"""Probability below which only "less than" this is written."""
NAME_LENGTH_MAX = 60


def explanation_words(explanations: Sequence[Explanation]) -> str:
    """Say which system explains best which messages of a recording were not answered or not read, if any does."""
    actual = explanations[0]["unanswered"]["actual"]
    if not actual:
        return gettext(
            "No message counts as left without a reply or as probably not read, so there is nothing to explain."
        )
    best = max(explanations, key=lambda each: (each["unanswered"]["both"], -each["unanswered"]["predicted"]))
    overlap = best["unanswered"]
    if not overlap["both"] or overlap["probability"] > CHANCE_MAX:
        return ngettext(
            "No system here explains the %(num)s message that got no reply or was probably not read: look for another "
            "cause.",
            "No system here explains the %(num)s messages that got no reply or were probably not read better than "
            "chance: look for another cause.",
            actual,
        )
    return gettext(
        "%(system)s explains %(both)s of %(actual)s: it loses %(predicted)s in all, and %(chance)s of these would "
        "match by chance (probability of as many matches or more: %(probability)s).",
        system=cut(one_line(best["system"]), NAME_LENGTH_MAX),
        both=f"{overlap['both']:,}",
        actual=ngettext(
            "%(num)s message that got no reply or was probably not read",
            "%(num)s messages that got no reply or were probably not read",
            actual,
        ),
        predicted=f"{overlap['predicted']:,}",
        chance=f"{overlap['by_chance']:,.1f}",
        probability=probability_words(overlap),
    )


def probability_words(overlap: Overlap) -> str:
    """Write how likely an overlap is by chance; below PROBABILITY_MIN only "less than" that."""
    if overlap["probability"] < PROBABILITY_MIN:
        return gettext("less than %(limit)s", limit="0.0001\u00a0%")
    return share(overlap["probability"])
