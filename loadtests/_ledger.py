"""What became of every message: the generator's samples and the sink's events, put together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

IDS_SHOWN_MAX = 100


@dataclass(slots=True)
class Sample:
    """One message as the generator sent it. Times in Unix seconds; `acknowledged_at` is None while nobody has."""

    id: str
    conversation: int
    intended_at: float
    sent_at: float
    acknowledged_at: float | None = None
    status: int = 0
    """Of the last answer; 0: none came."""
    failures: int = 0
    """Answers other than 2xx, and requests without one, after each of which it was delivered again."""


class Reply(NamedTuple):
    """One reply that reached the sink."""

    at: float
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """sent = answered + dead + waiting + lost, of messages that were acknowledged."""

    sent: int
    answered: int
    dead: int
    waiting: int
    lost: int
    unsure: int
    """Never acknowledged: they may have been answered or not."""
    duplicates: int
    out_of_order: int
    failed_requests: int
    unanswered_ids: tuple[str, ...] = ()
    duplicate_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Times:
    """In milliseconds, unsorted."""

    acknowledgement: list[float] = field(default_factory=list)
    """From the intended moment."""
    dispatch_lag: list[float] = field(default_factory=list)
    """From when a turn was due to its claim, first attempts only, by Redis's clock."""
    ai: list[float] = field(default_factory=list)
    """From the claim to the AI's answer."""
    reply: list[float] = field(default_factory=list)
    """From the intended moment of a turn's last message to its reply."""
    reply_from_first: list[float] = field(default_factory=list)
    generator_lag: list[float] = field(default_factory=list)


def replies_of(events: Iterable[Mapping[str, Any]]) -> list[Reply]:
    """The sink's replies, Unix seconds, in the order in which they came."""
    return [Reply(event["at"] / 1000, tuple(event["ids"])) for event in events if event["event"] == "sent"]


def ledger_of(samples: Sequence[Sample], replies: Sequence[Reply], *, dead: int, waiting: int) -> Ledger:
    """`dead` and `waiting` are what the deployment says it holds of this run."""
    counts = Counter(message_id for reply in replies for message_id in reply.ids)
    known = {sample.id for sample in samples}
    acknowledged = [sample for sample in samples if sample.acknowledged_at is not None]
    unanswered = [sample.id for sample in acknowledged if not counts[sample.id]]
    twice = [message_id for message_id, count in counts.items() if count > 1 and message_id in known]
    dead = min(dead, len(unanswered))
    waiting = min(waiting, len(unanswered) - dead)
    return Ledger(
        sent=len(acknowledged),
        answered=len(acknowledged) - len(unanswered),
        dead=dead,
        waiting=waiting,
        lost=len(unanswered) - dead - waiting,
        unsure=len(samples) - len(acknowledged),
        duplicates=len(twice),
        out_of_order=_out_of_order(acknowledged, replies),
        failed_requests=sum(sample.failures for sample in samples),
        unanswered_ids=tuple(unanswered[:IDS_SHOWN_MAX]),
        duplicate_ids=tuple(sorted(twice)[:IDS_SHOWN_MAX]),
    )


def _out_of_order(acknowledged: Iterable[Sample], replies: Iterable[Reply]) -> int:
    """Messages that were answered in an earlier turn than one that was safe before they were sent."""
    turn_of: dict[str, int] = {}
    for number, reply in enumerate(sorted(replies)):
        for message_id in reply.ids:
            turn_of.setdefault(message_id, number)
    by_conversation: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in acknowledged:
        if sample.id in turn_of:
            by_conversation[sample.conversation].append(sample)
    wrong = 0
    for messages in by_conversation.values():
        latest_turn = -1
        safe = sorted(messages, key=lambda one: one.acknowledged_at or 0.0)
        at = 0
        for sample in sorted(messages, key=lambda one: one.sent_at):
            while at < len(safe) and (safe[at].acknowledged_at or 0.0) <= sample.sent_at:
                latest_turn = max(latest_turn, turn_of[safe[at].id])
                at += 1
            wrong += turn_of[sample.id] < latest_turn
    return wrong


def times_of(samples: Iterable[Sample], events: Iterable[Mapping[str, Any]]) -> Times:
    """Every latency of a run."""
    times = Times()
    intended: dict[str, float] = {}
    for sample in samples:
        intended[sample.id] = sample.intended_at
        times.generator_lag.append((sample.sent_at - sample.intended_at) * 1000)
        if sample.acknowledged_at is not None:
            times.acknowledgement.append((sample.acknowledged_at - sample.intended_at) * 1000)
    asked: dict[Any, Mapping[str, Any]] = {}
    for event in events:
        if event["event"] == "ai":
            asked[event["turn"]] = event
            if event.get("attempt") == 1 and event.get("trigger") != "direct" and event.get("due_at"):
                times.dispatch_lag.append(max(0.0, event["claimed_at"] - event["due_at"]))
        elif event["event"] == "sent":
            known = [intended[message_id] for message_id in event["ids"] if message_id in intended]
            if known:
                times.reply.append(event["at"] - max(known) * 1000)
                times.reply_from_first.append(event["at"] - min(known) * 1000)
            if (ai := asked.get(event["turn"])) and ai.get("claimed_at"):
                times.ai.append(event["at"] - ai["claimed_at"])
    return times


def batches_of(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How many turns, by what made them due and by their size."""
    triggers, sizes = Counter[str](), Counter[int]()
    for event in events:
        if event["event"] == "ai" and event.get("attempt", 1) == 1:
            triggers[str(event.get("trigger"))] += 1
            sizes[len(event["ids"])] += 1
    ordered = {str(size): sizes[size] for size in sorted(sizes)}
    return {"count": sum(sizes.values()), "by_trigger": dict(sorted(triggers.items())), "sizes": ordered}


def quantile(values: Sequence[float], share: float) -> float | None:
    """Nearest rank; None for no values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
