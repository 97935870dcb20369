"""Inspection of the legacy buffers. All functions raise QueueUnavailableError when Redis does not answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from queue_core.legacy.buffer import Buffer, Conversation
from queue_core.legacy.store import LegacyStore, StoredMessage, decoded
from queue_core.queue.message_queue import MessageQueue


class Buffered(msgspec.Struct, frozen=True, kw_only=True):
    """Messages in legacy buffers that are not marked as processed, and their conversations."""

    conversations: int
    messages: int


async def read_buffer(queue: MessageQueue, conversation: Conversation) -> Buffer[StoredMessage] | None:
    """Return the legacy buffer of a conversation; None when there is none."""
    store = LegacyStore(queue)
    return decoded(await store.get(store.key("buffer", conversation)))


async def count_buffered(queue: MessageQueue, *, pages_max: int | None = None) -> Buffered:
    """Count the messages that wait in the legacy buffers; scans all keys, or at most `pages_max` pages of them."""
    buffers = _buffers(queue, pages_max)
    sizes = [len(buffer.messages) async for buffer in buffers if not buffer.processed]
    return Buffered(conversations=len(sizes), messages=sum(sizes))


async def buffered_conversations(queue: MessageQueue) -> list[Conversation]:
    """Return the conversations that have a legacy buffer, processed or not; scans all keys."""
    firsts = [buffer.messages[0].message async for buffer in _buffers(queue)]
    return [(first.instance_name, first.user_phone) for first in firsts]


async def _buffers(
    queue: MessageQueue, pages_max: int | None = None
) -> AsyncGenerator[Buffer[StoredMessage], None]:
    """Yield every legacy buffer once, though a scan may return its key several times."""
    store = LegacyStore(queue)
    seen: set[str] = set()
    pages_read = 0
    async with aclosing(store.pages()) as pages:
        async for page in pages:
            for key in set(page) - seen:
                buffer = decoded(await store.get(key))
                if buffer:
                    yield buffer
            seen.update(page)
            pages_read += 1
            if pages_read == pages_max:
                break
