"""Ledger with the fate of every message, from the generator's samples and the sink's events."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.account.doubles import Deaths, doubles_of
from loadtests.sink.event import Event
from reports.results.load import Batches, Delays, Double, LoadLatency, LoadLedger

MESSAGES_SHOWN_MAX = 100


@dataclass(slots=True)
class Sample:
    """Message that the generator sent. Times are Unix seconds; `acknowledged_at` is None until a 2xx came."""

    id: str
    conversation: int
    intended_at: float
    sent_at: float
    acknowledged_at: float | None = None
    status: int = 0
    """Status of the last answer; 0 for none."""
    failures: int = 0
    """Number of requests that were not answered with 2xx."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counts of a result, and at most MESSAGES_SHOWN_MAX messages that were not answered, or sent twice."""

    counts: LoadLedger
    unanswered_ids: list[str]
    doubles: list[Double]


def answered_ids(events: Iterable[Event]) -> Counter[str]:
    """Count the replies to each message."""
    return Counter(message_id for event in events if event.event == "sent" for message_id in event.ids)


def ledger_of(
    samples: Sequence[Sample],
    events: Sequence[Event],
    *,
    dead: int,
    waiting: int,
    deaths: Deaths,
    start_at: float = 0.0,
) -> Ledger:
    """Count the fates of the messages of a load that began at `start_at`.

    `dead` and `waiting` are the deployment's counts for this run, `deaths` those of its processes.
    """
    counts = answered_ids(events)
    doubles = doubles_of(events, {sample.id for sample in samples}, deaths, start_at)
    explained = sum(double["worker_died"] for double in doubles)
    acknowledged = [sample for sample in samples if sample.acknowledged_at is not None]
    unanswered = [sample.id for sample in acknowledged if not counts[sample.id]]
    dead = min(dead, len(unanswered))
    waiting = min(waiting, len(unanswered) - dead)
    return Ledger(
        LoadLedger(
            sent=len(acknowledged),
            answered=len(acknowledged) - len(unanswered),
            dead=dead,
            waiting=waiting,
            lost=len(unanswered) - dead - waiting,
            unsure=len(samples) - len(acknowledged),
            duplicates=len(doubles) - explained,
            worker_died=explained,
            out_of_order=_out_of_order(acknowledged, events),
            failed_requests=sum(sample.failures for sample in samples),
        ),
        unanswered_ids=unanswered[:MESSAGES_SHOWN_MAX],
        doubles=doubles[:MESSAGES_SHOWN_MAX],
    )


def _out_of_order(acknowledged: Iterable[Sample], events: Iterable[Event]) -> int:
    """Count messages that were answered before an older one that was acknowledged before they were sent."""
    turn_of: dict[str, int] = {}
    replies = [event for event in events if event.event == "sent"]
    for number, reply in enumerate(sorted(replies, key=lambda reply: reply.at)):
        for message_id in reply.ids:
            turn_of.setdefault(message_id, number)
    by_conversation: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in acknowledged:
        if sample.id in turn_of:
            by_conversation[sample.conversation].append(sample)
    wrong = 0
    for messages in by_conversation.values():
        latest_turn = -1
        older = sorted(messages, key=lambda sample: sample.acknowledged_at or 0.0)
        index = 0
        for sample in sorted(messages, key=lambda sample: sample.sent_at):
            while index < len(older) and (older[index].acknowledged_at or 0.0) <= sample.sent_at:
                latest_turn = max(latest_turn, turn_of[older[index].id])
                index += 1
            wrong += turn_of[sample.id] < latest_turn
    return wrong


def lag_ms_of(event: Event) -> float | None:
    """Return the time from a turn's due time to its first claim, by Redis's clock; None for other events."""
    if event.event != "ai" or event.attempt != 1 or event.trigger == "direct" or not event.due_at:
        return None
    return max(0.0, event.claimed_at - event.due_at)


def latency_of(samples: Iterable[Sample], events: Iterable[Event]) -> LoadLatency:
    """Return every latency of a run in ms, unsorted; LATENCIES in `reports.words.load` explains each."""
    latency = LoadLatency(
        acknowledgement=[], dispatch_lag=[], ai=[], reply=[], reply_from_first=[], generator_lag=[]
    )
    intended: dict[str, float] = {}
    for sample in samples:
        intended[sample.id] = sample.intended_at
        latency["generator_lag"].append((sample.sent_at - sample.intended_at) * 1000)
        if sample.acknowledged_at is not None:
            latency["acknowledgement"].append((sample.acknowledged_at - sample.intended_at) * 1000)
    asked: dict[int | None, Event] = {}
    for event in events:
        if event.event == "ai":
            asked[event.turn] = event
            if (lag_ms := lag_ms_of(event)) is not None:
                latency["dispatch_lag"].append(lag_ms)
        elif event.event == "sent":
            known = [intended[message_id] for message_id in event.ids if message_id in intended]
            if known:
                latency["reply"].append(event.at - max(known) * 1000)
                latency["reply_from_first"].append(event.at - min(known) * 1000)
            if (question := asked.get(event.turn)) and question.claimed_at:
                latency["ai"].append(event.at - question.claimed_at)
    return latency


def delays_of(samples: Iterable[Sample], events: Iterable[Event]) -> Delays | None:
    """Return the deployment's own delays; None without an acknowledgement or a reply."""
    acknowledged = [
        (sample.acknowledged_at - sample.intended_at) * 1000
        for sample in samples
        if sample.acknowledged_at is not None
    ]
    asked: dict[int | None, Event] = {}
    around_the_ai = []
    for event in events:
        if event.event == "ai":
            asked[event.turn] = event
        elif event.event == "sent" and (question := asked.get(event.turn)) and question.claimed_at:
            around_the_ai.append(event.at - question.claimed_at - (question.service_ms or 0.0))
    if not acknowledged or not around_the_ai:
        return None
    return Delays(
        webhook=round(max(0.0, median(acknowledged) / 2), 3), ai=round(max(0.0, median(around_the_ai)), 3)
    )


def batches_of(events: Iterable[Event]) -> Batches:
    """Count turns by trigger and by size, each as it was when the AI was asked first, even if the AI failed then."""
    triggers, sizes = Counter[str](), Counter[int]()
    asked: set[str] = set()
    for event in events:
        if event.event in ("ai", "ai-error") and asked.isdisjoint(event.ids):
            asked.update(event.ids)
            triggers[event.trigger] += 1
            sizes[len(event.ids)] += 1
    return Batches(
        count=sizes.total(),
        by_trigger=dict(sorted(triggers.items())),
        sizes={str(size): sizes[size] for size in sorted(sizes)},
    )
