"""Steps of tests with an AI or a channel that fails."""

from __future__ import annotations

from collections.abc import Iterable

from queue_core import Batch, MessageQueue, QueueMessage
from queue_core.message import BackendKind
from queue_core.queue.outages import OutageSign
from tests.queue_core.queue.conftest import Clock

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
USERS = ("ali", "bea", "cem", "dia", "eva")


async def enqueue(queue: MessageQueue, users: Iterable[str], instance: str = "bot", number: int = 1) -> None:
    for user in users:
        name = f"{user}-{number}"
        await queue.enqueue(QueueMessage(id=name, instance_name=instance, user_phone=user, message=name))


async def claim(queue: MessageQueue, limit: int = 10) -> list[Batch]:
    return list((await queue.claim("p", limit=limit)).batches)


async def users_claimed(queue: MessageQueue, limit: int = 10) -> list[str]:
    return [batch.user_phone for batch in await claim(queue, limit)]


async def fail(
    queue: MessageQueue, batch: Batch, kind: BackendKind = "ai", *, took_ms: int = 100, counts: bool = False
) -> int:
    return await queue.fail(batch, "503", not_sent=not counts, sign=OutageSign(kind, took_ms, counts))


async def take_ai_away(queue: MessageQueue, clock: Clock, users: Iterable[str] = USERS) -> None:
    """Let the turns of all users become due, and fail because the AI is away."""
    await enqueue(queue, users)
    clock.now_ms += 8_000
    for batch in await claim(queue):
        await fail(queue, batch)


async def next_probe(queue: MessageQueue, clock: Clock) -> Batch:
    """Move the clock to the next moment at which something is due, and return the batch that is leased then."""
    for _ in range(10):
        claimed = await queue.claim("p", limit=10)
        if claimed.batches:
            (batch,) = claimed.batches
            return batch
        assert claimed.next_due_ms is not None
        assert claimed.next_due_ms > clock.now_ms, "a worker would claim again and again"
        clock.now_ms = claimed.next_due_ms
    raise AssertionError("nothing was leased")
