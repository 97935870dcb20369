"""A delayed job of BullMQ for each user: each message rewrites its data, and starts its delay anew.

Read in taskforcesh/bullmq 6.2.0: docs/gitbook/guide/jobs/deduplication.md; in src/commands addDelayedJob-6.lua and
includes/handleDuplicatedJob.lua (a job whose id exists is not added), updateData-1.lua, changeDelay-4.lua (an error
unless the job is delayed), moveStalledJobsToWait-9.lua (an active job whose lock ran out goes back, once);
src/interfaces/worker-options.ts (one job at a time, a lock of 30 s, a check of stalled jobs every 30 s).

The webhook is the usual one: `getJob`; if the job is delayed, `updateData` with the old messages and the new one, and
`changeDelay`; if it is active or failed, a job of another id; if there is none, `add`. Nothing holds them together.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, ClassVar, Literal

import msgspec
from redis.exceptions import RedisError

from queue_core.recording.format import Arrival
from reports.results.causes import Cause
from sim.engine.options import choice, count, duration
from sim.engine.system import WebhookFailedError
from sim.engine.world import AiError, ChannelError, World
from sim.systems.market.base import SOCKET_TIMEOUT_S, MarketSystem, conversation_of
from sim.witness.buffers import BufferedMessage
from sim.witness.custody import Message

LOCK_MS = 30_000
STALLED_CHECK_MS = 30_000
STALLED_MAX = 1
RECONNECT_MS = 1_000
"""Time after which a worker that could not take a job looks again."""
DELAYED = "bull:turns:delayed"
ADD = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'data', ARGV[1], 'state', 'delayed')
redis.call('ZADD', KEYS[2], ARGV[2], KEYS[1])
return 1
"""
UPDATE = """
local before = redis.call('HGET', KEYS[1], 'data')
if not before then return false end
redis.call('HSET', KEYS[1], 'data', ARGV[1])
return before
"""
"""Replaces the data. Returns what was there, which only the simulator needs to know."""
CHANGE_DELAY = """
if redis.call('ZREM', KEYS[2], KEYS[1]) == 0 then return 0 end
redis.call('ZADD', KEYS[2], ARGV[1], KEYS[1])
return 1
"""
START = """
local due = redis.call('ZSCORE', KEYS[2], KEYS[1])
if not due or tonumber(due) > tonumber(ARGV[1]) then return false end
redis.call('ZREM', KEYS[2], KEYS[1])
redis.call('HSET', KEYS[1], 'state', 'active')
return redis.call('HGET', KEYS[1], 'data')
"""
DELAY_AGAIN = """
redis.call('HSET', KEYS[1], 'state', 'delayed')
return redis.call('ZADD', KEYS[2], ARGV[1], KEYS[1])
"""
_DECODER = msgspec.json.Decoder(list[BufferedMessage])


@dataclass(frozen=True, slots=True)
class BullDelayOptions:
    """Settings of `bull-delay`."""

    delay_ms: int = duration("8s")
    """Delay of the job, which each message starts anew."""
    attempts: int = count(1, at_least=1)
    """Attempts of a job; then it is in the failed set. BullMQ's default is 1."""
    backoff_ms: int = duration("2s")
    """Wait before the second attempt; doubles with each further one."""
    concurrency: int = count(10, at_least=1)
    """Jobs that the worker handles at a time. BullMQ's default is 1, with which users wait for each other."""
    acknowledge: Literal["last", "first"] = choice("last", "first")
    """Moment at which the webhook answers: after the job was written, so that an error is seen, or before."""


@dataclass(slots=True)
class _Job:
    """Facts about a job that BullMQ keeps in Redis. They are kept here, as no race touches them."""

    messages: Sequence[BufferedMessage] = ()
    """Messages of a job that is active."""
    attempts: int = 0
    stalled: int = 0


class BullDelay(MarketSystem):
    """A webhook that rewrites a delayed job, and a worker that takes jobs when they are due."""

    name: ClassVar[str] = "bull-delay"
    order: ClassVar[int] = 170
    processes: ClassVar[Sequence[str]] = ("web", "worker")
    options_type: ClassVar[type[Any]] = BullDelayOptions
    options: BullDelayOptions
    left_cause = Cause(code="redis_failed")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._of_worker = world.redis.client("worker", socket_timeout=SOCKET_TIMEOUT_S)
        self._jobs: dict[str, _Job] = {}
        self._due: list[tuple[int, str]] = []
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(self.options.concurrency)

    async def start(self, process: str) -> None:
        """Start the worker, which finds the delayed jobs in Redis, and the jobs that it left active when it died."""
        if process == "worker":
            self._changed = asyncio.Event()
            self._slots = asyncio.Semaphore(self.options.concurrency)
            for job, facts in self._jobs.items():
                if facts.messages:
                    self.world.spawn(self._after_stall(job, facts), name="bull-delay stalled job")
            delayed = self.observer.peek("ZRANGE", DELAYED, 0, -1, "WITHSCORES")
            for name, due_ms in zip(delayed[::2], delayed[1::2], strict=True):
                self._look_at(name, int(due_ms))
            self.world.spawn_daemon(self._take_jobs(), name="bull-delay worker")

    def died(self, process: str) -> None:
        """Forget nothing: jobs lie in Redis, and the worker finds them again."""

    def at_rest(self) -> bool:
        """Return True when no job is delayed or active."""
        return not self._due and not any(facts.messages for facts in self._jobs.values())

    def held_by_redis(self, key: str) -> Container[Message]:
        """Return the messages of a job."""
        data = self.observer.peek("HGET", key, "data")
        return {message.identity for message in _DECODER.decode(data or b"[]")}

    async def webhook(self, arrival: Arrival) -> None:
        """Write the message into the user's job."""
        message = self.received(arrival)
        if self.options.acknowledge == "first":
            self.world.spawn(self._write_or_lose(message), name=f"bull-delay {message.id}")
        elif not await self._write(message):
            raise WebhookFailedError("unavailable")

    async def _write_or_lose(self, message: BufferedMessage) -> None:
        if not await self._write(message):
            key = self.key(conversation_of(message))
            self.custody.lose(key, [message.identity], Cause(code="job_started"))

    async def _write(self, message: BufferedMessage) -> bool:
        """Write the message into a job. Return False after an error."""
        try:
            return await self._into_job(message)
        except RedisError:
            return False

    async def _into_job(self, message: BufferedMessage) -> bool:
        """Write the message into the job if it is delayed, else into a new one. Return False after an error."""
        conversation = conversation_of(message)
        job = f"bull:turns:{self.key(conversation)}"
        data = await self.redis.hget(job, "data")
        if data is None:
            return await self._add(job, message)
        state = await self.redis.hget(job, "state")
        if state != b"delayed":
            return await self._add(f"{job}:{self.world.now_ms()}-{message.delivery}", message)
        messages = [*_DECODER.decode(data), message]
        before = await self.redis.eval(UPDATE, 1, job, msgspec.json.encode(messages))
        if before is None:
            return False
        written = {each.identity for each in messages}
        erased = [each.identity for each in _DECODER.decode(before) if each.identity not in written]
        self.custody.lose(job, erased, Cause(code="job_overwritten", writers=[message.id]))
        due_ms = self.world.now_ms() + self.options.delay_ms
        self._look_at(job, due_ms)
        changed = await self.redis.eval(CHANGE_DELAY, 2, job, DELAYED, str(due_ms))
        if not changed:
            return False
        self.custody.store(job, message.identity)
        return True

    async def _add(self, job: str, message: BufferedMessage) -> bool:
        """Add a delayed job. BullMQ ignores a job whose id exists, and says nothing."""
        due_ms = self.world.now_ms() + self.options.delay_ms
        self._look_at(job, due_ms)
        is_new = await self.redis.eval(ADD, 2, job, DELAYED, msgspec.json.encode([message]), str(due_ms))
        self.custody.store(job, message.identity)
        if not is_new:
            self.custody.lose(job, [message.identity], Cause(code="job_existed"))
        return True

    def _look_at(self, job: str, due_ms: int) -> None:
        """Have the worker look at a job at `due_ms`, and take it if it is due in Redis."""
        heappush(self._due, (due_ms, job))
        self._changed.set()

    async def _take_jobs(self) -> None:
        """Take each job when it is due, as a blocking command of the worker does."""
        while True:
            self._changed.clear()
            now_ms = self.world.env.now
            while self._due and self._due[0][0] <= now_ms:
                due_ms, job = heappop(self._due)
                self.world.spawn(self._work(job, due_ms), name=job)
            next_ms = self._due[0][0] if self._due else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if next_ms is None else (next_ms - now_ms) / 1000):
                    await self._changed.wait()

    async def _work(self, job: str, due_ms: int) -> None:
        """Take the job if it is still due, and answer its messages."""
        async with self._slots:
            try:
                messages = await self._start(job)
            except RedisError:  # perhaps the job is active by now, perhaps not
                self._look_at(job, self.world.now_ms() + RECONNECT_MS)
                facts = self._jobs.setdefault(job, _Job())
                self.world.spawn(self._after_stall(job, facts), name=f"{job} stalled")
                return
            if not messages:
                return
            facts = self._jobs.setdefault(job, _Job())
            facts.messages = messages
            try:
                await self.reply(job, messages, "timer", due_ms)
                del self._jobs[job]  # first, since a new job may have the name before the answer is here
                await self._of_worker.delete(job)
            except (AiError, ChannelError):
                await self._fail(job, facts)
            except RedisError:
                self._jobs[job] = facts
                self.world.spawn(self._after_stall(job, facts), name=f"{job} stalled")

    async def _start(self, job: str) -> Sequence[BufferedMessage]:
        """Make the job active; returns its messages as they are now, none if it is not due any more."""
        data = await self._of_worker.eval(START, 2, job, DELAYED, str(self.world.now_ms()))
        return () if data is None else _DECODER.decode(data)

    async def _fail(self, job: str, facts: _Job) -> None:
        """Try again later, or leave the job in the failed set, where people find it."""
        facts.attempts += 1
        if facts.attempts < self.options.attempts:
            await self._delay_again(job, facts, self.options.backoff_ms * 2 ** (facts.attempts - 1))
        else:
            await self._give_up(job, facts)

    async def _after_stall(self, job: str, facts: _Job) -> None:
        """Move the job back at the first check after its lock ran out, or give it up if it stalls again."""
        lock_ends_ms = self.world.env.now + LOCK_MS
        state = None
        while state is None:
            now_ms = self.world.env.now
            check_ms = math.ceil(max(now_ms + 1, lock_ends_ms) / STALLED_CHECK_MS) * STALLED_CHECK_MS
            await self.sleep(check_ms - now_ms)
            with contextlib.suppress(RedisError):
                state = await self._of_worker.hget(job, "state") or b"gone"
        if state != b"active":
            facts.messages = ()
            return
        facts.stalled += 1
        if facts.stalled > STALLED_MAX:
            facts.attempts += facts.stalled
            await self._give_up(job, facts)
        else:
            await self._delay_again(job, facts, 0)

    async def _delay_again(self, job: str, facts: _Job, wait_ms: int) -> None:
        due_ms = self.world.now_ms() + wait_ms
        with contextlib.suppress(RedisError):
            await self._of_worker.eval(DELAY_AGAIN, 2, job, DELAYED, str(due_ms))
        facts.messages = ()
        self._look_at(job, due_ms)

    async def _give_up(self, job: str, facts: _Job) -> None:
        with contextlib.suppress(RedisError):
            await self._of_worker.hset(job, "state", "failed")
        for message in facts.messages:
            self.world.ledger.dead_lettered(conversation_of(message), message.id, facts.attempts)
        facts.messages = ()
