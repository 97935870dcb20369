"""Conversations of a recording, and their outcomes on each system, for figures and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from reports.results.causes import Cause
from reports.results.faults import StruckFault
from reports.results.replay import BatchRecord, Fate, LedgerEntry, RecordedMessage, RecordingInfo, Run

LaneFate: TypeAlias = Fate | Literal["unanswered"]
"""Fate of a message on a lane; an audit knows that there was no reply, and not whether a system lost the message."""


class Key(NamedTuple):
    """Identity of a conversation."""

    instance: str
    phone: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. `number` counts from 1 by arrival; `again_at_ms` are repeated deliveries."""

    number: int
    id: str
    at_ms: int
    kind: str
    text: str
    again_at_ms: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fate of one message on one system; `cause` is why it was lost, `lost_at_ms` when, if that is known."""

    fate: LaneFate
    latency_ms: int | None = None
    twice: bool = False
    out_of_order: bool = False
    probably_unread: bool = False
    """True if its reply came so soon after it that the reply was probably made without it; only audits know."""
    cause: Cause | None = None
    lost_at_ms: int | None = None

    @property
    def is_trouble(self) -> bool:
        """True unless the message got exactly one answer, in order."""
        return self.fate != "answered" or self.twice or self.out_of_order or self.probably_unread


@dataclass(frozen=True, slots=True)
class Span:
    """One batch: the `numbers` of its messages; `from_others` counts those of other conversations in it.

    `due_at_ms` is None if the system does not report it; `ai_ms` has start and end of each AI call for the batch.
    `superseded_at_ms` is the time at which its answer was dropped for a newer message.
    """

    numbers: tuple[int, ...]
    from_others: int
    trigger: str
    due_at_ms: int | None
    claimed_at_ms: int
    replied_at_ms: int | None
    ai_ms: Sequence[tuple[int, int]] = ()
    superseded_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """One conversation on one system; `by_id` has the numbers of its messages, and `outcomes` is by number."""

    system: str
    by_id: Mapping[str, int]
    outcomes: Mapping[int, Outcome]
    spans: Sequence[Span]

    def numbers(self, fate: LaneFate) -> list[int]:
        """Return the numbers of the messages with this fate."""
        return [number for number, outcome in self.outcomes.items() if outcome.fate == fate]

    def troubled(self) -> list[int]:
        """Return the numbers of the messages that did not get exactly one answer, in order."""
        return [number for number, outcome in self.outcomes.items() if outcome.is_trouble]


@dataclass(frozen=True, slots=True)
class Conversation:
    """All messages between one user and one bot; `number` counts the recording's conversations from 1."""

    number: int
    key: Key
    messages: Sequence[Message]
    lanes: Sequence[Lane]
    faults: Sequence[StruckFault] = ()
    """Faults with times, the same on all systems."""

    def lane(self, system: str) -> Lane:
        """Return the lane of one system, which must be among those that ran."""
        return next(lane for lane in self.lanes if lane.system == system)

    @property
    def lost(self) -> int:
        """Number of losses, on all systems together."""
        return sum(len(lane.numbers("lost")) for lane in self.lanes)

    @property
    def latency_ms_max(self) -> int:
        """The longest time that a message waited for its reply on any system."""
        waits = [outcome.latency_ms or 0 for lane in self.lanes for outcome in lane.outcomes.values()]
        return max(waits, default=0)

    @property
    def troubled(self) -> int:
        """Number of messages without exactly one answer in order, on all systems together."""
        return sum(len(lane.troubled()) for lane in self.lanes)


def conversations(recording: RecordingInfo, runs: Sequence[Run]) -> list[Conversation]:
    """Return the recording's conversations by first arrival; `runs` has one run for each system."""
    parts = [_RunByConversation(run) for run in runs]
    faults = [fault for fault in runs[0]["faults"] if "start_ms" in fault] if runs else []
    return [
        Conversation(number, key, messages, [part.lane(key, messages) for part in parts], faults)
        for number, (key, messages) in enumerate(_messages(recording["messages"]).items(), 1)
    ]


def worst_first(conversations: Iterable[Conversation]) -> list[Conversation]:
    """Sort: conversations with losses first, then those with other trouble, then the slowest."""
    return sorted(conversations, key=rank)


def rank(conversation: Conversation) -> tuple[int, ...]:
    """Return the sort key of `worst_first`."""
    return (-conversation.lost, -conversation.troubled, -conversation.latency_ms_max, conversation.number)


def _messages(deliveries: Iterable[RecordedMessage]) -> dict[Key, list[Message]]:
    by_conversation: dict[Key, dict[str, list[RecordedMessage]]] = {}
    for delivery in deliveries:
        by_id = by_conversation.setdefault(Key(delivery["instance"], delivery["phone"]), {})
        by_id.setdefault(delivery["id"], []).append(delivery)
    return {
        key: [
            Message(
                number=number,
                id=first["id"],
                at_ms=first["at_ms"],
                kind=first["kind"],
                text=first["text"],
                again_at_ms=tuple(delivery["at_ms"] for delivery in again),
            )
            for number, (first, *again) in enumerate(by_id.values(), 1)
        ]
        for key, by_id in by_conversation.items()
    }


@dataclass(slots=True)
class _RunByConversation:
    """A run's ledger and batches by conversation."""

    run: Run
    entries: dict[Key, dict[str, LedgerEntry]] = field(default_factory=dict)
    batches: dict[Key, list[BatchRecord]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entry in self.run["ledger"]:
            self.entries.setdefault(Key(entry["instance"], entry["phone"]), {})[entry["id"]] = entry
        for batch in self.run["batches"]:
            self.batches.setdefault(Key(batch["instance"], batch["phone"]), []).append(batch)

    def lane(self, key: Key, messages: Sequence[Message]) -> Lane:
        entries = self.entries.get(key, {})
        by_id = {message.id: message.number for message in messages}
        outcomes = {
            message.number: self._outcome(message, entries[message.id])
            for message in messages
            if message.id in entries
        }
        spans = [_span(batch, by_id) for batch in self.batches.get(key, [])]
        return Lane(self.run["system"], by_id, outcomes, spans)

    def _outcome(self, message: Message, entry: LedgerEntry) -> Outcome:
        if entry["answered_at_ms"] is not None:
            return Outcome(
                entry["fate"],
                latency_ms=entry["answered_at_ms"] - message.at_ms,
                twice=_is_named(entry, self.run["duplicated"]),
                out_of_order=_is_named(entry, self.run["reordered"]),
            )
        if entry["fate"] != "lost":
            return Outcome(entry["fate"])
        return Outcome("lost", cause=cause_of(self.run, entry), lost_at_ms=entry.get("lost_at_ms"))


def cause_of(run: Run, entry: LedgerEntry) -> Cause:
    """Return the cause of a message's loss, which is `vanished` if the run has none."""
    causes = run["causes"]
    return next((causes[name] for name in _names(entry) if name in causes), Cause(code="vanished"))


def _names(entry: LedgerEntry) -> tuple[str, str]:
    """Return the names that a message can have in a run: the full one if conversations share its id, else the id."""
    return f"{entry['instance']}/{entry['phone']}/{entry['id']}", entry["id"]


def _is_named(entry: LedgerEntry, names: Sequence[str]) -> bool:
    return any(name in names for name in _names(entry))


def _span(batch: BatchRecord, by_id: Mapping[str, int]) -> Span:
    return Span(
        numbers=tuple(by_id[name] for name in batch["ids"] if name in by_id),
        from_others=sum(name not in by_id for name in batch["ids"]),
        trigger=batch["trigger"],
        due_at_ms=batch["due_at_ms"],
        claimed_at_ms=batch["claimed_at_ms"],
        replied_at_ms=batch["replied_at_ms"],
        ai_ms=[(start, end) for start, end in batch.get("ai_ms", [])],
        superseded_at_ms=batch.get("superseded_at_ms"),
    )


def arrivals_ms(recording: RecordingInfo) -> dict[tuple[str, str, str], int]:
    """Return the first arrival of each message, by instance, phone and id."""
    arrivals: dict[tuple[str, str, str], int] = {}
    for delivery in recording["messages"]:
        arrivals.setdefault((delivery["instance"], delivery["phone"], delivery["id"]), delivery["at_ms"])
    return arrivals


def waits_ms(batch: BatchRecord, arrivals: Mapping[tuple[str, str, str], int]) -> tuple[int, int] | None:
    """Return the times from the first and the last arrival of a batch's messages to its reply; None without a reply."""
    names = [(batch["instance"], batch["phone"], name) for name in batch["ids"]]
    times = [arrivals[name] for name in names if name in arrivals]
    if batch["replied_at_ms"] is None or not times:
        return None
    return batch["replied_at_ms"] - min(times), batch["replied_at_ms"] - max(times)


def mean_first_ms(run: Run, recording: RecordingInfo) -> float | None:
    """Return the mean time from the first message to the reply of a run's answered batches; None without any."""
    if folded := run.get("folded"):
        return folded["mean_first_ms"]
    times = reply_times_ms(run, recording)
    return round(sum(times) / len(times), 3) if times else None


def reply_times_ms(run: Run, recording: RecordingInfo) -> list[int]:
    """Return the time from the first message to the reply of each answered batch, ascending."""
    arrivals = arrivals_ms(recording)
    return sorted(waits[0] for batch in run["batches"] if (waits := waits_ms(batch, arrivals)))


def reply_moments_ms(run: Run, recording: RecordingInfo) -> list[tuple[int, int]]:
    """Return for each answered batch the arrival of its first message, and the time from there to the reply."""
    arrivals = arrivals_ms(recording)
    return [
        (batch["replied_at_ms"] - waits[0], waits[0])
        for batch in run["batches"]
        if batch["replied_at_ms"] is not None and (waits := waits_ms(batch, arrivals))
    ]
