"""Story of one loss: a conversation on a system that lost messages, beside a system that answered all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from reports.analysis.conversations import Conversation, Lane, Message
from reports.analysis.fates import short_list
from reports.analysis.losses import lane_events, loss_words
from reports.drawing.swimlane import Swimlane, layout
from reports.results.causes import CauseCode
from reports.results.systems import is_queue
from reports.text import cut, one_line
from reports.words.causes import messages_words
from reports.words.codes import kind_words
from reports.words.language import gettext, isolated, ngettext
from reports.words.numbers import duration

SAME_MOMENT_MS = 150
"""Longest time between events that are in one row."""
LENGTH_BEST = 5
"""Best number of messages for a story: enough to show a burst, few enough to follow."""

ROWS_MAX = 40
TEXT_LENGTH_MAX = 80
EVENTS_MAX = 3
"""Maximum number of losses that are explained."""


@dataclass(frozen=True, slots=True)
class Step:
    """Action of a system; `kind` is its CSS class."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Moment:
    """Row with the messages that the user wrote at that time, and the steps of each system."""

    at_ms: int
    messages: Sequence[tuple[int, str]]
    steps: Sequence[Sequence[Step]]


@dataclass(frozen=True, slots=True)
class Story:
    """Contents of the story; `systems` are in the order of the figure's lanes and of each moment's steps."""

    recording: str
    title: str
    sentence: str
    rescue: str
    cause: str
    figure: Swimlane
    systems: Sequence[str]
    moments: Sequence[Moment]
    left_out: int


def story_of(recordings: Iterable[tuple[str, Sequence[Conversation]]]) -> Story | None:
    """Choose the most instructive loss, and return its story; None if nothing was lost.

    The story shows the most frequent cause, in a conversation of about LENGTH_BEST messages that another system
    answered in full. `recordings` are pairs of a name and conversations.
    """
    candidates = [
        (recording, conversation, lane, code)
        for recording, conversations in recordings
        for conversation in conversations
        for lane in conversation.lanes
        if (code := _code(lane))
    ]
    if not candidates:
        return None
    commonest, _ = Counter(code for *_, code in candidates).most_common(1)[0]

    def drawbacks(candidate: tuple[str, Conversation, Lane, CauseCode]) -> tuple[bool, bool, int]:
        _, conversation, lane, code = candidate
        distance = abs(len(conversation.messages) - LENGTH_BEST)
        return code != commonest, not _rescuers(conversation, lane), distance

    recording, conversation, lane, _ = min(candidates, key=drawbacks)
    return _story(recording, conversation, lane)


def _code(lane: Lane) -> CauseCode | None:
    """Return the code of the cause of the lane's first loss; None if nothing was lost."""
    causes = (outcome.cause for outcome in lane.outcomes.values())
    return next((cause["code"] for cause in causes if cause is not None), None)


def _rescuers(conversation: Conversation, loser: Lane) -> list[Lane]:
    """Return the lanes of the queue that answered everything; if there is none, the last other system's that did."""
    clean = [lane for lane in conversation.lanes if lane is not loser and not lane.troubled()]
    return [lane for lane in clean if is_queue(lane.system)] or clean[-1:]


def _story(recording: str, conversation: Conversation, loser: Lane) -> Story:
    rescuers = _rescuers(conversation, loser)
    lanes = [loser, *rescuers]
    lost, messages = loser.numbers("lost"), conversation.messages
    moments = _moments(messages, lanes)
    return Story(
        recording=recording,
        title=ngettext(
            "How %(system)s lost %(num)s of %(all)s messages",
            "How %(system)s lost %(num)s of %(all)s messages",
            len(lost),
            system=loser.system,
            all=len(messages),
        ),
        sentence=ngettext(
            "The user wrote %(num)s message. %(system)s took it, and never answered it.",
            "The user wrote %(num)s messages within %(time)s. %(system)s took them, and never answered %(messages)s.",
            len(messages),
            time=duration(messages[-1].at_ms - messages[0].at_ms),
            system=loser.system,
            messages=messages_words(lost),
        ),
        rescue=_rescue(rescuers, len(messages)),
        cause=" ".join(loss_words(loser.system, events) for events in lane_events(loser)[:EVENTS_MAX]),
        figure=layout(replace(conversation, lanes=lanes)),
        systems=[lane.system for lane in lanes],
        moments=moments[:ROWS_MAX],
        left_out=len(moments[ROWS_MAX:]),
    )


def _rescue(rescuers: Sequence[Lane], messages: int) -> str:
    """Say who answered all messages, and in how many replies. With several profiles, each is a rescuer."""
    if not rescuers:
        return ""
    first = rescuers[0]
    if not is_queue(first.system):
        return ngettext(
            "%(system)s answered it.",
            "%(system)s answered all %(num)s, %(replies)s.",
            messages,
            system=first.system,
            replies=_in_replies(first),
        )
    if len(rescuers) == 1:
        return ngettext(
            "This project's queue answered it.",
            "This project's queue answered all %(num)s, %(replies)s.",
            messages,
            replies=_in_replies(first),
        )
    parts = [f"{isolated(lane.system)} {_in_replies(lane)}" for lane in rescuers]
    return ngettext(
        "This project's queue answered it: %(parts)s.",
        "This project's queue answered all %(num)s: %(parts)s.",
        messages,
        parts=gettext(", ").join(parts),
    )


def _in_replies(lane: Lane) -> str:
    replies = sum(span.replied_at_ms is not None for span in lane.spans)
    return ngettext("in %(num)s reply", "in %(num)s replies", replies)


def _moments(messages: Sequence[Message], lanes: Sequence[Lane]) -> list[Moment]:
    """Return all events by time; events at about the same time are one moment."""
    steps = [list(_steps(lane, messages[-1].at_ms)) for lane in lanes]
    times = sorted(
        [message.at_ms for message in messages] + [at_ms for of_lane in steps for at_ms, _ in of_lane]
    )
    after_all = times[-1] + 1
    starts: list[int] = []
    for at_ms in times:
        if not starts or at_ms - starts[-1] > SAME_MOMENT_MS:
            starts.append(at_ms)
    return [
        Moment(
            at_ms=start,
            messages=[
                (message.number, _text(message)) for message in messages if start <= message.at_ms < end
            ],
            steps=[[step for at_ms, step in of_lane if start <= at_ms < end] for of_lane in steps],
        )
        for start, end in pairwise([*starts, after_all])
    ]


def _text(message: Message) -> str:
    return cut(one_line(message.text), TEXT_LENGTH_MAX) or f"({kind_words(one_line(message.kind))})"


def _steps(lane: Lane, end_ms: int) -> Iterable[tuple[int, Step]]:
    """Yield the steps of a system with their times; `end_ms` is when the last message arrived."""
    for span in lane.spans:
        numbers = short_list(span.numbers) or gettext("nothing")
        yield span.claimed_at_ms, Step("", gettext("takes %(numbers)s, asks the AI", numbers=numbers))
        if span.replied_at_ms is not None:
            yield span.replied_at_ms, Step("ok", gettext("replies to %(numbers)s", numbers=numbers))
        if span.superseded_at_ms is not None:
            yield span.superseded_at_ms, Step("", gettext("drops the answer: more was written meanwhile"))
    lost: dict[int, list[int]] = {}
    for number, outcome in lane.outcomes.items():
        if outcome.lost_at_ms is not None:
            lost.setdefault(outcome.lost_at_ms, []).append(number)
    for at_ms, numbers_lost in lost.items():
        yield at_ms, Step("bad", gettext("loses %(numbers)s", numbers=short_list(numbers_lost)))
    if forgotten := [number for number in lane.numbers("lost") if lane.outcomes[number].lost_at_ms is None]:
        last_ms = max((span.replied_at_ms or span.claimed_at_ms for span in lane.spans), default=end_ms)
        words = gettext("never answers %(numbers)s", numbers=short_list(forgotten))
        yield max(last_ms, end_ms), Step("bad", words)
