"""One value beside each conversation, such as what an AI remembers of it; the queue itself never reads it."""

from __future__ import annotations

from queue_core.queue.access import Access


class Notes:
    """Keeps a value for each conversation. Raises QueueUnavailableError when Redis does not answer."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def get(self, instance_name: str, user_phone: str) -> bytes | str | None:
        """Return the value of a conversation; None when there is none or its time is over."""
        pipeline = self._access.redis.pipeline(transaction=False)
        pipeline.get(self._access.keys.of(instance_name, user_phone).memory)
        (value,) = await self._access.read(pipeline)
        return value  # type: ignore[no-any-return]  # bytes, or str from a client that decodes

    async def put(self, instance_name: str, user_phone: str, value: bytes, *, ttl_s: int) -> None:
        """Replace the value of a conversation, for so long."""
        pipeline = self._access.redis.pipeline(transaction=False)
        pipeline.set(self._access.keys.of(instance_name, user_phone).memory, value, ex=ttl_s)
        await self._access.read(pipeline)
