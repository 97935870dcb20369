"""Worker: claims turns that are due, has them answered, and sends the replies.

Duties of a Processor: claim conversations the moment they are due; renew the leases of batches in progress; give each
batch its attempt (`attempt.py`: handle, record, send, complete, or a retry or a dead letter); on stop, finish or hand
back. Order, retries and who may work on what are decided in Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from queue_core.errors import LeaseLostError, QueueError, QueueUnavailableError
from queue_core.message import Batch
from queue_core.queue.message_queue import Claimed, MessageQueue
from queue_core.queue.outages import OutageNews
from queue_core.queue.processing.attempt import REDIS_RETRY_S, Attempt, Attempts, Outcome
from queue_core.queue.processing.doorbell import doorbells
from queue_core.queue.processing.observing import ProcessingObserver, ProcessingReport
from queue_core.queue.processing.passes import Pass
from queue_core.queue.processing.renewals import Renewals
from queue_core.queue.replying import Handler, Sender
from queue_core.queue.watch import Watch, watch_of
from queue_core.waiting import wait_for_event

__all__ = ["Handler", "Outcome", "ProcessingObserver", "ProcessingReport", "Processor", "Sender"]

SENT_MAX = 10_000
"""Limit on attempts that are remembered because they sent something that they could not note in Redis."""

_Conversation = tuple[str, str]

_log = logging.getLogger(__name__)


class Processor:
    """Worker that runs `handle` and `send` on everything that becomes due, up to `concurrency` conversations at once.

    Without `send`, the handler sends the reply itself, and after a crash in it all its work is repeated. `stop` waits
    `grace_s` for batches in progress before it hands them back. `processor_id` must differ between processes. Raises
    ValueError if `concurrency` is below 1.
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
        observer: ProcessingObserver | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}, but must be at least 1")
        self.processor_id = processor_id or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.concurrency = concurrency
        self.grace_s = grace_s
        self._queue = queue
        self._settings = queue.settings
        self._attempts = Attempts(queue, handle, send)
        self._observer = observer
        self._passes: set[Pass] = set()
        self._renewals = Renewals(queue)
        self._sent: dict[_Conversation, Attempt] = {}
        """Attempts that sent a reply, or parts of it, and could not record it, oldest first."""
        self._look_s = self._settings.lock_ttl_ms / 8000
        """Time between two looks at expired leases; claim.lua calls it LOOK_MS."""
        self._slots_claimed_for = 0
        self._slot_freed = asyncio.Event()
        self._watches = {
            partition.wake: watch_of(self.processor_id, self._settings) for partition in queue.keys.partitions
        }
        self._stopping = False

    @property
    def in_progress(self) -> int:
        """Count the conversations that this processor is answering now."""
        return sum(len(work.in_progress) for work in self._passes)

    async def run(self) -> None:
        """Work until `stop`; call it only once. When cancelled, it hands back the batches in progress and ends at once.

        Errors of Redis and of the handler are logged, and do not end it.
        """
        async with self._working() as work:
            bells = [
                work.group.create_task(bell.listen(), name="queue-doorbell")
                for bell in doorbells(self._queue.redis, self._watches, now=self._queue.script_now)
            ]
            claimers = [
                work.group.create_task(self._claim_when_due(number, watch, work), name="queue-claim")
                for number, watch in enumerate(self._watches.values())
            ]
            await asyncio.wait(claimers)
            for bell in bells:
                bell.cancel()
            if work.in_progress:
                _, late = await asyncio.wait(work.in_progress.values(), timeout=self.grace_s)
                for task in late:
                    task.cancel()

    async def stop(self) -> None:
        """Stop claiming. Batches in progress have `grace_s` to finish; then they are handed back, and `run` returns."""
        self._stopping = True
        self._slot_freed.set()
        for watch in self._watches.values():
            watch.end()

    async def process_all_queues(self) -> ProcessingReport:
        """Make one pass over everything that is due now, for callers on a schedule.

        Raises QueueUnavailableError when Redis goes away, or another QueueError when it refuses a claim, once the
        batches that were claimed before have ended. If the end of a batch cannot be recorded in Redis within the length
        of a lease, this processor's next pass records it, or another worker takes the batch over. Raises RuntimeError
        after `stop`.
        """
        return await self._one_pass(range(len(self._watches)), None)

    async def process_conversation(self, instance_name: str, user_phone: str) -> ProcessingReport:
        """Make a pass over one conversation, if it is due; otherwise the report says when it will be due.

        `next_due_ms` is the time of that conversation. Raises the errors of `process_all_queues`. If the answer to an
        earlier claim of this processor was lost, it also works on the conversations that the claim leased.
        """
        only = await self._queue.aliases.conversation_of(instance_name, user_phone)
        return await self._one_pass([self._queue.keys.of(*only).partition], only)

    async def _one_pass(self, partitions: Iterable[int], only: tuple[str, str] | None) -> ProcessingReport:
        if self._stopping:
            raise RuntimeError("this processor was stopped and does not claim any more: make a new one")
        await self._record_sent_batches()
        next_due: list[int] = []
        async with self._working(patience_s=self._settings.lock_ttl_ms / 1000) as work:
            try:
                for number in partitions:
                    due = await self._claim_all_due(number, work, only)
                    next_due += [due] if due is not None else []
            except QueueError as error:
                work.error = error
        if work.error:
            raise work.error
        if only is None and work.outcomes:  # the claims saw the leases of batches that have ended since
            looked = await asyncio.gather(*(self._queue.look(number) for number in partitions))
            next_due = [look.next_due_ms for look in looked if look.next_due_ms is not None]
        return work.report(min(next_due, default=None))

    async def _record_sent_batches(self) -> None:
        for conversation, attempt in tuple(self._sent.items()):
            if attempt.stage == "complete" and not attempt.lease_lost:
                try:
                    await self._queue.complete(attempt.batch)
                    del self._sent[conversation]
                except LeaseLostError:  # kept, in case this processor claims the turn again
                    attempt.lease_lost = True
                except QueueUnavailableError:
                    raise
                except QueueError as error:  # the pass goes on for the other conversations
                    _log.warning("lease %d: Redis refuses to end the turn: %s", attempt.batch.token, error)

    @asynccontextmanager
    async def _working(self, *, patience_s: float = math.inf) -> AsyncIterator[Pass]:
        """Open a pass, and wait at its end until all batches have ended; until then their leases are renewed."""
        work = Pass(asyncio.TaskGroup(), patience_s)
        self._passes.add(work)
        try:
            async with work.group as group:
                renew = group.create_task(self._renewals.keep(work.in_progress), name="queue-renew-leases")
                yield work
                while work.in_progress:
                    await asyncio.wait(work.in_progress.values())
                renew.cancel()
        finally:
            # A task that is cancelled before its first step never runs.
            not_started, work.in_progress = work.in_progress, {}
            self._passes.discard(work)
            await asyncio.gather(*(self._hand_back_not_started(attempt, work) for attempt in not_started))

    # Claiming.

    async def _claim_all_due(self, partition: int, work: Pass, only: tuple[str, str] | None) -> int | None:
        """Start everything that is due at this moment. Returns the time at which the partition next needs attention."""
        began_ms = None
        while True:
            await self._wait_for_slot(partition, work)
            claimed = await self._claim(partition, work, only)
            if began_ms is None:
                began_ms = claimed.now_ms
            if self._stopping:
                return claimed.next_due_ms
            if claimed.spared:  # these leases are renewed within `grace_ms`, or taken over then
                await asyncio.sleep(self._look_s)
            elif claimed.next_due_ms is None or claimed.next_due_ms > began_ms:
                return claimed.next_due_ms

    async def _claim_when_due(self, partition: int, watch: Watch, work: Pass) -> None:
        pause_s = REDIS_RETRY_S[0]
        is_unanswered = False
        while not self._stopping:
            if not await self._wait_to_claim(partition, watch, work, at_once=is_unanswered):
                continue
            try:
                await self._claim(partition, work, watch=watch)
            except QueueError as error:
                is_unanswered = True
                _log.warning("cannot claim, trying again in %.2f s: %s", pause_s, error)
                watch.fail(pause_s)
                pause_s = min(pause_s * 2, REDIS_RETRY_S[1])
            else:
                is_unanswered = False
                pause_s = REDIS_RETRY_S[0]
        if is_unanswered:
            await self._hand_back_unanswered(partition)

    async def _wait_to_claim(self, partition: int, watch: Watch, work: Pass, *, at_once: bool) -> bool:
        """Wait until it is this worker's turn. Return False if it only looked, and saw nothing left to claim."""
        await watch.until_due()
        at_once |= await self._wait_for_slot(partition, work, watch)
        if at_once or self._stopping:
            return not self._stopping
        ahead = watch.ahead()
        if watch.is_due() and not ahead:
            return True
        watch.begin()
        try:
            looked = await self._queue.look(partition)
        except QueueError as error:
            _log.debug("cannot look, claiming instead: %s", error)
            return True
        watch.note(looked.now_ms, looked.next_due_ms, looked.watchers)
        if watch.is_due():
            watch.left_out = ahead
        return watch.is_due() or watch.is_left_out

    async def _claim(
        self,
        partition: int,
        work: Pass,
        only: tuple[str, str] | None = None,
        *,
        watch: Watch | None = None,
    ) -> Claimed:
        """Claim as many conversations as this partition's share of the free slots, and start the batches.

        When cancelled, it first waits for the answer, so that it can hand the leases back.
        """
        room = self._free_slots()
        limit = -(-room // len(self._watches))
        entry = watch.entry_with(room) if watch else None
        if watch:
            watch.begin()
        claim = asyncio.ensure_future(
            self._queue.claim(
                self.processor_id,
                limit=limit,
                partition=partition,
                only=only,
                kept=[attempt.batch for attempt in self._renewals.failed],
                entry=entry,
            )
        )
        self._slots_claimed_for += limit
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        try:
            claimed = await asyncio.shield(claim)
        except asyncio.CancelledError:
            try:
                await self._hand_back_all((await claim).batches)
            except QueueError:
                await self._hand_back_unanswered(partition)
            raise
        finally:
            self._slots_claimed_for -= limit
            self._slot_freed.set()
        if watch:
            has_leased = bool(claimed.batches)
            watch.note(claimed.now_ms, claimed.next_due_ms, claimed.watchers, has_leased=has_leased)
        if claimed.given_up:
            work.dead_lettered += claimed.given_up
            self._notify(lambda observer: observer.given_up(claimed.given_up))
        for news in claimed.news:
            self._notify(partial(_tell, news))
        if self._stopping:
            await self._hand_back_all(claimed.batches)
        elif clock() - asked_at > self._settings.lock_ttl_ms / 2000:
            await self._start_if_held(claimed, work)
        else:
            for batch in claimed.batches:
                self._start(batch, work)
        return claimed

    async def _start_if_held(self, claimed: Claimed, work: Pass) -> None:
        """Start batches of a claim whose answer was read late, and hand back those that cannot be started."""
        left = list(claimed.batches)
        try:
            for batch in claimed.batches:
                if await self._renew_late(batch, work):
                    self._start(batch, work)
                    left.remove(batch)
        finally:
            await self._hand_back_all(left)

    async def _renew_late(self, batch: Batch, work: Pass) -> bool:
        """Renew a lease whose claim was answered late. Return False if it is lost, or not renewed before a stop."""
        clock = asyncio.get_running_loop().time
        latest = clock() + work.patience_s
        while not self._stopping and clock() <= latest:
            try:
                await self._queue.extend(batch)
            except LeaseLostError:
                return False
            except QueueError as error:
                _log.warning("lease %d could not be renewed: %s", batch.token, error)
                await asyncio.sleep(REDIS_RETRY_S[1])
            else:
                return True
        return False

    async def _hand_back_unanswered(self, partition: int) -> None:
        """Hand back the leases of a claim whose answer was lost."""
        try:
            claimed = await self._queue.claim(self.processor_id, limit=0, partition=partition)
            await self._hand_back_all(claimed.batches)
        except QueueError as error:
            _log.warning("Redis did not answer the last claim; its leases will run out: %s", error)

    async def _hand_back_all(self, batches: Iterable[Batch]) -> None:
        await asyncio.gather(*(self._attempts.hand_back(Attempt(batch, 0.0)) for batch in batches))

    def _free_slots(self) -> int:
        return max(0, self.concurrency - self.in_progress - self._slots_claimed_for)

    async def _wait_for_slot(self, partition: int, work: Pass, watch: Watch | None = None) -> bool:
        """Wait until a slot is free, or until a stop. Meanwhile make claims that lease nothing (limit 0).

        These claims record that a worker looked at Redis without a gap. Otherwise an expired lease would never be taken
        over where all slots are always in use. Returns False if a slot was free at once.
        """
        if self._free_slots() > 0:
            return False
        clock = asyncio.get_running_loop().time
        next_look = clock() + self._look_s
        while self._free_slots() == 0 and not self._stopping:
            self._slot_freed.clear()
            await wait_for_event(self._slot_freed, next_look - clock())
            if clock() >= next_look:
                next_look += self._look_s
                with contextlib.suppress(QueueError):
                    await self._claim(partition, work, watch=watch)
        return True

    # Batches in progress.

    def _start(self, batch: Batch, work: Pass) -> None:
        """Begin an attempt. It does not repeat what this processor sent before and could not note in Redis."""
        before = self._sent.pop(_conversation_of(batch), None)
        if before and batch.reply is not None and before.batch.ids == batch.ids:
            parts_sent = max(batch.parts_sent, before.parts_sent)
            state = "sent" if before.stage == "complete" else batch.send_state
            batch = msgspec.structs.replace(batch, parts_sent=parts_sent, send_state=state)
        attempt = Attempt(batch, work.patience_s, held_since_s=asyncio.get_running_loop().time())
        work.messages += len(batch.messages)
        self._notify(lambda observer: observer.claimed(batch))
        work.in_progress[attempt] = work.group.create_task(self._work(attempt, work), name="queue-batch")
        self._renewals.begun.set()

    async def _work(self, attempt: Attempt, work: Pass) -> Outcome:
        outcome: Outcome = "lost"
        try:
            outcome = await self._attempts.run(attempt)
        except asyncio.CancelledError:
            outcome = await self._attempts.hand_back(attempt)
            raise
        finally:
            del work.in_progress[attempt]
            self._ended(attempt, work, outcome)
            self._slot_freed.set()
        return outcome

    async def _hand_back_not_started(self, attempt: Attempt, work: Pass) -> None:
        self._ended(attempt, work, await self._attempts.hand_back(attempt))

    def _ended(self, attempt: Attempt, work: Pass, outcome: Outcome) -> None:
        """Count and report an attempt that is over. Remember it if it sent a reply that Redis has not noted."""
        self._renewals.failed.discard(attempt)
        if outcome == "lost" and (attempt.stage == "complete" or attempt.parts_sent):
            self._sent[_conversation_of(attempt.batch)] = attempt
            if len(self._sent) > SENT_MAX:
                del self._sent[next(iter(self._sent))]
        work.outcomes[outcome] += 1
        work.dead_lettered += attempt.dead_lettered
        work.error = attempt.gave_up_on_redis or work.error
        self._notify(
            lambda observer: observer.ended(attempt.batch, outcome, attempt.reason, attempt.dead_lettered)
        )

    def _notify(self, report: Callable[[ProcessingObserver], None]) -> None:
        if self._observer is None:
            return
        try:
            report(self._observer)
        except Exception as error:  # noqa: BLE001 - an observer must not change the work
            _log.warning("the observer raised %s; the work goes on without it", type(error).__name__)


def _tell(news: OutageNews, observer: ProcessingObserver) -> None:
    observer.backend_changed(news)


def _conversation_of(batch: Batch) -> _Conversation:
    return batch.instance_name, batch.user_phone
