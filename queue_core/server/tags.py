"""Tags: short names of conversations for the log, from which nobody can find the phone number without a key.

All processes of a deployment make the same tags, since they share the key: LOG_KEY, or one that the first of them
makes and keeps in Redis.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets

from redis.asyncio import Redis
from redis.exceptions import RedisError

from queue_core.keys import KeySpace, decode_conversation
from queue_core.queue.message_queue import MessageQueue

DEADLINE_S = 1.0
"""Redis gets so long to answer."""
RETRY_EVERY_S = 5.0
TAG_CHARACTERS = 10
SCAN_COUNT = 1_000

_log = logging.getLogger(__name__)


class ConversationTags:
    """Maker of tags. Until `share_key` has succeeded, tags are this process's own."""

    def __init__(self, key: bytes = b"") -> None:
        self._key = key or secrets.token_bytes(32)
        self._is_shared = bool(key)

    def of(self, instance: str, phone: str) -> str:
        """Returns the tag of a conversation."""
        name = f"{instance}\0{phone}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, name, hashlib.sha256).hex()[:TAG_CHARACTERS]

    async def share_key(self, client: Redis, keys: KeySpace) -> bool:
        """Takes the key that Redis keeps, or gives Redis this one; returns False while Redis is away."""
        if self._is_shared:
            return True
        try:
            async with asyncio.timeout(DEADLINE_S):
                await client.set(keys.log_key, self._key, nx=True)
                stored = await client.get(keys.log_key)
        except (RedisError, OSError, TimeoutError) as error:
            _log.debug("the key of the log's tags could not be read: %s", type(error).__name__)
            return False
        if not stored:
            return False
        self._key = stored if isinstance(stored, bytes) else str(stored).encode()
        self._is_shared = True
        return True

    async def keep_sharing(self, client: Redis, keys: KeySpace) -> None:
        """Tries to share the key until that succeeds."""
        while not await self.share_key(client, keys):  # noqa: ASYNC110 - nothing tells when Redis is back
            await asyncio.sleep(RETRY_EVERY_S)


async def find_by_tag(queue: MessageQueue, tags: ConversationTags, tag: str) -> list[tuple[str, str]]:
    """Finds the conversations with a tag: instance and phone of each, mostly one, none when nothing is kept of it.

    Looks at waiting messages, at finished ones while they are kept, and at dead letters. Raises
    QueueUnavailableError, or what the client raises, while Redis is away.
    """
    names = {(it.instance_name, it.user_phone) for it in await queue.active_conversations()}
    names |= {(letter.instance_name, letter.user_phone) for letter in await queue.dead_letters()}
    for pattern in (queue.keys.pattern("msg_queue"), queue.keys.archives()):
        async for key in queue.redis.scan_iter(match=pattern, count=SCAN_COUNT):
            parsed = queue.keys.parse(key.decode() if isinstance(key, bytes) else str(key))
            if parsed:
                names.add(decode_conversation(parsed[1]))
    wanted = tag.strip().lower()
    return sorted(name for name in names if tags.of(*name) == wanted)
