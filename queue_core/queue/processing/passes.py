"""Pass of a worker: the batches that it has in progress, and what became of those that ended."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import dataclass, field

from queue_core.errors import QueueError
from queue_core.queue.processing.attempt import Attempt, Outcome
from queue_core.queue.processing.observing import ProcessingReport


@dataclass(slots=True, eq=False)
class Pass:
    """Batches in progress, and counts of those that ended. `run` makes one endless pass."""

    group: asyncio.TaskGroup
    patience_s: float = math.inf
    """Longest time to try to record the end of a batch in Redis; after that the batch is left to the next worker."""
    in_progress: dict[Attempt, asyncio.Task[Outcome]] = field(default_factory=dict)
    error: QueueError | None = None
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    messages: int = 0
    dead_lettered: int = 0

    def report(self, next_due_ms: int | None) -> ProcessingReport:
        """Return what became of the batches that ended."""
        return ProcessingReport(
            conversations=self.outcomes.total(),
            messages=self.messages,
            completed=self.outcomes["completed"],
            superseded=self.outcomes["superseded"],
            failed=self.outcomes["failed"],
            lost_leases=self.outcomes["lost"],
            handed_back=self.outcomes["handed back"],
            dead_lettered=self.dead_lettered,
            next_due_ms=next_due_ms,
        )
