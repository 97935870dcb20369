"""Intake of a webhook's messages: stored in the queue, or answered directly while Redis is away.

A message is acknowledged only when it is stored or answered. When neither is possible an error is raised: the webhook
answers 503, and the provider delivers again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Literal

import msgspec

from queue_core.errors import QueueError, QueueUnavailableError
from queue_core.message import Batch, QueueMessage, check_names
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.processor import Handler, Sender
from queue_core.redis.runner import PIPELINE_CALLS_MAX
from queue_core.waiting import within

Acknowledgement = Literal["queued", "duplicate", "late", "answered"]

UNSETTLED_MAX = 10_000
"""Limit on messages that were answered without Redis and are not recorded in it yet; further ones are refused."""

_log = logging.getLogger(__name__)
_Conversation = tuple[str, str]


class Intake:
    """Intake of one process; `handle` and `send` are those of the Processor.

    Messages that were answered directly are recorded in Redis before anything else is enqueued: such a message may lie
    in the queue, if only the answer to its enqueue was lost. It is answered twice if this process dies before Redis is
    back, or if a worker takes it before it is recorded.

    The messages of a conversation are stored or answered one after the other, in the order in which they came.
    """

    def __init__(self, queue: MessageQueue, handle: Handler, send: Sender) -> None:
        self._queue = queue
        self._handle = handle
        self._send = send
        self._unsettled: dict[tuple[_Conversation, str], QueueMessage] = {}
        self._turns: dict[_Conversation, _Turn] = {}
        self._settling = asyncio.Lock()
        self.answered_directly = 0

    @property
    def unsettled(self) -> int:
        """Count the messages that were answered directly and are not recorded in Redis yet."""
        return len(self._unsettled)

    async def receive(self, message: QueueMessage) -> Acknowledgement:
        """Store or answer a message; all four answers mean that it must not be delivered again.

        Raises InvalidMessageError for a message that can never be stored, and QueueUnavailableError (or what the
        handler or sender raised) when it is neither stored nor answered.
        """
        check_names(message)
        message = self._queue.with_id(message)
        async with self._turn_of(_conversation_of(message)):
            if _key(message) in self._unsettled:
                return "duplicate"
            try:
                await self.settle()
                return (await self._queue.enqueue(message)).status
            except QueueUnavailableError as error:
                _log.warning("answering directly: %s", error)
            return await self._answer(message)

    async def settle(self) -> None:
        """Record in Redis which messages were answered without it. Raises QueueUnavailableError while it is away."""
        while self._unsettled:
            async with self._settling:
                keys = tuple(islice(self._unsettled, PIPELINE_CALLS_MAX))
                withdrawals = (self._queue.withdraw(self._unsettled[key]) for key in keys)
                outcomes = await asyncio.gather(*withdrawals, return_exceptions=True)
                for key, outcome in zip(keys, outcomes, strict=True):
                    if isinstance(outcome, BaseException):
                        raise outcome
                    del self._unsettled[key]
                    if outcome == "in flight":
                        _log.warning("a message answered directly is being answered by a worker too")

    async def settle_when_back(self, every_s: float = 1.0) -> None:
        """Run until cancelled: settle soon after Redis is back even if no message arrives."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.settle()
            except QueueError as error:
                _log.debug("not settled yet: %s", error)

    @asynccontextmanager
    async def _turn_of(self, conversation: _Conversation) -> AsyncIterator[None]:
        """Let the messages of one conversation pass one at a time, in the order in which they came."""
        turn = self._turns.setdefault(conversation, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if turn.users == 0:
                del self._turns[conversation]

    async def _answer(self, message: QueueMessage) -> Acknowledgement:
        """Run handler and sender at once, as for a batch of one message."""
        if len(self._unsettled) >= UNSETTLED_MAX:
            raise QueueUnavailableError(
                f"Redis is away, and {UNSETTLED_MAX} messages were answered without it: deliver this one again later"
            )
        batch = _batch_of_one(message)
        settings = self._queue.settings
        reply = await within(settings.handler_timeout_ms, self._handle(batch))
        if reply:
            await within(settings.send_timeout_ms, self._send(batch, reply))
        # Only the names are kept: with webhooks and media the messages could fill the memory.
        self._unsettled[_key(message)] = msgspec.structs.replace(message, message="", message_data={})
        self.answered_directly += 1
        return "answered"


def _conversation_of(message: QueueMessage) -> _Conversation:
    return message.instance_name, message.user_phone


def _key(message: QueueMessage) -> tuple[_Conversation, str]:
    return _conversation_of(message), message.id


class _Turn:
    """Lock of one conversation; `users` counts the messages that hold or await it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


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
