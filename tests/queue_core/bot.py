"""A bot for tests: an AI and a send API that note what they are asked, and the ledger that must close at the end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from queue_core import Batch, MessageQueue, Processor, QueueMessage, QueueSettings, Receipt
from queue_core.redis.link_transport import LinkTransport
from queue_core.redis.runner import ScriptRunner
from queue_core.redis.scripts.loader import text
from queue_core.redis_server.binaries import find_all_redis_servers
from tests.queue_core.searches.observed import check_lifetimes, check_nobody_is_stranded, observe

PATIENCE_S = 20.0
"""Limit for what takes milliseconds on an idle machine: only a bug exceeds it. It is below the 30 s after which a
worker looks at the index even if nothing woke it."""
Hook = Callable[[Batch], Awaitable[None]]


def _newest_server() -> str:
    newest = max(find_all_redis_servers(), key=lambda binary: binary.rank, default=None)
    return f"redis-{newest.version.rpartition('.')[0]}" if newest else "no-redis-server"


on_newest = pytest.mark.parametrize("redis_client", [_newest_server()], indirect=True)
"""Mark of a test in which the version of Redis does not matter: `redis_client` is the newest only."""


def transport_of(queue: MessageQueue) -> LinkTransport | ScriptRunner:
    """Return the transport that a queue made for itself."""
    assert isinstance(queue.transport, LinkTransport | ScriptRunner)
    return queue.transport


def quick(**changes: int | str) -> QueueSettings:
    """Make settings with a turn due in 20 ms, a retry in 10 ms, and leases that a busy machine keeps."""
    values: dict[str, int | str] = {
        "window_ms": 20,
        "backoff_base_ms": 10,
        "backoff_max_ms": 20,
        "lock_ttl_ms": 4_000,
        "lock_renew_ms": 500,
        "redis_deadline_ms": 2_000,
    }
    return QueueSettings(**(values | changes))  # type: ignore[arg-type]  # each is checked by the settings


def message(message_id: str, phone: str = "201000000001", *, timestamp: int = 0) -> QueueMessage:
    """Make a message of a user of the bot."""
    return QueueMessage(
        id=message_id,
        instance_name="bot",
        user_phone=phone,
        message=f"text {message_id}",
        timestamp=timestamp,
    )


async def enqueue(queue: MessageQueue, ids: Iterable[str], phone: str = "201000000001") -> list[Receipt]:
    """Enqueue messages, in order and in one pipeline: a window does not end between them."""
    return await asyncio.gather(*(queue.enqueue(message(message_id, phone)) for message_id in ids))


async def eventually(is_so: Callable[[], object], what: str, *, within_s: float = PATIENCE_S) -> None:
    """Wait until `is_so` is true; fail if it is not in time."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.002)


async def happens(event: asyncio.Event) -> None:
    """Wait for an event, up to PATIENCE_S."""
    async with asyncio.timeout(PATIENCE_S):
        await event.wait()


class Bot:
    """The handler and the sender. `on_handle` and `on_send` run before each has done its work."""

    def __init__(self, on_handle: Hook | None = None, on_send: Hook | None = None) -> None:
        self.on_handle = on_handle
        self.on_send = on_send
        self.asked: list[Batch] = []
        """Batches that the AI was asked about."""
        self.answered: list[Batch] = []
        """Batches that the AI gave an answer to."""
        self.sent: list[tuple[Batch, str]] = []
        """Batches and replies that the user saw."""
        self.at_once = 0
        self.at_once_max = 0
        self.overlaps: list[str] = []
        """Conversations with two handlers at work in the same moment."""
        self._busy: Counter[str] = Counter()

    async def handle(self, batch: Batch) -> str | None:
        """Answer with the ids."""
        self.asked.append(batch)
        self._busy[batch.user_phone] += 1
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        if self._busy[batch.user_phone] > 1:
            self.overlaps.append(batch.user_phone)
        try:
            if self.on_handle:
                await self.on_handle(batch)
        finally:
            self._busy[batch.user_phone] -= 1
            self.at_once -= 1
        self.answered.append(batch)
        return "re " + " ".join(batch.ids)

    async def send(self, batch: Batch, reply: str) -> None:
        """Show the user the reply."""
        if self.on_send:
            await self.on_send(batch)
        self.sent.append((batch, reply))

    @property
    def asked_ids(self) -> list[tuple[str, ...]]:
        """The ids of each batch that the AI was asked about."""
        return [batch.ids for batch in self.asked]

    @property
    def sent_ids(self) -> list[str]:
        """Each id that the user got a reply to, as often as he got it: by the reply, not by the batch."""
        return [message_id for _, reply in self.sent for message_id in reply.split()[1:]]


@asynccontextmanager
async def running(*processors: Processor) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run processors, and stop them at the end; what `run` raises fails the test."""
    tasks = [asyncio.create_task(processor.run()) for processor in processors]
    try:
        yield tasks
    finally:
        for processor in processors:
            await processor.stop()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*tasks)


async def at_rest(queue: MessageQueue) -> None:
    """Wait until nothing is left in the queue."""
    deadline = time.monotonic() + PATIENCE_S
    while await queue.depth():
        assert time.monotonic() < deadline, f"still waiting: {await queue.active_conversations()}"
        await asyncio.sleep(0.01)


async def claimed_batch(queue: MessageQueue, processor_id: str = "other") -> Batch:
    """Claim the next batch that becomes due."""
    deadline = time.monotonic() + PATIENCE_S
    while not (claimed := await queue.claim(processor_id)).batches:
        assert time.monotonic() < deadline, f"nothing is due: {await queue.active_conversations()}"
        await asyncio.sleep(0.005)
    return claimed.batches[0]


_RUN_OUT = """
local holder = redis.call('HGET', KEYS[1], 'processorId')
if holder and (ARGV[2] == '' or ARGV[2] == holder) then
  redis.call('HSET', KEYS[1], 'expiresAt', '0')
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
end
"""
"""Script, so that a turn that ends meanwhile is not put back into the index."""


async def let_leases_run_out(queue: MessageQueue, *, holder: str = "") -> None:
    """Let all leases run out, as if their workers had died and others had looked on for as long as a lease lasts.

    With `holder`, only the leases of that worker.
    """
    for partition in queue.keys.partitions:
        await queue.claim("looks on", limit=0)
        for conversation in map(text, await queue.redis.zrange(partition.active, 0, -1)):
            lock = f"{partition.base}processing_lock:{conversation}"
            await queue.redis.eval(_RUN_OUT, 2, lock, partition.active, conversation, holder)
        await queue.redis.hset(partition.looks, "since", "0")


async def check_ledger(
    queue: MessageQueue,
    accepted: Iterable[str],
    sent: Iterable[str],
    *,
    may_repeat: Iterable[str] = (),
    unsure: Iterable[str] = (),
) -> None:
    """Assert accepted = answered + dead + unfinished, each once, nobody stranded, and right lifetimes of keys.

    `may_repeat`: ids whose reply may have been sent twice. `unsure`: ids whose enqueue raised in the end.
    """
    snapshot = await observe(queue)
    unfinished = [it.id for messages in snapshot.lists.values() for it in messages]
    dead = [letter.message.id if letter.message else letter.raw for letter in snapshot.dead]
    answered = list(sent)
    twice = {it for it, times in Counter(answered).items() if times > 1} - set(may_repeat)
    assert not twice, f"answered more than once: {sorted(twice)}"
    places = Counter(dead) + Counter(unfinished) + Counter(set(answered))
    strangers = set(places) - set(accepted) - set(unsure)
    assert not strangers, f"nobody sent {sorted(strangers)}"
    wrong = {it: places[it] for it in accepted if places[it] != 1 and it not in set(may_repeat)}
    assert not wrong, f"these are in so many places, not in one: {wrong}"
    lost = set(accepted) - set(places)
    assert not lost, f"lost: {sorted(lost)}"
    check_nobody_is_stranded(snapshot)
    check_lifetimes(snapshot, queue.settings.prefix)
