"""Claims of workers. A claim has a number and is repeated until Redis answers it; its answer becomes batches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec

from queue_core import policy
from queue_core.errors import QueueError, QueueUnavailableError
from queue_core.keys import decode_conversation
from queue_core.message import Batch, QueueMessage, decode
from queue_core.queue.access import Access
from queue_core.queue.outages import OutageNews, news_of
from queue_core.queue.precedence import Precedence
from queue_core.queue.server_time import ServerTime
from queue_core.queue.watch import Entry
from queue_core.redis import scripts
from queue_core.redis.scripts.answers import ClaimAnswer, LeasedAnswer, LookAnswer
from queue_core.text import quantity

_Claimer = tuple[str, int]
"""Id of a processor, number of the partition."""

_log = logging.getLogger(__name__)


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of a claim. Times in Unix ms by Redis's clock."""

    batches: tuple[Batch, ...]
    given_up: int
    """Number of messages that became dead letters in this claim."""
    now_ms: int
    next_due_ms: int | None
    """Time at which a conversation of this partition needs attention, perhaps in the past; None when none waits."""
    spared: int = 0
    """Number of leases that ran out but were left alone, since their holders may still renew them."""
    news: tuple[OutageNews, ...] = ()
    """Backends that went away or came back; each change is in the answer of one claim."""
    damaged: int = 0
    """Number of damaged keys that this claim moved aside."""
    watchers: tuple[str, ...] = ()
    """Workers that watch the partition, encoded; see `watch.py`."""


class Claims:
    """Claims of one queue. `new_id` makes the id of each claim; `time` estimates Redis's clock."""

    def __init__(self, access: Access, time: ServerTime, new_id: Callable[[], str]) -> None:
        self._access = access
        self._precedence = Precedence(access)
        self._time = time
        self._new_id = new_id
        self.unanswered: dict[_Claimer, str] = {}
        """Ids of claims whose answers were lost, to be repeated."""
        self._numbers: Counter[_Claimer] = Counter()
        self._runs: dict[_Claimer, str] = {}
        """Id of each processor's first claim: the name of its run. Redis compares claim numbers within a run only."""

    async def claim(
        self,
        processor_id: str,
        *,
        limit: int,
        partition: int,
        only: tuple[str, str] | None,
        kept: Iterable[Batch],
        entry: Entry | None,
    ) -> Claimed:
        """Lease conversations that are due; `MessageQueue.claim` describes it."""
        access, settings = self._access, self._access.settings
        chosen = access.keys.of(*only) if only else None
        if chosen:
            partition = chosen.partition
        entry = entry or Entry()
        claimer = processor_id, partition
        unanswered = self.unanswered.pop(claimer, None)
        claim_id = unanswered or self._new_id()
        earliest_ms, latest_ms = self._time.bounds_ms(partition)
        self._numbers[claimer] += 1
        shared = access.keys.partitions[partition]
        call = scripts.Claim(
            partition=shared,
            last_claim=shared.last_claim_of(processor_id),
            rules=settings,
            now_ms=access.now(),
            processor_id=processor_id,
            claim_id=claim_id,
            run=self._runs.setdefault(claimer, claim_id),
            claim_number=self._numbers[claimer],
            earliest_ms=earliest_ms,
            latest_ms=latest_ms,
            was_unanswered=int(unanswered is not None),
            limit=limit,
            lock_ttl_ms=settings.lock_ttl_ms,
            grace_ms=settings.grace_ms,
            max_batch=settings.max_batch,
            max_attempts=settings.max_retry_count + 1,
            dead_letters_max=settings.dead_letters_in_partition_max,
            queue_ttl_ms=settings.queue_ttl_s * 1000,
            patience_ms=settings.outage_patience_s * 1000,
            completed_ttl_ms=settings.completed_ttl_s * 1000,
            only=chosen.conversation if chosen else "",
            watcher=entry.name,
            left_out=" ".join(entry.left_out),
            room=entry.room,
            kept=" ".join(self._leases_in(partition, kept)),
        )
        asked_s = self._time.now_s()
        try:
            answer = await access.transport.alone(call)
        except (QueueUnavailableError, asyncio.CancelledError):
            self.unanswered[claimer] = claim_id
            raise
        self._time.note(partition, answer.now_ms, asked_s, of_claim=True)
        return await self._claimed(answer, processor_id)

    def _leases_in(self, partition: int, batches: Iterable[Batch]) -> Iterator[str]:
        for batch in batches:
            place = self._access.keys.of(batch.instance_name, batch.user_phone)
            if place.partition == partition:
                yield f"{place.conversation} {batch.token}"

    async def look(self, partition: int) -> LookAnswer:
        """Return when a partition next needs attention; see `MessageQueue.look`."""
        access = self._access
        call = scripts.Look(partition=access.keys.partitions[partition], now_ms=access.now())
        asked_s = self._time.now_s()
        answer = await access.transport.gathered(call)
        if not self._time.note(partition, answer.now_ms, asked_s):
            return answer._replace(next_due_ms=answer.now_ms)  # a claim then finds what is due
        return answer

    async def _claimed(self, answer: ClaimAnswer, processor_id: str) -> Claimed:
        """Read the batches of a claim; messages that cannot be read become dead letters."""
        if answer.damaged:
            _log.error(
                "moved %s aside that something other than the queue had changed: see `damaged list`",
                quantity(answer.damaged, "unusable key"),
            )
        batches = []
        given_up = answer.given_up
        for leased in answer.batches:
            if leased.conversation in answer.behind and not await self._may_begin(leased):
                continue
            contents = [decode(element) for element in leased.elements]
            messages = [message for message in contents if message]
            left = len(messages)
            if left < len(contents):
                left = await self._discard(leased, contents)
                given_up += len(contents) - left if left >= 0 else 0
            if left > 0:
                batches.append(self._batch(leased, messages, answer.now_ms, processor_id))
        return Claimed(
            batches=tuple(batches),
            given_up=given_up,
            now_ms=answer.now_ms,
            next_due_ms=answer.next_due_ms,
            spared=answer.spared,
            news=tuple(map(news_of, answer.news)),
            damaged=answer.damaged,
            watchers=answer.watchers,
        )

    async def _may_begin(self, leased: LeasedAnswer) -> bool:
        """Return False if other messages of the user come first, or after an error: then the lease runs out."""
        try:
            return await self._precedence.may_begin(leased)
        except QueueError as error:
            _log.warning("lease %d is left to run out: %s", leased.token, error)
            return False

    async def _discard(self, leased: LeasedAnswer, contents: list[QueueMessage | None]) -> int:
        """Make dead letters of unreadable messages. Returns the number of messages left, or -1 if Redis failed.

        After a failure the lease runs out, and a later claim returns the batch again.
        """
        access = self._access
        call = scripts.Discard(
            place=access.keys.of(*decode_conversation(leased.conversation)),
            rules=access.settings,
            now_ms=access.now(),
            token=leased.token,
            indexes=" ".join(str(number) for number, message in enumerate(contents, 1) if message is None),
            reason="unreadable: the value in Redis is not a message",
        )
        with contextlib.suppress(QueueError):
            return await access.transport.gathered(call)
        return -1

    def _batch(
        self, leased: LeasedAnswer, messages: list[QueueMessage], now_ms: int, processor_id: str
    ) -> Batch:
        """Return the batch of a leased conversation, without messages that could not be read."""
        instance, phone = decode_conversation(leased.conversation)
        messages = [
            msgspec.structs.replace(
                message, status="processing", retry_count=leased.attempt - 1, processing_started_at=now_ms
            )
            for message in messages
        ]
        return Batch(
            instance_name=instance,
            user_phone=phone,
            messages=policy.in_order(messages),
            token=leased.token,
            processor_id=processor_id,
            attempt=leased.attempt,
            trigger=policy.trigger(
                self._access.settings,
                oldest_ms=messages[0].added_at,
                waiting=leased.waiting,
                due_ms=leased.due_ms,
                attempt=leased.attempt + leased.setbacks,
            ),
            due_at_ms=leased.due_ms,
            claimed_at_ms=now_ms,
            reply=leased.reply,
            send_state=leased.send_state or "not sent",  # type: ignore[arg-type]  # the scripts write one of three
            parts_sent=leased.parts_sent,
            setbacks=leased.setbacks,
        )
