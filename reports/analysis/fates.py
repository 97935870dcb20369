"""Fates in words: of a conversation on one system, of a message, of a batch."""

from __future__ import annotations

from collections.abc import Sequence

from reports.analysis.conversations import Lane, Outcome, Span
from reports.text import cut, one_line
from reports.words.codes import fate_words, trigger_words
from reports.words.language import gettext, ngettext
from reports.words.numbers import duration, number_list

ASKED_TOLD_MAX = 3


def outcome_words(outcome: Outcome) -> str:
    """A message's fate, and what else went wrong with it."""
    return ", ".join([fate_words(outcome.fate), *outcome_flaws(outcome)])


def outcome_flaws(outcome: Outcome) -> list[str]:
    """Return what went wrong with an answered message."""
    return [gettext("twice")] * outcome.twice + [gettext("out of order")] * outcome.out_of_order


def span_label(span: Span) -> str:
    """Name a batch by its trigger and its messages."""
    told = [short_list(span.numbers, 24)] if span.numbers else []
    if span.strangers:
        told.append(ngettext("%(num)s of others", "%(num)s of others", span.strangers))
    numbers = " + ".join(told) or gettext("nothing")
    trigger = trigger_words(cut(one_line(span.trigger), 16))
    if span.replied_at_ms is None:
        return gettext("%(trigger)s: %(numbers)s, no reply", trigger=trigger, numbers=numbers)
    return f"{trigger}: {numbers}"


def span_title(span: Span) -> str:
    """A batch in full: what was in it, and when what was done with it."""
    told = [
        gettext(
            "%(batch)s, handed over at %(moment)s",
            batch=span_label(span),
            moment=duration(span.claimed_at_ms),
        )
    ]
    told += [
        gettext("AI asked from %(start)s to %(end)s", start=duration(start), end=duration(end))
        for start, end in span.ai_ms[:ASKED_TOLD_MAX]
    ]
    if span.replied_at_ms is not None:
        told.append(gettext("reply at %(moment)s", moment=duration(span.replied_at_ms)))
    return ", ".join(told)


def lane_words(lane: Lane) -> str:
    """Tell what became of a conversation on one system."""
    number = len(lane.outcomes)
    of_kind = {
        gettext("lost"): lane.numbers("lost"),
        gettext("dead-lettered"): lane.numbers("dead_lettered"),
        gettext("still waiting"): lane.numbers("pending"),
        gettext("answered twice"): [one for one, outcome in lane.outcomes.items() if outcome.twice],
        gettext("out of order"): [one for one, outcome in lane.outcomes.items() if outcome.out_of_order],
    }
    parts = [
        gettext(
            "%(part)s of %(number)s %(fate)s: %(numbers)s",
            part=len(own),
            number=number,
            fate=fate,
            numbers=short_list(own),
        )
        for fate, own in of_kind.items()
        if own
    ]
    if parts:
        return ", ".join(parts)
    return gettext("answered") if number == 1 else gettext("all %(number)s answered", number=number)


def short_list(values: Sequence[int], length_max: int = 60) -> str:
    """Numbers with runs drawn together, the last left out where that gets too long."""
    told = number_list(values)
    return told if len(told) <= length_max else told[: told.rindex(",", 0, length_max)] + ", …"
