"""Intake of a webhook's messages: stored in the queue, or answered directly while Redis is away.

A message is acknowledged only when it is stored or answered. When neither is possible an error is raised: the webhook
answers 503, and the provider delivers again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, NamedTuple

import msgspec

from queue_core import policy
from queue_core.errors import OlderMessageWaitsError, QueueUnavailableError
from queue_core.message import Batch, QueueMessage, Reply, change_of, check_names
from queue_core.queue.aliases import names_of
from queue_core.queue.intake.partition_availability import Conversation, PartitionAvailability
from queue_core.queue.intake.settling import UNSETTLED_MAX, Key, Unsettled
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.replying import Handler, Sender, calling_recorded, reply_of, send_reply
from queue_core.sent import SentPart
from queue_core.waiting import cancel_all, within

Acknowledgement = Literal["queued", "changed", "duplicate", "late", "answered"]

STORE_AGAIN_S = (0.05, 0.5)
"""First and longest wait between two tries to store a message; it doubles each time."""
ORDER_S_MAX = 600.0
"""Time without Redis after which a message is answered although an older one of its conversation waits in Redis."""
KNOWN_MAX = 20_000
"""Limit on messages that a process remembers as stored or answered; Redis remembers more of them."""
BEGUN_MAX = 1_000
"""Limit on remembered replies of which only the first parts were sent."""

_log = logging.getLogger(__name__)


class Intake:
    """Intake of one process; `handle` and `send` are those of the Processor.

    The messages of a user are stored or answered one after the other, in the order in which they came. A user may have
    several names (`message_data["addresses"]`); messages under any of them belong to that user. While Redis is away, a
    message waits `direct_after_ms` for it, and is then answered directly. If this process knows that an older message
    of the conversation waits in Redis, it refuses the new one instead, since the older one comes first. After
    `ORDER_S_MAX` without Redis it answers the new one nevertheless, since providers do not deliver again for ever.

    While the handler works, and once more right before the send, the process tries again to store the message. If that
    succeeds, it drops the direct reply and leaves the message to the workers. After a send, it records the message's id
    in Redis before it enqueues anything else, since Redis may have stored the message and only its answer was lost.

    docs/guarantees.md, "Direct answers", lists the cases in which a message is answered twice all the same.
    """

    def __init__(self, queue: MessageQueue, handle: Handler, send: Sender) -> None:
        self._queue = queue
        self._handle = handle
        self._send = send
        self._unsettled = Unsettled(queue)
        self._known: OrderedDict[Key, None] = OrderedDict()
        """Messages that this process stored or answered, oldest first, to tell duplicates while Redis is away.

        An ordered dict finds its first key at once, however many keys before it were deleted; a dict does not.
        """
        self._deliveries: dict[Conversation, _Delivery] = {}
        self._availabilities: dict[int, PartitionAvailability] = {}
        """Availability of each partition: on a cluster, some may be away while others answer."""
        self._begun: dict[Key, tuple[str, int]] = {}
        """Replies that were sent in part, and the number of parts sent; the next delivery sends the others."""
        self.answered_directly = 0

    @property
    def unsettled(self) -> int:
        """Count the messages that were answered directly and are not recorded in Redis yet."""
        return len(self._unsettled)

    async def receive(self, message: QueueMessage) -> Acknowledgement:
        """Store or answer a message, and say which. Once this returns, the provider need not deliver it again.

        Raises InvalidMessageError for a message that can never be stored. Raises QueueUnavailableError or another
        QueueError of `MessageQueue`, or the error of the handler or sender, when the message is neither stored nor
        answered.
        """
        check_names(message)
        message = self._queue.with_id(message)
        latest = asyncio.get_running_loop().time() + self._queue.settings.direct_after_ms / 1000
        arrival = Arrival.of(message)
        delivery = self._next_delivery(arrival)
        try:
            await delivery.wait()
            if any(key in self._unsettled for key in arrival.keys):
                return "duplicate"
            if begun := next((self._begun[key] for key in arrival.keys if key in self._begun), None):
                return await self._send_directly(arrival, Reply(begun[0]), parts_sent=begun[1])
            return await self._store_until(latest, arrival) or await self._answer(arrival)
        finally:
            self._end_delivery(delivery, arrival)

    async def settle(self) -> None:
        """Record in Redis which messages were answered without it.

        Raises QueueUnavailableError while Redis is away, and NewerLayoutError or PartitionsError while it refuses this
        process.
        """
        await self._unsettled.settle()

    async def settle_when_back(self, every_s: float = 1.0) -> None:
        """Run until cancelled: settle soon after Redis is back even if no message arrives.

        Tries every `every_s` while there is something to settle, and waits otherwise.
        """
        await self._unsettled.settle_when_back(every_s)

    async def _store_until(self, latest: float, arrival: Arrival) -> Acknowledgement | None:
        """Try to store a message until `latest`, a time of the event loop. Return None if Redis is still away then.

        The first try may end later than `latest`; it has the time that Redis has to answer.
        """
        clock = asyncio.get_running_loop().time
        pause_s = STORE_AGAIN_S[0]
        is_again = False
        while True:
            try:
                async with asyncio.timeout_at(latest if is_again else None):
                    return await self._store(arrival, is_again=is_again)
            except (QueueUnavailableError, TimeoutError) as error:
                for conversation in arrival.conversations:
                    self._availability_of(conversation).failed(clock())
                if clock() + pause_s > latest:
                    _log.warning("Redis is away: %s", str(error) or "it does not answer")
                    return None
            is_again = True
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, STORE_AGAIN_S[1])

    async def _store(self, arrival: Arrival, *, is_again: bool) -> Acknowledgement:
        """Store a message. With `is_again`, a duplicate counts as queued: an earlier try may have stored it."""
        await self._unsettled.settle_before(arrival.conversations)
        message = arrival.message
        receipt = await self._queue.enqueue(message)
        self._remember(arrival)
        now_s, waits_s = asyncio.get_running_loop().time(), self._waits_s()
        for conversation in dict.fromkeys(
            (*arrival.conversations, (message.instance_name, receipt.user_phone))
        ):
            availability = self._availability_of(conversation)
            availability.answered(now_s)
            availability.stored(conversation, now_s, waits_s=waits_s)
        return "queued" if is_again and receipt.status == "duplicate" else receipt.status

    def _remember(self, arrival: Arrival) -> None:
        self._known |= dict.fromkeys(arrival.keys)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    def _availability_of(self, conversation: Conversation) -> PartitionAvailability:
        partition = self._queue.keys.of(*conversation).partition
        if partition not in self._availabilities:
            self._availabilities[partition] = PartitionAvailability()
        return self._availabilities[partition]

    def _waits_s(self) -> float:
        """Return the longest time for which a message waits, if all goes well."""
        settings = self._queue.settings
        return (policy.limit_ms(settings) + settings.lock_ttl_ms) / 1000

    def _has_older_waiting(self, arrival: Arrival) -> bool:
        """Return True if the message must wait for an older one of its user that this process stored."""
        now_s, waits_s = asyncio.get_running_loop().time(), self._waits_s()
        availabilities = {
            conversation: self._availability_of(conversation) for conversation in arrival.conversations
        }
        away_s = max(availability.away_s(now_s) for availability in availabilities.values())
        return away_s < ORDER_S_MAX and any(
            availability.has_waiting(conversation, now_s, waits_s=waits_s)
            for conversation, availability in availabilities.items()
        )

    @asynccontextmanager
    async def _answering(self, batch: Batch) -> AsyncIterator[asyncio.Task[str | Reply | None]]:
        """Run the handler beside the block, and cancel it when the block ends."""
        limit_ms = self._queue.settings.handler_timeout_ms
        task = asyncio.ensure_future(within(limit_ms, self._handle(batch)))
        try:
            yield task
        finally:
            await cancel_all([task])

    def _next_delivery(self, arrival: Arrival) -> _Delivery:
        """Queue up: the messages of one user pass one at a time, in the order in which they came."""
        names = arrival.conversations
        delivery = _Delivery({name: self._deliveries[name] for name in names if name in self._deliveries})
        self._deliveries |= dict.fromkeys(names, delivery)
        return delivery

    def _end_delivery(self, delivery: _Delivery, arrival: Arrival) -> None:
        delivery.end()
        for name in arrival.conversations:
            if self._deliveries[name] is delivery:
                del self._deliveries[name]
                if before := delivery.running_before(name):
                    self._deliveries[name] = before

    async def _answer(self, arrival: Arrival) -> Acknowledgement:
        """Answer a message directly, as a batch of its own. If Redis comes back before the send, store it instead."""
        message = arrival.message
        if any(key in self._known for key in arrival.keys):
            return "duplicate"
        change = change_of(message)
        if change and change.what == "deletion":
            raise QueueUnavailableError(
                "Redis is away, and a deletion needs no answer: deliver it again later, so that it is noted"
            )
        if self._has_older_waiting(arrival):
            raise OlderMessageWaitsError(
                "Redis is away, and an older message of this conversation waits in it: deliver this one again later"
            )
        if len(self._unsettled) >= UNSETTLED_MAX:
            raise QueueUnavailableError(
                f"Redis is away, and {UNSETTLED_MAX} messages were answered without it: deliver this one again later"
            )
        async with self._answering(_batch_of_one(message)) as task:
            while True:
                await asyncio.wait([task], timeout=STORE_AGAIN_S[1])
                is_answered = task.done()  # then Redis is asked for the last time
                with contextlib.suppress(QueueUnavailableError):
                    return await self._store(arrival, is_again=True)
                if is_answered:
                    break
        return await self._send_directly(arrival, reply_of(task.result()))

    async def _send_directly(self, arrival: Arrival, reply: Reply, *, parts_sent: int = 0) -> Acknowledgement:
        """Send the reply, or what is left of it, and remember that the message was answered."""
        settings, message, keys = self._queue.settings, arrival.message, arrival.keys

        async def between(parts: int) -> None:
            self._begun |= dict.fromkeys(keys, (reply.text, parts))
            while len(self._begun) > BEGUN_MAX:
                del self._begun[next(iter(self._begun))]

        batch, sent_parts = _batch_of_one(message), list[SentPart]()
        batch = msgspec.structs.replace(batch, parts_sent=parts_sent)
        async with calling_recorded(reply, limit_ms=settings.handler_timeout_ms):
            if reply.text:
                limit_ms = settings.send_timeout_ms
                try:
                    await send_reply(
                        self._send,
                        batch,
                        reply.text,
                        limit_ms=limit_ms,
                        between=between,
                        sent_parts=sent_parts,
                    )
                finally:
                    self._unsettled.add_sent(batch, sent_parts)
        for key in keys:
            self._begun.pop(key, None)
        # Only the names are kept: with webhooks and media the messages could fill the memory.
        names = {kind: name for name, kind in names_of(message).items() if kind}
        data = {"addresses": names} if names else {}
        kept = msgspec.structs.replace(message, message="", message_data=data)
        self._unsettled.add(keys[0], kept)
        self._remember(arrival)
        self.answered_directly += 1
        return "answered"


class Arrival(NamedTuple):
    """Message, with the names and ids by which it is recognised."""

    message: QueueMessage
    conversations: list[Conversation]
    """Names under which the message's user may be known."""
    keys: list[Key]

    @classmethod
    def of(cls, message: QueueMessage) -> Arrival:
        """Return a message with its names."""
        conversations = [(message.instance_name, name) for name in names_of(message)]
        return cls(message, conversations, [(conversation, message.id) for conversation in conversations])


class _Delivery:
    """Delivery of one message, in line behind the deliveries of earlier messages of the same user."""

    def __init__(self, before: dict[Conversation, _Delivery]) -> None:
        self.has_ended = False
        self._end: asyncio.Event | None = None
        """Event of the end, made by the first delivery that waits for it."""
        self._before = before
        """Deliveries before this one, by name of the user; empty once this one has its turn."""
        self._earlier = list(dict.fromkeys(before.values()))

    async def wait(self) -> None:
        """Wait for the earlier deliveries. If one was cancelled, also wait for those that it waited for."""
        while self._earlier:
            last = self._earlier[-1]
            await last._wait_for_end()
            self._earlier = list(dict.fromkeys((*self._earlier[:-1], *last._earlier)))
        self._before = {}

    def end(self) -> None:
        """Let the next delivery go on."""
        self.has_ended = True
        if self._end:
            self._end.set()

    def running_before(self, name: Conversation) -> _Delivery | None:
        """Return the last earlier delivery of this name that still runs; there is one if this one was cancelled."""
        delivery = self._before.get(name)
        while delivery and delivery.has_ended:
            delivery = delivery._before.get(name)
        return delivery

    async def _wait_for_end(self) -> None:
        if not self.has_ended:
            self._end = self._end or asyncio.Event()
            await self._end.wait()


def _batch_of_one(message: QueueMessage) -> Batch:
    return Batch(
        instance_name=message.instance_name,
        user_phone=message.user_phone,
        messages=(message,),
        token=0,
        processor_id="direct",
        attempt=1,
        trigger="direct",
        due_at_ms=0,
        claimed_at_ms=0,
    )
