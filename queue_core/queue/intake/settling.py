"""Messages that were answered without Redis, until Redis knows of them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Iterable
from itertools import islice

from queue_core.errors import NewerLayoutError, PartitionsError, QueueError, QueueUnavailableError
from queue_core.message import Batch, QueueMessage
from queue_core.queue.intake.partition_availability import Conversation
from queue_core.queue.message_queue import MessageQueue
from queue_core.redis.runner import PIPELINE_CALLS_MAX
from queue_core.sent import SentPart

UNSETTLED_MAX = 10_000
"""Limit on messages that were answered directly and are not recorded in Redis yet; further ones are refused."""

Key = tuple[Conversation, str]
"""Conversation and id of a message."""

_LATER = (QueueUnavailableError, NewerLayoutError, PartitionsError)
"""Errors after which a message is kept: Redis refuses this process for now, or until it is restarted."""

_log = logging.getLogger(__name__)


class Unsettled:
    """Messages that one process answered directly, and the ids of their replies, which are not in Redis yet.

    Each partition is settled by itself, so that one that is away holds up none of the others.
    """

    def __init__(self, queue: MessageQueue) -> None:
        self._queue = queue
        self._messages: dict[int, dict[Key, QueueMessage]] = {}
        """Messages by partition; only partitions with messages are in it."""
        self._sent: deque[tuple[Batch, SentPart]] = deque(maxlen=UNSETTLED_MAX)
        self._settling: dict[int, asyncio.Task[None]] = {}
        self._noting: asyncio.Task[None] | None = None
        self._has_some = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._messages.values()))

    def __contains__(self, key: Key) -> bool:
        return any(key in messages for messages in self._messages.values())

    def add(self, key: Key, message: QueueMessage) -> None:
        """Keep a message that was answered."""
        self._messages.setdefault(self._partition_of(key[0]), {})[key] = message
        self._has_some.set()

    def add_sent(self, batch: Batch, parts: Iterable[SentPart]) -> None:
        """Keep the ids of parts of a reply."""
        self._sent.extend((batch, part) for part in parts)
        self._has_some.set()

    async def settle(self) -> None:
        """Record everything in Redis. Raises an error of `_LATER` if something could not be recorded."""
        tasks = self._start()
        for outcome in await asyncio.gather(*map(asyncio.shield, tasks), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def settle_before(self, conversations: Iterable[Conversation]) -> None:
        """Begin to record everything, and return when the partitions of these conversations are done.

        Raises an error of `_LATER`.
        """
        if not (self._messages or self._sent):
            return
        self._start()
        for partition in dict.fromkeys(map(self._partition_of, conversations)):
            if task := self._settling.get(partition):
                await asyncio.shield(task)

    async def settle_when_back(self, every_s: float) -> None:
        """Run until cancelled: while there is something to settle, try every `every_s`."""
        while True:
            if not (self._messages or self._sent):
                self._has_some.clear()
                await self._has_some.wait()
            await asyncio.sleep(every_s)
            try:
                await self.settle()
            except QueueError as error:
                _log.debug("directly answered messages are not recorded in Redis yet: %s", error)

    def _partition_of(self, conversation: Conversation) -> int:
        return self._queue.keys.of(*conversation).partition

    def _start(self) -> list[asyncio.Task[None]]:
        """Start the missing tasks, and return all that run."""
        for partition in self._messages.keys() - self._settling.keys():
            self._settling[partition] = _task(self._settle(partition))
        if self._sent and self._noting is None:
            self._noting = _task(self._note_ids())
        return [*self._settling.values(), *([self._noting] if self._noting else ())]

    async def _settle(self, partition: int) -> None:
        try:
            while messages := self._messages.get(partition):
                keys = tuple(islice(messages, PIPELINE_CALLS_MAX))
                withdrawals = (self._queue.withdraw(messages[key]) for key in keys)
                outcomes = await asyncio.gather(*withdrawals, return_exceptions=True)
                for key, outcome in zip(keys, outcomes, strict=True):
                    if isinstance(outcome, (*_LATER, asyncio.CancelledError)):
                        raise outcome
                    del messages[key]
                    if isinstance(
                        outcome, BaseException
                    ):  # for example, a key of its conversation is damaged
                        _log.error("Redis refuses to record that a message was answered: %s", outcome)
                    elif outcome == "in flight":
                        _log.warning("a message answered directly is being answered by a worker too")
                if not messages:
                    del self._messages[partition]
        finally:
            del self._settling[partition]

    async def _note_ids(self) -> None:
        """Note the ids of the replies that were sent, so that the provider's reports on them are understood."""
        left: list[tuple[Batch, SentPart]] = []
        try:
            while self._sent:
                taken = [self._sent.popleft() for _ in range(min(len(self._sent), PIPELINE_CALLS_MAX))]
                notes = (self._queue.sent.note(batch, [part]) for batch, part in taken)
                outcomes = await asyncio.gather(*notes, return_exceptions=True)
                for note, outcome in zip(taken, outcomes, strict=True):
                    if isinstance(outcome, _LATER):
                        left.append(note)
                    elif outcome is not None:
                        _log.error("Redis refuses to note the id of a reply: %s", outcome)
                if left:
                    raise QueueUnavailableError("Redis did not take the ids of all replies")
        finally:
            self._sent.extendleft(reversed(left))
            self._noting = None


def _task(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name="queue-settle")
    task.add_done_callback(_read_error)
    return task


def _read_error(task: asyncio.Task[None]) -> None:
    """Read the error of a task for which perhaps nobody waits any more, so that asyncio does not log the error."""
    if not task.cancelled():
        task.exception()
