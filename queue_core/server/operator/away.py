"""Partitions that a command leaves out while primaries of a cluster are away."""

from __future__ import annotations

from queue_core.queue.health.health import examine_primaries
from queue_core.queue.message_queue import MessageQueue


async def without_away_partitions(queue: MessageQueue) -> tuple[MessageQueue, tuple[str, ...]]:
    """Return the queue without the partitions whose primaries are away, and words on each of these primaries.

    Raises NewerLayoutError or PartitionsError if this process cannot use the other partitions.
    """
    report = await examine_primaries(queue)
    if not report.away_partitions:
        return queue, ()
    part = queue.without(report.away_partitions)
    await part.check_layout()
    return part, report.errors
