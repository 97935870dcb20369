"""Audit of recordings: finds which messages were really answered, when, how often and by whom, with `fates.py`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from queue_core.recording.format import Recording
from reports.results.audit import (
    AUDIT_SCHEMA_VERSION,
    AuditedConversation,
    AuditedMessage,
    AuditedRecording,
    AuditedReply,
    AuditResult,
    Counts,
    InstanceCounts,
    Minute,
    State,
    Unknowable,
    Writer,
)
from sim.audit.fates import Conversation, Limits, conversations_of, end_of
from sim.engine.outcome import quantiles

BUSIEST_MAX = 5
WORST_MAX = 12
LISTED_BEFORE = 4
"""Number of messages of a listed conversation that are shown before its first trouble."""
LISTED_MAX = 200
"""Limit on the messages, and on the replies, of a listed conversation."""
MINUTE_MS = 60_000


class NoRepliesError(Exception):
    """Raised for recordings without replies, which do not show what was answered."""


def audit(
    recordings: Sequence[Recording],
    limits: Limits,
    *,
    zone: str = "UTC",
    command: str = "",
    shows_text: bool = True,
) -> AuditResult:
    """Audit recordings; with `shows_text` the result has the texts. Raises NoRepliesError if there are no replies."""
    conversations = [
        conversation for recording in recordings for conversation in conversations_of(recording, limits)
    ]
    if not any(conversation.replies for conversation in conversations):
        raise NoRepliesError
    by_instance: dict[str, list[Conversation]] = defaultdict(list)
    for conversation in conversations:
        by_instance[conversation.instance].append(conversation)
    total = _counts(conversations, limits)
    troubled = sorted(
        (conversation for conversation in conversations if conversation.trouble),
        key=lambda conversation: -conversation.trouble,
    )
    return AuditResult(
        schema=AUDIT_SCHEMA_VERSION,
        kind="audit",
        recordings=[_recording(recording) for recording in recordings],
        within_ms=limits.within_ms,
        ai_takes_ms=limits.ai_takes_ms,
        zone=zone,
        total=total,
        instances=[
            InstanceCounts(instance=name, counts=_counts(of_instance, limits))
            for name, of_instance in sorted(by_instance.items())
        ],
        busiest=_busiest(conversations),
        unknowable=list(_unknowable(recordings, conversations)),
        worst=[_as_result(conversation, shows_text=shows_text) for conversation in troubled[:WORST_MAX]],
        conversations_troubled=len(troubled),
        ok=not any(total[name] for name in ("unanswered", "too_soon", "late", "twice", "order")),
        command=command,
    )


def _counts(conversations: Sequence[Conversation], limits: Limits) -> Counts:
    states: Counter[State] = Counter()
    writers: Counter[Writer] = Counter()
    first_ms: list[int] = []
    last_ms: list[int] = []
    flags: Counter[str] = Counter()
    users = set[tuple[str, str]]()
    unanswered = set[tuple[str, str]]()
    for conversation in conversations:
        answered: dict[int, list[int]] = defaultdict(list)
        for message in conversation.messages:
            states[message.state] += 1
            flags["deliveries"] += message.deliveries
            flags["twice"] += message.is_twice
            flags["order"] += message.is_out_of_order
            flags["cut"] += message.is_after_cut
            flags["too_soon"] += message.is_too_soon
            if message.state == "answered":
                reply = conversation.replies[message.replies[0]]
                writers[reply.who or "unknown"] += 1
                wait_ms = reply.at - message.arrival.at_ms
                flags["late"] += limits.within_ms is not None and wait_ms > limits.within_ms
                answered[message.replies[0]].append(wait_ms)
        user = (conversation.instance, conversation.phone)
        users.add(user)
        if any(message.state == "unanswered" for message in conversation.messages):
            unanswered.add(user)
        first_ms += [max(waits) for waits in answered.values()]
        last_ms += [min(waits) for waits in answered.values()]
    return Counts(
        users=len(users),
        users_unanswered=len(unanswered),
        deliveries=flags["deliveries"],
        messages=states.total(),
        answered=states["answered"],
        late=flags["late"],
        too_soon=flags["too_soon"],
        unanswered=states["unanswered"],
        open=states["open"],
        exempt=states["exempt"],
        by_bot=writers["bot"],
        by_human=writers["human"],
        by_unknown=writers["unknown"],
        replies=sum(len(conversation.replies) for conversation in conversations),
        twice=flags["twice"],
        further=sum(len(conversation.further) for conversation in conversations),
        order=flags["order"],
        turns=sum(conversation.turns for conversation in conversations),
        several=sum(conversation.turns_of_several for conversation in conversations),
        cut=flags["cut"],
        first_ms=quantiles(first_ms),
        last_ms=quantiles(last_ms),
    )


def _busiest(conversations: Iterable[Conversation]) -> list[Minute]:
    """Return the minutes with the most messages."""
    messages: Counter[int] = Counter()
    unanswered: Counter[int] = Counter()
    for conversation in conversations:
        for message in conversation.messages:
            minute = (conversation.recording.epoch_ms + message.arrival.at_ms) // MINUTE_MS * MINUTE_MS
            messages[minute] += 1
            unanswered[minute] += message.state == "unanswered"
    ordered = sorted(messages, key=lambda minute: (-messages[minute], minute))
    return [
        Minute(at_ms=minute, messages=messages[minute], unanswered=unanswered[minute])
        for minute in ordered[:BUSIEST_MAX]
    ]


def _unknowable(
    recordings: Sequence[Recording], conversations: Sequence[Conversation]
) -> Iterator[Unknowable]:
    """Yield the questions that these recordings cannot answer."""
    replies = [reply for conversation in conversations for reply in conversation.replies]
    precisions = {recording.precision for recording in recordings}
    if precisions != {"ms"}:
        yield "order_within"
    if "min" in precisions:
        yield "cut_turns"
    if not any(reply.ids for reply in replies):
        yield "order"
        if not any(reply.text for reply in replies):
            yield "twice"
    if not any(reply.who for reply in replies):
        yield "writers"


def _recording(recording: Recording) -> AuditedRecording:
    return AuditedRecording(
        name=recording.name,
        title=recording.title,
        source=recording.source,
        precision=recording.precision,
        epoch_ms=recording.epoch_ms,
        end_ms=end_of(recording),
        messages=len(recording.arrivals),
        skipped_lines=len(recording.skipped),
        left_out=dict(recording.left_out),
    )


def _as_result(conversation: Conversation, *, shows_text: bool) -> AuditedConversation:
    """Return the conversation; if it is long, only the part around its first trouble."""
    first = next(index for index, message in enumerate(conversation.messages) if message.is_trouble)
    shown = conversation.messages[max(0, first - LISTED_BEFORE) :][:LISTED_MAX]
    start_ms = shown[0].arrival.at_ms
    last = max([index for message in shown for index in message.replies], default=-1)
    end_ms = max(shown[-1].arrival.at_ms, conversation.replies[last].at if last >= 0 else 0)
    indexes = [index for index, reply in enumerate(conversation.replies) if start_ms <= reply.at <= end_ms]
    positions = {index: position for position, index in enumerate(indexes[:LISTED_MAX])}
    return AuditedConversation(
        recording=conversation.recording.name,
        instance=conversation.instance,
        phone=conversation.phone,
        messages=[
            AuditedMessage(
                id=message.arrival.id,
                at_ms=message.arrival.at_ms,
                kind=message.arrival.kind,
                text=message.arrival.text if shows_text else "",
                characters=message.arrival.characters,
                state=message.state,
                reply=positions.get(message.replies[0]) if message.replies else None,
                twice=message.is_twice,
                too_soon=message.is_too_soon,
                order=message.is_out_of_order,
            )
            for message in shown
        ],
        replies=[
            AuditedReply(
                at_ms=conversation.replies[index].at,
                who=conversation.replies[index].who or "unknown",
                text=conversation.replies[index].text if shows_text else "",
                is_further=index in conversation.further,
            )
            for index in positions
        ],
    )
