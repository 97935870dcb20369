"""Legacy buffers in a deployment's Redis, and how their messages are moved out of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from typing import Any, Literal, TypeVar, get_args

import msgspec

from queue_core.errors import InvalidMessageError, QueueUnavailableError
from queue_core.keys import encode_name
from queue_core.legacy.buffer import Buffer, Conversation
from queue_core.message import Batch, QueueMessage
from queue_core.queue.message_queue import MessageQueue
from queue_core.redis.runner import FAILURES, explain, is_single
from queue_core.redis.servers import scan
from queue_core.sent import SentPart

MOVES_MAX = 10
"""Limit on tries to empty a buffer to which messages are still added; then the next process continues."""
HandOver = Callable[[QueueMessage], Awaitable[object]]
"""Function that takes a message over, as `MessageQueue.enqueue` does; it may be called twice with one message."""
Kind = Literal["buffer", "lock", "answering"]
Result = TypeVar("Result")

_DELETE_UNCHANGED = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)

_log = logging.getLogger(__name__)


class StoredMessage(msgspec.Struct, frozen=True):
    """Message in a buffer, with the time at which its webhook came (Unix ms)."""

    message: QueueMessage
    at_ms: int


DECODER = msgspec.json.Decoder(Buffer[StoredMessage])


class LegacyStore:
    """Legacy keys of a deployment. Every call has a deadline, and raises QueueUnavailableError when it fails."""

    def __init__(self, queue: MessageQueue) -> None:
        self._redis = queue.redis
        self._sent = queue.sent
        self._deadline_s = queue.settings.redis_deadline_ms / 1000
        self._prefix = f"{queue.settings.prefix}:legacy_"

    async def note_sent(self, batch: Batch, parts: Sequence[SentPart]) -> None:
        """Note the ids that the provider gave to a reply. Only logs a failure; reports on the reply are lost then."""
        try:
            await self._sent.note(batch, parts)
        except Exception as error:  # noqa: BLE001 - the user has the reply, whatever this raises
            _log.warning("the ids of a reply are not noted: %s", error)

    def key(self, kind: Kind, conversation: Conversation) -> str:
        """Return a key such as `wa:legacy_buffer:<instance>:<phone>`, names percent-encoded."""
        instance, phone = conversation
        return f"{self._prefix}{kind}:{encode_name(instance)}:{encode_name(phone)}"

    async def get(self, key: str) -> bytes | str | None:
        """Return the value of a key."""
        value: bytes | str | None = await self._in_time(self._redis.get(key))
        return value

    async def set_with_expiry(self, key: str, value: bytes | str, ttl_s: int) -> None:
        """Set a key that expires after `ttl_s`."""
        await self._in_time(self._redis.set(key, value, ex=ttl_s))

    async def set_if_absent(self, key: str, value: str, ttl_ms: int) -> bool:
        """Set a key that expires after `ttl_ms`, unless there is one. Returns True when it was set."""
        return bool(await self._in_time(self._redis.set(key, value, nx=True, px=ttl_ms)))

    async def delete(self, key: str) -> None:
        """Delete a key, whatever it holds."""
        await self._in_time(self._redis.delete(key))

    async def forget(self, conversation: Conversation) -> None:
        """Delete all keys of a conversation."""
        for kind in get_args(Kind):
            await self.delete(self.key(kind, conversation))

    async def delete_unchanged(self, key: str, value: bytes | str) -> bool:
        """Delete a key if it still holds that value. Returns True when it did."""
        run: Callable[..., Any] = self._redis.execute_command
        return bool(await self._in_time(run("EVAL", _DELETE_UNCHANGED, 1, key, value)))

    async def pages(self) -> AsyncGenerator[list[str], None]:
        """Yield the keys of all buffers, a page for each step of the SCAN."""
        async with aclosing(scan(self._redis, f"{self._prefix}buffer:*", "string")) as pages:
            while (page := await self._in_time(anext(pages, None))) is not None:
                yield page

    async def move(self, key: str, hand_over: HandOver, answered: Collection[str] = ()) -> int:
        """Hand over the messages of a buffer that nobody has answered, then delete it. Returns their number.

        Messages that are added meanwhile are handed over too. When `hand_over` raises, the buffer stays.
        """
        done: set[str] = set()
        for _ in range(MOVES_MAX):
            value = await self.get(key)
            buffer = decoded(value)
            if value is None or buffer is None:
                return len(done)
            for message in _unanswered(buffer, answered):
                if message.id not in done:
                    await _hand_over(message, hand_over)
                    done.add(message.id)
            if await self.delete_unchanged(key, value):
                return len(done)
        return len(done)

    async def _in_time(self, awaitable: Awaitable[Result]) -> Result:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await awaitable
        except FAILURES as error:
            explained = explain(error, is_single=is_single(self._redis))
            if isinstance(explained, QueueUnavailableError):
                raise explained from error
            # The words of Redis are left out: they may quote a key, and so a phone number.
            raise QueueUnavailableError(
                f"Redis refused a call of the legacy buffer: {type(error).__name__}"
            ) from error


def decoded(value: bytes | str | None) -> Buffer[StoredMessage] | None:
    """Return the buffer that Redis holds; None when the value is not a buffer."""
    try:
        return None if value is None else DECODER.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _unanswered(buffer: Buffer[StoredMessage], answered: Collection[str]) -> list[QueueMessage]:
    """Return messages to hand over, by arrival; none of a buffer that another process has marked as processed."""
    if buffer.processed and buffer.messages[0].message.id not in answered:
        return []
    waiting = sorted(buffer.messages, key=lambda stored: stored.at_ms)
    return [stored.message for stored in waiting if stored.message.id not in answered]


async def _hand_over(message: QueueMessage, hand_over: HandOver) -> None:
    try:
        await hand_over(message)
    except InvalidMessageError as error:
        _log.error("the queue refuses a message of the legacy buffer for good: %s", error)
