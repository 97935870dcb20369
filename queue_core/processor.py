"""The worker: takes turns that are due from the queue, has them answered, sends the answers.

Duties of a Processor: claim what is due the moment it is due; keep the leases of what is in work; give each batch
to the handler, record the reply, send it, complete; turn every failure into a retry or a dead letter; on stop,
finish or hand back. It decides nothing about order, retries or who may work on what: Redis does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from queue_core.doorbell import Doorbell
from queue_core.errors import GiveUpError, LeaseLostError, QueueError, QueueUnavailableError, RetryLaterError
from queue_core.message import Batch
from queue_core.queue import MessageQueue

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


@dataclass(slots=True)
class _Attempt:
    """A batch in work. `stage` tells what a failure leaves open."""

    batch: Batch
    stage: Literal["handle", "send", "complete"] = "handle"
    lease_lost: bool = False
    task: asyncio.Task[Outcome] | None = None


@dataclass(slots=True)
class _Tally:
    """Counts of a pass while it runs."""

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
        self._in_work: dict[int, _Attempt] = {}
        self._doorbells = [Doorbell(queue.redis, partition.wake) for partition in queue.keys.partitions]
        self._stopping = asyncio.Event()
        self._tally = _Tally()

    @property
    def in_work(self) -> int:
        """Conversations being answered by this processor now."""
        return len(self._in_work)

    async def run(self) -> None:
        """Works until `stop`, once. Cancelling it hands back what is in work and ends at once."""
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(self._renew_leases(), name="queue-renew-leases")]
            background += [
                group.create_task(bell.listen(), name="queue-doorbell") for bell in self._doorbells
            ]
            claimers = [
                group.create_task(self._claim_when_due(number, bell, group), name="queue-claim")
                for number, bell in enumerate(self._doorbells)
            ]
            await self._stopping.wait()
            await asyncio.wait(claimers)
            await self._finish_or_hand_back()
            for task in background:
                task.cancel()

    async def stop(self) -> None:
        """Claims no more; what is in work may finish for `grace_s`, then is handed back. `run` returns after that."""
        self._stopping.set()
        for bell in self._doorbells:
            bell.rung.set()

    async def process_all_queues(self) -> ProcessingReport:
        """One pass over everything that is due now, for callers on a schedule. Not while `run` is running.

        Raises QueueUnavailableError when Redis went away, after what was claimed before has ended.
        """
        self._tally = tally = _Tally()
        next_due: list[int] = []
        unavailable: QueueError | None = None
        async with asyncio.TaskGroup() as group:
            renew = group.create_task(self._renew_leases(), name="queue-renew-leases")
            try:
                for number in range(len(self._doorbells)):
                    due = await self._claim_all_due(number, group)
                    next_due += [due] if due is not None else []
            except QueueError as error:
                unavailable = error
            while self._in_work:
                await asyncio.wait(self._tasks())
            renew.cancel()
        if unavailable:
            raise unavailable
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

    # Claiming.

    async def _claim_all_due(self, partition: int, group: asyncio.TaskGroup) -> int | None:
        """Starts everything that is due when it begins. Returns when the partition next needs attention."""
        began_ms = None
        while True:
            if self._free_slots() == 0:
                await asyncio.wait(self._tasks(), return_when=asyncio.FIRST_COMPLETED)
            claimed = await self._queue.claim(
                self.processor_id, limit=self._free_slots(), partition=partition
            )
            self._tally.dead_lettered += claimed.given_up
            for batch in claimed.batches:
                self._start(batch, group)
            began_ms = began_ms or claimed.now_ms
            if claimed.next_due_ms is None or claimed.next_due_ms > began_ms:
                return claimed.next_due_ms

    async def _claim_when_due(self, partition: int, bell: Doorbell, group: asyncio.TaskGroup) -> None:
        pause_s = REDIS_RETRY_S[0]
        while not self._stopping.is_set():
            bell.rung.clear()
            if self._free_slots() == 0:
                await bell.rung.wait()
                continue
            try:
                claimed = await self._queue.claim(
                    self.processor_id, limit=self._free_slots(), partition=partition
                )
            except QueueError as error:
                _log.warning("cannot claim, trying again in %.2f s: %s", pause_s, error)
                await _wait(bell.rung, pause_s)
                pause_s = min(pause_s * 2, REDIS_RETRY_S[1])
                continue
            pause_s = REDIS_RETRY_S[0]
            self._tally.dead_lettered += claimed.given_up
            for batch in claimed.batches:
                self._start(batch, group)
            if claimed.next_due_ms is None:
                await _wait(bell.rung, IDLE_S_MAX)
            elif claimed.next_due_ms > claimed.now_ms:
                await _wait(bell.rung, min((claimed.next_due_ms - claimed.now_ms) / 1000, IDLE_S_MAX))

    def _free_slots(self) -> int:
        return max(0, self.concurrency - len(self._in_work))

    def _start(self, batch: Batch, group: asyncio.TaskGroup) -> None:
        attempt = _Attempt(batch)
        self._in_work[batch.token] = attempt
        self._tally.messages += len(batch.messages)
        attempt.task = group.create_task(self._work(attempt), name="queue-batch")

    def _tasks(self) -> list[asyncio.Task[Outcome]]:
        return [attempt.task for attempt in self._in_work.values() if attempt.task]

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
            was_full = self._free_slots() == 0
            del self._in_work[attempt.batch.token]
            self._tally.outcomes[outcome] += 1
            if was_full:
                for bell in self._doorbells:
                    bell.rung.set()
        return outcome

    async def _attempt(self, attempt: _Attempt) -> Outcome:
        batch = attempt.batch
        try:
            await self._answer(attempt)
        except LeaseLostError:
            _log.warning(
                "lease %d lost while in stage %r; left to its new holder", batch.token, attempt.stage
            )
            return "lost"
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
            async with asyncio.timeout(self._settings.handler_timeout_ms / 1000):
                reply = await self._handle(batch)
            if reply and self._send:
                await self._persist(lambda: self._queue.record_reply(batch, reply))
        elif batch.send_state == "unsure" and self._settings.unsure_sends == "dead-letter":
            raise GiveUpError("the reply may have been sent before a crash (unsure_sends = dead-letter)")
        if reply and self._send and batch.send_state != "sent":
            attempt.stage = "send"
            async with asyncio.timeout(self._settings.send_timeout_ms / 1000):
                await self._send(batch, reply)
        attempt.stage = "complete"
        await self._persist(lambda: self._queue.complete(batch))

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
            await self._persist(fail)
        except LeaseLostError:
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
            await self._queue.release(batch, not_sent=attempt.stage == "handle")
        except QueueError as error:
            _log.warning("lease %d could not be handed back, it runs out by itself: %s", batch.token, error)
            return "lost"
        return "handed back"

    async def _persist(self, step: Callable[[], Awaitable[None]]) -> None:
        """What is done must be written down: tries until Redis is back or the lease is lost."""
        pause_s = REDIS_RETRY_S[0]
        while True:
            try:
                return await step()
            except QueueUnavailableError as error:
                _log.warning("trying again in %.2f s: %s", pause_s, error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, REDIS_RETRY_S[1])

    # Leases and the end.

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lock_renew_ms / 1000)
            await asyncio.gather(*(self._renew(attempt) for attempt in tuple(self._in_work.values())))

    async def _renew(self, attempt: _Attempt) -> None:
        try:
            await self._queue.extend(attempt.batch)
        except LeaseLostError:
            if attempt.task and self._in_work.get(attempt.batch.token) is attempt:
                attempt.lease_lost = True
                attempt.task.cancel()
        except QueueError as error:
            _log.warning("lease %d could not be renewed: %s", attempt.batch.token, error)

    async def _finish_or_hand_back(self) -> None:
        if not self._in_work:
            return
        _, late = await asyncio.wait(self._tasks(), timeout=self.grace_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass
