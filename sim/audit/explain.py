"""Comparison of what really happened with what each system would have done, to find the system that explains losses.

A system explains losses if it loses more of the messages that really got no reply than it would by chance. The same
comparison is made for messages that came right after a reply that cut their turn in two.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from queue_core.recording.format import Recording
from reports.results.replay import Explanation, Overlap, Run
from sim.audit.fates import CUT_MS, Conversation, Limits, Message, conversations_of

Name = tuple[str, str, str]
"""Instance, phone and id of a message."""
RUNS_SHARE = 0.5
"""Share of a system's runs in which a message must be lost, or its turn be cut, to count as predicted."""


def explain(
    recordings: Iterable[Recording], runs: Sequence[Run], systems: Iterable[str]
) -> list[Explanation]:
    """Compare each recording with replies with the runs of each system."""
    by_pair: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        by_pair[run["recording"], run["system"]].append(run)
    names = list(systems)
    return [
        explanation
        for recording in recordings
        for explanation in _of_recording(recording, [(name, by_pair[recording.name, name]) for name in names])
    ]


def _of_recording(
    recording: Recording, runs_by_system: Iterable[tuple[str, Sequence[Run]]]
) -> Iterator[Explanation]:
    conversations = conversations_of(recording, Limits())
    if not any(conversation.replies for conversation in conversations):
        return
    judged = {
        _name(conversation, message): message
        for conversation in conversations
        for message in conversation.messages
        if message.state in ("answered", "unanswered")
    }
    unanswered = {
        name for name, message in judged.items() if message.state == "unanswered" or message.is_too_soon
    }
    cut = {name for name, message in judged.items() if message.is_after_cut}
    for system, runs in runs_by_system:
        if runs:
            yield Explanation(
                recording=recording.name,
                system=system,
                messages=len(judged),
                unanswered=overlap(
                    unanswered, _predicted(map(_lost, runs), len(runs)) & judged.keys(), len(judged)
                ),
                cut=overlap(cut, _predicted(map(_interrupted, runs), len(runs)) & judged.keys(), len(judged)),
            )


def _name(conversation: Conversation, message: Message) -> Name:
    return conversation.instance, conversation.phone, message.arrival.id


def _predicted(of_runs: Iterable[Collection[Name]], number: int) -> set[Name]:
    """Return the messages that are in at least half of the runs."""
    times = Counter(name for names in of_runs for name in names)
    return {name for name, count in times.items() if count >= RUNS_SHARE * number}


def _lost(run: Run) -> set[Name]:
    return {
        (entry["instance"], entry["phone"], entry["id"]) for entry in run["ledger"] if entry["fate"] == "lost"
    }


def _interrupted(run: Run) -> set[Name]:
    """Return the messages that came while a reply was being made for others, or right after it."""
    arrivals: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for entry in run["ledger"]:
        first_ms = next((step["at_ms"] for step in entry["story"] if step["code"] == "sent"), None)
        if first_ms is not None:
            arrivals[entry["instance"], entry["phone"]].append((first_ms, entry["id"]))
    for of_user in arrivals.values():
        of_user.sort()
    interrupted = set[Name]()
    for batch in run["batches"]:
        if batch["replied_at_ms"] is None:
            continue
        of_user = arrivals[batch["instance"], batch["phone"]]
        start = bisect_left(of_user, (batch["claimed_at_ms"], ""))
        for at_ms, message_id in of_user[start:]:
            if at_ms >= batch["replied_at_ms"] + CUT_MS:
                break
            if message_id not in batch["ids"]:
                interrupted.add((batch["instance"], batch["phone"], message_id))
    return interrupted


def overlap(actual: AbstractSet[Name], predicted: AbstractSet[Name], messages: int) -> Overlap:
    """Count the messages in both sets, and compute the probability of as many by chance.

    By chance means: as many messages as are predicted, drawn at random from all (hypergeometric distribution).
    """
    both = len(actual & predicted)
    return Overlap(
        actual=len(actual),
        predicted=len(predicted),
        both=both,
        by_chance=round(len(actual) * len(predicted) / messages, 3) if messages else 0.0,
        probability=_at_least(both, len(actual), len(predicted), messages),
    )


def _at_least(both: int, actual: int, predicted: int, messages: int) -> float:
    """Return the probability that `predicted` messages, drawn at random, include `both` or more `actual` ones."""
    if both == 0:
        return 1.0
    terms = (
        _log_choices(actual, number)
        + _log_choices(messages - actual, predicted - number)
        - _log_choices(messages, predicted)
        for number in range(max(both, predicted - (messages - actual)), min(actual, predicted) + 1)
    )
    return min(1.0, float(f"{math.fsum(map(math.exp, terms)):.4g}"))


def _log_choices(of: int, number: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(number + 1) - math.lgamma(of - number + 1)
