"""A script that Redis ends after any of its writes, such as for a missing right, loses no acknowledged message."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable

import pytest

from queue_core import Batch, MessageQueue, QueueError
from tests.conftest import store_client
from tests.queue_core.bot import message
from tests.queue_core.queue.conftest import Clock

WRITES_MAX = 60
USERS = ("ali", "mona")

Step = Callable[[MessageQueue, Batch], Awaitable[object]]

STEPS: dict[str, Step] = {
    "extend": lambda queue, batch: queue.extend(batch),
    "record_reply": lambda queue, batch: queue.record_reply(batch, " ".join(batch.ids)),
    "record_sent": lambda queue, batch: queue.record_sent(batch, parts=1),
    "complete": lambda queue, batch: queue.complete(batch),
    "fail": lambda queue, batch: queue.fail(batch, "no luck"),
    "fail for good": lambda queue, batch: queue.fail(batch, "no luck", dead=True),
    "release": lambda queue, batch: queue.release(batch),
    "claim": lambda queue, _: queue.claim("second"),
}


async def _answer_all(queue: MessageQueue, clock: Clock) -> set[str]:
    """Answer all turns for ten minutes, as one worker does, and return the ids of their messages."""
    answered: set[str] = set()
    for _ in range(200):
        clock.now_ms += 3_000
        for batch in (await queue.claim("third")).batches:
            reply = batch.reply or " ".join(batch.ids)
            if await queue.record_reply(batch, reply):
                answered |= set(reply.split())  # the user sees the recorded reply, whatever the batch holds
                await queue.complete(batch)
    return answered


@pytest.mark.parametrize("step", STEPS)
async def test_a_script_that_ends_after_any_write_loses_no_message(step: str) -> None:
    for writes in range(1, WRITES_MAX):
        redis, clock = store_client(), Clock()
        queue = MessageQueue(redis, clock=clock, monotonic=clock.seconds, rng=random.Random(1))
        for number in range(3):
            for phone in USERS:
                await queue.enqueue(message(f"{phone}{number}", phone))
        clock.now_ms += 8_000
        batches = (await queue.claim("first", limit=1)).batches
        batch = batches[0]
        for number in range(3, 6):
            for phone in USERS:
                await queue.enqueue(message(f"{phone}{number}", phone))
        if step in ("record_sent", "complete"):
            await queue.record_reply(batch, " ".join(batch.ids))
        done: set[str] = set(batch.ids) if step in ("record_sent", "complete") else set()

        store = redis._server.store  # type: ignore[attr-defined]  # of StoreClient
        store.abort_after(writes)
        with contextlib.suppress(QueueError):
            await STEPS[step](queue, batch)
        was_not_reached = store.abort_after(None)

        done |= await _answer_all(queue, clock)
        done |= {letter.message.id for letter in await queue.dead_letters() if letter.message}
        missing = {f"{phone}{number}" for phone in USERS for number in range(6)} - done
        assert not missing, f"{step} ended after {writes} writes: {missing} were lost"
        if was_not_reached:
            return
    pytest.fail(f"{step} writes more than {WRITES_MAX} times")
