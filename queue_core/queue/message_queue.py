"""Queue on Redis, as webhooks, workers and people use it.

Each change is made in atomic steps inside Redis. `redis/scripts/` describes the steps and their answers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Literal, NamedTuple

import msgspec
from redis.asyncio import Redis

from queue_core import policy
from queue_core.errors import LeaseLostError
from queue_core.keys import KeySpace, Place, decode_conversation
from queue_core.message import (
    Batch,
    DeadLetter,
    QueueMessage,
    Receipt,
    as_deletion,
    as_edit,
    change_of,
    check_names,
    encode,
    well_formed,
)
from queue_core.queue.access import Access
from queue_core.queue.aliases import Aliases
from queue_core.queue.claims import Claimed, Claims
from queue_core.queue.holding import Holding
from queue_core.queue.layout import Layouts
from queue_core.queue.notes import Notes
from queue_core.queue.outages import Outages, OutageSign
from queue_core.queue.pacing import Pacing
from queue_core.queue.partitions.change import Partitions
from queue_core.queue.server_time import ServerTime
from queue_core.queue.storing import storing_call
from queue_core.queue.upkeep.damage import Damage
from queue_core.queue.upkeep.dead_letters import REASON_CHARACTERS_MAX, DeadLetters
from queue_core.queue.upkeep.erasure import Erasure
from queue_core.queue.upkeep.inspection import Inspection
from queue_core.queue.upkeep.rescue import Rescue
from queue_core.queue.upkeep.sent_replies import SentReplies
from queue_core.queue.watch import Entry
from queue_core.queue.withdrawal import Withdrawal
from queue_core.redis import scripts
from queue_core.redis.scripts.answers import LookAnswer, MovedAnswer, Standing
from queue_core.redis.servers import partitions_of
from queue_core.redis.transport import Transport
from queue_core.redis.transports import transport_for
from queue_core.settings import QueueSettings

__all__ = ["Claimed", "MessageQueue"]


class Waits(NamedTuple):
    """Waits after a failed attempt."""

    backoff_ms: int
    """Wait if the attempt counts."""
    wait_ms: int
    """Wait if the attempt does not count."""
    asked_ms: int
    """Wait that the AI or the provider asked for."""


NO_WAITS = Waits(0, 0, 0)
LIMIT_GROWTH_MAX = 4
"""Longest wait after a rate limit, as a multiple of the wait asked for; beyond it, newer turns would overtake."""


class MessageQueue:
    """Queue on one Redis client (`queue_core.connect`, or any client of redis.asyncio, Cluster included).

    In simulations and tests, `clock` (Unix ms) replaces Redis's clock and `monotonic` (seconds) the event loop's clock;
    the queue compares the two to notice that Redis's clock was set forward. `rng` makes random values repeatable: ids
    for messages without one, claim ids, backoff. `transport` carries the script calls instead of `redis`. `keys` are
    those of another queue, see `without`.

    Methods that ask Redis raise QueueUnavailableError when it does not answer in time or takes no writes,
    UnsupportedRedisError when it lacks something that the queue needs, NewerLayoutError or PartitionsError when its
    data are not for this process, and QueueError when it refuses a step for another reason. Methods that raise other
    errors too name them.
    """

    def __init__(
        self,
        redis: Redis,
        settings: QueueSettings | None = None,
        *,
        clock: Callable[[], int] | None = None,
        monotonic: Callable[[], float] | None = None,
        rng: random.Random | None = None,
        transport: Transport | None = None,
        keys: KeySpace | None = None,
    ) -> None:
        given = settings or QueueSettings()
        self.settings = replace(given, partitions=given.partitions or partitions_of(redis))
        self.redis = redis
        self.keys = keys or KeySpace(self.settings.prefix, self.settings.partitions)
        self.transport = transport or transport_for(redis, self.settings)
        self._clock = clock
        access = Access(redis, self.keys, self.transport, self.settings, clock)
        self._now = self.script_now = access.now
        self._rng = rng or random.SystemRandom()
        self._time = ServerTime(monotonic)
        self._claims = Claims(access, self._time, self._random_id)
        self._unanswered_claims = self._claims.unanswered
        self.aliases = Aliases(access)
        self.withdraw = Withdrawal(access, self.aliases).withdraw

        # Parts for people and monitors, each documented in its class.
        self.notes = Notes(access, self.aliases)
        self.now_ms = access.now_ms
        self.holding = Holding(access)
        inspection = Inspection(access, self.aliases)
        self.pending = inspection.pending
        self.completed = inspection.completed
        self.statistics = inspection.statistics
        self.conversation = inspection.conversation
        self.error_of_last_send = inspection.error_of_last_send
        self.active_conversations = inspection.active_conversations
        self.finished_conversations = inspection.finished_conversations
        self.unfinished = inspection.unfinished
        self.depth, self.sizes, self.survey = inspection.depth, inspection.sizes, inspection.survey
        layouts = Layouts(access)
        self.layouts, self.check_layout = layouts.read, layouts.check
        self.partitions = Partitions(access)
        self.pacing = Pacing(access)
        letters = DeadLetters(access)
        self.iterate_dead_letters = letters.iterate
        self.dead_letter = letters.get
        self.requeue = letters.requeue
        self.move_dead_letters_out = letters.move_out
        self.drop = letters.drop
        self.keep_unreadable = letters.keep
        self.outages = Outages(access).read
        self.expire_dead_letters = letters.expire
        self.damage = Damage(access)
        self.sent = SentReplies(access)
        self.erasure = Erasure(access, letters, self.damage, self.sent, self.aliases)
        self.forget = self.erasure.forget
        rescue = Rescue(access)
        self.rescue = rescue.run
        self.unscheduled, self.unscheduled_in_part = rescue.unscheduled, rescue.unscheduled_in_part

    def without(self, partitions: Collection[int]) -> MessageQueue:
        """Return this queue without some partitions, such as those of a node that is away.

        Use it only to count, to list dead letters, and to hold the queue.
        """
        if not partitions:
            return self
        keys = self.keys.without(partitions)
        return MessageQueue(self.redis, self.settings, clock=self._clock, transport=self.transport, keys=keys)

    async def check(self) -> None:
        """Check that Redis can carry the queue. Raises one of the errors of this class, which says why not."""
        await self.transport.load()
        await self.check_layout()

    async def enqueue(self, message: QueueMessage) -> Receipt:
        """Store a message; when this returns, it is safe. Raises InvalidMessageError when it can never be stored.

        After QueueUnavailableError it may or may not be stored: enqueue it again (the id makes that harmless) or
        answer it directly and `withdraw` it later. A message without an id is given one here: to
        repeat such a call, pass the message that `with_id` made, which keeps its id.

        An edit or a deletion of an earlier message (`message_data["change"]`, see `message.change_of`) changes that
        message while it waits.
        """
        check_names(message)
        message = self.with_id(message)
        change = change_of(message)
        encoded = encode(message, self.settings.max_message_bytes)
        route = await self.aliases.route(message)
        while True:
            asked_s = self._time.now_s()
            call = storing_call(message, change, encoded, route, self.settings, self._now())
            answer = await self.transport.gathered(call)
            if not isinstance(answer, MovedAnswer):
                break
            route = await self.aliases.follow(route, answer.target)
        if answer.status == "queued":
            self._time.note(route.place.partition, answer.added_at_ms, asked_s)
        return Receipt(
            status=answer.status,  # type: ignore[arg-type]  # the scripts return one of the four
            id=message.id,
            added_at_ms=answer.added_at_ms,
            waiting=answer.waiting,
            user_phone=decode_conversation(route.place.conversation)[1],
        )

    async def edit(self, message: QueueMessage, target_id: str) -> Receipt:
        """Store the edit of an earlier message of the same user: `message` has an id of its own, and the new text.

        Raises InvalidMessageError when it can never be stored, or if `target_id` cannot be the id of another message.
        """
        return await self.enqueue(as_edit(message, target_id))

    async def delete(self, message: QueueMessage, target_id: str) -> Receipt:
        """Store that the user deleted an earlier message; `message` has an id of its own.

        Raises InvalidMessageError when it can never be stored, or if `target_id` cannot be the id of another message.
        """
        return await self.enqueue(as_deletion(message, target_id))

    def with_id(self, message: QueueMessage) -> QueueMessage:
        """Return the message, with an id that the queue makes if it has none."""
        return message if message.id else msgspec.structs.replace(message, id=f"own-{self._random_id()}")

    # Methods for workers. `Processor` calls them for you.

    async def claim(
        self,
        processor_id: str,
        *,
        limit: int = 1,
        partition: int = 0,
        only: tuple[str, str] | None = None,
        kept: Iterable[Batch] = (),
        entry: Entry | None = None,
    ) -> Claimed:
        """Lease up to `limit` conversations that are due, the longest overdue first; 0 leases nothing new.

        A lease that ran out is taken over, unless its holder may still renew it because Redis was away. The leases of
        the batches in `kept` are renewed first, as by `extend`, except lost ones.

        With `only` (instance and phone), claims that conversation if it is due, and ignores `partition`; `next_due_ms`
        is then the time of that conversation. `entry` says whether the worker watches the partition from now on, see
        `watch.py`. After QueueUnavailableError, or a cancellation, the processor's next claim repeats this one: it
        returns the conversations that this claim leased, and no others.
        """
        return await self._claims.claim(
            processor_id, limit=limit, partition=partition, only=only, kept=kept, entry=entry
        )

    async def look(self, partition: int) -> LookAnswer:
        """Return when a partition next needs attention, and the workers that watch it. Leases and changes nothing."""
        return await self._claims.look(partition)

    async def extend(self, batch: Batch) -> None:
        """Renew the lease for another `lock_ttl_ms`. Raises LeaseLostError."""
        call = scripts.Extend(
            place=self._place_of(batch),
            now_ms=self._now(),
            token=batch.token,
            lock_ttl_ms=self.settings.lock_ttl_ms,
        )
        _require_held(await self.transport.gathered(call), batch)

    async def record_reply(self, batch: Batch, reply: str) -> bool:
        """Store the reply, and confirm right before a send that the lease is held. Raises LeaseLostError.

        Once the reply is stored, the AI is not asked again. Returns False, and ends the lease, if the turn has changed:
        a newer message joined it (`supersede_ms`), or one of its messages was answered without the queue (`withdraw`).
        Then drop the reply; the changed turn becomes due.
        """
        settings = self.settings
        call = scripts.RecordReply(
            place=self._place_of(batch),
            rules=settings,
            now_ms=self._now(),
            token=batch.token,
            text=well_formed(reply),
            supersede_ms=settings.supersede_ms,
            max_batch=settings.max_batch,
            completed_ttl_ms=settings.completed_ttl_s * 1000,
            stats_ttl_ms=settings.stats_ttl_s * 1000,
        )
        standing = await self.transport.gathered(call)
        _require_held(standing, batch)
        return standing != "superseded"

    async def record_sent(self, batch: Batch, *, parts: int | None = None) -> None:
        """Note that the first `parts` parts of the reply were sent, and confirm the lease for the next part.

        Without `parts`, note that the whole reply was sent: for the case that `complete` cannot note it. Raises
        LeaseLostError.
        """
        call = scripts.RecordSent(
            place=self._place_of(batch),
            now_ms=self._now(),
            token=batch.token,
            parts=parts or batch.parts_sent,
            is_whole=int(parts is None),
        )
        _require_held(await self.transport.gathered(call), batch)

    async def complete(self, batch: Batch) -> None:
        """Finish the batch: its messages move to the archive. Raises LeaseLostError. Repeating the call is harmless."""
        call = scripts.Complete(
            place=self._place_of(batch),
            rules=self.settings,
            now_ms=self._now(),
            token=batch.token,
            completed_ttl_ms=self.settings.completed_ttl_s * 1000,
            stats_ttl_ms=self.settings.stats_ttl_s * 1000,
        )
        _require_held(await self.transport.gathered(call), batch)

    async def fail(
        self,
        batch: Batch,
        reason: str,
        *,
        dead: bool = False,
        not_sent: bool = False,
        after_ms: int | None = None,
        sign: OutageSign | None = None,
        limited: bool = False,
    ) -> int:
        """End a failed attempt: the batch is tried again after the backoff (or `after_ms`), or becomes dead letters.

        `after_ms` is cut to `outage_patience_s`; if it is not finite, it counts as None. `dead` gives up at once;
        `not_sent` says that a recorded reply certainly did not reach the user. With a `sign` that a backend is away,
        the attempt counts only if the backend served other conversations meanwhile, or if `sign.counts`. An attempt
        that failed by a rate limit (`limited`) does not count. Returns the number of messages that became dead letters.
        Raises LeaseLostError. Repeating the call is harmless.
        """
        settings, rng = self.settings, self._rng
        known_ms = policy.asked_ms(settings, after_ms)
        asked_ms = known_ms or 0
        backoff_ms = policy.backoff_ms(settings, batch.attempt, rng) if known_ms is None else asked_ms
        set_back_ms = policy.backoff_ms(settings, batch.setbacks + 1, rng) if sign or limited else 0
        if limited and asked_ms:
            set_back_ms = min(set_back_ms, LIMIT_GROWTH_MAX * asked_ms)
        wait_ms = max(asked_ms, set_back_ms)
        waits = Waits(backoff_ms, wait_ms, asked_ms)
        return await self._end(
            batch,
            "dead" if dead else "retry",
            reason,
            not_sent=not_sent,
            waits=waits,
            sign=sign,
            limited=limited,
        )

    async def release(self, batch: Batch, *, not_sent: bool = False) -> None:
        """Hand the batch back untouched, due at once, without counting the attempt. Raises LeaseLostError."""
        await self._end(batch, "release", "", not_sent=not_sent)

    async def _end(
        self,
        batch: Batch,
        mode: Literal["retry", "dead", "release"],
        reason: str,
        *,
        not_sent: bool,
        waits: Waits = NO_WAITS,
        sign: OutageSign | None = None,
        limited: bool = False,
    ) -> int:
        place = self._place_of(batch)
        answer = await self.transport.gathered(
            scripts.Fail(
                place=place,
                rules=self.settings,
                now_ms=self._now(),
                token=batch.token,
                mode=mode,
                reason=well_formed(reason[:REASON_CHARACTERS_MAX]),
                not_sent=int(not_sent),
                backend=place.of_kind(sign.kind) if sign else "",
                counts=int(sign.counts if sign else not limited),
                took_ms=int(sign.took_ms) if sign else 0,
                backoff_ms=waits.backoff_ms,
                wait_ms=waits.wait_ms,
                asked_ms=waits.asked_ms,
                max_attempts=self.settings.max_retry_count + 1,
                dead_letters_max=self.settings.dead_letters_in_partition_max,
                completed_ttl_ms=self.settings.completed_ttl_s * 1000,
                stats_ttl_ms=self.settings.stats_ttl_s * 1000,
            )
        )
        _require_held(answer.standing, batch)
        return answer.given_up

    async def dead_letters(self) -> list[DeadLetter]:
        """Return all dead letters, oldest first within a partition."""
        return [letter async for letter in self.iterate_dead_letters()]

    async def known_conversations(self) -> list[tuple[str, str]]:
        """Return instance and phone of every conversation with waiting or kept messages, dead letters included."""
        names = await self.finished_conversations()
        names |= {(active.instance_name, active.user_phone) for active in await self.active_conversations()}
        names |= {(letter.instance_name, letter.user_phone) for letter in await self.dead_letters()}
        return sorted(names)

    def _random_id(self) -> str:
        return f"{self._rng.getrandbits(128):032x}"

    def _place_of(self, batch: Batch) -> Place:
        return self.keys.of(batch.instance_name, batch.user_phone)


def _require_held(standing: Standing, batch: Batch) -> None:
    if standing == "lost":
        raise LeaseLostError(
            f"the lease with token {batch.token} is over; another worker may hold its conversation. "
            "Stop working on the batch: its messages are safe in the queue"
        )
