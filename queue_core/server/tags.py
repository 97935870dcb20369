"""Tags: short names of conversations in the log, which do not reveal the phone number to anyone without the key.

All processes of a deployment make the same tags, since they share the key: LOG_KEY, or a key that the first process
makes and stores in Redis.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets

from queue_core.errors import QueueError
from queue_core.legacy.inspection import buffered_conversations
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.notes import Notes

DEADLINE_S = 1.0
"""Longest wait for Redis."""
RETRY_EVERY_S = 5.0
TAG_CHARACTERS = 10

_log = logging.getLogger(__name__)


class ConversationTags:
    """Maker of tags. Until `share_key` has succeeded, other processes make other tags."""

    def __init__(self, key: bytes = b"") -> None:
        self._key = key or secrets.token_bytes(32)
        self._is_shared = bool(key)

    def of(self, instance: str, phone: str) -> str:
        """Return the tag of a conversation."""
        name = f"{instance}\0{phone}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, name, hashlib.sha256).hex()[:TAG_CHARACTERS]

    async def share_key(self, notes: Notes) -> bool:
        """Take the key from Redis, or store this process's key if Redis has none. Returns False if Redis is away."""
        if self._is_shared:
            return True
        try:
            async with asyncio.timeout(DEADLINE_S):
                self._key = await notes.share_log_key(self._key)
        except (QueueError, TimeoutError) as error:
            _log.debug("the key of the log's tags could not be shared: %s", type(error).__name__)
            return False
        self._is_shared = True
        return True

    async def keep_sharing(self, notes: Notes) -> None:
        """Try to share the key until that succeeds."""
        while not await self.share_key(notes):  # noqa: ASYNC110 - nothing signals that Redis is back
            await asyncio.sleep(RETRY_EVERY_S)

    async def find(self, tag: str, queue: MessageQueue) -> list[tuple[str, str]]:
        """Find instance and phone of the conversations with a tag: usually one; none if Redis has no data of it.

        Raises QueueUnavailableError.
        """
        wanted = tag.strip().lower()
        known = await queue.known_conversations()
        names = [*known, *await queue.aliases.listed_names(known), *await buffered_conversations(queue)]
        return [name for name in dict.fromkeys(names) if self.of(*name) == wanted]
