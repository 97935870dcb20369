"""Losses: messages that were lost in one event, and events of one kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports.analysis.conversations import Key, Lane, cause_of
from reports.results.causes import Cause, kind_of
from reports.results.replay import RecordingInfo, Run
from reports.text import short_phone
from reports.words.causes import cause_words, unnumbered_cause_words


@dataclass(frozen=True, slots=True)
class Event:
    """Messages of one conversation that were lost together; `numbers` has all its messages' numbers by id."""

    cause: Cause
    lost: list[int]
    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Loss:
    """Messages that one system lost in the same way, as (user, id), and the reason in words."""

    system: str
    words: str
    messages: Sequence[tuple[str, str]]


def loss_words(system: str, events: Sequence[Event]) -> str:
    """Explain why the messages of these events, which are of one kind, were lost."""
    first = events[0]
    if len(events) == 1:
        return cause_words(first.cause, system, first.lost, first.numbers)
    return unnumbered_cause_words(first.cause, system, sum(len(event.lost) for event in events))


def why(lane: Lane, numbers: Iterable[int]) -> str:
    """Explain the loss of the first lost message among these, and of those that were lost in the same event."""
    causes = {number: lane.outcomes[number].cause for number in numbers}
    cause = next((cause for cause in causes.values() if cause is not None), None)
    if cause is None:
        return ""
    lost = [number for number, other in causes.items() if other == cause]
    return cause_words(cause, lane.system, lost, lane.by_id)


def lane_events(lane: Lane) -> list[list[Event]]:
    """Return the lane's losses, grouped by kind, in the order of their first messages."""
    lost: dict[str, list[int]] = {}
    for number, outcome in lane.outcomes.items():
        if outcome.cause is not None:
            lost.setdefault(_key(outcome.cause), []).append(number)
    kinds: dict[str, list[Event]] = {}
    for numbers in lost.values():
        cause = lane.outcomes[numbers[0]].cause
        if cause is not None:
            kinds.setdefault(_key(kind_of(cause)), []).append(Event(cause, numbers, lane.by_id))
    return list(kinds.values())


def losses(runs: Iterable[Run], numbers: Mapping[Key, Mapping[str, int]]) -> list[Loss]:
    """Return the losses of one system in a recording, by kind, the most frequent first.

    Users' phone numbers are shortened. `numbers` has the numbers of the messages of each conversation; the
    explanations use them only if there is a single conversation.
    """
    system = ""
    events: dict[tuple[int, Key, str], Event] = {}
    messages: dict[str, list[tuple[str, str]]] = {}
    for run in runs:
        system = run["system"]
        for entry in run["ledger"]:
            if entry["fate"] != "lost":
                continue
            cause, key = cause_of(run, entry), Key(entry["instance"], entry["phone"])
            of_conversation = numbers.get(key, {})
            event = events.setdefault((run["run"], key, _key(cause)), Event(cause, [], of_conversation))
            event.lost.append(of_conversation.get(entry["id"], 0))
            kind = _key(kind_of(cause))
            messages.setdefault(kind, []).append((short_phone(entry["phone"]), entry["id"]))
    kinds: dict[str, list[Event]] = {}
    for event in events.values():
        kinds.setdefault(_key(kind_of(event.cause)), []).append(event)
    ordered = sorted(kinds, key=lambda kind: -len(messages[kind]))
    return [
        Loss(
            system,
            loss_words(system, kinds[kind])
            if len(numbers) == 1
            else unnumbered_cause_words(kinds[kind][0].cause, system, len(messages[kind])),
            messages[kind],
        )
        for kind in ordered
    ]


def numbers_of(recording: RecordingInfo) -> dict[Key, dict[str, int]]:
    """Return the numbers of the messages of each conversation by id: from 1, by first arrival."""
    numbers: dict[Key, dict[str, int]] = {}
    for message in recording["messages"]:
        of_conversation = numbers.setdefault(Key(message["instance"], message["phone"]), {})
        of_conversation.setdefault(message["id"], len(of_conversation) + 1)
    return numbers


def _key(cause: Cause) -> str:
    """Return a text that is equal for equal causes."""
    return repr(sorted(cause.items()))
