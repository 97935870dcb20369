"""The buffer with the lock and the grace window that were to repair it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

from sim.ledger import Conversation
from sim.systems._buffer import BufferSystem
from sim.systems._buffer_witness import Buffer

LOCK_MS = 3000
ADD_WAITS_MS = (50, 100)
MARK_WAITS_MS = (100,)
GRACE_FROM_MS = 7500
GRACE_TO_MS = 8500
GRACE_WAIT_MS = 200


class BufferV2(BufferSystem):
    """A lock that is given up on after a few tries, a grace window around 8 s, retried calls, longer TTLs."""

    name: ClassVar[str] = "buffer-v2"
    summary: ClassVar[str] = (
        "buffer-v1 with a lock that it gives up on, a grace window around 8 s, and retried calls."
    )
    order: ClassVar[int] = 20
    buffer_ttl_s: ClassVar[int] = 60
    processed_ttl_s: ClassVar[int] = 300
    call_retries_ms: ClassVar[Sequence[int]] = (1000, 2000, 4000)

    @asynccontextmanager
    async def exclusive_add(self, conversation: Conversation) -> AsyncIterator[None]:
        """Three tries for the lock, 50 ms and 100 ms apart; without it the webhook goes on anyway."""
        async with self._lock(conversation, ADD_WAITS_MS):
            yield

    @asynccontextmanager
    async def exclusive_mark(self, conversation: Conversation) -> AsyncIterator[None]:
        """Two tries for the lock, 100 ms apart; without it the processor goes on anyway."""
        async with self._lock(conversation, MARK_WAITS_MS):
            yield

    async def read_for_add(self, key: str) -> Buffer | None:
        """The buffer; one that is about to be processed is read again 200 ms later."""
        buffer = await self.read(key)
        if buffer is None or buffer.processed:
            return buffer
        age_ms = self.world.now_ms() - buffer.first_ms
        if not GRACE_FROM_MS <= age_ms <= GRACE_TO_MS:
            return buffer
        self.world.log("buffer.grace_wait", age=age_ms)
        await asyncio.sleep(GRACE_WAIT_MS / 1000)
        return await self.read(key)

    @asynccontextmanager
    async def _lock(self, conversation: Conversation, waits_ms: Sequence[int]) -> AsyncIterator[None]:
        key = f"lock:buffer:{conversation.instance}:{conversation.phone}"
        held = await self._try_lock(key)
        for wait_ms in waits_ms:
            if held:
                break
            await asyncio.sleep(wait_ms / 1000)
            held = await self._try_lock(key)
        if not held:
            self.world.log("lock.given_up", tries=len(waits_ms) + 1)
        yield
        if held:  # a plain DEL: by now the lock may have expired and be somebody else's
            await self.redis.call("DEL", key)

    async def _try_lock(self, key: str) -> bool:
        return bool(await self.redis.call("SET", key, "locked", "NX", "PX", LOCK_MS) == "OK")
