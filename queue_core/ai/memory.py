"""Memory of an AI between the turns of a conversation. If it cannot be read, the turn is answered without it."""

from __future__ import annotations

import asyncio
import logging
from typing import Literal, Protocol

import msgspec

from queue_core.errors import QueueError

MEMORY_BYTES_MAX = 262_144
"""Limit on the size of one memory as JSON; the oldest turns are deleted first."""
DEADLINE_S = 1.0
"""Longest wait for Redis, after which the turn is answered without memory."""

_log = logging.getLogger(__name__)


class Turn(msgspec.Struct, frozen=True):
    """Text of one side in a conversation."""

    role: Literal["user", "assistant"]
    text: str


class Memory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Memory of one conversation."""

    conversation_id: str = ""
    """Id that the AI gave the conversation (Dify)."""
    history: tuple[Turn, ...] = ()
    """Turns so far, oldest first (for APIs that remember nothing themselves)."""
    needs_data_collection: bool = False
    """True when the AI's last answer asked the user for data."""
    requested_fields: tuple[str, ...] = ()
    """Names of the data that the AI asked for."""


class Store(Protocol):
    """Store of one value for each conversation, such as `MessageQueue.notes`. Methods raise QueueError on failure."""

    async def get(self, instance_name: str, user_phone: str) -> bytes | str | None:
        """Return the value, or None."""
        ...

    async def put(self, instance_name: str, user_phone: str, value: bytes, *, ttl_s: int) -> None:
        """Replace the value; it is kept for `ttl_s`."""
        ...


class ConversationMemory:
    """Memories of all conversations, each kept for `ttl_s` after its last write. Errors of the store are not raised."""

    def __init__(self, store: Store, *, ttl_s: int = 30 * 86_400) -> None:
        self._store = store
        self._ttl_s = ttl_s

    async def load(self, instance_name: str, user_phone: str) -> Memory | None:
        """Return the memory of a conversation: an empty one when none is kept, None when it cannot be read now.

        After None, do not save a memory: it would replace the one that could not be read.
        """
        try:
            async with asyncio.timeout(DEADLINE_S):
                stored = await self._store.get(instance_name, user_phone)
            return msgspec.json.decode(stored, type=Memory) if stored else Memory()
        except msgspec.MsgspecError as error:
            _log.warning(
                "the memory of a conversation is damaged; an empty one replaces it: %s", type(error).__name__
            )
            return Memory()
        except (QueueError, TimeoutError) as error:
            _log.warning("the memory of a conversation could not be read: %s", type(error).__name__)
            return None

    async def save(self, instance_name: str, user_phone: str, memory: Memory) -> None:
        """Replace the memory of a conversation."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._store.put(instance_name, user_phone, _encoded(memory), ttl_s=self._ttl_s)
        except (QueueError, TimeoutError, UnicodeEncodeError) as error:
            _log.warning("the memory of a conversation could not be written: %s", type(error).__name__)


def _encoded(memory: Memory) -> bytes:
    data = msgspec.json.encode(memory)
    while len(data) > MEMORY_BYTES_MAX and memory.history:
        # Turns are deleted in pairs, since some APIs refuse a history that begins with an answer.
        kept = len(memory.history) // 4 * 2
        memory = msgspec.structs.replace(memory, history=memory.history[len(memory.history) - kept :])
        data = msgspec.json.encode(memory)
    return data
