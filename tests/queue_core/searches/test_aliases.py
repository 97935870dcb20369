"""Search for messages lost or out of order when a user has two names: calls of several processes, in random order.

Users write under one or two names, providers deliver again, workers answer, fail and complete. At the end each message
was answered once, and in order: a message comes after all earlier ones of the names known to be its user's.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import Batch, LeaseLostError, MessageQueue, QueueMessage, QueueSettings
from queue_core.queue.precedence import Precedence
from queue_core.redis.scripts.loader import Call
from queue_core.redis.transport import Transport
from queue_core.waiting import cancel_all
from tests.conftest import store_client
from tests.queue_core.queue.conftest import Clock
from tests.queue_core.searches.planting import plant

USERS, PROCESSES, STEPS = 2, 3, 120
RUNS = 2_000 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 8
SEEDS_FOR_BUGS = range(32, 72)
"""Seeds of the runs in which a planted bug must be found; others may miss it."""
SETTINGS = {
    "window_ms": 1_000,
    "max_messages": 4,
    "max_batch": 10,
    "lock_ttl_ms": 60_000,
    "max_retry_count": 100,
}


class Turnstile(Transport):
    """Transport whose calls wait until the search lets one through."""

    def __init__(self, inner: Transport, waiting: list[asyncio.Event]) -> None:
        self._inner = inner
        self._waiting = waiting

    async def _pass(self) -> None:
        event = asyncio.Event()
        self._waiting.append(event)
        await event.wait()

    def gathered(self, call: Call[Any]) -> Awaitable[Any]:
        """Run a call when its turn comes."""
        return self.alone(call)

    async def alone(self, call: Call[Any]) -> Any:
        """Run a call when its turn comes."""
        await self._pass()
        return await self._inner.alone(call)

    async def load(self) -> None:
        """Do nothing: this server is known to run the scripts."""


class Search:
    """One random run."""

    def __init__(self, redis: Any, seed: int, partitions: int) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.waiting: list[asyncio.Event] = []
        settings = QueueSettings(partitions=partitions, **SETTINGS)  # type: ignore[arg-type]
        self.queues = [
            MessageQueue(redis, settings, clock=self.clock, rng=random.Random(number))
            for number in range(PROCESSES)
        ]
        self.worker = MessageQueue(redis, settings, clock=self.clock, rng=random.Random(seed))
        for queue in self.queues:
            turnstile = Turnstile(queue.transport, self.waiting)
            queue.transport = turnstile
            object.__setattr__(queue.aliases._access, "transport", turnstile)
        self.tasks: dict[asyncio.Task[Any], QueueMessage] = {}
        self.batches: list[Batch] = []
        self.stored: list[QueueMessage] = []
        self.answered: list[str] = []
        self.before: dict[str, set[str]] = {}
        """Ids that must be answered before a message, or with it."""
        self.links: set[frozenset[str]] = set()
        """Names that are known to be of one user."""

    def deliver(self) -> None:
        """Let a process store a new message, or a known one again, perhaps with fewer or more names."""
        user = self.rng.randrange(USERS)
        names = [f"20100000000{user}", f"10389000000{user}@lid"]
        given = self.rng.choice([names[:1], names[1:], names, names[::-1]])
        again = [earlier for earlier in self.stored if set(given) & set(_names(earlier))]
        is_again = bool(again) and self.rng.random() < 0.15
        message_id = self.rng.choice(again).id if is_again else f"m{len(self.before)}"
        message = QueueMessage(
            id=message_id,
            instance_name="bot",
            user_phone=given[0],
            message=str(user),
            message_data={
                "addresses": {("lid" if "@" in name else "phone"): name for name in given},
            },
        )
        if not is_again:
            known = set(given)
            for link in self.links:
                known |= link if link & known else set()
            self.before[message_id] = {earlier.id for earlier in self.stored if known & set(_names(earlier))}
        task = asyncio.ensure_future(self.rng.choice(self.queues).enqueue(message))
        self.tasks[task] = message

    async def let_one_through(self) -> None:
        """Let one call reach Redis, and note which messages are stored by then."""
        if self.waiting:
            self.waiting.pop(self.rng.randrange(len(self.waiting))).set()
        for _ in range(12):
            await asyncio.sleep(0)
        for task in [task for task in self.tasks if task.done()]:
            message, receipt = self.tasks.pop(task), task.result()
            assert receipt.status in ("queued", "duplicate")
            if message.id not in {earlier.id for earlier in self.stored}:
                self.stored.append(message)
            if receipt.status == "queued" and len(_names(message)) > 1:
                self.links.add(frozenset(_names(message)))

    async def work(self) -> None:
        """Let a worker take, finish or fail a turn."""
        self.clock.now_ms += self.rng.choice([0, 100, 700, 1_500])
        if self.batches and self.rng.random() < 0.6:
            batch = self.batches.pop(self.rng.randrange(len(self.batches)))
            if self.rng.random() < 0.2:
                await self.worker.fail(batch, "no luck", after_ms=self.rng.choice([0, 900]))
            else:
                await self.worker.complete(batch)
                self.finish(batch)
            return
        for number in range(len(self.worker.keys.partitions)):
            self.batches += (await self.worker.claim("p", limit=2, partition=number)).batches

    def finish(self, batch: Batch) -> None:
        """Note a turn that was answered, and check the order."""
        done = set(self.answered) | set(batch.ids)
        for message_id in batch.ids:
            late = self.before[message_id] - done
            assert not late, f"{message_id} was answered before {sorted(late)}"
        self.answered += batch.ids

    async def run(self) -> None:
        """Do random things, then let everything come to its end."""
        for _ in range(STEPS):
            if len(self.tasks) < PROCESSES and self.rng.random() < 0.35:
                self.deliver()
            if self.rng.random() < 0.3:
                await self.work()
            await self.let_one_through()
        while self.tasks:
            await self.let_one_through()
        for _ in range(2_000):
            if not self.batches and not await self.worker.depth():
                break
            await self.work()
        counts = Counter(self.answered)
        assert {message_id for message_id, count in counts.items() if count > 1} == set(), "answered twice"
        assert {message.id for message in self.stored} == set(counts), "lost"


def _names(message: QueueMessage) -> list[str]:
    return list(message.message_data["addresses"].values())


@pytest.fixture
async def store() -> Redis:
    return store_client()


async def search(store: Redis, partitions: int, seeds: Iterable[int]) -> None:
    """Search for a broken promise."""
    for seed in seeds:
        await store.flushall()
        run = Search(store, seed, partitions)
        try:
            await run.run()
        except (AssertionError, LeaseLostError) as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        finally:
            await cancel_all(list(run.tasks))


@pytest.mark.parametrize("partitions", [1, 5])
async def test_every_message_is_answered_once_and_in_order(store: Redis, partitions: int) -> None:
    await search(store, partitions, range(RUNS))


@pytest.mark.parametrize(
    ("script", "sound", "broken"),
    [
        ("aliases", "redis.call('EXISTS', place.queue, place.behind) > 0 or", "false and"),
        ("enqueue", "local target = follows == '1' and", "local target = false and"),
    ],
)
async def test_a_planted_bug_is_found(
    store: Redis, monkeypatch: pytest.MonkeyPatch, script: str, sound: str, broken: str
) -> None:
    plant(monkeypatch, script, sound, broken)
    with pytest.raises(AssertionError, match="was answered before"):
        await search(store, 5, SEEDS_FOR_BUGS)


async def test_a_conversation_that_does_not_wait_is_found(
    store: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def may_always_begin(*_: Any) -> bool:
        return True

    monkeypatch.setattr(Precedence, "may_begin", may_always_begin)
    with pytest.raises(AssertionError, match="was answered before"):
        await search(store, 5, SEEDS_FOR_BUGS)
