"""Outcome of a run: a `reports.results.replay.Run`, made from the run's ledger at the end.

The rules:

- *Fate.* A message is answered if a reply to it was sent; else dead-lettered if it is a dead letter; else pending if
  the system will still find it; else lost.
- *Duplicated.* More than one reply answers the message, or one reply's batch contains it twice.
- *Reordered.* Only the first reply to a message counts. The message is out of order when an earlier reply answered
  a message that arrived after it, or when a message before it in its batch is later by (provider's timestamp, arrival).
  A message that was refused and came again arrived when it came again, unless the system had stored it.
- *Latency.* For each batch that was answered, from the arrival of its first and of its last message to the reply.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from reports.analysis.quantile import quantile
from reports.results.causes import Cause
from reports.results.replay import BatchRecord, Fate, Latency, LedgerEntry, Quantiles, Run, Step
from sim.engine.ledger import Batch, Conversation, Entry, Ledger
from sim.engine.store.faulty import OF_NETWORK, OF_SERVER

if TYPE_CHECKING:
    from sim.engine.system import System
    from sim.engine.world import World


def outcome(
    world: World,
    system: System,
    *,
    pending: Mapping[Conversation, Sequence[str]],
    run_number: int,
    seed: int,
    at_rest_ms: int,
    came_to_rest: bool,
) -> Run:
    """Make the record of one run. `pending` are the ids that still wait, by the system's `pending_ids`."""
    ledger = world.ledger
    entries = sorted(ledger.entries(), key=lambda entry: entry.rank)
    waiting = {
        ledger.entry(conversation, message_id).rank
        for conversation, ids in pending.items()
        for message_id in ids
    }
    fates: dict[int, Fate] = {entry.rank: _fate(entry, waiting) for entry in entries}
    names = _Names(entries)
    lost = [entry for entry in entries if fates[entry.rank] == "lost"]
    for entry in lost:
        if entry.loss is None or entry.loss["code"] == "vanished":
            is_seen = entry.loss is not None
            entry.loss = _incident(world, entry) or _cause(world, system, entry)
            if not is_seen:
                entry.story.append(Step(at_ms=at_rest_ms, code="lost"))
    dropped = [batch for batch in ledger.batches if batch.superseded_at_ms is not None]
    twice, displaced = duplicated(ledger), reordered(ledger)
    return Run(
        recording=world.recording.name,
        system=system.name,
        run=run_number,
        seed=seed,
        sent=len(entries),
        answered=sum(fate == "answered" for fate in fates.values()),
        lost=names.of(lost),
        duplicated=names.of(entry for entry in entries if entry.rank in twice),
        reordered=names.of(entry for entry in entries if entry.rank in displaced),
        dead_lettered=names.of(entry for entry in entries if fates[entry.rank] == "dead_lettered"),
        pending=names.of(entry for entry in entries if fates[entry.rank] == "pending"),
        causes={names.name(entry): entry.loss for entry in lost if entry.loss is not None},
        ai_calls=world.ai.calls,
        superseded=len(dropped),
        superseded_ai_ms=sum(end_ms - start_ms for batch in dropped for start_ms, end_ms in batch.asked),
        batches=[_batch_record(batch) for batch in ledger.batches],
        log=world.log_lines,
        latency_ms=_latency(ledger),
        dispatch_lag_ms=quantiles(
            batch.claimed_at_ms - batch.due_at_ms for batch in ledger.batches if batch.due_at_ms is not None
        ),
        faults=world.faults.results(),
        ledger=[_ledger_entry(entry, fates[entry.rank]) for entry in entries],
        at_rest_ms=at_rest_ms,
        came_to_rest=came_to_rest,
    )


def quantiles(values: Iterable[int]) -> Quantiles:
    """Return the quantiles of a list of values, in the form of the result file."""
    ordered = sorted(values)
    if not ordered:
        return Quantiles(p50=None, p95=None, max=None)
    return Quantiles(p50=quantile(ordered, 0.5), p95=quantile(ordered, 0.95), max=ordered[-1])


def duplicated(ledger: Ledger) -> set[int]:
    """Return the ranks of messages that were answered more than once, or handed over twice within one batch."""
    counts: Counter[int] = Counter()
    for reply in ledger.replies:
        counts.update(entry.rank for entry in _entries_of(ledger, reply.conversation, reply.ids))
    return {rank for rank, count in counts.items() if count > 1}


def reordered(ledger: Ledger) -> set[int]:
    """Return the ranks of messages that were handed over out of order; only first answers count."""
    ranks: set[int] = set()
    newest: dict[Conversation, int] = {}
    seen: set[int] = set()
    for reply in ledger.replies:
        handed_over = _entries_of(ledger, reply.conversation, dict.fromkeys(reply.ids))
        batch = [entry for entry in handed_over if entry.rank not in seen]
        seen.update(entry.rank for entry in batch)
        latest_before = newest.get(reply.conversation, -1)
        ranks.update(entry.rank for entry in batch if entry.position < latest_before)
        ranks.update(_displaced(batch))
        newest[reply.conversation] = max([latest_before, *(entry.position for entry in batch)])
    return ranks


def _entries_of(ledger: Ledger, conversation: Conversation, ids: Iterable[str]) -> list[Entry]:
    """Return the entries of the ids that belong to the conversation, without ids of another conversation."""
    return [entry for message_id in ids if (entry := ledger.find(conversation, message_id)) is not None]


def _displaced(batch: Sequence[Entry]) -> set[int]:
    """Return the ranks of entries that come after a later one in their batch."""
    ranks: set[int] = set()
    latest = (-math.inf, -1)
    for entry in batch:
        key = (entry.timestamp_ms, entry.position)
        if key < latest:
            ranks.add(entry.rank)
        else:
            latest = key
    return ranks


def _cause(world: World, system: System, entry: Entry) -> Cause:
    """Return the cause that the system knows; where it knows none, a failure of Redis explains it if there was one."""
    cause = system.cause(entry.conversation, entry.id)
    if cause["code"] == "vanished" and world.faults.has(*OF_NETWORK, *OF_SERVER):
        return Cause(code="redis_failed")
    return cause


def _incident(world: World, entry: Entry) -> Cause | None:
    """Return the first incident after the last step of a message, which explains why no step followed."""
    last_ms = entry.story[-1]["at_ms"]
    times_ms = [(at_ms, code) for at_ms, code in world.incidents if at_ms >= last_ms]
    if not times_ms:
        return None
    at_ms, code = min(times_ms)
    return Cause(code=code, at_ms=at_ms)


class _Names:
    """Unique names of a recording's messages: the id, after the conversation if two messages share the id."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._counts = Counter(entry.id for entry in entries)

    def name(self, entry: Entry) -> str:
        if self._counts[entry.id] == 1:
            return entry.id
        return f"{entry.conversation.instance}/{entry.conversation.phone}/{entry.id}"

    def of(self, entries: Iterable[Entry]) -> list[str]:
        return [self.name(entry) for entry in entries]


def _fate(entry: Entry, waiting: set[int]) -> Fate:
    if entry.answered_at_ms:
        return "answered"
    if entry.is_dead:
        return "dead_lettered"
    return "pending" if entry.rank in waiting else "lost"


def _latency(ledger: Ledger) -> Latency:
    first, last = [], []
    for batch in ledger.batches:
        arrivals = [entry.arrived_at_ms for entry in _entries_of(ledger, batch.conversation, batch.ids)]
        if batch.replied_at_ms is None or not arrivals:
            continue
        first.append(batch.replied_at_ms - min(arrivals))
        last.append(batch.replied_at_ms - max(arrivals))
    return Latency(first=quantiles(first), last=quantiles(last))


def _batch_record(batch: Batch) -> BatchRecord:
    record = BatchRecord(
        instance=batch.conversation.instance,
        phone=batch.conversation.phone,
        ids=list(batch.ids),
        trigger=batch.trigger,
        claimed_at_ms=batch.claimed_at_ms,
        due_at_ms=batch.due_at_ms,
        replied_at_ms=batch.replied_at_ms,
        ai_ms=list(batch.asked),
    )
    if batch.superseded_at_ms is not None:
        record["superseded_at_ms"] = batch.superseded_at_ms
    return record


def _ledger_entry(entry: Entry, fate: Fate) -> LedgerEntry:
    return LedgerEntry(
        instance=entry.conversation.instance,
        phone=entry.conversation.phone,
        id=entry.id,
        fate=fate,
        stored_at_ms=entry.stored_at_ms,
        claimed_at_ms=entry.claimed_at_ms,
        answered_at_ms=entry.answered_at_ms[0] if entry.answered_at_ms else None,
        lost_at_ms=entry.loss.get("at_ms") if fate == "lost" and entry.loss is not None else None,
        story=entry.story,
    )
