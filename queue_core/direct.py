"""The front door of a webhook: into the queue, or, while Redis is away, answered on the spot.

A message is acknowledged only when it is stored or answered. Raising means neither: the webhook says 503, and the
provider delivers again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Literal

from queue_core.errors import QueueError, QueueUnavailableError
from queue_core.message import Batch, QueueMessage, check_names
from queue_core.processor import Handler, Sender
from queue_core.queue import MessageQueue

Acknowledgement = Literal["queued", "duplicate", "late", "answered"]

UNSETTLED_MAX = 10_000
"""More ids than these, answered while Redis was away and not yet told to it, and no more are taken."""

_log = logging.getLogger(__name__)
_Conversation = tuple[str, str]


class Intake:
    """Takes messages in; `handle` and `send` are those of the Processor.

    What was answered directly is told to Redis before anything else is enqueued, so that an enqueue whose answer
    was lost is not answered a second time. That memory is this process's: if it dies before Redis is back, and a
    worker finds such a message stored after all, the message is answered twice.
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
        """Messages answered directly that Redis does not know of yet."""
        return len(self._unsettled)

    async def receive(self, message: QueueMessage) -> Acknowledgement:
        """Stores or answers a message; all four answers mean that it must not be delivered again.

        Raises InvalidMessageError for what can never be a message, and QueueUnavailableError (or what the handler
        or sender raised) when it is neither stored nor answered.
        """
        check_names(message)
        if self._key(message) in self._unsettled:
            return "duplicate"
        try:
            await self.settle()
            return (await self._queue.enqueue(message)).status
        except QueueUnavailableError as error:
            _log.warning("answering directly: %s", error)
        return await self._answer(message)

    async def settle(self) -> None:
        """Tells Redis what was answered without it. Raises QueueUnavailableError while that cannot be."""
        if not self._unsettled:
            return
        async with self._settling:
            for key, message in tuple(self._unsettled.items()):
                outcome = await self._queue.withdraw(message)
                if outcome == "in flight":
                    _log.warning("a message answered directly is being answered by a worker too")
                del self._unsettled[key]

    async def settle_when_back(self, every_s: float = 1.0) -> None:
        """Runs until cancelled: settles soon after Redis is back even if no message arrives."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.settle()
            except QueueError as error:
                _log.debug("not settled yet: %s", error)

    async def _answer(self, message: QueueMessage) -> Acknowledgement:
        """Handler and sender at once, one message at a time per conversation."""
        conversation = (message.instance_name, message.user_phone)
        turn = self._turns.setdefault(conversation, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                if self._key(message) in self._unsettled:
                    return "duplicate"
                if len(self._unsettled) >= UNSETTLED_MAX:
                    raise QueueUnavailableError(
                        f"Redis is away and {UNSETTLED_MAX} messages were answered without it"
                    )
                batch = _batch_of_one(message)
                settings = self._queue.settings
                async with asyncio.timeout(settings.handler_timeout_ms / 1000):
                    reply = await self._handle(batch)
                if reply:
                    async with asyncio.timeout(settings.send_timeout_ms / 1000):
                        await self._send(batch, reply)
                if message.id:
                    self._unsettled[self._key(message)] = message
                self.answered_directly += 1
                return "answered"
        finally:
            turn.users -= 1
            if turn.users == 0:
                del self._turns[conversation]

    @staticmethod
    def _key(message: QueueMessage) -> tuple[_Conversation, str]:
        return (message.instance_name, message.user_phone), message.id


class _Turn:
    """Whose turn it is in one conversation; `users` counts who has or awaits it."""

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
