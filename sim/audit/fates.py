"""Fates of the messages of a recording: for each message the replies that answered it, and what went wrong.

A recording with replies shows what happened, without any simulation. The rules for a conversation are:

- A reply that names messages answers those. Any other reply answers every message before it that has no reply yet.
- A message without a reply is unanswered, unless it came less than `--within` (else OPEN_MS) before the end of the
  recording.
- If a reply came less than `--ai-takes` after a message, and answers older messages too, the message was probably not
  read.
- A message that an export only shows as deleted needs no reply, and a deleted reply answers nothing.
- If a bot's reply repeats the text of an earlier reply, without a new message between them, it answers the messages of
  that reply twice. So do two replies that name the same message and are more than FURTHER_MS apart: with less time
  between them, the second may be a part of the first. (This project's own recordings have one event for each reply,
  however many parts it has, so there any second reply counts.) Any other bot reply that names no message and comes more
  than FURTHER_MS after the previous one, without a new message between them, counts as a further reply.
- A turn is what a user writes with pauses of at most TURN_GAP_MS, until a reply. It was cut if the user's next message
  came within CUT_MS after the bot's reply, since nobody reads a reply and writes an answer so fast.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import pairwise

from queue_core.recording.format import Arrival, BatchTaken, Delete, Recording, Reply
from reports.results.audit import State

OPEN_MS = 600_000
FURTHER_MS = 10_000
TURN_GAP_MS = 300_000
"""Longest pause within a turn."""
CUT_MS = 5_000
AI_TAKES_MS = 2_000
NEEDS_NO_REPLY = frozenset({"reaction"})
DELETED = "deleted"
"""Kind of messages and replies that exports show only as deleted, without a time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits that decide what counts as answered; the module's docstring explains them."""

    within_ms: int | None = None
    ai_takes_ms: int = AI_TAKES_MS

    @property
    def open_ms(self) -> int:
        """Time before the end of a recording in which a message may still be waiting."""
        return OPEN_MS if self.within_ms is None else self.within_ms


@dataclass(slots=True)
class Message:
    """Message with its fate; `arrival` is its first delivery. `replies` are indexes of replies, the earliest first."""

    arrival: Arrival
    deliveries: int = 1
    deleted_at_ms: int | None = None
    replies: list[int] = field(default_factory=list)
    state: State = "unanswered"
    is_too_soon: bool = False
    is_twice: bool = False
    is_out_of_order: bool = False
    is_after_cut: bool = False
    """True if the bot replied to the turn while the user wrote this message, which cut the turn in two."""

    @property
    def is_trouble(self) -> bool:
        """True if something went wrong with the message, or probably did."""
        return self.state == "unanswered" or self.is_twice or self.is_out_of_order or self.is_too_soon


@dataclass(slots=True)
class Conversation:
    """Conversation of one recording, with every message and reply, sorted by time."""

    recording: Recording
    instance: str
    phone: str
    messages: list[Message] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    further: set[int] = field(default_factory=set)
    """Indexes of replies without a new message before them, long after the previous reply."""
    turns: int = 0
    turns_of_several: int = 0

    @property
    def trouble(self) -> int:
        """Number of messages with which something went wrong."""
        return sum(message.is_trouble for message in self.messages)


def conversations_of(recording: Recording, limits: Limits) -> list[Conversation]:
    """Return a recording's conversations with the fate of every message."""
    conversations: dict[tuple[str, str], Conversation] = {}

    def of(instance: str, phone: str) -> Conversation:
        return conversations.setdefault((instance, phone), Conversation(recording, instance, phone))

    by_id: dict[tuple[str, str, str], Message] = {}
    for arrival in recording.arrivals:
        name = (arrival.instance, arrival.phone, arrival.id)
        if name in by_id:
            by_id[name].deliveries += 1
            continue
        by_id[name] = Message(arrival)
        of(arrival.instance, arrival.phone).messages.append(by_id[name])
    for event in recording.others:
        if isinstance(event, Reply) and event.kind != DELETED:
            of(event.instance, event.phone).replies.append(event)
        elif isinstance(event, Delete) and (message := by_id.get((event.instance, event.phone, event.id))):
            message.deleted_at_ms = event.at
    end_ms = end_of(recording)
    for conversation in conversations.values():
        _settle(conversation, end_ms, limits)
    return [conversation for conversation in conversations.values() if conversation.messages]


def has_replies(recording: Recording) -> bool:
    """Return True if the recording has replies."""
    return any(isinstance(event, Reply) and event.kind != DELETED for event in recording.others)


def end_of(recording: Recording) -> int:
    """Return the time of the last event."""
    last_arrival = recording.arrivals[-1].at_ms if recording.arrivals else 0
    return max(last_arrival, recording.others[-1].at if recording.others else 0)


def _settle(conversation: Conversation, end_ms: int, limits: Limits) -> None:
    """Find the replies to each message, and what went wrong."""
    _attribute(conversation)
    has_batches = any(isinstance(event, BatchTaken) for event in conversation.recording.others)
    _find_twice(conversation, has_one_event_each=has_batches)
    _find_out_of_order(conversation)
    for message in conversation.messages:
        message.state = _state(message, conversation, end_ms, limits)
    if conversation.recording.precision != "min":
        _find_too_soon(conversation, limits.ai_takes_ms)
    _count_turns(conversation)


def _attribute(conversation: Conversation) -> None:
    """Give each message the replies that answer it."""
    by_id = {message.arrival.id: message for message in conversation.messages}
    waiting: list[Message] = []
    messages = iter(conversation.messages)
    following = next(messages, None)
    for index, reply in enumerate(conversation.replies):
        while following is not None and following.arrival.at_ms <= reply.at:
            waiting.append(following)
            following = next(messages, None)
        named = [by_id[name] for name in reply.ids if name in by_id]
        for message in named or waiting:
            message.replies.append(index)
        waiting = [message for message in waiting if not message.replies]


def _find_twice(conversation: Conversation, *, has_one_event_each: bool) -> None:
    """Mark messages with two answers, and replies that may be second answers."""
    replies = conversation.replies
    for message in conversation.messages:
        named = [index for index in message.replies if replies[index].ids]
        message.is_twice = any(
            has_one_event_each or _is_repeated(replies[first], replies[second])
            for first, second in pairwise(named)
        )
    arrivals = iter([message.arrival.at_ms for message in conversation.messages])
    following = next(arrivals, None)
    since_message: list[int] = []
    for index, reply in enumerate(replies):
        while following is not None and following <= reply.at:
            following = next(arrivals, None)
            since_message = []
        if reply.who == "human":
            since_message = []
            continue
        if since_message and not reply.ids:
            same = {before for before in since_message if reply.text and replies[before].text == reply.text}
            repeated = _answered_by(same, conversation) if same else []
            for message in repeated:
                message.is_twice = True
            if not repeated and reply.at - replies[since_message[-1]].at > FURTHER_MS:
                conversation.further.add(index)
        since_message.append(index)


def _answered_by(indexes: AbstractSet[int], conversation: Conversation) -> list[Message]:
    """Return the messages that any of these replies answers."""
    return [message for message in conversation.messages if not indexes.isdisjoint(message.replies)]


def _is_repeated(first: Reply, second: Reply) -> bool:
    """Return True if two replies that name the same message are two answers, and not two parts of one answer."""
    has_same_text = bool(first.text) and first.text == second.text
    return has_same_text or second.at - first.at > FURTHER_MS


def _find_out_of_order(conversation: Conversation) -> None:
    """Mark messages whose first reply came after that to a newer message, judged by replies that name messages."""
    latest = -1
    for message in reversed(conversation.messages):
        if not message.replies or not conversation.replies[message.replies[0]].ids:
            continue
        first = message.replies[0]
        message.is_out_of_order = latest != -1 and first > latest
        latest = first if latest == -1 else min(latest, first)


def _state(message: Message, conversation: Conversation, end_ms: int, limits: Limits) -> State:
    replied_at_ms = conversation.replies[message.replies[0]].at if message.replies else None
    if message.arrival.kind in NEEDS_NO_REPLY:
        return "exempt"
    if message.deleted_at_ms is not None and (
        replied_at_ms is None or message.deleted_at_ms <= replied_at_ms
    ):
        return "exempt"
    if replied_at_ms is not None:
        return "answered"
    if message.arrival.kind == DELETED:
        return "exempt"
    return "open" if end_ms - message.arrival.at_ms < limits.open_ms else "unanswered"


def _find_too_soon(conversation: Conversation, ai_takes_ms: int) -> None:
    """Mark messages whose reply came sooner than an AI can answer, if it answers an older message too."""
    oldest: dict[int, int] = {}
    answered = [message for message in conversation.messages if message.state == "answered"]
    for message in answered:
        oldest.setdefault(message.replies[0], message.arrival.at_ms)
    for message in answered:
        reply = conversation.replies[message.replies[0]]
        message.is_too_soon = (
            reply.who != "human"
            and not reply.ids
            and reply.at - message.arrival.at_ms < ai_takes_ms <= reply.at - oldest[message.replies[0]]
            and len(message.replies) == 1
        )


def _count_turns(conversation: Conversation) -> None:
    """Count turns, and those of several messages; mark messages after a bot's reply that cut a turn."""
    replies = conversation.replies
    at = 0
    size = 0
    previous: int | None = None
    for message in conversation.messages:
        now = message.arrival.at_ms
        last_reply = None
        while at < len(replies) and replies[at].at < now:
            last_reply, at = replies[at], at + 1
        message.is_after_cut = (
            last_reply is not None and last_reply.who != "human" and now - last_reply.at < CUT_MS and size > 0
        )
        if previous is None or last_reply is not None or now - previous > TURN_GAP_MS:
            conversation.turns_of_several += size > 1
            conversation.turns += 1
            size = 0
        size += 1
        previous = now
    conversation.turns_of_several += size > 1
