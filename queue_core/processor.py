"""The worker: takes turns that are due from the queue, has them answered, sends the answers.

Duties of a Processor: claim what is due the moment it is due; keep the leases of what is in work; give each batch
to the handler, record the reply, send it, complete; turn every failure into a retry or a dead letter; on stop,
finish or hand back. It decides nothing about order, retries or who may work on what: Redis does.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from queue_core.doorbell import Doorbell
from queue_core.errors import GiveUpError, LeaseLostError, QueueError, QueueUnavailableError, RetryLaterError
from queue_core.message import Batch
from queue_core.queue import Claimed, MessageQueue
from queue_core.waiting import wait_for_event, within

Handler = Callable[[Batch], Awaitable[str | None]]
"""Answers a turn; None or "" is no reply. RetryLaterError and GiveUpError choose what follows, others are retried."""
Sender = Callable[[Batch, str], Awaitable[None]]
"""Brings a reply to the user. RetryLaterError and GiveUpError mean that it was not sent; other errors leave it open."""
Outcome = Literal["completed", "failed", "lost", "handed back"]

IDLE_S_MAX = 30.0
"""A worker looks at the index this often even if nothing ever rings."""
REDIS_RETRY_S = (0.05, 2.0)
"""Wait after Redis was not available: from, doubling, up to."""

_log = logging.getLogger(__name__)


class ProcessingReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one pass over all that was due came to."""

    conversations: int
    messages: int
    completed: int
    failed: int
    """Attempts that failed; their messages are tried again or are dead letters."""
    lost_leases: int
    handed_back: int
    dead_lettered: int
    """Messages that became dead letters in this pass."""
    next_due_ms: int | None
    """Unix ms of the next conversation that needs attention; None when nothing waits."""


@dataclass(slots=True, eq=False)
class _Attempt:
    """A batch in work. `stage` tells what a failure leaves open."""

    batch: Batch
    partition: int
    stage: Literal["handle", "send", "complete"] = "handle"
    lease_lost: bool = False
    is_owing: bool = False
    """What it did could not be written down, because Redis is away."""


class _RedisAwayError(Exception):
    """A pass waits no longer for Redis."""


@dataclass(slots=True)
class _Tally:
    """What a pass has come to so far. `run` is a pass without end."""

    patience_s: float = math.inf
    """What could not be written down for so long, because Redis is away, is left to the next worker."""
    error: QueueError | None = None
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    messages: int = 0
    dead_lettered: int = 0


class Processor:
    """Runs `handle` and `send` over everything that becomes due, up to `concurrency` conversations at once.

    Without `send` the handler does all itself, and a crash in it repeats all of it. `grace_s` is how long `stop`
    lets what is in work go on before it hands it back. `processor_id` must differ between processes.
    """

    def __init__(
        self,
        queue: MessageQueue,
        handle: Handler,
        send: Sender | None = None,
        *,
        processor_id: str | None = None,
        concurrency: int = 50,
        grace_s: float = 20.0,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}, must be at least 1")
        self.processor_id = processor_id or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.concurrency = concurrency
        self.grace_s = grace_s
        self._queue = queue
        self._settings = queue.settings
        self._handle = handle
        self._send = send
        self._in_work: dict[_Attempt, asyncio.Task[Outcome]] = {}
        self._slots_claimed_for = 0
        self._slot_freed = asyncio.Event()
        self._doorbells = [Doorbell(queue.redis, partition.wake) for partition in queue.keys.partitions]
        self._stopping = False
        self._tally = _Tally()

    @property
    def in_work(self) -> int:
        """Conversations being answered by this processor now."""
        return len(self._in_work)

    async def run(self) -> None:
        """Works until `stop`, once. Cancelling it hands back what is in work and ends at once."""
        self._tally = _Tally()
        async with self._working() as group:
            bells = [group.create_task(bell.listen(), name="queue-doorbell") for bell in self._doorbells]
            claimers = [
                group.create_task(self._claim_when_due(number, bell, group), name="queue-claim")
                for number, bell in enumerate(self._doorbells)
            ]
            await asyncio.wait(claimers)
            for bell in bells:
                bell.cancel()
            if self._in_work:
                _, late = await asyncio.wait(self._in_work.values(), timeout=self.grace_s)
                for task in late:
                    task.cancel()

    async def stop(self) -> None:
        """Claims no more; what is in work may finish for `grace_s`, then is handed back. `run` returns after that."""
        self._stopping = True
        self._slot_freed.set()
        for bell in self._doorbells:
            bell.rung.set()

    async def process_all_queues(self) -> ProcessingReport:
        """One pass over everything that is due now, for callers on a schedule. Not while `run` is running.

        Raises QueueUnavailableError when Redis went away, after what was claimed before has ended; what can then
        not be written down for the length of a lease is left to the next worker.
        """
        self._tally = tally = _Tally(patience_s=self._settings.lock_ttl_ms / 1000)
        next_due: list[int] = []
        async with self._working() as group:
            try:
                for number in range(len(self._doorbells)):
                    due = await self._claim_all_due(number, group)
                    next_due += [due] if due is not None else []
            except QueueError as error:
                tally.error = error
        if tally.error:
            raise tally.error
        return ProcessingReport(
            conversations=tally.outcomes.total(),
            messages=tally.messages,
            completed=tally.outcomes["completed"],
            failed=tally.outcomes["failed"],
            lost_leases=tally.outcomes["lost"],
            handed_back=tally.outcomes["handed back"],
            dead_lettered=tally.dead_lettered,
            next_due_ms=min(next_due, default=None),
        )

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[asyncio.TaskGroup]:
        """A group for batches in work. Leaves when all have ended; until then their leases are kept."""
        try:
            async with asyncio.TaskGroup() as group:
                renew = group.create_task(self._renew_leases(), name="queue-renew-leases")
                yield group
                while self._in_work:
                    await asyncio.wait(self._in_work.values())
                renew.cancel()
        finally:
            # A task that is cancelled before its first step never takes it.
            unbegun, self._in_work = self._in_work, {}
            await asyncio.gather(*(self._hand_back(attempt) for attempt in unbegun))

    # Claiming.

    async def _claim_all_due(self, partition: int, group: asyncio.TaskGroup) -> int | None:
        """Starts everything that is due when it begins. Returns when the partition next needs attention."""
        began_ms = None
        while True:
            await self._free_slot()
            claimed = await self._claim(partition, group)
            if began_ms is None:
                began_ms = claimed.now_ms
            if claimed.next_due_ms is None or claimed.next_due_ms > began_ms or self._stopping:
                return claimed.next_due_ms

    async def _claim_when_due(self, partition: int, bell: Doorbell, group: asyncio.TaskGroup) -> None:
        pause_s = REDIS_RETRY_S[0]
        is_unanswered = False
        while not self._stopping:
            bell.rung.clear()
            try:
                claimed = await self._claim(partition, group)
            except QueueError as error:
                is_unanswered = True
                _log.warning("cannot claim, trying again in %.2f s: %s", pause_s, error)
                await wait_for_event(bell.rung, pause_s)
                pause_s = min(pause_s * 2, REDIS_RETRY_S[1])
            else:
                is_unanswered = False
                pause_s = REDIS_RETRY_S[0]
                if claimed.next_due_ms is None:
                    await wait_for_event(bell.rung, IDLE_S_MAX)
                elif claimed.next_due_ms > claimed.now_ms:
                    await wait_for_event(
                        bell.rung, min((claimed.next_due_ms - claimed.now_ms) / 1000, IDLE_S_MAX)
                    )
            await self._what_is_owed(partition)
            await self._free_slot()
        if is_unanswered:
            await self._hand_back_unanswered(partition)

    async def _claim(self, partition: int, group: asyncio.TaskGroup) -> Claimed:
        """One claim for this partition's share of the free slots; starts what it brought.

        Cancelled, it still waits for the answer: leases that nobody knows of could not be handed back.
        """
        limit = -(-self._free_slots() // len(self._doorbells))
        claim = asyncio.ensure_future(self._queue.claim(self.processor_id, limit=limit, partition=partition))
        self._slots_claimed_for += limit
        try:
            claimed = await asyncio.shield(claim)
        except asyncio.CancelledError:
            try:
                await self._hand_back_all(await claim)
            except QueueError:
                await self._hand_back_unanswered(partition)
            raise
        finally:
            self._slots_claimed_for -= limit
            self._slot_freed.set()
        self._tally.dead_lettered += claimed.given_up
        if self._stopping:
            await self._hand_back_all(claimed)
        else:
            for batch in claimed.batches:
                attempt = _Attempt(batch, partition)
                self._tally.messages += len(batch.messages)
                self._in_work[attempt] = group.create_task(self._work(attempt), name="queue-batch")
        return claimed

    async def _hand_back_unanswered(self, partition: int) -> None:
        """The leases of a claim whose answer was lost, if Redis is there to tell."""
        try:
            await self._hand_back_all(
                await self._queue.claim(self.processor_id, limit=0, partition=partition)
            )
        except QueueError as error:
            _log.warning("what the last claim leased, if anything, runs out by itself: %s", error)

    async def _hand_back_all(self, claimed: Claimed) -> None:
        await asyncio.gather(*(self._hand_back(_Attempt(batch, 0)) for batch in claimed.batches))

    async def _what_is_owed(self, partition: int) -> None:
        """After Redis was away, a lease of ours may have run out: end it before a claim takes it over."""
        while not self._stopping:
            owing = [
                task
                for attempt, task in self._in_work.items()
                if attempt.is_owing and attempt.partition == partition
            ]
            if not owing:
                return
            await asyncio.wait(owing, timeout=REDIS_RETRY_S[0])

    def _free_slots(self) -> int:
        return max(0, self.concurrency - len(self._in_work) - self._slots_claimed_for)

    async def _free_slot(self) -> None:
        """Returns when there is one, or on stop."""
        while self._free_slots() == 0 and not self._stopping:
            self._slot_freed.clear()
            await self._slot_freed.wait()

    # Working on one batch.

    async def _work(self, attempt: _Attempt) -> Outcome:
        outcome: Outcome = "lost"
        try:
            outcome = await self._attempt(attempt)
        except asyncio.CancelledError:
            if not attempt.lease_lost:
                outcome = await self._hand_back(attempt)
                raise
        finally:
            del self._in_work[attempt]
            self._tally.outcomes[outcome] += 1
            self._slot_freed.set()
        return outcome

    async def _attempt(self, attempt: _Attempt) -> Outcome:
        batch = attempt.batch
        try:
            await self._answer(attempt)
        except (LeaseLostError, _RedisAwayError) as error:
            _log.warning("lease %d is left alone in stage %r: %s", batch.token, attempt.stage, error)
            return "lost"
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled us: the handler let the cancellation of something of its own through.
            reason = f"{attempt.stage}: CancelledError, raised by itself"
            return await self._failed(attempt, reason, not_sent=attempt.stage == "handle")
        except RetryLaterError as error:
            return await self._failed(attempt, str(error), not_sent=True, after_ms=error.after_ms)
        except GiveUpError as error:
            return await self._failed(attempt, str(error), not_sent=True, dead=True)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises ends in a retry or a dead letter
            reason = f"{attempt.stage}: {type(error).__name__}: {error}"
            return await self._failed(attempt, reason, not_sent=attempt.stage == "handle")
        return "completed"

    async def _answer(self, attempt: _Attempt) -> None:
        """Handle, record, send, complete; a reply recorded by an earlier attempt is only sent."""
        batch = attempt.batch
        reply = batch.reply
        if reply is None:
            reply = await within(self._settings.handler_timeout_ms, self._handle(batch))
            if reply and self._send:
                await self._persist(attempt, lambda: self._queue.record_reply(batch, reply))
        elif batch.send_state == "unsure" and self._settings.unsure_sends == "dead-letter":
            raise GiveUpError("the reply may have been sent before a crash (unsure_sends = dead-letter)")
        if reply and self._send and batch.send_state != "sent":
            attempt.stage = "send"
            await within(self._settings.send_timeout_ms, self._send(batch, reply))
        attempt.stage = "complete"
        await self._persist(attempt, lambda: self._queue.complete(batch))

    async def _failed(
        self,
        attempt: _Attempt,
        reason: str,
        *,
        not_sent: bool,
        dead: bool = False,
        after_ms: int | None = None,
    ) -> Outcome:
        batch = attempt.batch
        _log.warning("attempt %d of lease %d failed in stage %r", batch.attempt, batch.token, attempt.stage)

        async def fail() -> None:
            self._tally.dead_lettered += await self._queue.fail(
                batch, reason, dead=dead, not_sent=not_sent, after_ms=after_ms
            )

        try:
            await self._persist(attempt, fail)
        except (LeaseLostError, _RedisAwayError):
            return "lost"
        except QueueError:
            _log.exception("lease %d could not be ended; it runs out by itself", batch.token)
            return "lost"
        return "failed"

    async def _hand_back(self, attempt: _Attempt) -> Outcome:
        """Cancelled: another worker goes on, at once. What was sent already is completed instead."""
        batch = attempt.batch
        try:
            if attempt.stage == "complete":
                await self._queue.complete(batch)
                return "completed"
            # Of a reply that an earlier attempt recorded, this one knows nothing.
            await self._queue.release(batch, not_sent=attempt.stage == "handle" and batch.reply is None)
        except QueueError as error:
            _log.warning("lease %d could not be handed back, it runs out by itself: %s", batch.token, error)
            return "lost"
        return "handed back"

    async def _persist(self, attempt: _Attempt, step: Callable[[], Awaitable[None]]) -> None:
        """What is done must be written down: tries until Redis is back or the lease is lost."""
        clock = asyncio.get_running_loop().time
        latest = clock() + self._tally.patience_s
        pause_s = REDIS_RETRY_S[0]
        try:
            while True:
                try:
                    return await step()
                except QueueUnavailableError as error:
                    attempt.is_owing = True
                    if clock() > latest:
                        self._tally.error = error
                        raise _RedisAwayError(str(error)) from error
                    _log.warning("trying again in %.2f s: %s", pause_s, error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, REDIS_RETRY_S[1])
        finally:
            attempt.is_owing = False

    # Leases.

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lock_renew_ms / 1000)
            await asyncio.gather(*(self._renew(attempt) for attempt in tuple(self._in_work)))

    async def _renew(self, attempt: _Attempt) -> None:
        try:
            await self._queue.extend(attempt.batch)
        except LeaseLostError:
            if task := self._in_work.get(attempt):
                attempt.lease_lost = True
                task.cancel()
        except QueueError as error:
            _log.warning("lease %d could not be renewed: %s", attempt.batch.token, error)
