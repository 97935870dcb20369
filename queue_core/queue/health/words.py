"""Sentences of a health report that depend on several facts. Each says what to do, where something can be done."""

from __future__ import annotations

from queue_core.durations import age
from queue_core.queue.outages import Outage
from queue_core.queue.upkeep.inspection import Sizes
from queue_core.redis.nodes.refusals import ForeignServerError
from queue_core.redis.runner import explain
from queue_core.settings import QueueSettings
from queue_core.text import quantity

DEAD_LETTERS_SHARES = (0.9, 0.5)
"""Shares of the room for dead letters above which a warning names the share."""


def words_of_away(name: str, failure: Exception | None) -> str:
    """Return words on a primary that cannot be used, or is not known, and what to do."""
    if failure is None:
        return "no primary is known: start the servers again, each with its own data"
    if isinstance(failure, ForeignServerError):
        return str(failure)
    return (
        f"{name} is away ({explain(failure)}), and no replica has taken over: start this node again, with its own "
        "data, or let a replica take over (CLUSTER FAILOVER TAKEOVER)"
    )


def words_of_dead_letters(sizes: Sizes, settings: QueueSettings) -> str:
    """Return words on dead letters: how much of their room they take, and what to do."""
    words, is_shared = quantity(sizes.dead_letters, "dead letter"), settings.partitions > 1
    if sizes.dead_letters_share >= 1:
        used_up = "a partition has used up its share of" if is_shared else "no room for more within"
        return (
            f"{words}, and {used_up} dead_letters_max ({settings.dead_letters_max:,}): a message that fails now stays "
            "in its conversation and holds up the messages after it. Requeue or drop some (see `dead list`), or raise "
            "dead_letters_max. With DEAD_LETTERS_FILE set, the monitor moves the oldest into that file: check that it "
            "runs"
        )
    passed = next((limit for limit in DEAD_LETTERS_SHARES if sizes.dead_letters_share >= limit), None)
    room = "a partition's share of dead_letters_max" if is_shared else "dead_letters_max"
    part = f", over {passed:.0%} of {room}" if passed else ""
    return f"{words}{part}: see `dead list`, then requeue or drop"


def words_of_outage(outage: Outage, now_ms: int, settings: QueueSettings) -> str:
    """Return words on a backend that is away or came back."""
    waiting = quantity(outage.waiting, "conversation")
    if not outage.is_away:
        return f"{outage.name} is back; the waiting turns are answered step by step, still waiting: {waiting}"
    outlook = (
        f"waiting for it: {waiting}. Their messages are answered when it is back, or become dead letters after "
        f"{age(settings.outage_patience_s * 1000)}"
        if outage.waiting
        else "no turn waits for it, so the next turn tries it"
    )
    return f"{outage.name} has been away for {age(now_ms - outage.since_ms)}; {outlook}. Its last error: {outage.error}"
