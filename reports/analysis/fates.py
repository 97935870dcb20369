"""Fates in words: of a message, a batch, a conversation on one system."""

from __future__ import annotations

from collections.abc import Sequence

from reports.analysis.conversations import Lane, Outcome, Span
from reports.text import cut, one_line
from reports.words.codes import fate_words, trigger_words
from reports.words.language import gettext, ngettext
from reports.words.numbers import duration, number_list

CALLS_MAX = 3


def outcome_words(outcome: Outcome) -> str:
    """Write a message's fate, and what else went wrong with it."""
    return gettext(", ").join([fate_words(outcome.fate), *outcome_flaws(outcome)])


def outcome_flaws(outcome: Outcome) -> list[str]:
    """Return what went wrong with an answered message."""
    flaws = {
        gettext("twice"): outcome.twice,
        gettext("out of order"): outcome.out_of_order,
        gettext("probably not read"): outcome.probably_unread,
    }
    return [words for words, is_so in flaws.items() if is_so]


def span_label(span: Span) -> str:
    """Name a batch by its trigger and its messages."""
    parts = [short_list(span.numbers, 24)] if span.numbers else []
    if span.from_others:
        parts.append(ngettext("%(num)s of another user", "%(num)s of other users", span.from_others))
    numbers = " + ".join(parts) or gettext("nothing")
    trigger = trigger_words(cut(one_line(span.trigger), 16))
    if span.superseded_at_ms is not None:
        return gettext("%(trigger)s: %(numbers)s, answer dropped", trigger=trigger, numbers=numbers)
    if span.replied_at_ms is None:
        return gettext("%(trigger)s: %(numbers)s, no reply", trigger=trigger, numbers=numbers)
    return f"{trigger}: {numbers}"


def span_title(span: Span) -> str:
    """Describe a batch in full: its messages, and the time of each step."""
    parts = [
        gettext(
            "%(batch)s, handed over at %(moment)s",
            batch=span_label(span),
            moment=duration(span.claimed_at_ms),
        )
    ]
    parts += [
        gettext("AI asked from %(start)s to %(end)s", start=duration(start), end=duration(end))
        for start, end in span.ai_ms[:CALLS_MAX]
    ]
    if span.replied_at_ms is not None:
        parts.append(gettext("reply at %(moment)s", moment=duration(span.replied_at_ms)))
    if span.superseded_at_ms is not None:
        dropped_at = duration(span.superseded_at_ms)
        parts.append(
            gettext("dropped at %(moment)s because a newer message joined the turn", moment=dropped_at)
        )
    return gettext(", ").join(parts)


def lane_words(lane: Lane) -> str:
    """Describe the fates of a conversation's messages on one system."""
    count = len(lane.outcomes)
    of_kind = {
        gettext("lost"): lane.numbers("lost"),
        gettext("without a reply"): lane.numbers("unanswered"),
        gettext("dead-lettered"): lane.numbers("dead_lettered"),
        gettext("still waiting"): lane.numbers("pending"),
        gettext("answered twice"): [number for number, outcome in lane.outcomes.items() if outcome.twice],
        gettext("out of order"): [
            number for number, outcome in lane.outcomes.items() if outcome.out_of_order
        ],
        gettext("probably not read"): [
            number for number, outcome in lane.outcomes.items() if outcome.probably_unread
        ],
    }
    parts = [
        gettext(
            "%(part)s of %(number)s %(fate)s: %(numbers)s",
            part=len(numbers),
            number=count,
            fate=fate,
            numbers=short_list(numbers),
        )
        for fate, numbers in of_kind.items()
        if numbers
    ]
    if parts:
        return gettext(", ").join(parts)
    return gettext("answered") if count == 1 else gettext("all %(number)s answered", number=count)


def short_list(values: Sequence[int], length_max: int = 60) -> str:
    """List numbers, with runs as ranges; a list that is too long is cut at its end."""
    words, separator = number_list(values), gettext(", ")
    if len(words) <= length_max:
        return words
    return f"{words[: words.rindex(separator, 0, length_max)]}{separator}…"
