"""Change of the number of partitions that is killed after any command, beside processes that go on calling."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Self

import pytest

from queue_core import MessageQueue, QueueSettings
from queue_core.queue.partitions import change as module
from queue_core.queue.partitions import noted, turns
from sim.engine.store.client import StoreClient
from tests.conftest import store_client
from tests.queue_core.queue.conftest import Clock
from tests.queue_core.queue.partitions.content import (
    check_process_refused,
    commands_that_copy,
    contents,
    fill,
)
from tests.queue_core.searches.planting import plant

NEVER = 10_000
"""Number of commands that no change reaches."""
BEFORE, AFTER = 2, 3
FROZEN = Clock()


class Filled(NamedTuple):
    """A store, the ids of its messages, commands that fill it again, and what it keeps."""

    redis: StoreClient
    ids: list[str]
    commands: list[tuple[Any, ...]]
    kept: dict[Any, Any]


class KilledError(Exception):
    """Raised by every command of a process that was killed."""


class Mortal(StoreClient):
    """Client of a process that is killed after some commands; before each, another process may do something."""

    left = NEVER
    commands = 0
    before_each: Callable[[], Awaitable[object]] | None = None

    @classmethod
    def beside(cls, other: StoreClient) -> Self:
        """Make one for the store of another client."""
        return cls(other._server, "mortal", random.Random(1))

    async def send(self, commands: Any) -> list[Any]:
        """Send commands one after the other, until this process is killed."""
        answers = []
        for command in commands:
            if self.before_each:
                await self.before_each()
            if self.left <= 0:
                raise KilledError
            self.left -= 1
            self.commands += 1
            answers += await super().send([command])
        return answers


class Lossy(Mortal):
    """Client whose requests or answers are lost now and then, so that commands are repeated."""

    rng = random.Random(0)

    async def send(self, commands: Any) -> list[Any]:
        """Send commands, unless they are lost."""
        is_lost, answer_is_lost = self.rng.random() < 0.01, self.rng.random() < 0.02
        if is_lost:
            raise ConnectionError
        answers = await super().send(commands)
        if answer_is_lost:
            raise ConnectionError
        return answers


@pytest.fixture(autouse=True)
def _few_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noted, "PARTITIONS_MAX", 5)
    monkeypatch.setattr(turns, "LOOK_S", 0.001)
    monkeypatch.setattr(module, "RETRY_S", 0)
    monkeypatch.setattr(module, "FAILURES_MAX", 1_000)


def process(redis: Any, partitions: int, clock: Clock) -> MessageQueue:
    """A process of a deployment."""
    rules = QueueSettings(partitions=partitions, lock_ttl_ms=50, lock_renew_ms=20, redis_deadline_ms=60_000)
    return MessageQueue(redis, rules, clock=clock, monotonic=clock.seconds, rng=random.Random(partitions))


async def change(redis: Mortal, clock: Clock) -> None:
    """Change the number, in a process of its own."""
    await process(redis, BEFORE, clock).partitions.change(AFTER).run(wait_s=10)


async def is_closed(redis: StoreClient) -> bool:
    """Return True if no process may work in any partition."""
    notes = [await redis.hget(f"wa:{{{number}}}:layout", "partitions") for number in range(5)]
    return set(notes) == {f"{BEFORE}>{AFTER}".encode()}


@pytest.fixture
async def filled(clock: Clock) -> Filled:
    """A store with conversations in many states."""
    redis = store_client()
    assert isinstance(redis, StoreClient)
    queue = process(redis, BEFORE, clock)
    stored = await fill(queue, clock)
    await queue.rescue()  # so that later ones change nothing
    return Filled(
        redis,
        [message.id for message in stored],
        await commands_that_copy(redis),
        await contents(redis, BEFORE),
    )


async def check_kill(filled: Filled, clock: Clock, *, after: int) -> bool:
    """Kill the change after some commands, let another run finish it, and compare. Return True if it was killed."""
    await filled.redis.flushall()
    await filled.redis.send(filled.commands)
    killed = Mortal.beside(filled.redis)
    killed.left = after
    was_killed = False
    while True:
        try:
            await change(killed, clock)
        except KilledError:
            was_killed = True
        else:
            break
        if await is_closed(filled.redis):
            for partitions in (BEFORE, AFTER, 5):
                other = process(filled.redis, partitions, clock)
                await other.rescue()
                await check_process_refused(other, f"{BEFORE} to {AFTER} partitions")
        killed = Mortal.beside(filled.redis)  # is never killed
    assert await contents(filled.redis, AFTER) == filled.kept
    assert not await filled.redis.keys("wa:{*}:hold"), "the queue is held for ever"
    return was_killed


@pytest.mark.parametrize("after", [5, 40, 90, 130, 160, 190])
async def test_a_change_that_is_killed_is_continued_and_becomes_complete(
    filled: Filled, clock: Clock, after: int
) -> None:
    assert await check_kill(filled, clock, after=after)


async def check_lost_answers(filled: Filled, clock: Clock, seed: int) -> None:
    """Change the number while requests and answers are lost; compare."""
    lossy = Lossy.beside(filled.redis)
    lossy.rng = random.Random(seed)
    await change(lossy, clock)
    assert await contents(filled.redis, AFTER) == filled.kept


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.soak) for n in range(2, 30))])
async def test_lost_requests_and_answers_do_no_harm(filled: Filled, clock: Clock, seed: int) -> None:
    await check_lost_answers(filled, clock, seed)


PLANTED = [
    pytest.param("unpack_bundles", "not number or number > last", "true", marks=pytest.mark.soak),
    ("hand_over", "tonumber(number) > arrived", "tonumber(number) > arrived + 1e18"),
]


@pytest.mark.parametrize(("script", "sound", "broken"), PLANTED)
async def test_a_planted_bug_is_noticed(
    filled: Filled, clock: Clock, monkeypatch: pytest.MonkeyPatch, script: str, sound: str, broken: str
) -> None:
    plant(monkeypatch, script, sound, broken)

    async def search() -> None:
        for after in range(100, 220, 3):
            await check_kill(filled, clock, after=after)

    with pytest.raises(AssertionError):
        await search()


class OldRelease:
    """Process of a release whose scripts do not ask everywhere whether they may work."""

    def __init__(self, redis: StoreClient, seed: int) -> None:
        self._redis: Any = redis
        self._rng = random.Random(seed)

    async def act(self) -> None:
        """Requeue a dead letter, give up a waiting message, or rescue, in any partition; or do nothing."""
        if self._rng.random() < 0.5:
            return
        base = f"wa:{{{self._rng.randrange(AFTER)}}}:"
        letters = await self._redis.xrange(f"{base}dead_letters", count=1)
        waiting = await self._redis.keys(f"{base.replace('{', '[{]')}msg_queue:*")
        if letters and self._rng.random() < 0.5:
            ((entry_id, fields),) = letters
            conversation = fields[b"conversation"].decode()
            await self._redis.rpush(f"{base}msg_queue:{conversation}", fields[b"message"])
            await self._redis.zadd(f"{base}active_queues", {conversation: 1})
            await self._redis.xdel(f"{base}dead_letters", entry_id)
        elif waiting and self._rng.random() < 0.5:
            key = self._rng.choice(waiting)
            if await self._redis.type(key) == b"list" and (element := await self._redis.lpop(key)):
                entry = {"conversation": key.split(b"msg_queue:")[1], "message": element, "reason": "old"}
                await self._redis.xadd(f"{base}dead_letters", entry)
        else:
            await process(self._redis, AFTER, FROZEN).rescue()


async def count_messages(redis: Any) -> Counter[bytes]:
    """Count all messages that wait or are dead letters."""
    counted: Counter[bytes] = Counter()
    for key in await redis.keys("*}:msg_queue:*"):
        if await redis.type(key) == b"list":
            counted.update(await redis.lrange(key, 0, -1))
    for key in await redis.keys("*}:dead_letters"):
        counted.update([fields[b"message"] for _, fields in await redis.xrange(key)])
    return counted


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(n, marks=pytest.mark.soak) for n in range(3, 100))]
)
async def test_no_message_is_lost_or_doubled_beside_an_old_release(
    filled: Filled, clock: Clock, seed: int
) -> None:
    before = await count_messages(filled.redis)
    for lock in await filled.redis.keys("*}:processing_lock:*"):
        await filled.redis.hdel(lock, "token")  # ends the lease, for which the change would wait
    await process(filled.redis, BEFORE, clock).holding.hold()
    old, rng = OldRelease(filled.redis, seed), random.Random(seed)
    left = rng.randrange(250)
    while True:
        mortal = Mortal.beside(filled.redis)
        mortal.left, mortal.before_each = left, old.act
        try:
            await change(mortal, clock)
            break
        except KilledError:
            left = NEVER
    assert await count_messages(filled.redis) == before


@pytest.mark.soak
@pytest.mark.parametrize("first", range(8))
async def test_a_change_that_is_killed_after_any_command_is_continued(
    filled: Filled, clock: Clock, first: int
) -> None:
    after = first
    while await check_kill(filled, clock, after=after):
        after += 8
    assert after > 100
