"""Intake of a webhook's messages: stored in the queue, or answered directly while Redis is away.

A message is acknowledged only when it is stored or answered. When neither is possible an error is raised: the webhook
answers 503, and the provider delivers again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Literal, NamedTuple

import msgspec

from queue_core import policy
from queue_core.errors import OlderMessageWaitsError, QueueError, QueueUnavailableError
from queue_core.message import Batch, QueueMessage, Reply, change_of, check_names
from queue_core.queue.aliases import names_of
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.replying import Handler, Sender, calling_recorded, reply_of, send_reply
from queue_core.redis.runner import PIPELINE_CALLS_MAX
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
UNSETTLED_MAX = 10_000
"""Limit on messages that were answered without Redis and are not recorded in it yet; further ones are refused."""

_log = logging.getLogger(__name__)
_Conversation = tuple[str, str]


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

    A message can still be answered twice in two cases. First, Redis stored it and only the answer was lost, and then
    this process dies before it reaches Redis again, or a worker records a reply before that. Second, the provider
    delivers it again to another process while Redis is away: processes that cannot reach Redis know nothing of each
    other.
    """

    def __init__(self, queue: MessageQueue, handle: Handler, send: Sender) -> None:
        self._queue = queue
        self._handle = handle
        self._send = send
        self._unsettled: dict[tuple[_Conversation, str], QueueMessage] = {}
        self._known: OrderedDict[tuple[_Conversation, str], None] = OrderedDict()
        """Messages that this process stored or answered, oldest first, to tell duplicates while Redis is away.

        An ordered dict finds its first key at once, however many keys before it were deleted; a dict does not.
        """
        self._turns: dict[_Conversation, _Turn] = {}
        self._stored_at: OrderedDict[_Conversation, float] = OrderedDict()
        """Times at which the last message of each conversation was stored, while it may wait; clock: `_reachable_s`."""
        self._away_since: float | None = None
        """Time of the event loop at which Redis first failed to answer; None while it answers."""
        self._away_s = 0.0
        """Length of all earlier outages together."""
        self._begun: dict[tuple[_Conversation, str], tuple[str, int]] = {}
        """Replies that were sent in part, and the number of parts sent; the next delivery sends the others."""
        self._taken: deque[tuple[Batch, SentPart]] = deque(maxlen=UNSETTLED_MAX)
        """Parts of replies that were sent while Redis was away, so that it does not have their ids yet."""
        self._settling: asyncio.Task[None] | None = None
        self._has_unsettled = asyncio.Event()
        """Set when something may have to be recorded in Redis."""
        self.answered_directly = 0

    @property
    def unsettled(self) -> int:
        """Count the messages that were answered directly and are not recorded in Redis yet."""
        return len(self._unsettled)

    async def receive(self, message: QueueMessage) -> Acknowledgement:
        """Store or answer a message, and say which. Once this returns, the provider need not deliver it again.

        Raises InvalidMessageError for a message that can never be stored. Raises QueueUnavailableError, or the error of
        the handler or sender, when the message is neither stored nor answered.
        """
        check_names(message)
        message = self._queue.with_id(message)
        latest = asyncio.get_running_loop().time() + self._queue.settings.direct_after_ms / 1000
        arrival = Arrival.of(message)
        turn = self._next_turn(arrival)
        try:
            await turn.comes()
            if any(key in self._unsettled for key in arrival.keys):
                return "duplicate"
            if begun := next((self._begun[key] for key in arrival.keys if key in self._begun), None):
                return await self._send_directly(arrival, Reply(begun[0]), parts_sent=begun[1])
            return await self._store_until(latest, arrival) or await self._answer(arrival)
        finally:
            self._end_turn(turn, arrival)

    async def settle(self) -> None:
        """Record in Redis which messages were answered without it. Raises QueueUnavailableError while it is away."""
        if self._unsettled or self._taken:
            if self._settling is None:
                self._settling = asyncio.create_task(self._settle(), name="queue-settle")
                self._settling.add_done_callback(_read_error)
            await asyncio.shield(self._settling)

    async def settle_when_back(self, every_s: float = 1.0) -> None:
        """Run until cancelled: settle soon after Redis is back even if no message arrives.

        Tries every `every_s` while there is something to settle, and waits otherwise.
        """
        while True:
            if not (self._unsettled or self._taken):
                self._has_unsettled.clear()
                await self._has_unsettled.wait()
            await asyncio.sleep(every_s)
            try:
                await self.settle()
            except QueueError as error:
                _log.debug("directly answered messages are not recorded in Redis yet: %s", error)

    async def _settle(self) -> None:
        try:
            while self._unsettled:
                keys = tuple(islice(self._unsettled, PIPELINE_CALLS_MAX))
                withdrawals = (self._queue.withdraw(self._unsettled[key]) for key in keys)
                outcomes = await asyncio.gather(*withdrawals, return_exceptions=True)
                for key, outcome in zip(keys, outcomes, strict=True):
                    if isinstance(outcome, QueueUnavailableError | asyncio.CancelledError):
                        raise outcome
                    del self._unsettled[key]
                    if isinstance(
                        outcome, BaseException
                    ):  # for example, a key of its conversation is damaged
                        _log.error("Redis refuses to record that a message was answered: %s", outcome)
                    elif outcome == "in flight":
                        _log.warning("a message answered directly is being answered by a worker too")
            await self._note_ids()
        finally:
            self._settling = None

    async def _note_ids(self) -> None:
        """Note the ids of the replies that were sent, so that the provider's reports on them are understood."""
        while self._taken:
            taken = tuple(islice(self._taken, PIPELINE_CALLS_MAX))
            notes = (self._queue.sent.note(batch, [part]) for batch, part in taken)
            for outcome in await asyncio.gather(*notes, return_exceptions=True):
                if isinstance(outcome, QueueUnavailableError | asyncio.CancelledError):
                    raise outcome
                self._taken.popleft()
                if outcome is not None:
                    _log.error("Redis refuses to note the id of a reply: %s", outcome)

    async def _store_until(self, latest: float, arrival: Arrival) -> Acknowledgement | None:
        """Try to store a message until `latest`, a time of the event loop. Return None if Redis is still away then."""
        clock = asyncio.get_running_loop().time
        pause_s = STORE_AGAIN_S[0]
        is_again = False
        while True:
            try:
                return await self._store(arrival, is_again=is_again)
            except QueueUnavailableError as error:
                self._away_since = clock() if self._away_since is None else self._away_since
                if clock() + pause_s > latest:
                    _log.warning("Redis is away: %s", error)
                    return None
            is_again = True
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, STORE_AGAIN_S[1])

    async def _store(self, arrival: Arrival, *, is_again: bool) -> Acknowledgement:
        """Store a message. With `is_again`, a duplicate counts as queued: an earlier try may have stored it."""
        if self._unsettled or self._taken:
            await self.settle()
        message = arrival.message
        receipt = await self._queue.enqueue(message)
        self._away_s, self._away_since = self._away_s + self._away_now_s(), None
        self._remember(arrival)
        now_s = self._reachable_s()
        for conversation in (*arrival.conversations, (message.instance_name, receipt.user_phone)):
            self._stored_at[conversation] = now_s
            self._stored_at.move_to_end(conversation)
        self._forget_answered()
        return "queued" if is_again and receipt.status == "duplicate" else receipt.status

    def _remember(self, arrival: Arrival) -> None:
        self._known |= dict.fromkeys(arrival.keys)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    def _forget_answered(self) -> None:
        """Forget conversations whose messages have been answered by now, if all went well."""
        settings = self._queue.settings
        answered_ms = policy.limit_ms(settings) + settings.lock_ttl_ms
        earliest = self._reachable_s() - answered_ms / 1000
        while self._stored_at and next(iter(self._stored_at.values())) < earliest:
            self._stored_at.popitem(last=False)

    def _reachable_s(self) -> float:
        """Return the time in which Redis was reachable, in seconds: workers can answer only then."""
        return asyncio.get_running_loop().time() - self._away_s - self._away_now_s()

    def _away_now_s(self) -> float:
        return asyncio.get_running_loop().time() - self._away_since if self._away_since is not None else 0.0

    @asynccontextmanager
    async def _answering(self, batch: Batch) -> AsyncIterator[asyncio.Task[str | Reply | None]]:
        """Run the handler beside the block, and cancel it when the block ends."""
        limit_ms = self._queue.settings.handler_timeout_ms
        task = asyncio.ensure_future(within(limit_ms, self._handle(batch)))
        try:
            yield task
        finally:
            await cancel_all([task])

    def _next_turn(self, arrival: Arrival) -> _Turn:
        """Queue up: the messages of one user pass one at a time, in the order in which they came."""
        names = arrival.conversations
        turn = _Turn({name: self._turns[name] for name in names if name in self._turns})
        self._turns |= dict.fromkeys(names, turn)
        return turn

    def _end_turn(self, turn: _Turn, arrival: Arrival) -> None:
        turn.end()
        for name in arrival.conversations:
            if self._turns[name] is turn:
                del self._turns[name]
                if before := turn.running_before(name):
                    self._turns[name] = before

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
        self._forget_answered()
        waits = any(conversation in self._stored_at for conversation in arrival.conversations)
        if waits and self._away_now_s() < ORDER_S_MAX:
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

        batch, taken = _batch_of_one(message), list[SentPart]()
        batch = msgspec.structs.replace(batch, parts_sent=parts_sent)
        async with calling_recorded(reply, limit_ms=settings.handler_timeout_ms):
            if reply.text:
                limit_ms = settings.send_timeout_ms
                try:
                    await send_reply(
                        self._send, batch, reply.text, limit_ms=limit_ms, between=between, taken=taken
                    )
                finally:
                    self._taken.extend((batch, part) for part in taken)
                    self._has_unsettled.set()
        for key in keys:
            self._begun.pop(key, None)
        # Only the names are kept: with webhooks and media the messages could fill the memory.
        names = {kind: name for name, kind in names_of(message).items() if kind}
        data = {"addresses": names} if names else {}
        kept = msgspec.structs.replace(message, message="", message_data=data)
        self._unsettled[keys[0]] = kept
        self._has_unsettled.set()
        self._remember(arrival)
        self.answered_directly += 1
        return "answered"


def _read_error(task: asyncio.Task[None]) -> None:
    """Read the error of a task for which perhaps nobody waits any more, so that asyncio does not log the error."""
    if not task.cancelled():
        task.exception()


class Arrival(NamedTuple):
    """Message with what it is known by."""

    message: QueueMessage
    conversations: list[_Conversation]
    """Names under which the message's user may be known."""
    keys: list[tuple[_Conversation, str]]

    @classmethod
    def of(cls, message: QueueMessage) -> Arrival:
        """Return a message with its names."""
        conversations = [(message.instance_name, name) for name in names_of(message)]
        return cls(message, conversations, [(conversation, message.id) for conversation in conversations])


class _Turn:
    """Turn of one message; it comes when the turns of earlier messages of the same user have ended."""

    def __init__(self, before: dict[_Conversation, _Turn]) -> None:
        self.has_ended = False
        self._end: asyncio.Event | None = None
        """Made by the first turn that waits for the end."""
        self._before = before
        """Turns before this one, by name of the user; empty once this turn has come."""
        self._earlier = list(dict.fromkeys(before.values()))

    async def comes(self) -> None:
        """Wait for the earlier turns. If one of them was cancelled, also wait for the turns that it waited for."""
        while self._earlier:
            last = self._earlier[-1]
            await last._ends()
            self._earlier = list(dict.fromkeys((*self._earlier[:-1], *last._earlier)))
        self._before = {}

    def end(self) -> None:
        """Let the next turn come."""
        self.has_ended = True
        if self._end:
            self._end.set()

    def running_before(self, name: _Conversation) -> _Turn | None:
        """Return the last earlier turn of this name that still runs; there is one only if this turn was cancelled."""
        turn = self._before.get(name)
        while turn and turn.has_ended:
            turn = turn._before.get(name)
        return turn

    async def _ends(self) -> None:
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
